"""What enqueue reads: every layout gives the same jobs, and what is wrong is refused with its place."""

import json
import pickle
import time
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl import fields, specs
from queuectl.errors import Conflict, DuplicateId, SyntaxProblem, UsageError
from queuectl.job import OnCrash
from queuectl.specs import FullSpec, JobSpec
from queuectl.times import to_text
from tests.samples import NOW, after
from tests.samples import spec as sample

read_specs = partial(specs.read_specs, now=NOW)
spec_from_options = partial(specs.spec_from_options, now=NOW)


def read(text: str, *, allow_plain: bool = False) -> list[JobSpec]:
    """Return the jobs of *text*, which gives no notice."""
    batch = read_specs(text, allow_plain=allow_plain)
    assert batch.notices == []
    return batch.specs


A, B, C = JobSpec(id="a", command="echo a"), JobSpec(id="b", command="echo b, c"), JobSpec(command="true")

LAYOUTS: list[str] = [
    '{id: a, command: echo a} {id: b, command: "echo b, c"} {command: true}',
    "{id: a, command: echo a}{id:b,command:echo b, c},{command:'true'},",
    '[{id: a, command: echo a}, {"id": "b", "command": "echo b, c"}, {command: true},]',
    '{"id": "a", "command": "echo a"}\n{"id": "b", "command": "echo b, c"}\r\n\n{"command": "true"}\n',
    '[\n {"id": "a",\n "command": "echo a"},\n {"id": "b", "command": "echo b, c"},\n {"command": "true"}\n]\n',
    '{\n"id": "a",\n"command": "echo a"\n}\n{\n"id": "b", "command": "echo b, c"}{"command": "true"}',
    '\ufeff[{"id": "a", "command": "echo a"}, {"id": "b", "command": "echo b, c"}, {"command": "true"}]',
    "'{id: a, command: echo a} {id: b, command: echo b, c} {command: true}'",
    "'[{id: a, command: echo a}, {id: b, command: echo b, c}, {command: true}]' ",
    '{"id": "a", "command": "echo a", "cwd": null, "env": null}\n{id: b, command: echo b, c}\n{"command": "true"}',
    '# jobs\n\n  # of mine\n{"id": "a", "command": "echo a"}\n{"id": "b", "command": "echo b, c"}{"command":"true"}',
]


@pytest.mark.parametrize("text", LAYOUTS)
@pytest.mark.parametrize("allow_plain", [False, True])
def test_read_specs_takes_every_layout(text: str, allow_plain: bool) -> None:
    assert read(text, allow_plain=allow_plain) == [A, B, C]


def test_read_specs_takes_the_words_that_cmd_exe_makes() -> None:
    words = ["'{id:", "job1,", "command:", "echo Hello}'"]
    assert read(" ".join(words)) == [JobSpec(id="job1", command="echo Hello")]


FIELDS: list[tuple[str, dict[str, Any]]] = [
    ('"id": 5', {"id": "5"}),
    ('"id": "null"', {"id": "null"}),
    ('"id": "A.b_c:d@e-f"', {"id": "A.b_c:d@e-f"}),
    ('"max_retries": 0', {"max_retries": 0}),
    ('"max_retries": "5"', {"max_retries": 5}),
    ('"max-retries": 1000000', {"max_retries": 1_000_000}),
    ('"max_retries": null', {}),
    ('"timeout": 90', {"timeout": 90.0}),
    ('"timeout": 0.5', {"timeout": 0.5}),
    ('"timeout": "90"', {"timeout": 90.0}),
    ('"timeout": "1h30m"', {"timeout": 5400.0}),
    ('"timeout": 31536000', {"timeout": 31_536_000.0}),
    ('"timeout": null', {}),
    ('"env": {"A": "x", "B": 1, "C": 1.5, "D": ""}', {"env": {"A": "x", "B": "1", "C": "1.5", "D": ""}}),
    ('"env": null', {}),
    ('"cwd": "/tmp"', {"cwd": "/tmp"}),
    ('"cwd": "null"', {"cwd": "null"}),
]


