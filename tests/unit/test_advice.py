"""What to type next: said after the answer, to persons only, and never instead of it."""

import json

import pytest

from queuectl.commands import output
from queuectl.commands.context import Mode
from queuectl.errors import ExitCode, StoreBusy
from tests.program import Program

WATCH = '"status" shows how it goes, "wait" waits for the end, "logs ID" shows the output of a job.\n'
IDLE = 'no worker is running: "worker start"'


@pytest.fixture
def person(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a program in a shell, with somebody who reads and answers yes."""
    program.context.mode = Mode.SHELL
    program.context.confirm = lambda question: True
    monkeypatch.setattr(output, "shows_advice", lambda: True)
    return program


def dead(program: Program, *ids: str) -> None:
    program.add(*ids)
    for _ in ids:
        program.finish_next(fails=True)


def test_empty_queue_says_how_to_begin_in_words_that_work(person: Program) -> None:
    advice = person.run("status").err
    assert advice.startswith("The queue is empty; this adds a job: enqueue ")
    assert person.run(advice.partition(": ")[2].strip()).out == "Job added to the queue with job id: job1\n"


def test_job_that_nobody_runs_says_how_it_is_run(person: Program) -> None:
    assert person.run("enqueue {id: a, command: x}").err == f"1 pending, {IDLE}\n"
    assert person.run("enqueue {id: b, command: x}").err == f"2 pending, {IDLE}\n"
    assert person.run("status").err == f"2 pending, {IDLE}\n"


def test_next_step_after_each_confirmation(person: Program) -> None:
    assert person.run("worker start").err.startswith("The queue is empty; this adds a job: enqueue ")
    assert person.run("enqueue {id: a, command: x}").err == ('"wait a" waits for its end, "logs a" shows its output.\n')
    assert person.run("enqueue {command: x} {command: y}").err == WATCH
    assert person.run("worker start").err == WATCH
    assert person.run("worker stop").err == f"3 pending, {IDLE}\n"


def test_dead_jobs_say_what_can_be_done(person: Program) -> None:
    dead(person, "a", "b")
    both = '2 dead: "dlq list" shows why, "dlq retry --all" tries again.\n'
    assert person.run("status").err == both
    assert person.run("wait a b").err == both
    assert person.run("dlq list").err == '"show b" and "logs b" tell more, "dlq retry b" tries again.\n'
    assert person.run("dlq retry a").err == f"1 pending, {IDLE}\n"


def test_settings_and_lists_say_what_follows(person: Program) -> None:
    assert person.run("config set max-retries 5").err == ""
    assert person.run("list").err.splitlines()[1].startswith("The queue is empty; this adds a job: enqueue ")
    assert person.run("list --state dead").err == "There are no dead jobs.\n"
    person.add("a")
    assert person.run("config set max-retries 5").err == "Jobs that are in the queue already keep theirs.\n"
    assert person.run("config set base 3").err == ""


def test_nothing_is_said_where_there_is_nothing_to_do(person: Program) -> None:
    person.workers = [12345]
    person.add("a")
    person.finish_next()
    for line in ("status", "list", "show a", "wait a", "worker list", "config list", "remove a"):
        assert person.run(line).err == ""


def test_failed_job_that_waits_is_no_pending_one(person: Program) -> None:
    person.add("a", max_retries=3)
    person.finish_next(fails=True)
    assert person.run("status").err == f"1 waiting, {IDLE}\n"


def test_large_queue_is_not_counted_for_a_hint(person: Program) -> None:
    (person.context.folder / "jobs.json").write_bytes(b" " * (9 << 20))
    assert person.run("enqueue {command: x}").err == 'No worker is running: "worker start"\n'


@pytest.mark.parametrize("line", ["status", "enqueue {id: a, command: x}", "worker start"])
@pytest.mark.parametrize("who", ["a script", "nobody at the keys", "nobody who reads"])
def test_programs_are_told_nothing(person: Program, monkeypatch: pytest.MonkeyPatch, line: str, who: str) -> None:
    match who:
        case "a script":
            person.context.mode = Mode.SCRIPT
        case "nobody at the keys":
            person.context.confirm = None
        case "nobody who reads":
            monkeypatch.setattr(output, "shows_advice", lambda: False)
    assert person.run(line).err == ""


@pytest.mark.parametrize("value, is_shown", [("1", True), ("", True), ("0", False), ("off", False), ("No", False)])
def test_hints_can_be_declined(monkeypatch: pytest.MonkeyPatch, value: str, is_shown: bool) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("QUEUECTL_HINTS", value)
    assert output.shows_advice() is is_shown


def test_hint_that_cannot_be_found_costs_nothing(person: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        msg = "busy"
        raise StoreBusy(msg)

    monkeypatch.setattr(person.store, "counts", fail)
    answer = person.run("enqueue {id: a, command: x}")
    assert (answer.exit_code, answer.out, answer.err) == (0, "Job added to the queue with job id: a\n", "")


def test_hint_of_a_command_that_failed_is_forgotten(person: Program) -> None:
    person.context.advise(lambda: "stale")
    person.run("show nobody")
    assert person.run("config list").err == ""


# -- the nearest id --


@pytest.mark.parametrize("line", ["show jbo1", "logs job11", "cancel job_1", "wait jobl", "dlq retry Job1"])
def test_unknown_id_is_answered_with_the_nearest(program: Program, line: str) -> None:
    program.add("job1", "xyzzy")
    answer = program.run(line)
    wrong = line.split()[-1]
    assert answer.exit_code == ExitCode.NOT_FOUND
    message, line, caret = answer.err.splitlines()
    assert message == f'queuectl: No job "{wrong}": did you mean "job1"? "list" shows all jobs.'
    assert line[caret.index("^") :].startswith(wrong)


def test_nearest_id_is_that_of_a_living_job_if_there_are_several(program: Program) -> None:
    program.add("job1", "job2")
    program.finish_next()
    assert 'did you mean "job2"?' in program.run("show job3").err


def test_nearest_id_is_not_looked_for_in_a_large_queue(program: Program) -> None:
    program.add("job1")
    (program.context.folder / "dlq.json").write_bytes(b" " * (9 << 20))
    assert program.run("show jbo1").err.startswith('queuectl: No job "jbo1": "list" shows all jobs.\n')


# -- all jobs at once --


def all_states(program: Program) -> None:
    """Fill the queue with a job of each kind: dead, completed, running, cancelled, pending."""
    dead(program, "dead")
    program.add("done", "runs", "gone", "waits")
    program.finish_next()
    program.start_next()
    program.store.cancel(["gone"], now=program.context.now())


def ids(program: Program) -> list[str]:
    return [job["id"] for job in json.loads(program.run("list --json").out)]


@pytest.mark.parametrize(
    "line, left",
    [
        ("remove --all --yes", ["runs"]),
        ("remove --all --state completed -y", ["dead", "runs", "gone", "waits"]),
        ("remove --all --state dead,cancelled --yes", ["done", "runs", "waits"]),
        ("delete --all --state pending --yes", ["dead", "done", "runs", "gone"]),
    ],
)
def test_remove_all_takes_what_does_not_run(program: Program, line: str, left: list[str]) -> None:
    all_states(program)
    assert program.run(line).exit_code == 0
    assert ids(program) == left


def test_cancel_all_takes_what_has_not_ended(program: Program) -> None:
    all_states(program)
    assert program.run("cancel --all --yes").out == (
        "Job 'runs' is running: its worker has been told to cancel it.\nJob 'waits' has been cancelled.\n"
    )
    assert program.run("cancel --all --state pending --yes").err == "queuectl: There is nothing to cancel.\n"


@pytest.mark.parametrize(
    "line, message",
    [
        ("remove --all", '"remove --all" removes every job: confirm it with --yes.'),
        ("cancel --all", '"cancel --all" cancels every job: confirm it with --yes.'),
        ("remove", '"remove" takes ids or --all, one of them: "list" shows the jobs.'),
        ("remove waits --all --yes", '"remove" takes ids or --all, not both'),
        ("remove --state pending", '--state goes with --all: "remove --all --state pending".'),
        ("cancel waits --state pending", "--state goes with --all"),
        ("remove --all --state running --yes", "jobs that are in_progress: they are running: cancel them first."),
        ("cancel --all --state dead --yes", '"cancel" is not for jobs that are dead: they have ended.'),
        ("remove --all --state pendng --yes", 'did you mean "pending"?'),
    ],
)
def test_all_jobs_are_only_taken_when_it_is_meant(program: Program, line: str, message: str) -> None:
    all_states(program)
    before = program.store.jobs()
    answer = program.run(line)
    assert (answer.exit_code, answer.out) == (ExitCode.USAGE, "")
    assert message in answer.err
    assert program.store.jobs() == before


@pytest.mark.parametrize(
    "line, question, refusal",
    [
        ("remove --all", "Remove 4 jobs?", "Nothing was removed."),
        ("remove --all --state dead", "Remove 1 dead job?", "Nothing was removed."),
        ("cancel --all", "Cancel 2 jobs?", "Nothing was cancelled."),
    ],
)
def test_person_is_asked_with_the_count(program: Program, line: str, question: str, refusal: str) -> None:
    all_states(program)
    before = program.store.jobs()
    questions: list[str] = []

    def refuse(text: str) -> bool:
        questions.append(text)
        return False

    program.context.confirm = refuse
    answer = program.run(line)
    assert (answer.exit_code, answer.err) == (ExitCode.FAILED, f"queuectl: {refusal}\n")
    assert questions == [question]
    assert program.store.jobs() == before
    program.context.confirm = lambda text: True
    assert program.run(line).exit_code == 0


def test_nobody_is_asked_about_nothing(program: Program) -> None:
    def ask(text: str) -> bool:
        pytest.fail(text)

    program.context.confirm = ask
    answer = program.run("remove --all")
    assert (answer.exit_code, answer.out, answer.err) == (0, "", "queuectl: There is nothing to remove.\n")


def test_job_that_a_worker_claims_meanwhile_is_left(program: Program) -> None:
    """Between the question and the answer a worker may be faster; what was not asked about is not taken either."""
    program.add("a", "b", "c")

    def agree(text: str) -> bool:
        program.start_next()
        program.add("late")
        return True

    program.context.confirm = agree
    assert program.run("remove --all").out == "Job 'b' has been removed.\nJob 'c' has been removed.\n"
    assert ids(program) == ["a", "late"]
