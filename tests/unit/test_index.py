"""The index beside a model that looks through all jobs at each question."""

from datetime import timedelta
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from queuectl.job import State
from queuectl.stores.local.index import Place, ReadyIndex
from queuectl.stores.local.records import Head, Stretch
from queuectl.times import to_text
from tests.samples import NOW

PRIORITIES = st.sampled_from([0, 0, 0, 5, -3, 1000])


class Known(NamedTuple):
    """What the model knows of a job."""

    state: State
    run_at: str | None
    claim: str | None
    offset: int
    width: int
    priority: int = 0
    held: bool = False


def head(seq: int, known: Known) -> Head:
    return Head(f"j{seq}", known.state, seq, known.run_at, known.claim, known.priority, known.held)


class IndexBesideModel(RuleBasedStateMachine):
    """Does to both what a process sees others do."""

    def __init__(self) -> None:
        super().__init__()
        self.index = ReadyIndex()
        self.jobs: dict[int, Known] = {}
        self.next_seq = 1
        self.tail = 2
        self.now = NOW
        self.tokens = 0

    def note(self, seq: int, known: Known) -> None:
        self.jobs[seq] = known
        self.index.note(head(seq, known), known.offset, known.width)

    def place(self) -> tuple[int, int]:
        width = 100 + self.next_seq % 7
        self.tail += width
        return self.tail - width, width

    def waiting(self) -> list[int]:
        """Return the jobs that may be claimed now or later, in the order of claiming."""
        waiting = [seq for seq, known in self.jobs.items() if known.state.is_waiting and not known.held]
        return sorted(waiting, key=lambda seq: (-self.jobs[seq].priority, seq))

    def running(self) -> list[int]:
        return sorted(seq for seq, known in self.jobs.items() if known.state is State.IN_PROGRESS)

    def one_of(self, data: st.DataObject, seqs: list[int]) -> int:
        return data.draw(st.sampled_from(seqs))

    @rule(count=st.integers(1, 6), priority=PRIORITIES, held=st.booleans())
    def enqueue(self, count: int, priority: int, held: bool) -> None:
        for _ in range(count):
            self.note(self.next_seq, Known(State.PENDING, None, None, *self.place(), priority, held))
            self.next_seq += 1

    @rule(wait_s=st.integers(-5, 20), priority=PRIORITIES, state=st.sampled_from([State.PENDING, State.FAILED]))
    def enqueue_for_later(self, wait_s: int, priority: int, state: State) -> None:
        run_at = to_text(self.now + timedelta(seconds=wait_s))
        self.note(self.next_seq, Known(state, run_at, None, *self.place(), priority))
        self.next_seq += 1

    @precondition(lambda self: any(known.state.is_waiting for known in self.jobs.values()))
    @rule(data=st.data())
    def it_is_held_or_released(self, data: st.DataObject) -> None:
        seq = self.one_of(data, sorted(seq for seq, known in self.jobs.items() if known.state.is_waiting))
        self.note(seq, self.jobs[seq]._replace(held=not self.jobs[seq].held))

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def another_claims(self, data: st.DataObject) -> None:
        self.take(self.one_of(data, self.waiting()))

    def take(self, seq: int) -> None:
        self.tokens += 1
        known = self.jobs[seq]
        self.note(seq, known._replace(state=State.IN_PROGRESS, run_at=None, claim=f"w.{self.tokens}"))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), state=st.sampled_from([State.COMPLETED, State.CANCELLED, State.PENDING]))
    def it_ends(self, data: st.DataObject, state: State) -> None:
        seq = self.one_of(data, self.running())
        self.note(seq, self.jobs[seq]._replace(state=state, claim=None))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), wait_s=st.integers(0, 9))
    def it_fails(self, data: st.DataObject, wait_s: int) -> None:
        seq = self.one_of(data, self.running())
        run_at = to_text(self.now + timedelta(seconds=wait_s))
        self.note(seq, self.jobs[seq]._replace(state=State.FAILED, run_at=run_at, claim=None))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def its_line_goes(self, data: st.DataObject) -> None:
        """It is removed, or moves to the other file."""
        seq = self.one_of(data, sorted(self.jobs))
        self.index.drop(seq, self.jobs.pop(seq).offset)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def its_line_moves(self, data: st.DataObject) -> None:
        seq = self.one_of(data, sorted(self.jobs))
        old = self.jobs[seq]
        offset, width = self.place()
        self.note(seq, old._replace(offset=offset, width=width))
        self.index.drop(seq, old.offset)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def its_line_is_written_again(self, data: st.DataObject) -> None:
        """As the line behind a first one that was blanked."""
        seq = self.one_of(data, sorted(self.jobs))
        self.note(seq, self.jobs[seq])

    @rule(seconds=st.integers(-30, 30))
    def the_clock_is_set(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(takes=st.booleans())
    def ask(self, takes: bool) -> None:
        now = to_text(self.now)
        ready = [seq for seq in self.waiting() if (self.jobs[seq].run_at or "") <= now]
        found = self.index.first_ready(now)
        if found is None:
            assert ready == []
            assert self.index.next_due() == min((self.jobs[seq].run_at or "" for seq in self.waiting()), default=None)
            return
        seq, place = found
        assert seq == ready[0]
        assert (place.offset, place.width) == (self.jobs[seq].offset, self.jobs[seq].width)
        if takes:
            self.take(seq)

    @rule()
    def load_anew(self) -> None:
        """As a process does that comes later: from the lines in the order of the file."""
        self.index = ReadyIndex()
        for seq, known in sorted(self.jobs.items(), key=lambda item: item[1].offset):
            self.index.note(head(seq, known), known.offset, known.width)

    @invariant()
    def knows_who_runs(self) -> None:
        found = {seq: (place.offset, place.width, token) for seq, (place, token) in self.index.running.items()}
        assert found == {
            seq: (known.offset, known.width, known.claim)
            for seq, known in self.jobs.items()
            if known.state is State.IN_PROGRESS
        }

    def teardown(self) -> None:
        self.ask(takes=False)


def test_index_answers_as_a_look_through_all_jobs() -> None:
    run_state_machine_as_test(
        IndexBesideModel,
        settings=settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None),
    )