@pytest.mark.parametrize("field,expected", FIELDS)
@pytest.mark.parametrize("layout", ['{"command": "x", %s}', '[{%s, "command": "x"}]', "{command: 'x', %s,}"])
def test_read_specs_takes_each_form_of_a_field(layout: str, field: str, expected: dict[str, Any]) -> None:
    """Strict and relaxed JSON, in bulk and one by one, agree."""
    assert read(layout % field) == [JobSpec(command="x", **expected)]


def test_read_specs_makes_no_difference_between_null_and_nothing() -> None:
    assert read('{"id": null, "command": "x", "cwd": null}') == [JobSpec(command="x")]
    assert read("{command: null, id: null}") == [JobSpec(id="null", command="null")]  # relaxed: bare words are text


def test_read_specs_keeps_a_command_as_it_is_written() -> None:
    for command in ["  a  ", "a\nb", "“é” 🎉", '"\\u0022"', "a\x1b[1m", "#", "x" * fields.MAX_COMMAND]:
        for text in (json.dumps({"command": command}), json.dumps({"command": command}, ensure_ascii=False)):
            assert read(text) == [JobSpec(command=command)]
    assert read(r'{"command": "say \u0022hi\u0022 \\u0022"}') == [JobSpec(command='say "hi" \\u0022')]


