"""``observe``: what is seen of the queue from one look to the next."""

from queuectl.job import State
from queuectl.specs import JobSpec
from queuectl.stores.base import Observation, Store
from tests.samples import FAILED, NOW, OK, new_claim


def add(store: Store, *ids: str, max_retries: int = 1) -> None:
    store.enqueue([JobSpec(id=id, command="true", max_retries=max_retries) for id in ids], now=NOW)


def changes(observation: Observation) -> dict[str, State]:
    return {job.id: job.state for job in observation.changed}


def test_first_look_tells_what_is_there(store: Store, peer: Store) -> None:
    add(store, "a", "b")
    seen = peer.observe()
    assert changes(seen) == {"a": State.PENDING, "b": State.PENDING}
    assert seen.counts == store.counts()
    again = peer.observe()
    assert (list(again.changed), list(again.gone), again.counts) == ([], [], store.counts())


def test_each_look_tells_what_has_changed_since(store: Store, peer: Store) -> None:
    """A job that has moved to the DLQ and back is a change, and one that was removed is gone."""
    add(store, "good", "bad", "idle")
    peer.observe()
    job = store.claim(new_claim(), now=NOW)
    assert job is not None
    store.flush()
    assert changes(peer.observe()) == {"good": State.IN_PROGRESS}
    bad = store.settle(job, OK, next_claim=new_claim(), now=NOW).next
    assert bad is not None
    store.settle(bad, FAILED, next_claim=None, now=NOW)
    store.flush()
    seen = peer.observe()
    assert changes(seen) == {"good": State.COMPLETED, "bad": State.DEAD}
    assert seen.counts == store.counts()
    dead_seq = next(job.seq for job in seen.changed if job.id == "bad")
    store.revive(["bad"], now=NOW)
    seen = peer.observe()
    assert changes(seen) == {"bad": State.PENDING}
    assert list(seen.gone) == [dead_seq]
    good = store.remove(["good"])[0]
    seen = peer.observe()
    assert (changes(seen), list(seen.gone)) == ({}, [good.seq])
    assert seen.counts == store.counts()


def test_nothing_is_missed_where_the_data_came_to_rest_in_between(store: Store, peer: Store) -> None:
    """At rest the journal is empty: what it said is seen all the same."""
    add(store, "a", "b", "c")
    store.rest()
    peer.observe()
    for id in ("a", "b"):
        store.cancel([id], now=NOW)
        store.rest()
    removed = store.remove(["c"])[0]
    store.rest()
    seen = peer.observe()
    assert changes(seen) == {"a": State.CANCELLED, "b": State.CANCELLED}
    assert list(seen.gone) == [removed.seq]
    assert seen.counts == store.counts()
    add(store, "d")
    store.rest()
    assert changes(peer.observe()) == {"d": State.PENDING}


def test_looking_leaves_the_files_alone(store: Store, peer: Store) -> None:
    add(store, "a")
    store.rest()
    before = peer.stamp()
    peer.observe()
    peer.observe()
    assert peer.stamp() == before or not isinstance(before, list)


def test_a_store_can_observe_itself(store: Store) -> None:
    store.observe()
    add(store, "a")
    assert changes(store.observe()) == {"a": State.PENDING}
