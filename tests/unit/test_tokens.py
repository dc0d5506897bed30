"""The words of a command line, and when a command goes on in the next line."""

import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl import relaxed, tokens
from queuectl.errors import QueueCtlError, SyntaxProblem, UsageError
from queuectl.tokens import LineAssembler, Token, commands_in

WORDS: list[tuple[str, list[str]]] = [
    ("", []),
    ("  \t ", []),
    ("worker start  --count\t2", ["worker", "start", "--count", "2"]),
    # quotes, as in sh
    ("""enqueue '{id: job1, command: "echo Hello"}'""", ["enqueue", '{id: job1, command: "echo Hello"}']),
    ("""a'b c'"d e"f""", ["ab cd ef"]),
    ("""'' "" x''""", ["", "", "x"]),
    (r""""a\"b\\c\d\$" 'a\"b' """, [r'a"b\c\d\$', r"a\"b"]),
    (r"""'{"command": "echo it'\''s"}'""", ['{"command": "echo it\'s"}']),
    ("'two\nlines'", ["two\nlines"]),
    ("--id=“x” it’s", ["--id=“x”", "it’s"]),
    # backslashes outside quotes
    (r"a\ b \#c \{d\} \"e\' \\f", ["a b", "#c", "{d}", "\"e'", r"\f"]),
    (r"C:\temp\new \[x \$y", [r"C:\temp\new", r"\[x", r"\$y"]),
    # nothing is expanded
    ("status; list | $HOME `id` * > ~ !x &", ["status;", "list", "|", "$HOME", "`id`", "*", ">", "~", "!x", "&"]),
    # comments
    ("list # all", ["list"]),
    ("dlq retry job#2", ["dlq", "retry", "job#2"]),
    ("a '#' \"#\"#b", ["a", "#", "##b"]),
    ("# it's {", []),
    ("a # b\nc", ["a", "c"]),
    # jobs that are not quoted are taken as they are
    ('enqueue {id: job1, command: "echo Hello"}', ["enqueue", '{id: job1, command: "echo Hello"}']),
    ("""enqueue {a: "}"} {b: '}'} {c: \\}}""", ["enqueue", """{a: "}"}""", "{b: '}'}", "{c: \\}}"]),
    (
        """enqueue {a: "x \\" y"}, {b: 'c\\'} ,{d: {e: [f]}},""",
        ["enqueue", '{a: "x \\" y"}', "{b: 'c\\'}", "{d: {e: [f]}}"],
    ),
    ("enqueue {a: b}{c: d}--stop", ["enqueue", "{a: b}", "{c: d}", "--stop"]),
    ('enqueue [{a: "]"}] x', ["enqueue", '[{a: "]"}]', "x"]),
    ("x={a b}", ["x={a", "b}"]),
    ("enqueue {a: # b\n}", ["enqueue", "{a: # b\n}"]),
    # a backslash at the end of a line
    ("a\\\nb \\\n c", ["ab", "c"]),
    ('"a \\\nb" {"c \\\nd", \\\ne}', ["a b", '{"c d", e}']),
    ("'a \\\nb'", ["a \\\nb"]),
    ("a \\\n# b", ["a"]),
    ("a \\\\\nb", ["a", "\\", "b"]),
    ("a\\", ["a"]),
]


@pytest.mark.parametrize("line,words", WORDS)
def test_split_gives_the_words(line: str, words: list[str]) -> None:
    assert [token.text for token in tokens.split(line)] == words


def test_split_tells_where_each_word_stands_and_whether_it_was_quoted() -> None:
    assert tokens.split("""list 'a'b {c: "d"}, \\#e f\\""") == [
        Token("list", 0, 4),
        Token("ab", 5, 9, quoted=True),
        Token('{c: "d"}', 10, 18),
        Token("#e", 20, 23),
        Token("f", 24, 25),
    ]


#: The place of the problem is marked by `^` before it; the second text is in the message.
PROBLEMS: list[tuple[str, str]] = [
    ("""enqueue '{"command": "echo it's^"}'""", "a ' inside '…' is written '\\''; or give the command after --"),
    ("echo it^'s", "this ' is never closed: close it, or put it all in the other quotes"),
    ('echo "a" ^"b', 'this " is never closed'),
    ("enqueue {id: a, command: it^'s}", "this ' is never closed"),
    ("enqueue ^{id: a", "this { is never closed: add }"),
    ("enqueue {id: a, env: ^[b", "this [ is never closed: add ]"),
    ("enqueue ^“{id: a}”", "“ is a curly quote: use ' or \""),
    ("enqueue ^’a’", "’ is a curly quote"),
    ("enqueue " + "[" * 32 + "^[", "nested more than 32 deep"),
    ("list ^\0", "a NUL byte"),
    ("list ^\udcff", "not UTF-8"),
]