#: The place of the problem is marked by `^` before it; the second text is in the message.
PROBLEMS: list[tuple[str, str]] = [
    ("^{id: a}", 'the command is missing: add command: "echo Hello"'),
    ('{"id": "a", "command": ^"  "}', "the command is missing"),
    ('{"command": ^null}', "the command is missing"),
    ('{"command": ^5}', "the command has to be text, not 5: put it in quotes"),
    ('{"command": ^["echo", "a"]}', 'the command has to be text, not ["echo", "a"]'),
    (r'{"command": ^"a\u0000b"}', "the command holds a NUL: remove it"),
    ('{"command": ^"' + "é" * 65_536 + '"}', "the command has 131072 bytes, of 131071 possible"),
    ('{"command": "x", "id": ^""}', '"" cannot be an id: use up to 255 letters'),
    ("{id: ^-a, command: x}", '"-a" cannot be an id'),
    (r'{"command": "x", "id": ^"a\n"}', '"a\\n" cannot be an id'),
    ("{id: ^" + "a" * 256 + ", command: x}", "cannot be an id"),
    ('{"command": "x", "id": ^1.5}', "1.5 cannot be an id: put it in quotes"),
    ('{"command": "x", "id": ^true}', "true cannot be an id: put it in quotes"),
    ('{"id": ^"j command: x"}', "a comma is missing before `command:`"),
    ("{id: j ^command: x}", "a comma is missing before `command:`"),
    ('{"command": "x", "max_retries": ^-1}', "max_retries has to be a whole number from 0 to 1000000, not -1"),
    ('{"command": "x", "max_retries": ^1000001}', "max_retries has to be a whole number"),
    ('{"command": "x", "max-retries": ^2.5}', "max_retries has to be a whole number"),
    ('{"command": "x", "max_retries": ^true}', "max_retries has to be a whole number"),
    ('{"command": "x", "max_retries": ^[5]}', "max_retries has to be a whole number"),
    ("{command: x, max_retries: ^many}", 'not "many"'),
    ('{"command": "x", "timeout": ^0}', "timeout has to be over 0 and at most a year, as in 90, 30s or 1h30m, not 0"),
    ('{"command": "x", "timeout": ^-5}', "timeout has to be over 0"),
    ('{"command": "x", "timeout": ^31536001}', "timeout has to be over 0 and at most a year"),
    ('{"command": "x", "timeout": ^true}', "timeout has to be"),
    ('{"command": "x", "timeout": ^{}}', "timeout has to be"),
    ("{command: x, timeout: ^soon}", 'not "soon"'),
    ("{command: x, timeout: ^" + "1" * 100_000 + "x}", "timeout has to be"),
    ('{"command": "x", "timeout": ^NaN}', "NaN is no number"),
    ('{"command": "x", "env": ^[]}', "env has to be an object like {NAME: value}, not []"),
    ("{command: x, env: ^A=b}", "env has to be an object"),
    ('{"command": "x", "env": ^{"": "b"}}', '"" cannot name a variable'),
    ('{"command": "x", "env": ^{"A=": "b"}}', '"A=" cannot name a variable'),
    ('{"command": "x", "env": ^{"A": true}}', "A in env has to be text, not true: put it in quotes"),
    ('{"command": "x", "env": ^{"A": null}}', "A in env has to be text, not null"),
    (r'{"command": "x", "env": ^{"A": "\u0000"}}', "A in env holds a NUL"),
    (r'{"command": "x", "env": ^{"A\u0000": ""}}', "A\\x00 in env holds a NUL"),
    ('{"command": "x", "env": ^{"A": "' + "x" * 131_071 + '"}}', "A in env has 131073 bytes"),
    ('{"command": "x", "priority": ^1001}', "priority has to be a whole number from -1000 to 1000, not 1001"),
    ('{"command": "x", "priority": ^1.5}', "priority has to be a whole number"),
    ('{"command": "x", "priority": ^true}', "priority has to be a whole number"),
    ("{command: x, priority: ^high}", 'not "high"'),
    ('{"command": "x", "base": ^-1}', "base has to be a number from 0 to 3600, not -1"),
    ('{"command": "x", "jitter": ^1.5}', "jitter has to be a number from 0 to 1, not 1.5"),
    ('{"command": "x", "jitter": ^true}', "jitter has to be a number from 0 to 1"),
    ("{command: x, max_delay: ^forever}", "max_delay has to be at most a year, as in 90, 10m or 1h30m"),
    ('{"command": "x", "success_codes": ^[256]}', "success_codes has to be exit codes from 0 to 255, as in 0,3,10-12"),
    ('{"command": "x", "retry_codes": ^[]}', "retry_codes has to be exit codes"),
    ('{"command": "x", "retry_codes": ^[true]}', "retry_codes has to be exit codes"),
    ('{"command": "x", "fatal_codes": ^"3-"}', "fatal_codes has to be exit codes"),
    ('{"command": "x", "fatal_codes": ^"9-3"}', "fatal_codes has to be exit codes"),
    ('{"command": "x", "retry_codes": "1-5", "fatal_codes": ^[3]}', "exit code 3 is in retry_codes, too"),
    ("{command: x, on_crash: ^panic}", 'on_crash is retry, fail or dead, not "panic"'),
    ('{"command": "x", "held": ^1}', "held is true or false, not 1"),
    ("{command: x, held: ^maybe}", 'held is true or false, not "maybe"'),
    ('{"command": "x", "run_at": ^"soon"}', "run_at has to be a time, at most ten years ahead, as in 10m, 18:00"),
    ('{"command": "x", "run_at": ^1764000000}', "run_at has to be a time, at most ten years ahead"),
    ('{"command": "x", "run-at": ^true}', "run_at has to be a time"),
    ('{"command": "x", "run_at": ^"' + "1" * 100_000 + '"}', "run_at has to be a time"),
    ("{command: x, delay: ^-5}", "delay has to be a time, at most ten years ahead, as in 90, 10m or 1h30m, not"),
    ("{command: x, delay: ^tomorrow}", "delay has to be a time"),
    ("{command: x, run_at: 18:00, ^delay: 5}", "run_at and delay are both given: keep one"),
    ('{"command": "x", "cwd": ^""}', 'cwd has to be the path of a directory, not ""'),
    ('{"command": "x", "cwd": ^5}', "cwd has to be the path of a directory"),
    (r'{"command": "x", "cwd": ^"\u0000"}', "cwd holds a NUL"),
    ('{"id": "a", ^"comand": "x"}', 'unknown field "comand": did you mean "command"?'),
    ("{command: x, ^maxRetries: 5}", 'unknown field "maxRetries": did you mean "max_retries"?'),
    (
        "{command: x, ^colour: 5}",
        'unknown field "colour": a job has id, command, max_retries, timeout, env, cwd, priority',
    ),
    ("{command: curl a, ^foo: b}", "a command that holds `foo:` has to be in quotes"),
    ('{"command": "x", ^"command": "x"}', "`command` is given twice"),
    ('{"command": "\\"", "id": "a", ^"id": "\\""}', "`id` is given twice"),
    (r'{"command": "x", ^"\u0063ommand": "x"}', "`command` is given twice"),
    (r'{"command": "\u0022\u0022", ^"command": "x"}', "`command` is given twice"),
    ('{"command": "x", "env": {"A": "1", ^"A": "1"}}', "`A` is given twice"),
    ('{"command": "x", "state": "y", ^"state": "y"}', "`state` is given twice"),
    ('{"command": "x", "max_retries": 5, ^"max-retries": 5}', "max_retries is given twice"),
    ('[{"command": "x"}, {"command": "y", "id": ^"!"}]', 'entry 2: "!" cannot be an id'),
    ('[{"command": "x", "id": ^"!"}, {"command": "y"}]', 'entry 1: "!" cannot be an id'),
    ('{"command": "x"}\n\n{command: x, ^bad: y}\n{}', 'entry 2: unknown field "bad"'),
    ('{"command": "x"}\n{command: ^"y', 'entry 2: this " is never closed'),
    ('[{"command": "x"}, ^5]', "entry 2: 5 is no job: write {id: job1, command: …}"),
    ('{"command": "x"}^}', "entry 2: `}` closes nothing here"),
    ("{command: ^“x”}", "“ is a curly quote"),
    ('{"command": "x", "error": ' + "[" * 31 + "^[", "nested more than 32 deep"),
    ("^'{command: x}", "begins no job"),
    ("^echo hi", 'begins no job: write {id: job1, command: "echo Hello"}'),
    ("{command: x^\0}", "a NUL byte"),
    ("{command: x^\udcff}", "not UTF-8"),
]