def test_jobs_come_in_the_order_of_enqueueing_in_whatever_order_their_lines_stand() -> None:
    index = ReadyIndex()
    for seq in (5, 1, 9, 3, 7):
        index.note(head(seq, Known(State.PENDING, None, None, seq * 100, 100)), seq * 100, 100)
    order = []
    while (found := index.first_ready(to_text(NOW))) is not None:
        order.append(found[0])
        index.note(head(found[0], Known(State.COMPLETED, None, None, 0, 0)), 0, 0)
    assert order == [1, 3, 5, 7, 9]


def test_a_higher_priority_comes_first_then_the_order_of_enqueueing() -> None:
    index = ReadyIndex()
    priorities = (0, 5, -1, 5, 0, 1000)
    for seq, priority in enumerate(priorities, start=1):
        index.note(head(seq, Known(State.PENDING, None, None, seq * 100, 100, priority)), seq * 100, 100)
    order = []
    while (found := index.first_ready(to_text(NOW))) is not None:
        order.append(found[0])
        index.note(head(found[0], Known(State.COMPLETED, None, None, 0, 0)), 0, 0)
    assert order == [6, 2, 4, 1, 5, 3]


def test_a_job_that_failed_again_is_due_by_its_last_failure() -> None:
    index = ReadyIndex()
    times = [to_text(NOW + timedelta(seconds=seconds)) for seconds in (0, 5, 60)]
    for state, run_at in ((State.FAILED, times[1]), (State.IN_PROGRESS, None), (State.FAILED, times[2])):
        index.note(head(1, Known(state, run_at, None, 2, 100)), 2, 100)
    assert index.next_due() == times[2]
    assert index.first_ready(times[1]) is None
    assert index.next_due() == times[2]
    assert index.first_ready(times[2]) is not None


def test_an_empty_index_has_nothing() -> None:
    index = ReadyIndex()
    index.drop(1, 2)
    assert index.first_ready(to_text(NOW)) is None
    assert index.next_due() is None
    assert index.running == {}
    assert Place(1, 2).run_at is None


@given(st.lists(st.sampled_from([*State]), min_size=1, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_many_jobs_at_once_are_as_one_by_one(states: list[State], waits: list[bool]) -> None:
    now = to_text(NOW)
    heads = [
        Head(f"j{seq}", state, seq, now if wait and state is State.FAILED else None, "claim")
        for seq, (state, wait) in enumerate(zip(states, waits, strict=False), start=1)
    ]
    places = [list(range(100, 100 + 10 * len(heads), 10)), [10] * len(heads)]
    at_once, one_by_one = ReadyIndex(), ReadyIndex()
    for part in (slice(0, 5), slice(5, None)):
        if heads[part]:
            at_once.extend(Stretch(heads[part], places[0][part], places[1][part]))
    for one, offset, width in zip(heads, *places, strict=True):
        one_by_one.note(one, offset, width)

    def drained(index: ReadyIndex) -> list[tuple[int, int, int]]:
        found = []
        while (ready := index.first_ready(now)) is not None:
            seq, place = ready
            found.append((seq, place.offset, place.width))
            index.note(Head(f"j{seq}", State.COMPLETED, seq), place.offset, place.width)
        return found

    assert at_once.running.keys() == one_by_one.running.keys()
    assert drained(at_once) == drained(one_by_one)