@pytest.mark.parametrize("marked,message", PROBLEMS)
def test_split_refuses_with_the_place_and_the_mend(marked: str, message: str) -> None:
    offset = marked.index("^")
    text = marked.replace("^", "", 1)
    with pytest.raises(SyntaxProblem) as caught:
        tokens.split(text)
    assert message in caught.value.message
    assert (caught.value.text, caught.value.offset) == (text, offset)


#: Lines of a script, and the commands they make; the last may be left open.
SCRIPTS: list[tuple[list[str], list[str], bool]] = [
    (["status", "", "list"], ["status", "", "list"], False),
    (["enqueue '{id: a,", ' command: "b"}\'', "list"], ["enqueue '{id: a,\n command: \"b\"}'", "list"], False),
    (["enqueue [", "{a: b},", "", "{c: d}]", "list"], ["enqueue [\n{a: b},\n\n{c: d}]", "list"], False),
    (["enqueue '[{a: b},", "{c: d}]'", "list"], ["enqueue '[{a: b},\n{c: d}]'", "list"], False),
    (['enqueue {a: "b', 'c"}', "list"], ['enqueue {a: "b\nc"}', "list"], False),
    (["a \\", "b", "c"], ["a \\\nb", "c"], False),
    (['a "b \\', 'c"', "d"], ['a "b \\\nc"', "d"], False),
    (["a \\\\", "b"], ["a \\\\", "b"], False),
    (["# a \\", "# it's {", "b"], ["# a \\", "# it's {", "b"], False),
    (["enqueue {a: b"], [], True),
    (["a", "b \\"], ["a"], True),
    # a slip is an error of its line and swallows no other
    (["echo it's", "list"], ["echo it's", "list"], False),
    (["""enqueue '{"command": "echo it's"}'""", "list"], ["""enqueue '{"command": "echo it's"}'""", "list"], False),
    (["enqueue {command: it's}", "list"], ["enqueue {command: it's}", "list"], False),
    (["enqueue “{", "list"], ["enqueue “{", "list"], False),
    (["enqueue " + "[" * 33, "list"], ["enqueue " + "[" * 33, "list"], False),
]


@pytest.mark.parametrize("lines,commands,is_open", SCRIPTS)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_assembler_puts_commands_together(lines: list[str], commands: list[str], is_open: bool, ending: str) -> None:
    assembler = LineAssembler()
    fed = [assembler.feed(line + ending) for line in lines]
    assert [command for command in fed if command is not None] == commands
    assert assembler.is_open == is_open
    assert tokens.needs_more("\n".join(lines)) == is_open


def test_assembler_gives_what_is_open_at_the_end_of_input() -> None:
    assembler = LineAssembler()
    assembler.feed("enqueue {a: b,")
    assembler.feed("c: d")
    assert assembler.take() == "enqueue {a: b,\nc: d"
    assert assembler.take() == ""


def test_a_line_over_the_limit_is_refused_at_once() -> None:
    longest = "é" * (tokens.MAX_LINE // 2)
    assert len(tokens.split(longest)) == 1
    with pytest.raises(UsageError, match="more than 1024 KiB"):
        tokens.split(longest + "x")
    with pytest.raises(UsageError, match="more than 1024 KiB"):
        LineAssembler().feed(longest + "x")
    assert not tokens.needs_more("{" + longest)


def test_assembler_drops_a_command_that_grows_over_the_limit() -> None:
    assembler = LineAssembler()
    line = "x" * 100_000
    assembler.feed("enqueue {")
    with pytest.raises(UsageError, match="more than 1024 KiB"):  # noqa: PT012 (which line it is does not matter)
        for _ in range(11):
            assert assembler.feed(line) is None
    assert not assembler.is_open
    assert assembler.feed("status") == "status"


special_texts = st.text("ab {}[]\"'\\#\n,:“’\0\udc80é", max_size=40)
any_words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(any_words, max_size=6), st.sampled_from([" ", "  ", "\t", " \\\n "]))
@settings(max_examples=60)
def test_split_takes_back_what_sh_quoting_made(words: list[str], gap: str) -> None:
    assert [token.text for token in tokens.split(gap.join(map(shlex.quote, words)))] == words