@pytest.mark.parametrize("marked,message", PROBLEMS)
def test_read_specs_refuses_with_the_place_and_the_mend(marked: str, message: str) -> None:
    offset = marked.index("^")
    text = marked.replace("^", "", 1)
    with pytest.raises(SyntaxProblem) as caught:
        read_specs(text, allow_plain=False)
    assert message in caught.value.message
    assert (caught.value.text, caught.value.offset) == (text, offset)


@pytest.mark.parametrize(
    "text,run_at",
    [
        ("{command: x, delay: 90}", after(90)),
        ('{"command": "x", "delay": 1.5}', after(1.5)),
        ('{"command": "x", "delay": "1h30m"}', after(5400)),
        ("{command: x, run_at: 10m}", after(600)),
        ("{command: x, run-at: 2025-03-02T00:00:00Z}", after(12 * 3600)),
        ("{command: x, run_at: 2025-03-02 01:30:00+01:30}", after(12 * 3600)),
        ('{"command": "x", "run_at": "2025-02-28T12:00:00Z"}', after(-86_400)),
    ],
)
def test_read_specs_turns_waits_and_times_into_a_moment(text: str, run_at: datetime) -> None:
    assert read(text) == [FullSpec(command="x", run_at=to_text(run_at))]


def test_read_specs_takes_what_few_jobs_say() -> None:
    expected = [FullSpec(command="x", priority=-5, held=True), JobSpec(command="y"), FullSpec(command="z", priority=0)]
    for text in (
        "{command: x, priority: -5, held: true} {command: y} {command: z, priority: 0}",
        '[{"command":"x","priority":-5,"held":true},{"command":"y"},{"command":"z","priority":0}]',
        '{"command":"x","priority":"-5","held":true}\n{"command":"y","held":null}\n{"command":"z","priority":0}',
    ):
        assert read(text) == expected
    assert [dict(spec.more()) for spec in expected] == [{"priority": -5, "held": True}, {}, {"priority": 0}]


