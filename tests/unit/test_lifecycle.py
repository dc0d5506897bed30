"""What becomes of a job."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from queuectl import lifecycle
from queuectl.errors import Conflict
from queuectl.job import MAX_ERROR, Claim, Job, OnCrash, Outcome, State
from queuectl.lifecycle import MAX_CRASHES, RetryPolicy
from queuectl.times import from_text, to_text
from tests.samples import FAILED, NOW, OK, POLICY, after, job, spec

HOLD = Claim(99, "00112233445566ff.7")
KILLED = Outcome(signal=9, error="killed by SIGKILL")
TIMED_OUT = Outcome(signal=15, timed_out=True, error="timed out after 30s")
UNSTARTED = Outcome(error="working directory does not exist: /nowhere")


def running(**fields: Any) -> Job:
    """Return a job in its first attempt, changed by *fields*."""
    begun: dict[str, Any] = {
        "state": State.IN_PROGRESS,
        "attempts": 1,
        "worker": HOLD.pid,
        "claim": HOLD.token,
        "started_at": to_text(NOW),
    }
    return job(**(begun | fields))


def settle(one: Job, outcome: Outcome = FAILED, policy: RetryPolicy = POLICY) -> Job:
    return lifecycle.settle(one, outcome, policy=policy, now=after(10))


# -- beginning --


def test_a_new_job_is_pending_and_has_not_been_tried() -> None:
    made = lifecycle.create(
        spec(command="echo ü", timeout=2.5, env={"A": "b"}, cwd="/srv"), id="x", max_retries=5, seq=9, now=NOW
    )
    assert made == job("x", command="echo ü", timeout=2.5, env={"A": "b"}, cwd="/srv", max_retries=5, seq=9)


def test_a_new_job_is_what_its_spec_says_beyond_the_usual() -> None:
    run_at = to_text(after(60))
    made = lifecycle.create(spec("x", priority=7, run_at=run_at, held=True), id="x", max_retries=3, seq=1, now=NOW)
    assert made == job("x", priority=7, run_at=run_at, held=True)


def test_a_held_job_is_never_ready() -> None:
    assert not lifecycle.is_ready(job(held=True), NOW)


@pytest.mark.parametrize("own, expected", [(None, 5), (0, 0), (7, 7)])
def test_a_job_keeps_its_own_max_retries(own: int | None, expected: int) -> None:
    made = lifecycle.create(spec("x", max_retries=own), id="x", max_retries=5, seq=1, now=NOW)
    assert made.max_retries == expected


@pytest.mark.parametrize(
    "state, run_at_s, is_ready",
    [
        (State.PENDING, None, True),
        (State.FAILED, -1, True),
        (State.FAILED, 0, True),
        (State.FAILED, 0.001, False),
        (State.FAILED, None, True),
        (State.PENDING, 5, False),
        (State.IN_PROGRESS, None, False),
        (State.COMPLETED, None, False),
        (State.DEAD, None, False),
        (State.CANCELLED, None, False),
    ],
)
def test_a_job_is_ready_once_it_waits_and_its_time_has_come(
    state: State, run_at_s: float | None, is_ready: bool
) -> None:
    one = job(state=state, run_at=None if run_at_s is None else to_text(after(run_at_s)))
    assert lifecycle.is_ready(one, NOW) is is_ready


def test_a_claim_counts_the_attempt_and_forgets_the_last() -> None:
    failed = job(state=State.FAILED, attempts=1, run_at=to_text(NOW), error="boom", exit_code=3,
                 finished_at=to_text(NOW))  # fmt: skip
    claimed = lifecycle.claim(failed, HOLD, now=after(5))
    assert claimed == running(attempts=2, started_at=to_text(after(5)), updated_at=to_text(after(5)))


# -- settling --


@pytest.mark.parametrize(
    "before, outcome, state, attempts",
    [
        (running(), OK, State.COMPLETED, 1),
        (running(), FAILED, State.FAILED, 1),
        (running(), KILLED, State.FAILED, 1),
        (running(), TIMED_OUT, State.FAILED, 1),
        (running(), UNSTARTED, State.FAILED, 1),
        (running(), Outcome(exit_code=0, timed_out=True, error="timed out after 1s"), State.FAILED, 1),
        (running(attempts=2), FAILED, State.FAILED, 2),
        (running(attempts=3), FAILED, State.DEAD, 3),
        (running(attempts=3), OK, State.COMPLETED, 3),
        (running(max_retries=0), FAILED, State.DEAD, 1),
        (running(max_retries=1), FAILED, State.DEAD, 1),
        (running(max_retries=2), FAILED, State.FAILED, 1),
        (running(attempts=5, crashes=2), FAILED, State.DEAD, 5),
        (running(attempts=4, crashes=2), FAILED, State.FAILED, 4),
        (running(cancel_requested=True), FAILED, State.CANCELLED, 1),
        (running(cancel_requested=True), KILLED, State.CANCELLED, 1),
        (running(cancel_requested=True), OK, State.CANCELLED, 1),
        (running(cancel_requested=True, attempts=3), FAILED, State.CANCELLED, 3),
    ],
)
def test_an_outcome_decides_the_next_state(before: Job, outcome: Outcome, state: State, attempts: int) -> None:
    settled = settle(before, outcome)
    assert (settled.state, settled.attempts) == (state, attempts)
    assert (settled.worker, settled.claim, settled.cancel_requested) == (None, None, False)
    assert settled.finished_at == settled.updated_at == to_text(after(10))
    assert settled.exit_code == outcome.exit_code
    assert settled.error == (None if outcome == OK else outcome.error)
    assert (settled.run_at is not None) is (state is State.FAILED)


@pytest.mark.parametrize(
    "codes, outcome, state",
    [
        ({"success_codes": (0, 3)}, FAILED, State.COMPLETED),
        ({"success_codes": (0, 3)}, OK, State.COMPLETED),
        ({"success_codes": (3,)}, OK, State.FAILED),
        ({"success_codes": (3,)}, Outcome(exit_code=3, timed_out=True), State.FAILED),
        ({"success_codes": (9,)}, KILLED, State.FAILED),
        ({"fatal_codes": (3, 4)}, FAILED, State.DEAD),
        ({"fatal_codes": (4,)}, FAILED, State.FAILED),
        ({"fatal_codes": (3,)}, Outcome(exit_code=3, timed_out=True), State.FAILED),
        ({"retry_codes": (3,)}, FAILED, State.FAILED),
        ({"retry_codes": (4, 5)}, FAILED, State.DEAD),
        ({"retry_codes": (4,)}, OK, State.COMPLETED),
        ({"retry_codes": (4,)}, KILLED, State.FAILED),
        ({"retry_codes": (4,)}, TIMED_OUT, State.FAILED),
        ({"fatal_codes": (3,), "cancel_requested": True}, FAILED, State.CANCELLED),
    ],
)
def test_exit_codes_mean_what_a_job_says(codes: dict[str, Any], outcome: Outcome, state: State) -> None:
    settled = settle(running(**codes), outcome)
    assert (settled.state, settled.exit_code) == (state, outcome.exit_code)
    assert (settled.error is None) is (state is State.COMPLETED or not (outcome.error or outcome.exit_code == 0))


def test_a_failure_with_exit_code_0_is_named() -> None:
    assert settle(running(success_codes=(3,)), OK).error == "exit code 0"


def test_the_backoff_is_what_a_job_says() -> None:
    policy = RetryPolicy(base=2.0, max_delay_s=3600.0, jitter=0.5)
    own = running(attempts=2, max_retries=9, base=10, jitter=0)
    assert settle(own, policy=policy).run_at == to_text(after(10 + 100))
    assert settle(running(attempts=2, max_retries=9, base=10, jitter=0, max_delay=7)).run_at == to_text(after(10 + 7))
    assert settle(running(attempts=1, base=0)).run_at == to_text(after(10))


@pytest.mark.parametrize(
    "attempts, policy, wait_s",
    [
        (1, POLICY, 2),
        (2, POLICY, 4),
        (9, POLICY, 512),
        (12, POLICY, 3600),
        (1, RetryPolicy(base=3, max_delay_s=3600, jitter=0), 3),
        (2, RetryPolicy(base=3, max_delay_s=8.5, jitter=0), 8.5),
        (2, RetryPolicy(base=0, max_delay_s=3600, jitter=0), 0),
        (10**6, RetryPolicy(base=3600, max_delay_s=31_536_000, jitter=0), 31_536_000),
    ],
)
def test_a_failed_job_waits_for_the_backoff_of_its_failures(attempts: int, policy: RetryPolicy, wait_s: float) -> None:
    settled = settle(running(attempts=attempts, max_retries=10**7), FAILED, policy)
    assert settled.run_at == to_text(after(10 + wait_s))


def test_crashes_do_not_make_the_backoff_longer() -> None:
    """The wait counts failures: this one is the first, though two attempts have crashed before."""
    assert settle(running(attempts=3, crashes=2)).run_at == to_text(after(12))


def test_an_error_is_cut_at_its_limit_and_none_is_none() -> None:
    assert settle(running(), Outcome(exit_code=1, error="ü" * 600)).error == "ü" * MAX_ERROR
    assert settle(running(), Outcome(exit_code=1, error="")).error is None
    assert settle(running(), Outcome(exit_code=1)).error is None
    assert settle(running(), Outcome(exit_code=0, error="noise")).error is None


@given(st.integers(0, 30))
def test_max_retries_is_the_number_of_runs(max_retries: int) -> None:
    one = job(max_retries=max_retries)
    runs = 0
    while one.state is not State.DEAD:
        one = settle(lifecycle.claim(one, HOLD, now=NOW))
        runs += 1
    assert runs == max(1, max_retries)
    assert one.failures == one.attempts == runs


# -- the end of a worker --


def test_a_job_given_back_is_as_if_it_had_not_been_tried() -> None:
    claimed = lifecycle.claim(job(), HOLD, now=after(1))
    assert lifecycle.give_back(claimed, now=after(2)) == job(updated_at=to_text(after(2)))
    asked = lifecycle.cancel(claimed, now=after(2))
    assert lifecycle.give_back(asked, now=after(3)).state is State.CANCELLED


@pytest.mark.parametrize(
    "before, state, crashes",
    [
        (running(), State.PENDING, 1),
        (running(attempts=2, crashes=1), State.PENDING, 2),
        (running(attempts=3, crashes=2), State.DEAD, 3),
        (running(attempts=5, crashes=2), State.DEAD, 3),
        (running(attempts=1, max_retries=1), State.PENDING, 1),
        (running(cancel_requested=True), State.CANCELLED, 1),
        (running(attempts=3, crashes=2, cancel_requested=True), State.CANCELLED, 3),
    ],
)
def test_a_crash_is_counted_and_is_no_failure(before: Job, state: State, crashes: int) -> None:
    rescued = lifecycle.rescue(before, is_crash=True, policy=POLICY, now=after(5))
    assert (rescued.state, rescued.crashes, rescued.attempts) == (state, crashes, before.attempts)
    assert (rescued.worker, rescued.claim, rescued.cancel_requested, rescued.run_at) == (None, None, False, None)
    assert rescued.failures == before.failures
    assert rescued.seq == before.seq
    assert rescued.error == ("worker crashed 3 times" if state is State.DEAD else None)


def test_a_crash_is_a_failure_where_a_job_says_so() -> None:
    before = running(attempts=1, on_crash=OnCrash.FAIL)
    rescued = lifecycle.rescue(before, is_crash=True, policy=POLICY, now=after(5))
    assert (rescued.state, rescued.crashes, rescued.failures, rescued.claim) == (State.FAILED, 0, 1, None)
    assert (rescued.run_at, rescued.error) == (to_text(after(5 + 2)), "worker crashed")
    last = lifecycle.rescue(running(attempts=3, on_crash=OnCrash.FAIL), is_crash=True, policy=POLICY, now=after(5))
    assert (last.state, last.error, last.run_at) == (State.DEAD, "worker crashed", None)


def test_a_crash_is_the_end_where_a_job_says_so() -> None:
    before = running(attempts=1, on_crash=OnCrash.DEAD)
    rescued = lifecycle.rescue(before, is_crash=True, policy=POLICY, now=after(5))
    assert (rescued.state, rescued.error, rescued.finished_at) == (State.DEAD, "worker crashed", to_text(after(5)))
    stopped = lifecycle.rescue(before, is_crash=False, policy=POLICY, now=after(5))
    assert stopped.state is State.PENDING
    asked = running(on_crash=OnCrash.DEAD, cancel_requested=True)
    assert lifecycle.rescue(asked, is_crash=True, policy=POLICY, now=after(5)).state is State.CANCELLED


def test_a_reboot_is_neither_crash_nor_attempt() -> None:
    before = running(attempts=4, crashes=2)
    rescued = lifecycle.rescue(before, is_crash=False, policy=POLICY, now=after(5))
    assert (rescued.state, rescued.crashes, rescued.attempts) == (State.PENDING, 2, 3)
    assert rescued == lifecycle.give_back(before, now=after(5))


# -- people --


@pytest.mark.parametrize(
    "before, state",
    [
        (job(), State.CANCELLED),
        (job(state=State.FAILED, attempts=1, run_at=to_text(after(60)), error="boom"), State.CANCELLED),
        (running(), State.IN_PROGRESS),
        (running(cancel_requested=True), State.IN_PROGRESS),
    ],
)
def test_cancel_ends_what_waits_and_asks_what_runs(before: Job, state: State) -> None:
    cancelled = lifecycle.cancel(before, now=after(3))
    assert cancelled.state is state
    assert cancelled.cancel_requested is (state is State.IN_PROGRESS)
    assert cancelled.claim == before.claim
    assert cancelled.run_at is None
    assert cancelled.updated_at == to_text(after(3))
    assert (cancelled.finished_at is not None) is (state is State.CANCELLED)


@pytest.mark.parametrize("state", [state for state in State if state.is_final])
def test_what_has_ended_cannot_be_cancelled(state: State) -> None:
    with pytest.raises(Conflict, match=f'"job1" is already {state}'):
        lifecycle.cancel(job(state=state), now=NOW)


def test_a_revived_job_is_a_new_one_in_a_new_place() -> None:
    dead = job(state=State.DEAD, attempts=5, crashes=2, error="boom", exit_code=3, started_at=to_text(NOW),
               finished_at=to_text(NOW), env={"A": "b"}, timeout=3.0, max_retries=3)  # fmt: skip
    revived = lifecycle.revive(dead, seq=77, now=after(8))
    assert revived == job(
        env={"A": "b"}, timeout=3.0, seq=77, updated_at=to_text(after(8)), first_seq=1, earlier_attempts=5
    )


def test_a_job_that_was_revived_twice_knows_where_it_began_and_all_its_attempts() -> None:
    """The output of its attempts is kept under its first place, each under a number of its own."""
    once = lifecycle.revive(job(state=State.DEAD, attempts=3, seq=4), seq=8, now=NOW)
    again = settle(lifecycle.claim(msgspec.structs.replace(once, max_retries=1), HOLD, now=NOW))
    twice = lifecycle.revive(again, seq=9, now=NOW)
    assert (twice.first_seq, twice.earlier_attempts, twice.attempts, twice.seq) == (4, 4, 0, 9)


@pytest.mark.parametrize("state", [state for state in State if state is not State.DEAD])
def test_only_the_dead_are_revived(state: State) -> None:
    with pytest.raises(Conflict, match=f'"job1" is {state}, not dead'):
        lifecycle.revive(job(state=state), seq=2, now=NOW)


@pytest.mark.parametrize("state", list(State))
def test_all_but_running_jobs_may_be_removed(state: State) -> None:
    if state is not State.IN_PROGRESS:
        lifecycle.check_removable(job(state=state))
        return
    with pytest.raises(Conflict, match='"job1" is running'):
        lifecycle.check_removable(job(state=state))


# -- laws --

EVENTS: dict[str, Callable[[Job], Job]] = {
    "ok": lambda one: settle(one, OK),
    "fail": lambda one: settle(one, FAILED),
    "time out": lambda one: settle(one, TIMED_OUT),
    "give back": lambda one: lifecycle.give_back(one, now=after(10)),
    "crash": lambda one: lifecycle.rescue(one, is_crash=True, policy=POLICY, now=after(10)),
    "reboot": lambda one: lifecycle.rescue(one, is_crash=False, policy=POLICY, now=after(10)),
    "cancel": lambda one: lifecycle.cancel(one, now=after(10)),
}
histories = st.lists(st.sampled_from(sorted(EVENTS)), max_size=40)


def live(history: list[str], max_retries: int) -> tuple[Job, dict[str, int]]:
    """Let a job live through *history*, as far as it gets; return it, and how often what has happened."""
    one = job(max_retries=max_retries)
    happened = dict.fromkeys(EVENTS, 0)
    for event in history:
        if one.state.is_final:
            break
        if one.state.is_waiting and event != "cancel":
            one = lifecycle.claim(one, HOLD, now=from_text(one.run_at) if one.run_at else NOW)
        one = EVENTS[event](one)
        happened[event] += 1
    return one, happened


@given(histories, st.integers(0, 6))
def test_attempts_are_failures_and_crashes_and_nothing_else(history: list[str], max_retries: int) -> None:
    one, happened = live(history, max_retries)
    failures = happened["fail"] + happened["time out"]
    is_running = one.state is State.IN_PROGRESS
    assert one.crashes == happened["crash"] <= MAX_CRASHES
    assert one.attempts == failures + happened["crash"] + happened["ok"] + is_running
    assert one.failures == failures + happened["ok"]
    assert failures <= max(1, max_retries)
    if one.state is State.DEAD:
        assert failures == max(1, max_retries) or one.crashes == MAX_CRASHES
    if one.state is State.COMPLETED:
        assert happened["ok"] == 1
    if one.state is State.CANCELLED:
        assert happened["cancel"]


@given(histories, st.integers(0, 6))
def test_a_job_in_any_state_is_sound(history: list[str], max_retries: int) -> None:
    one, _ = live(history, max_retries)
    assert (one.claim is not None) == (one.worker is not None) == (one.state is State.IN_PROGRESS)
    assert (one.run_at is not None) == (one.state is State.FAILED)
    assert one.cancel_requested <= (one.state is State.IN_PROGRESS)
    assert one.state is State.CANCELLED or not one.state.is_final or one.finished_at is not None
    assert one.created_at == to_text(NOW)
    assert (one.id, one.command, one.seq, one.max_retries) == ("job1", "true", 1, max_retries)


@given(histories, st.integers(0, 6))
def test_a_final_state_is_left_only_by_a_revival(history: list[str], max_retries: int) -> None:
    """No worker can claim it, and no person can cancel it."""
    one, _ = live(history, max_retries)
    assume(one.state.is_final)
    assert not lifecycle.is_ready(one, after(10**9))
    with pytest.raises(Conflict):
        lifecycle.cancel(one, now=NOW)
    if one.state is State.DEAD:
        assert lifecycle.is_ready(lifecycle.revive(one, seq=2, now=NOW), NOW)
    else:
        with pytest.raises(Conflict):
            lifecycle.revive(one, seq=2, now=NOW)


@given(histories, st.integers(0, 6))
def test_no_decision_changes_the_job_it_is_given(history: list[str], max_retries: int) -> None:
    one, _ = live(history, max_retries)
    before = repr(one)
    if one.state.is_waiting:
        lifecycle.claim(one, HOLD, now=NOW)
    elif one.state is State.IN_PROGRESS:
        for event in EVENTS.values():
            event(one)
    assert repr(one) == before
