"""What every store promises, verb by verb. One suite: a new store has to pass it unchanged."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from queuectl.errors import Conflict, DuplicateId, ExitCode, JobNotFound, QueueCtlError
from queuectl.job import ID_PATTERN, MAX_ERROR, Job, OnCrash, Outcome, State
from queuectl.specs import JobSpec
from queuectl.stores.base import Store
from queuectl.times import to_text
from tests.samples import FAILED, NOW, OK, after, ids_of, new_claim, spec, specs


def claim(store: Store, at_s: float = 0.0) -> Job:
    """Claim a job that has to be there."""
    job = store.claim(new_claim(), now=after(at_s))
    assert job is not None
    return job


def kill(store: Store, *ids: str) -> None:
    """Enqueue jobs *ids* and let them end in the DLQ."""
    store.enqueue([spec(id, max_retries=1) for id in ids], now=NOW)
    for id in ids:
        job = claim(store)
        assert job.id == id
        store.settle(job, FAILED, next_claim=None, now=NOW)


def one_of_each(store: Store) -> None:
    """Put a job in each state, named after it, and a second dead and pending one."""
    kill(store, "dead", "dead2")
    store.enqueue([spec(id, max_retries=5) for id in ("completed", "failed", "cancelled", "in_progress")], now=NOW)
    for id, outcome in (("completed", OK), ("failed", FAILED)):
        job = claim(store)
        assert job.id == id
        store.settle(job, outcome, next_claim=None, now=NOW)
    store.cancel(["cancelled"], now=NOW)
    assert claim(store).id == "in_progress"
    store.enqueue(specs("pending", "pending2"), now=NOW)


# -- the order of claiming --


def claim_all(store: Store, at_s: float = 0.0) -> list[str]:
    """Claim all that is ready, one after the other."""
    claimed = []
    while (job := store.claim(new_claim(), now=after(at_s))) is not None:
        claimed.append(job.id)
    return claimed


def test_jobs_of_a_higher_priority_come_first(store: Store, peer: Store) -> None:
    store.enqueue([spec("low", priority=-1), spec("a"), spec("high", priority=1000)], now=NOW)
    peer.enqueue([spec("b"), spec("high2", priority=1000), spec("one", priority=1)], now=NOW)
    assert claim_all(store) == ["high", "high2", "one", "a", "b", "low"]
    assert peer.job("low").priority == -1


def test_a_failed_job_keeps_its_priority(store: Store) -> None:
    store.set_setting("base", 0)
    store.enqueue([spec("a"), spec("b", priority=3), spec("c", priority=5)], now=NOW)
    settled = store.settle(claim(store), FAILED, next_claim=new_claim(), now=NOW)
    assert settled.settled is not None
    assert settled.next is not None
    assert (settled.settled.id, settled.next.id) == ("c", "c")
    store.set_setting("base", 2)
    settled = store.settle(settled.next, FAILED, next_claim=new_claim(), now=NOW)
    assert settled.next is not None
    assert settled.next.id == "b"
    assert claim_all(store, at_s=60) == ["c", "a"]


def test_a_job_for_later_waits_for_its_time(store: Store, peer: Store) -> None:
    store.enqueue([spec("later", run_at=to_text(after(10)), priority=1), spec("now"), spec("then")], now=NOW)
    assert claim(peer).id == "now"
    assert store.job("later").state is State.PENDING
    assert claim(peer, at_s=10).id == "later"
    assert peer.job("later").run_at is None
    assert claim(store, at_s=10).id == "then"


def test_who_waits_is_told_of_the_first_that_is_due(store: Store) -> None:
    store.enqueue([spec("held", run_at=to_text(after(1)), held=True), spec("b", run_at=to_text(after(7)))], now=NOW)
    assert store.claim(new_claim(), now=NOW) is None
    assert store.next_due() == after(7)


# -- what becomes of a failure --


def test_exit_codes_mean_what_a_job_says(store: Store, peer: Store) -> None:
    store.enqueue([spec("fatal", fatal_codes=(3,)), spec("fine", success_codes=(0, 3)), spec("again")], now=NOW)
    for _ in range(3):
        store.settle(claim(store), FAILED, next_claim=None, now=NOW)
    assert {job.id: job.state for job in peer.jobs()} == {
        "fatal": State.DEAD,
        "fine": State.COMPLETED,
        "again": State.FAILED,
    }
    assert peer.job("fatal").fatal_codes == (3,)


@pytest.mark.parametrize(
    "on_crash, state", [(OnCrash.RETRY, State.PENDING), (OnCrash.FAIL, State.FAILED), (OnCrash.DEAD, State.DEAD)]
)
def test_the_death_of_a_worker_means_what_a_job_says(
    store: Store, peer: Store, on_crash: OnCrash, state: State
) -> None:
    store.enqueue([spec("a", on_crash=on_crash, base=5)], now=NOW)
    [rescued] = peer.rescue([claim(store).claim or ""], is_crash=True, now=NOW)
    assert store.job("a") == rescued
    assert rescued.state is state
    assert rescued.run_at == (to_text(after(5)) if state is State.FAILED else None)


# -- hold and release --


def test_a_held_job_is_not_claimed_until_it_is_released(store: Store, peer: Store) -> None:
    store.enqueue([spec("a"), spec("b"), spec("c", held=True)], now=NOW)
    assert [(job.id, job.held) for job in store.hold(["a"], now=after(1))] == [("a", True)]
    assert peer.job("a").updated_at == to_text(after(1))
    assert claim_all(peer) == ["b"]
    assert [(job.id, job.held, job.state) for job in peer.release(["c", "a"], now=after(2))] == [
        ("c", False, State.PENDING),
        ("a", False, State.PENDING),
    ]
    assert claim_all(store) == ["a", "c"]


def test_a_failed_job_that_is_held_keeps_its_wait(store: Store) -> None:
    store.enqueue([spec("a", max_retries=3)], now=NOW)
    store.settle(claim(store), FAILED, next_claim=None, now=NOW)
    store.hold(["a"], now=NOW)
    assert store.job("a").state is State.FAILED
    assert claim_all(store, at_s=3600) == []
    store.release(["a"], now=NOW)
    assert claim_all(store, at_s=1) == []
    assert claim_all(store, at_s=2) == ["a"]


@pytest.mark.parametrize("id", ["in_progress", "completed", "dead", "cancelled", "held", "nobody"])
def test_hold_refuses_all_if_one_cannot_be_held(store: Store, id: str) -> None:
    one_of_each(store)
    store.enqueue([spec("held", held=True)], now=NOW)
    before = store.jobs()
    with pytest.raises(JobNotFound if id == "nobody" else Conflict) as caught:
        store.hold(["pending", id], now=NOW)
    assert id in str(caught.value)
    assert store.jobs() == before


def test_release_refuses_all_if_one_is_not_held(store: Store) -> None:
    store.enqueue([spec("a", held=True), spec("b")], now=NOW)
    with pytest.raises(Conflict):
        store.release(["a", "b"], now=NOW)
    assert store.job("a").held


def test_a_held_job_can_be_cancelled_and_removed(store: Store) -> None:
    store.enqueue([spec("a", held=True), spec("b", held=True)], now=NOW)
    [cancelled] = store.cancel(["a"], now=NOW)
    assert (cancelled.state, cancelled.held) == (State.CANCELLED, False)
    store.remove(["b"])
    assert ids_of(store.jobs()) == ["a"]


# -- enqueue --


def test_enqueue_adds_jobs_in_their_order(store: Store, peer: Store) -> None:
    assert store.enqueue(specs("c", "a"), now=NOW) == ["c", "a"]
    assert peer.enqueue(specs("b"), now=NOW) == ["b"]
    assert ids_of(store.jobs()) == ids_of(peer.jobs()) == ["c", "a", "b"]


def test_enqueue_stores_what_it_was_given(store: Store, peer: Store) -> None:
    given = spec(
        "job:1@x",
        'echo "ünï ⏎ \\ \x07 🎉"\nexit 1',
        max_retries=0,
        timeout=1.5,
        env={"A": "ä\n", "B": ""},
        cwd="/tmp/ü",
    )
    store.enqueue([given], now=NOW)
    job = peer.job("job:1@x")
    assert {name: getattr(job, name) for name in JobSpec.__struct_fields__} == msgspec.structs.asdict(given)
    assert (job.state, job.attempts, job.crashes) == (State.PENDING, 0, 0)
    assert job.created_at == job.updated_at == to_text(NOW)


def test_enqueue_of_nothing_changes_nothing(store: Store) -> None:
    assert store.enqueue([], now=NOW) == []
    assert store.jobs() == []


def test_ids_that_are_made_are_free_typeable_and_in_order(store: Store) -> None:
    store.enqueue(specs("mine"), now=NOW)
    ids = store.enqueue([spec(command=f"echo {number}") for number in range(500)], now=NOW)
    assert len({*ids, "mine"}) == 501
    assert all(re.fullmatch(ID_PATTERN, id) and len(id) <= 12 for id in ids)
    assert [(job.id, job.command) for job in store.jobs()[1:]] == [(id, f"echo {n}") for n, id in enumerate(ids)]


def test_given_and_made_ids_keep_their_places(store: Store) -> None:
    ids = store.enqueue([spec(), spec("x"), spec(), spec("y")], now=NOW)
    assert (ids[1], ids[3]) == ("x", "y")
    assert len(set(ids)) == 4
    assert ids_of(store.jobs()) == ids


@pytest.mark.parametrize("taken", [*State, "pending2"])
def test_enqueue_refuses_a_taken_id_and_the_whole_batch(store: Store, peer: Store, taken: str) -> None:
    one_of_each(store)
    before = store.jobs()
    for each in (store, peer):
        with pytest.raises(DuplicateId) as caught:
            each.enqueue(specs("new1", taken, "new2"), now=NOW)
        assert taken in str(caught.value)
        assert caught.value.exit_code is ExitCode.CONFLICT
    assert store.jobs() == peer.jobs() == before


def test_enqueue_refuses_an_id_that_its_batch_has_twice(store: Store) -> None:
    with pytest.raises(DuplicateId):
        store.enqueue([spec("a"), spec("b"), spec("a", "echo other")], now=NOW)
    assert store.jobs() == []


def test_an_id_is_free_again_after_remove_and_purge(store: Store) -> None:
    kill(store, "dead")
    store.enqueue(specs("a"), now=NOW)
    store.enqueue(specs("b"), now=NOW)
    store.remove(["a"])
    store.purge(["dead"])
    store.enqueue(specs("a", "dead"), now=NOW)
    assert ids_of(store.jobs()) == ["b", "a", "dead"]
    assert store.job("dead").state is State.PENDING


def test_a_job_keeps_the_max_retries_it_was_enqueued_with(store: Store, peer: Store) -> None:
    store.enqueue(specs("a"), now=NOW)
    peer.set_setting("max-retries", 7)
    store.enqueue([spec("b"), spec("c", max_retries=1)], now=NOW)
    store.unset_setting("max-retries")
    assert [job.max_retries for job in peer.jobs()] == [3, 7, 1]


def test_a_large_batch_is_stored_whole_and_in_order(store: Store, peer: Store) -> None:
    ids = [f"job{number}" for number in range(5000)]
    store.enqueue(specs(*ids), now=NOW)
    assert ids_of(peer.jobs()) == ids
    assert peer.counts()[State.PENDING] == 5000
    assert [claim(peer).id for _ in range(3)] == ids[:3]


# -- reading --


def test_jobs_are_chosen_by_state_and_limit(store: Store) -> None:
    one_of_each(store)
    order = ["dead", "dead2", "completed", "failed", "cancelled", "in_progress", "pending", "pending2"]
    assert ids_of(store.jobs()) == order
    assert ids_of(store.jobs(limit=3)) == order[:3]
    assert ids_of(store.jobs(limit=0)) == []
    assert ids_of(store.jobs(limit=100)) == order
    assert ids_of(store.jobs([State.PENDING, State.DEAD], limit=3)) == ["dead", "dead2", "pending"]
    assert store.jobs([]) == []
    for state in State:
        assert {job.state for job in store.jobs([state])} == {state}


def test_counts_name_every_state(store: Store, peer: Store) -> None:
    assert store.counts() == dict.fromkeys(State, 0)
    one_of_each(store)
    assert peer.counts() == {state: 2 if state in (State.PENDING, State.DEAD) else 1 for state in State}


def test_job_finds_jobs_in_any_state_and_no_others(store: Store) -> None:
    one_of_each(store)
    for state in State:
        assert store.job(state).state is state
    for absent in ("", "pend", "pending3", 'x"y'):
        with pytest.raises(JobNotFound) as caught:
            store.job(absent)
        assert caught.value.exit_code is ExitCode.NOT_FOUND


def test_a_job_is_not_found_by_what_its_text_holds(store: Store) -> None:
    """An environment may hold anything, the form in which a store keeps ids too."""
    store.enqueue([spec("a", env={"id": "b", 'x{"id":"b"': '\n {"id":"b",'}, command='echo \'{"id":"b"\'')], now=NOW)
    with pytest.raises(JobNotFound):
        store.job("b")
    store.enqueue(specs("b"), now=NOW)
    assert store.job("b").env == {}


# -- settings --


def test_settings_are_chosen_and_unset(store: Store, peer: Store) -> None:
    assert store.settings().chosen == {}
    store.set_setting("base", 3)
    store.set_setting("timeout", 0.5)
    peer.set_setting("timeout", None)
    peer.set_setting("jitter", 0.25)
    settings = store.settings()
    assert (settings.base, settings.timeout_s, settings.jitter) == (3, None, 0.25)
    assert settings.chosen == {"base": 3, "timeout": None, "jitter": 0.25}
    store.unset_setting("base")
    store.unset_setting("grace")  # was never set
    assert peer.settings().base == 2
    assert "base" not in peer.settings().chosen


# -- claim --


def test_claims_go_in_the_order_of_enqueueing(store: Store, peer: Store) -> None:
    store.enqueue(specs("c", "a"), now=NOW)
    store.enqueue(specs("b"), now=NOW)
    assert [claim(each).id for each in (store, peer, store)] == ["c", "a", "b"]
    assert store.claim(new_claim(), now=NOW) is None
    assert peer.claim(new_claim(), now=NOW) is None


def test_a_claim_is_an_attempt_by_a_worker(store: Store, peer: Store) -> None:
    store.enqueue(specs("a"), now=NOW)
    hold = new_claim(pid=99)
    job = store.claim(hold, now=after(5))
    assert job is not None
    assert (job.state, job.attempts, job.worker, job.claim) == (State.IN_PROGRESS, 1, 99, hold.token)
    assert job.started_at == job.updated_at == to_text(after(5))
    assert peer.job("a") == job
    assert peer.claimed() == store.claimed() == [job]


def test_only_waiting_jobs_are_claimed(store: Store) -> None:
    one_of_each(store)
    claimed = [claim(store, 3600).id for _ in range(3)]
    assert claimed == ["failed", "pending", "pending2"]
    assert store.claim(new_claim(), now=after(3600)) is None


def test_a_failed_job_waits_for_its_time_and_keeps_its_place(store: Store, peer: Store) -> None:
    store.enqueue(specs("a", "b", "c"), now=NOW)
    job = claim(store)
    settled = store.settle(job, FAILED, next_claim=None, now=NOW).settled
    assert settled is not None
    assert settled.run_at == to_text(after(2))
    assert claim(peer, 1.999).id == "b"
    assert claim(peer, 2).id == "a"
    assert claim(store, 2).id == "c"


def test_jobs_that_come_due_together_go_in_the_order_of_enqueueing(store: Store) -> None:
    store.enqueue(specs("a", "b", "c"), now=NOW)
    held = [claim(store) for _ in range(3)]
    for job, at_s in zip(reversed(held), (0.0, 0.5, 1.0), strict=True):
        store.settle(job, FAILED, next_claim=None, now=after(at_s))
    assert [claim(store, 10).id for _ in range(3)] == ["a", "b", "c"]


def test_a_clock_that_is_set_back_delays_but_loses_nothing(store: Store) -> None:
    store.enqueue(specs("a", "b"), now=NOW)
    job = claim(store)
    store.settle(job, FAILED, next_claim=None, now=NOW)
    assert claim(store, -3600).id == "b"
    assert store.claim(new_claim(), now=after(-3600)) is None
    assert store.claim(new_claim(), now=after(1)) is None
    assert claim(store, 2).id == "a"


def test_next_due_is_when_the_first_failed_job_waits_for(store: Store) -> None:
    store.prepare_for_work()
    assert store.next_due() is None
    store.enqueue(specs("a", "b"), now=NOW)
    first, second = claim(store), claim(store)
    store.settle(second, FAILED, next_claim=None, now=after(1))
    assert store.next_due() == after(3)
    store.settle(first, FAILED, next_claim=None, now=NOW)
    assert store.next_due() == after(2)
    assert claim(store, 2).id == "a"
    assert store.next_due() == after(3)
    assert claim(store, 3).id == "b"
    assert store.next_due() is None


# -- settle --


def test_a_success_completes_the_job(store: Store, peer: Store) -> None:
    store.enqueue(specs("a"), now=NOW)
    settlement = store.settle(claim(store), OK, next_claim=None, now=after(7))
    assert settlement.next is None
    job = peer.job("a")
    assert job == settlement.settled
    assert (job.state, job.exit_code, job.error, job.attempts) == (State.COMPLETED, 0, None, 1)
    assert (job.worker, job.claim, job.finished_at) == (None, None, to_text(after(7)))
    assert store.claimed() == []


def test_max_retries_3_means_three_runs_with_growing_waits(store: Store) -> None:
    store.enqueue(specs("a"), now=NOW)
    waits, at_s = [], 0.0
    while True:
        settled = store.settle(claim(store, at_s), FAILED, next_claim=None, now=after(at_s)).settled
        assert settled is not None
        if settled.state is State.DEAD:
            break
        waits.append(next(wait for wait in range(100) if to_text(after(at_s + wait)) == settled.run_at))
        at_s += waits[-1]
    assert waits == [2, 4]
    assert (settled.attempts, settled.exit_code, settled.error) == (3, 3, "exit code 3")
    assert store.jobs([State.DEAD]) == [settled]
    assert store.claim(new_claim(), now=after(10_000)) is None


@pytest.mark.parametrize("max_retries", [0, 1])
def test_one_run_is_all_of_max_retries_0_and_1(store: Store, max_retries: int) -> None:
    store.enqueue([spec("a", max_retries=max_retries)], now=NOW)
    settled = store.settle(claim(store), FAILED, next_claim=None, now=NOW).settled
    assert settled is not None
    assert (settled.state, settled.attempts) == (State.DEAD, 1)


def test_a_failed_job_that_need_not_wait_keeps_its_turn(store: Store, peer: Store) -> None:
    store.set_setting("base", 0)
    store.enqueue(specs("first", "second"), now=NOW)
    settlement = store.settle(claim(store), FAILED, next_claim=new_claim(), now=after(1))
    assert settlement.settled is not None
    assert settlement.next is not None
    assert (settlement.settled.state, settlement.next.id, settlement.next.attempts) == (State.FAILED, "first", 2)
    assert peer.job("first") == settlement.next


def test_settle_claims_the_next_job_in_the_same_breath(store: Store, peer: Store) -> None:
    store.enqueue(specs("a", "b"), now=NOW)
    hold = new_claim()
    settlement = store.settle(claim(store), OK, next_claim=hold, now=NOW)
    assert settlement.next is not None
    assert (settlement.next.id, settlement.next.claim) == ("b", hold.token)
    assert peer.claimed() == [settlement.next]
    last = store.settle(settlement.next, FAILED, next_claim=new_claim(), now=NOW)
    assert last.next is None


def test_an_error_of_any_length_is_kept_up_to_its_limit(store: Store, peer: Store) -> None:
    """Its text does not fit where the job stood before: that may not harm the neighbours."""
    store.enqueue(specs("a", "b", "c"), now=NOW)
    for error in ("ü" * 700, "\x01" * MAX_ERROR, 'quote " and \\ ' * 50):
        held = [claim(store, 10_000) for _ in range(3)]
        assert ids_of(held) == ["a", "b", "c"]
        for job in held:
            store.settle(job, Outcome(exit_code=1, error=error), next_claim=None, now=NOW)
        assert {job.error for job in peer.jobs()} == {error[:MAX_ERROR]}
    assert {job.state for job in store.jobs()} == {State.DEAD}
    assert ids_of(store.jobs()) == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["settled", "given back", "rescued", "claimed again", "removed"])
def test_a_claim_that_no_longer_holds_settles_nothing_but_claims_the_next(store: Store, peer: Store, how: str) -> None:
    store.enqueue([spec("a", max_retries=1), spec("b")], now=NOW)
    stale = claim(store)
    if how == "settled":
        peer.settle(stale, OK, next_claim=None, now=NOW)
    elif how == "given back":
        peer.give_back(stale, now=NOW)
    else:
        peer.rescue([stale.claim or ""], is_crash=True, now=NOW)
    if how == "claimed again":
        claim(peer)
    if how == "removed":
        peer.remove(["a"])
    before = peer.jobs()
    expected = next((job.id for job in before if job.state is State.PENDING), None)

    settlement = store.settle(stale, FAILED, next_claim=new_claim(), now=after(1))

    assert settlement.settled is None
    assert settlement.next is not None
    assert settlement.next.id == expected
    assert [job for job in peer.jobs() if job.id != expected] == [job for job in before if job.id != expected]
    assert store.current(stale) is None
    assert store.give_back(stale, now=NOW) is None


# -- give back, current --


def test_a_job_that_is_given_back_has_not_been_tried(store: Store, peer: Store) -> None:
    store.enqueue(specs("a", "b"), now=NOW)
    job = claim(store)
    returned = store.give_back(job, now=after(1))
    assert returned == peer.job("a")
    assert returned is not None
    assert (returned.state, returned.attempts, returned.crashes) == (State.PENDING, 0, 0)
    assert (returned.worker, returned.claim, returned.started_at) == (None, None, None)
    assert claim(peer).id == "a"


def test_current_shows_what_others_have_made_of_the_job(store: Store, peer: Store) -> None:
    store.enqueue(specs("a"), now=NOW)
    job = claim(store)
    assert store.current(job) == job
    peer.cancel(["a"], now=after(1))
    current = store.current(job)
    assert current is not None
    assert current.cancel_requested
    peer.settle(job, FAILED, next_claim=None, now=NOW)
    assert store.current(job) is None


# -- rescue --


def test_a_rescued_job_waits_in_its_old_place_with_one_crash_more(store: Store, peer: Store) -> None:
    store.enqueue(specs("a", "b", "c"), now=NOW)
    first, second = claim(store), claim(store)
    rescued = peer.rescue([first.claim or "", "no such claim"], is_crash=True, now=after(1))
    assert ids_of(rescued) == ["a"]
    job = store.job("a")
    assert (job.state, job.attempts, job.crashes, job.run_at) == (State.PENDING, 1, 1, None)
    assert (job.worker, job.claim) == (None, None)
    assert store.claimed() == [second]
    assert claim(store).id == "a"


def test_the_third_crash_is_the_last(store: Store) -> None:
    store.enqueue([spec("a", max_retries=100)], now=NOW)
    for crashes in (1, 2, 3):
        store.rescue([claim(store).claim or ""], is_crash=True, now=after(1))
        job = store.job("a")
        assert (job.crashes, job.attempts) == (crashes, crashes)
    job = store.job("a")
    assert (job.state, job.error) == (State.DEAD, "worker crashed 3 times")
    assert store.jobs([State.DEAD]) == [job]
    assert store.claim(new_claim(), now=after(10_000)) is None


def test_a_crash_is_no_failed_attempt(store: Store) -> None:
    """Two crashes and two failures of a job with max retries 3: it has a third failure left."""
    store.enqueue(specs("a"), now=NOW)
    for _ in range(2):
        store.rescue([claim(store, 0).claim or ""], is_crash=True, now=NOW)
    for state in (State.FAILED, State.FAILED, State.DEAD):
        settled = store.settle(claim(store, 10_000), FAILED, next_claim=None, now=NOW).settled
        assert settled is not None
        assert settled.state is state
    assert (store.job("a").attempts, store.job("a").crashes) == (5, 2)


def test_a_rescue_after_a_reboot_counts_neither_attempt_nor_crash(store: Store) -> None:
    store.enqueue(specs("a"), now=NOW)
    for _ in range(5):
        [job] = store.rescue([claim(store).claim or ""], is_crash=False, now=NOW)
        assert (job.state, job.attempts, job.crashes) == (State.PENDING, 0, 0)


def test_rescue_takes_many_at_once_and_knows_no_other_tokens(store: Store) -> None:
    store.enqueue(specs("a", "b", "c"), now=NOW)
    held = [claim(store) for _ in range(3)]
    assert store.rescue([], is_crash=True, now=NOW) == []
    assert store.rescue(["", "x.1"], is_crash=True, now=NOW) == []
    assert sorted(ids_of(store.rescue([job.claim or "" for job in held], is_crash=True, now=NOW))) == ["a", "b", "c"]
    assert store.claimed() == []


# -- cancel --


def test_a_waiting_job_is_cancelled_at_once(store: Store, peer: Store) -> None:
    one_of_each(store)
    cancelled = peer.cancel(["pending", "failed", "pending"], now=after(1))
    assert [(job.id, job.state) for job in cancelled] == [("pending", State.CANCELLED), ("failed", State.CANCELLED)]
    assert [store.job(id).state for id in ("pending", "failed")] == [State.CANCELLED] * 2
    assert store.job("failed").run_at is None
    assert claim(store, 10_000).id == "pending2"


def settle_failed(store: Store, job: Job) -> None:
    store.settle(job, FAILED, next_claim=None, now=after(2))


def settle_ok(store: Store, job: Job) -> None:
    store.settle(job, OK, next_claim=None, now=after(2))


def give_back(store: Store, job: Job) -> None:
    store.give_back(job, now=after(2))


def rescue(store: Store, job: Job) -> None:
    store.rescue([job.claim or ""], is_crash=True, now=after(2))


@pytest.mark.parametrize("end", [settle_failed, settle_ok, give_back, rescue])
def test_a_running_job_is_cancelled_by_its_end(store: Store, peer: Store, end: Callable[[Store, Job], None]) -> None:
    """Whatever its command makes of being told to end."""
    store.enqueue(specs("a"), now=NOW)
    job = claim(store)
    [asked] = peer.cancel(["a"], now=after(1))
    assert (asked.state, asked.cancel_requested, asked.claim) == (State.IN_PROGRESS, True, job.claim)
    end(store, job)
    ended = peer.job("a")
    assert (ended.state, ended.cancel_requested, ended.claim) == (State.CANCELLED, False, None)
    assert store.claim(new_claim(), now=after(10_000)) is None


# -- revive and purge --


def test_a_revived_job_begins_anew_at_the_end(store: Store, peer: Store) -> None:
    kill(store, "a")
    store.enqueue(specs("b"), now=NOW)
    [job] = peer.revive(["a"], now=after(1))
    assert job == store.job("a")
    assert (job.state, job.attempts, job.crashes) == (State.PENDING, 0, 0)
    assert (job.error, job.exit_code, job.finished_at) == (None, None, None)
    assert ids_of(store.jobs()) == ["b", "a"]
    assert [claim(store).id, claim(store).id] == ["b", "a"]


def test_revive_and_purge_of_all_take_the_dead_in_their_order(store: Store, peer: Store) -> None:
    kill(store, "x", "y", "z")
    store.enqueue(specs("b"), now=NOW)
    assert ids_of(store.purge(["y"])) == ["y"]
    assert ids_of(peer.revive(None, now=NOW)) == ["x", "z"]
    assert ids_of(store.jobs()) == ["b", "x", "z"]
    assert store.revive(None, now=NOW) == []
    assert store.purge(None) == []
    kill_all = [claim(store) for _ in range(3)]
    for _ in range(3):
        for job in kill_all:
            store.settle(job, FAILED, next_claim=None, now=NOW)
        kill_all = [job for job in (store.claim(new_claim(), now=after(10_000)) for _ in range(3)) if job]
    assert ids_of(store.purge(None)) == ["b", "x", "z"]
    assert store.jobs() == peer.jobs() == []


# -- remove --


def test_remove_forgets_all_but_running_jobs(store: Store, peer: Store) -> None:
    one_of_each(store)
    gone = ["pending", "completed", "failed", "dead", "cancelled"]
    assert ids_of(store.remove(gone)) == gone
    assert ids_of(peer.jobs()) == ["dead2", "in_progress", "pending2"]
    with pytest.raises(Conflict) as caught:
        peer.remove(["in_progress"])
    assert "cancel in_progress" in str(caught.value)
    assert claim(peer, 10_000).id == "pending2"


# -- all or nothing --


REFUSED: list[tuple[str, Callable[[Store, list[str]], Any], str, type[QueueCtlError]]] = [
    ("cancel", lambda store, ids: store.cancel(ids, now=after(9)), "completed", Conflict),
    ("cancel", lambda store, ids: store.cancel(ids, now=after(9)), "dead", Conflict),
    ("cancel", lambda store, ids: store.cancel(ids, now=after(9)), "cancelled", Conflict),
    ("cancel", lambda store, ids: store.cancel(ids, now=after(9)), "absent", JobNotFound),
    ("remove", lambda store, ids: store.remove(ids), "in_progress", Conflict),
    ("remove", lambda store, ids: store.remove(ids), "absent", JobNotFound),
    ("revive", lambda store, ids: store.revive(ids, now=after(9)), "pending", Conflict),
    ("revive", lambda store, ids: store.revive(ids, now=after(9)), "absent", JobNotFound),
    ("purge", lambda store, ids: store.purge(ids), "failed", Conflict),
    ("purge", lambda store, ids: store.purge(ids), "in_progress", Conflict),
    ("purge", lambda store, ids: store.purge(ids), "absent", JobNotFound),
]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("verb, call, culprit, error", REFUSED, ids=[f"{row[0]}-{row[2]}" for row in REFUSED])
def test_a_refused_batch_changes_nothing(
    store: Store,
    peer: Store,
    verb: str,
    call: Callable[[Store, list[str]], Any],
    culprit: str,
    error: type[QueueCtlError],
    is_first: bool,
) -> None:
    """One job of the batch may not be changed so: none is, and the message names it."""
    one_of_each(store)
    fine = {"cancel": "pending", "remove": "pending", "revive": "dead2", "purge": "dead2"}[verb]
    before = store.jobs()
    with pytest.raises(error) as caught:
        call(store, [culprit, fine] if is_first else [fine, culprit])
    assert culprit in str(caught.value)
    assert store.jobs() == peer.jobs() == before
    call(store, [fine])
    assert store.jobs() != before


def test_each_verb_takes_an_id_that_is_named_twice_once(store: Store) -> None:
    kill(store, "x", "y")
    store.enqueue(specs("a"), now=NOW)
    assert ids_of(store.cancel(["a", "a"], now=NOW)) == ["a"]
    assert ids_of(store.remove(["a", "a"])) == ["a"]
    assert ids_of(store.revive(["x", "x"], now=NOW)) == ["x"]
    assert ids_of(store.purge(["y", "y"])) == ["y"]
    assert ids_of(store.jobs()) == ["x"]


def test_verbs_take_nothing_for_nothing(store: Store) -> None:
    one_of_each(store)
    before = store.jobs()
    assert store.cancel([], now=NOW) == store.remove([]) == store.revive([], now=NOW) == store.purge([]) == []
    assert store.jobs() == before


# -- the whole --


def test_two_processes_take_turns_without_taking_twice(store: Store, peer: Store) -> None:
    store.enqueue(specs(*(f"j{number}" for number in range(60))), now=NOW)
    ran: list[str] = []
    held = {id(each): claim(each) for each in (store, peer)} if store is not peer else {id(store): claim(store)}
    while held:
        for each in (store, peer):
            if (job := held.pop(id(each), None)) is None:
                continue
            ran.append(job.id)
            following = each.settle(job, OK, next_claim=new_claim(), now=NOW).next
            if following is not None:
                held[id(each)] = following
    assert sorted(ran) == sorted(f"j{number}" for number in range(60))
    assert store.counts()[State.COMPLETED] == 60


def test_a_queue_is_as_it_was_after_closing(store: Store, peer: Store) -> None:
    one_of_each(store)
    before = store.jobs()
    store.flush()
    store.rest()
    assert store.jobs() == peer.jobs() == before
    assert claim(peer, 10_000).id == "failed"