def test_read_specs_takes_what_is_to_become_of_failures() -> None:
    expected = FullSpec(
        command="x",
        base=1.5,
        max_delay=600.0,
        jitter=0.25,
        success_codes=(0, 3, 10, 11, 12),
        retry_codes=(75,),
        fatal_codes=(1, 2),
        on_crash=OnCrash.DEAD,
    )
    for text in (
        '{"command": "x", "base": 1.5, "max_delay": 600, "jitter": 0.25, "success_codes": [0, 3, 12, 10, 11],'
        ' "retry_codes": [75], "fatal_codes": [2, 1], "on_crash": "dead"}',
        '{command: x, base: "1.5", max-delay: 10m, jitter: 0.25, success-codes: "0, 3,10-12", retry-codes: 75,'
        " fatal_codes: [1, 2], on-crash: dead}",
    ):
        assert read(text) == [expected]


def test_what_a_job_does_not_say_itself_is_completed() -> None:
    options = spec_from_options(command="true", priority="7", env={"A": "1", "B": "2"}, delay="10")
    run_at = to_text(after(10))
    assert specs.completed(JobSpec(command="x", env={"B": "3"}), options) == FullSpec(
        command="x", priority=7, env={"A": "1", "B": "3"}, run_at=run_at
    )
    said = FullSpec(id="a", command="y", priority=0, run_at=to_text(NOW), held=False)
    assert specs.completed(said, options) == FullSpec(
        id="a", command="y", priority=0, run_at=to_text(NOW), held=False, env={"A": "1", "B": "2"}
    )
    assert specs.completed(JobSpec(command="x"), JobSpec(command="true", cwd="/")) == JobSpec(command="x", cwd="/")


@pytest.mark.parametrize("text", ["", " \n", "\ufeff"])
def test_read_specs_wants_a_job_where_one_is_typed(text: str) -> None:
    """A file, or what a program pipes in, may be empty."""
    with pytest.raises(UsageError, match="no job is given"):
        read_specs(text, allow_plain=False)
    assert read(text, allow_plain=True) == []
    assert read("[]") == []


def test_read_specs_takes_plain_commands_one_a_line() -> None:
    text = "\ufeffecho a, b: c\r\n\r\n  # a comment\n\techo '# none' \\\n'my prog' {x}\n{ echo x; }\nécho"
    commands = ["echo a, b: c", "echo '# none' \\", "'my prog' {x}", "{ echo x; }", "écho"]
    assert read(text, allow_plain=True) == [JobSpec(command=command) for command in commands]


@pytest.mark.parametrize(
    "marked,message",
    [
        ("echo a\n  ^" + "x" * 131_072 + "\necho b", "line 2: the command has 131072 bytes"),
        ("echo a\n\n ^{id: b, command: c}", "line 3: a job among plain commands"),
        ("echo ^\0", "a NUL byte"),
        ("[ ^-f x ] && echo x", "(a file that begins with { or [ is read as JSON)"),
    ],
)
def test_read_specs_refuses_plain_commands_with_the_line(marked: str, message: str) -> None:
    offset = marked.index("^")
    with pytest.raises(SyntaxProblem) as caught:
        read_specs(marked.replace("^", "", 1), allow_plain=True)
    assert message in caught.value.message
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "text,positions",
    [
        ('{"id": "a", "command": "x"}\n{"id": "b", "command": "x"}\n{"id": "a", "command": "x"}', (1, 3)),
        ("[{id: b, command: x}, {command: x}, {id: 7, command: x}, {'id': '7', command: y}]", (3, 4)),
    ],
)
def test_read_specs_refuses_an_id_that_is_given_twice(text: str, positions: tuple[int, int]) -> None:
    with pytest.raises(DuplicateId, match=f"entries {positions[0]} and {positions[1]} have the same id") as caught:
        read_specs(text, allow_plain=False)
    assert isinstance(caught.value, Conflict)
    assert pickle.loads(pickle.dumps(caught.value)).positions == positions  # noqa: S301 (made here)


