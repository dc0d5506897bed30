"""How long a failed job waits for its next attempt. Pure."""


def delay_s(failures: int, *, base: float, max_delay_s: float, jitter: float = 0.0, sample: float = 0.5) -> float:
    """Return the wait in seconds after failed attempt number *failures* (1, 2, …).

    ``base ** failures``, made up to the share *jitter* shorter or longer as
    *sample* goes from 0 to 1, and never longer than *max_delay_s*.
    """
    try:
        raw = float(base) ** failures
    except OverflowError:
        raw = max_delay_s
    capped = min(raw, max_delay_s)
    return min(capped * (1.0 + jitter * (2.0 * sample - 1.0)), max_delay_s)
