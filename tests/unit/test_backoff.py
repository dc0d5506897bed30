"""How long a failed job waits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.backoff import delay_s

failures = st.integers(1, 1_000_000)
bases = st.floats(0, 3600)
limits = st.floats(0, 31_536_000)
shares = st.floats(0, 1)


@pytest.mark.parametrize(
    "number, base, limit, expected",
    [
        (1, 2, 3600, 2),
        (2, 2, 3600, 4),
        (3, 2, 3600, 8),
        (11, 2, 3600, 2048),
        (12, 2, 3600, 3600),
        (1_000_000, 2, 3600, 3600),
        (1, 3, 3600, 3),
        (2, 3, 3600, 9),
        (1, 1, 3600, 1),
        (50, 1, 3600, 1),
        (1, 0, 3600, 0),
        (2, 0.5, 3600, 0.25),
        (5, 2, 0, 0),
        (5, 2, 10, 10),
        (1, 3600, 31_536_000, 3600),
    ],
)
def test_a_wait_is_the_base_to_the_number_of_failures(number: int, base: float, limit: float, expected: float) -> None:
    assert delay_s(number, base=base, max_delay_s=limit) == expected


@given(failures, bases, limits, shares, shares)
def test_a_wait_is_never_negative_never_over_its_limit(
    number: int, base: float, limit: float, jitter: float, sample: float
) -> None:
    wait = delay_s(number, base=base, max_delay_s=limit, jitter=jitter, sample=sample)
    assert math.isfinite(wait)
    assert 0 <= wait <= limit


@given(failures, st.integers(0, 1000), st.floats(1, 3600), limits)
def test_waits_grow(number: int, more: int, base: float, limit: float) -> None:
    assert delay_s(number, base=base, max_delay_s=limit) <= delay_s(number + more, base=base, max_delay_s=limit)


@given(failures, bases, limits, shares, shares)
def test_jitter_keeps_to_its_share(number: int, base: float, limit: float, jitter: float, sample: float) -> None:
    plain = delay_s(number, base=base, max_delay_s=limit)
    wait = delay_s(number, base=base, max_delay_s=limit, jitter=jitter, sample=sample)
    assert plain * (1 - jitter) * 0.999999 - 1e-9 <= wait <= plain * (1 + jitter) * 1.000001 + 1e-9
    assert delay_s(number, base=base, max_delay_s=limit, jitter=jitter, sample=0.5) == pytest.approx(plain)