@pytest.mark.parametrize(
    "text",
    [
        '{"command": "x", "attempts": 1, "state": "dead"}\n{"command": "y", "state": "pending"}',
        '{"command": "x", "attempts": 1, "state": "dead"}\n{command: y, state: pending}',
        "[{command: x, attempts: 1}, {command: y, state: {a: [b]}}]",
    ],
)
def test_read_specs_ignores_what_a_whole_job_says_beyond_with_one_notice(text: str) -> None:
    batch = read_specs(text, allow_plain=False)
    assert batch.specs == [JobSpec(command="x"), JobSpec(command="y")]
    assert batch.notices == ["state, attempts are ignored: a new job starts as pending"]


def test_read_specs_takes_a_job_as_jobs_json_has_it() -> None:
    job = {"id": "a", "command": "x", "max_retries": 3, **dict.fromkeys(specs.IGNORED_FIELDS, "x")}
    batch = read_specs(json.dumps([job]), allow_plain=True)
    assert batch.specs == [JobSpec(id="a", command="x", max_retries=3)]
    assert batch.notices == [f"{', '.join(specs.IGNORED_FIELDS)} are ignored: a new job starts as pending"]
    assert read_specs('{"command": "x", "seq": 1}', allow_plain=True).notices == [
        "seq is ignored: a new job starts as pending"
    ]


def test_spec_from_options_checks_like_read_specs() -> None:
    spec = spec_from_options(command="x", id="a", max_retries="2", timeout="1m", env={"A": "b"}, cwd="/tmp")
    assert spec == JobSpec(id="a", command="x", max_retries=2, timeout=60.0, env={"A": "b"}, cwd="/tmp")
    assert spec_from_options(command="x") == JobSpec(command="x")


@pytest.mark.parametrize(
    "options,message",
    [
        ({"command": " "}, "the command is missing"),
        ({"command": "x\0"}, "the command holds a NUL"),
        ({"command": "x\udcff"}, "the command holds bytes that are not UTF-8"),
        ({"command": "x", "id": "a b"}, '"a b" cannot be an id'),
        ({"command": "x", "max_retries": "2.5"}, "max_retries has to be"),
        ({"command": "x", "timeout": float("nan")}, "timeout has to be .* not NaN"),
        ({"command": "x", "timeout": float("inf")}, "timeout has to be"),
        ({"command": "x", "env": {"A": "\udcff"}}, "A in env holds bytes"),
        ({"command": "x", "cwd": ""}, "cwd has to be"),
        ({"command": "x", "priority": "5.5"}, "priority has to be"),
        ({"command": "x", "run_at": "yesterday"}, "run_at has to be"),
        ({"command": "x", "run_at": "18:00", "delay": "5"}, "run_at and delay are both given"),
    ],
)
def test_spec_from_options_refuses_what_read_specs_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        spec_from_options(**options)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
jobs = st.fixed_dictionaries(
    {"command": st.just("null") | texts.filter(str.strip)},
    optional={
        "max_retries": st.integers(0, fields.MAX_RETRIES),
        "timeout": st.floats(0.001, fields.MAX_TIMEOUT_S),
        "env": st.dictionaries(texts.filter(lambda name: name != "" and "=" not in name), texts, max_size=3),
        "cwd": st.just("null") | texts.filter(bool),
        "priority": st.integers(-1000, 1000),
        "held": st.booleans(),
        "state": texts,
    },
)
batches = st.lists(jobs, min_size=1, max_size=4).map(
    lambda batch: [{"id": f"job{number}", **job} for number, job in enumerate(batch)]
)