@given(st.dictionaries(st.text("ab", min_size=1), st.text("ab }]\"\\'\n"), max_size=3))
def test_split_leaves_a_bare_object_to_relaxed(value: dict[str, str]) -> None:
    """Even its line breaks: they are the text's own."""
    text = "{" + ", ".join(f'{name}: "{word}"' for name, word in escaped(value).items()) + "}"
    [command, word] = tokens.split(f"enqueue {text}")
    assert (command.text, word.text) == ("enqueue", text)
    assert relaxed.parse(word.text) == value


def escaped(value: dict[str, str]) -> dict[str, str]:
    return {name: word.replace("\\", "\\\\").replace('"', '\\"') for name, word in value.items()}


@given(special_texts)
@settings(max_examples=200)
def test_split_of_any_text_gives_words_in_order_or_a_problem_of_its_own(text: str) -> None:
    found: list[Token] = []
    problem: QueueCtlError | None = None
    try:
        found = tokens.split(text)
    except QueueCtlError as error:
        problem = error
    places = [place for token in found for place in (token.start, token.end)]
    assert places == sorted(places)
    assert all(0 <= place <= len(text) for place in places)
    assert problem is None or (isinstance(problem, SyntaxProblem) and 0 <= problem.offset <= len(text))


@given(special_texts)
@settings(max_examples=100)
def test_assembler_loses_no_line(text: str) -> None:
    assembler = LineAssembler()
    commands = [command for line in text.split("\n") if (command := assembler.feed(line)) is not None]
    if assembler.is_open:
        assert tokens.needs_more(text)
        commands.append(assembler.take())
    assert "\n".join(commands) == text


SHAPES: dict[str, Callable[[int], str]] = {
    "words": lambda n: "a " * n,
    "one word": lambda n: "a" * n + '"',
    "quotes": lambda n: '"' * n,
    "apostrophes": lambda n: "'" * n,
    "empty words": lambda n: '"" ' * n,
    "pieces": lambda n: "a'b'\"c\"" * n,
    "backslashes": lambda n: "\\" * n,
    "escaped blanks": lambda n: "\\ " * n,
    "escaped quotes": lambda n: '"' + '\\"' * n,
    "comments": lambda n: " #" * n,
    "continued": lambda n: "\\\n" * n,
    "lines": lambda n: "a\n" * n,
    "open object": lambda n: "{" + "\n" * n,
    "open quoted object": lambda n: "'{" + "a\n" * n,
    "open quotes in an object": lambda n: '{"' + "\n" * n,
    "brackets": lambda n: "[" * n,
    "pairs": lambda n: "{" + "{}" * n,
    "objects": lambda n: "{},{}" * n,
    "strings in an object": lambda n: "{" + '""' * n + "}",
    "commas": lambda n: "," * n + "{",
}


def cpu_time(read: Callable[[str], Any], text: str) -> float:
    """Return the lesser of two, in seconds of this process's own."""
    found = []
    for _ in range(2):
        begin = time.process_time()
        with suppress(SyntaxProblem):
            read(text)
        found.append(time.process_time() - begin)
    return min(found)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("read", [tokens.split, tokens.needs_more])
def test_splitting_takes_time_in_proportion_to_the_text(shape: str, read: Callable[[str], Any]) -> None:
    """Eight times the text, or as many lines, takes nowhere near 64 times as long."""
    small, large = (cpu_time(read, SHAPES[shape](size)) for size in (600, 4_800))
    assert large < 24 * max(small, 0.0005)


@pytest.mark.parametrize(
    "text, commands",
    [
        ("", [""]),
        ("status", ["status"]),
        ("a\n b\n\nc", ["a", " b", "", "c"]),
        ("enqueue '{id: a,\n  command: b}'\n list", ["enqueue '{id: a,\n  command: b}'", " list"]),
        ("list \\\n --json\nstatus", ["list \\\n --json", "status"]),
        ("status\nenqueue '{id: a,\n", ["status", "enqueue '{id: a,\n"]),
    ],
)
def test_text_of_several_lines_is_one_command_or_several(text: str, commands: list[str]) -> None:
    assert list(commands_in(text)) == commands