@given(batches, st.booleans())
@settings(max_examples=50)
def test_read_specs_gives_the_same_jobs_in_bulk_and_with_care(batch: list[dict[str, Any]], ascii_only: bool) -> None:
    """A last job in relaxed form makes it read all of the text with care."""
    entries = [json.dumps(job, ensure_ascii=ascii_only) for job in batch]
    expected = [sample(**{name: value for name, value in job.items() if name != "state"}) for job in batch]
    for text in ("\n".join(entries), "[" + ",".join(entries) + "]", json.dumps(batch, indent=2)):
        assert read_specs(text, allow_plain=True).specs == expected
    last = JobSpec(id="last", command="true")
    for text in (
        "\n".join([*entries, "{id: last, command: true}"]),
        f"[{','.join(entries)}, {{id: last, command: true}}]",
    ):
        assert read_specs(text, allow_plain=True).specs == [*expected, last]


@given(batches, st.data())
@settings(max_examples=50)
def test_read_specs_finds_every_name_that_is_given_twice(batch: list[dict[str, Any]], data: st.DataObject) -> None:
    """Typed decoding lets such names pass: whichever it is, and whatever quotes the text holds."""
    number = data.draw(st.integers(0, len(batch) - 1))
    name = data.draw(st.sampled_from(sorted(batch[number])))
    entries = [json.dumps(job) for job in batch]
    again = json.dumps({name: data.draw(st.sampled_from([batch[number][name], "\\", '"', "x"]))})
    entries[number] = f"{entries[number][:-1]}, {again[1:]}"
    for text in ("\n".join(entries), "[" + ",".join(entries) + "]"):
        with pytest.raises(SyntaxProblem, match=f"`{name}` is given twice"):
            read_specs(text, allow_plain=False)


@given(st.text("{}[]:,\"'\\ \n#abcomnd1“\0\udc80", max_size=40), st.booleans())
@settings(max_examples=200)
def test_read_specs_of_any_text_gives_jobs_or_a_usage_error(text: str, allow_plain: bool) -> None:
    problem: UsageError | DuplicateId | None = None
    try:
        read_specs(text, allow_plain=allow_plain)
    except (UsageError, DuplicateId) as error:
        problem = error
    assert not isinstance(problem, SyntaxProblem) or 0 <= problem.offset <= len(problem.text)


def test_read_specs_goes_on_in_bulk_after_an_entry_that_needs_care(monkeypatch: pytest.MonkeyPatch) -> None:
    """One relaxed line among many costs the care of its surroundings, not of all."""
    monkeypatch.setattr(specs, "_LINES_AT_ONCE", 500)
    lines = [json.dumps({"id": f"job{number}", "command": "x"}) for number in range(1_000)]
    lines[300] = "{id: job300,"
    lines[301] = "command: x} {id: job301, command: x}"
    text = "\n".join(lines)
    tried: list[int] = []
    in_bulk = specs._read_in_bulk

    def count(text: str, reading: specs._Reading) -> list[JobSpec] | None:
        found = in_bulk(text, reading)
        tried.append(-1 if found is None else len(found))
        return found

    monkeypatch.setattr(specs, "_read_in_bulk", count)
    assert [spec.id for spec in read(text)] == [f"job{number}" for number in range(1_000)]
    assert sum(number for number in tried if number > 0) > 950
    assert 2 <= tried.count(-1) <= 4


@pytest.mark.parametrize(
    "entry",
    [
        '{"id":"job%d","command":"x"}\n',
        '{"id":"job%d","command":"x","state":"y"}\n',
        "{id: job%d, command: x}",
        '{"id": "job%d", "command": x}',
        '{"id": "job%d", "command": "\\\\u0022"}',
    ],
)
def test_read_specs_takes_time_in_proportion_to_the_text(entry: str) -> None:
    """Eight times the jobs take nowhere near 64 times as long."""

    def cpu_time(count: int) -> float:
        text = "".join(entry % number for number in range(count))
        found = []
        for _ in range(2):
            begin = time.process_time()
            read_specs(text, allow_plain=True)
            found.append(time.process_time() - begin)
        return min(found)

    small, large = cpu_time(250), cpu_time(2_000)
    assert large < 24 * max(small, 0.0005)
