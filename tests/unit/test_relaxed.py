"""Relaxed JSON: what each form means, what is refused where, and the laws of the reader."""

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl import relaxed
from queuectl.errors import SyntaxProblem

BARE_ALPHABET = "abcXYZ019 ./-=*$|;&<>()#@!?+~%^"

FORMS: list[tuple[str, Any]] = [
    # the seed's own
    ('{id: job1, command: "echo Hello"}', {"id": "job1", "command": "echo Hello"}),
    ("{id:job1,command:sleep 2}", {"id": "job1", "command": "sleep 2"}),
    ("{id: j, command: echo a, b}", {"id": "j", "command": "echo a, b"}),
    # keys and quotes
    ("{'id': 'a', \"command\": 'C:\\temp'}", {"id": "a", "command": "C:\\temp"}),
    (r'{a: "tab\tquote\" é \u00e9 \ud83c\udf89"}', {"a": 'tab\tquote" é é 🎉'}),
    ('{a: "two\nlines"}', {"a": "two\nlines"}),
    ("{a: 'no \\n escape'}", {"a": "no \\n escape"}),
    ('{a: "curly “quotes” in quotes"}', {"a": "curly “quotes” in quotes"}),
    ("{a: 'it’s'}", {"a": "it’s"}),
    # bare values
    ("{a: 5, b: true, c: 1e3, d: null}", {"a": "5", "b": "true", "c": "1e3", "d": "null"}),
    ("{a: x  \n, b: y }", {"a": "x", "b": "y"}),
    ("{a: x, }", {"a": "x"}),
    ("{a: ls [a-z]*, b: y}", {"a": "ls [a-z]*", "b": "y"}),
    ("{a: echo ${HOME}}", {"a": "echo ${HOME}"}),
    ("{a: f(x, [b: 1, c: 2]), d: e}", {"a": "f(x, [b: 1, c: 2])", "d": "e"}),
    ('{a: echo "x, b: y", c: z}', {"a": 'echo "x, b: y"', "c": "z"}),
    ("{a: echo '}' \\} \\\" \\\\, c: z}", {"a": "echo '}' \\} \\\" \\\\", "c": "z"}),
    (r'{a: echo "\"}", c: z}', {"a": r'echo "\"}"', "c": "z"}),
    ("{a: curl x, http://y, std::z, C:\\w}", {"a": "curl x, http://y, std::z, C:\\w"}),
    ("{a: at 10, 12:30}", {"a": "at 10, 12:30"}),
    ("{a: grep key: file}", {"a": "grep key: file"}),
    ("{a: x, \"b\": y, 'c': z}", {"a": "x", "b": "y", "c": "z"}),
    ("{max-retries: 5, env: {A: 1, B_C: x y}}", {"max-retries": "5", "env": {"A": "1", "B_C": "x y"}}),
    # arrays
    ("[a, b c, {d: e}, [], 'f, g',]", ["a", "b c", {"d": "e"}, [], "f, g"]),
    ("[5 apples, 7]", ["5 apples", "7"]),
    ("{}", {}),
    ("[]", []),
    # strict JSON keeps its types
    ('{"a": 5, "b": true, "c": 1e3, "d": null}', {"a": 5, "b": True, "c": 1000.0, "d": None}),
    ('  [1, "x", {"y": []}]\n', [1, "x", {"y": []}]),
    (r'{"nul": "\u0000"}', {"nul": "\0"}),
    ("5", 5),
    ("[" * 32 + "]" * 32, json.loads("[" * 32 + "]" * 32)),
    (json.dumps({"a": "[" * 99}), {"a": "[" * 99}),
]


@pytest.mark.parametrize("text,value", FORMS)
def test_parse_gives_each_form_its_meaning(text: str, value: Any) -> None:
    assert relaxed.parse(text) == value


#: The place of the problem is marked by `^` before it; the second text is in the message.
PROBLEMS: list[tuple[str, str]] = [
    ("{id: j ^command: x}", "a comma is missing before `command:`"),
    ("{id: j\n ^command: x}", "a comma is missing before `command:`"),
    ('{id: j ^"command": x}', 'a comma is missing before `"command":`'),
    ('{"id": "j" ^"command": "x"}', 'a comma is missing before `"command":`'),
    ("{command: x ^max-retries : 5}", "a comma is missing before `max-retries :`"),
    ("[{a: b} ^{c: d}]", "a comma is missing before `{`"),
    ("^{id: a, command: x", "this { is never closed: add `}`"),
    ("^[{a: b}, {c: d}", "this [ is never closed: add `]`"),
    ("{a: x ^[ y", "this [ is never closed"),
    ('{a: ^"x}', 'this " is never closed'),
    ("{a: ^'x}", "this ' is never closed"),
    ("{a: echo it^'s}", "this ' is never closed: close it, or put the whole value in the other quotes"),
    ('{a: echo ^"x\\"}', 'this " is never closed'),
    ("{^'a: x}", "this ' is never closed"),
    ("^{a", "this { is never closed"),
    ("{a: b}^}", "`}` after the end"),
    ("{a: b^]}", "`]` closes nothing here"),
    ("{a: x [ ^}", "`}` closes nothing here"),
    ("{a: ^“x”}", "“ is a curly quote: use ' or \""),
    ("{a: echo ^‘x’}", "‘ is a curly quote"),
    ("{^“a”: x}", "“ is a curly quote"),
    ("^“{a: x}”", "“ is a curly quote"),
    ('{a: "x"^”}', "” is a curly quote"),
    (r'{a: "x^\d"}', r"`\d` is no escape in " + '"…": write `\\\\d`'),
    (r'{a: "x^\u12"}', r"`\u` takes four hex digits"),
    (r"""{a: "it^\'s"}""", "write ' alone"),
    (r'{"a": "^\ud800"}', r"`\ud800` is half a character"),
    (r'{a: "\ud83c\udf89^\udc00"}', r"`\udc00` is half a character"),
    ("{a: b, ^a: c}", "`a` is given twice"),
    ('{"a": 1, ^"a": 2}', "`a` is given twice"),
    ('{"b": {"a": 1, ^"\\u0061": 2}}', "`a` is given twice"),
    ("{'a': 1, ^\"a\": 2}", "`a` is given twice"),
    ('{"a": ^NaN}', "NaN is no number"),
    ("{a: ^-Infinity}", "-Infinity is no number"),
    ('{"b": "1e999", "a": ^1e999}', "`1e999` is no number that can be kept"),
    ('{"a": ^' + "1" * 5000 + "}", "is no number that can be kept"),
    ("{a: ^, b: c}", "a value is missing"),
    ("{a:^}", "a value is missing"),
    ("[a, ^, b]", "a value is missing"),
    ("{a: 'b', ^, c: d}", "a name is missing"),
    ("{^: b}", "a name is missing"),
    ("{echo ^hi}", "a `:` is missing after `echo`"),
    ("{a ^= b}", "a `:` is missing after `a`"),
    ('{a: "b" ^&& c}', "`&& c}` after the end of the value: put the whole value in quotes"),
    ("{a: [ -f x ] ^&& y}", "put the whole value in quotes"),
    ("{a: b} ^{c: d}", "after the end"),
    ("^hello", "`hello` begins no job: write {id: job1"),
    ("^", "nothing begins no job"),
    ("[" * 32 + "^[" + "]" * 33, "nested more than 32 deep"),
    ("{a: x" + "[" * 31 + "^[" + "]" * 32 + "}", "nested more than 32 deep"),
    ('{"a": "x^\0"}', "a NUL byte"),
    ("{a: x^\udcff}", "not UTF-8"),
]


@pytest.mark.parametrize("marked,message", PROBLEMS)
def test_parse_refuses_with_the_place_and_the_mend(marked: str, message: str) -> None:
    offset = marked.index("^")
    text = marked.replace("^", "", 1)
    with pytest.raises(SyntaxProblem) as caught:
        relaxed.parse(text)
    assert message in caught.value.message
    assert (caught.value.text, caught.value.offset) == (text, offset)


@pytest.mark.parametrize(
    "text,entries",
    [
        ("{a: b}", [({"a": "b"}, 0)]),
        ('{a: b}{"c": 1}\n\n{d: 2} , {e: f},', [({"a": "b"}, 0), ({"c": 1}, 6), ({"d": "2"}, 16), ({"e": "f"}, 25)]),
        ('[{a: b}, {"c": 1}, x y, 7, ]', [({"a": "b"}, 1), ({"c": 1}, 9), ("x y", 19), (7, 24)]),
        (" \n ", []),
        ("[]", []),
    ],
)
def test_parse_many_gives_each_value_and_its_offset(text: str, entries: list[tuple[Any, int]]) -> None:
    assert relaxed.parse_many(text) == entries


@pytest.mark.parametrize(
    "text,offset", [("{a: b},, {c: d}", 7), ("{a: b} x", 7), ("[{a: b}] {c: d}", 9), ("{a: b}}", 6), ("[{a: b}", 0)]
)
def test_parse_many_refuses_what_is_between_or_after(text: str, offset: int) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        relaxed.parse_many(text)
    assert caught.value.offset == offset


def test_parse_many_reads_strict_objects_among_many_relaxed_ones() -> None:
    """Trying strict JSON is given up after some failures, but its meaning is kept."""
    text = '{"a": x}\n' * 100 + '{"a": 1}\n' * 3
    assert [value for value, _ in relaxed.parse_many(text)] == [{"a": "x"}] * 100 + [{"a": 1}] * 3


def test_places_tell_where_names_and_values_begin() -> None:
    text = '{x: y} {"id": "a", command : echo}'
    assert relaxed.Reader(text).places(7) == {"id": (8, 14), "command": (19, 29)}


@pytest.mark.parametrize("text,shown", [("a\x1b[1m\nb", "a\\x1b[1m\\nb"), ("x" * 50, "x" * 40 + "…"), ("é", "é")])
def test_excerpt_is_short_and_shows_control_characters_as_text(text: str, shown: str) -> None:
    assert relaxed.excerpt(text) == shown


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), values, max_size=5)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
# What begins with // would make a URL of the name before it.
bare_words = st.text(BARE_ALPHABET, min_size=1).map(str.strip).filter(lambda word: word[:2] not in ("", "//"))


@given(objects, st.sampled_from([None, 2]), st.booleans())
@settings(max_examples=60)
def test_parse_reads_every_json_object(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    assert relaxed.parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


@given(st.lists(objects, max_size=4), st.sampled_from(["", " ", "\n", ",", " ,\n"]))
@settings(max_examples=30)
def test_parse_many_reads_every_sequence_and_array(entries: list[dict[str, Any]], gap: str) -> None:
    parts = [json.dumps(entry) for entry in entries]
    assert [value for value, _ in relaxed.parse_many(gap.join(parts))] == entries
    assert [value for value, _ in relaxed.parse_many(json.dumps(entries))] == entries


@given(st.dictionaries(names, bare_words, max_size=5), st.sampled_from([" ", "", "\n  "]))
@settings(max_examples=60)
def test_parse_reads_the_unquoted_form_as_the_same_text(value: dict[str, str], gap: str) -> None:
    text = "{" + ",".join(f"{gap}{name}:{gap}{word}" for name, word in value.items()) + "}"
    assert relaxed.parse(text) == value


def as_text(value: Any) -> Any:
    """Return *value* as its JSON reads in the relaxed way: numbers and literals are bare words."""
    if isinstance(value, dict):
        return {name: as_text(content) for name, content in value.items()}
    if isinstance(value, list):
        return [as_text(content) for content in value]
    return value if isinstance(value, str) else json.dumps(value)


@given(objects.filter(bool))
@settings(max_examples=40)
def test_parse_reads_json_with_a_trailing_comma_as_the_same_members(value: dict[str, Any]) -> None:
    assert relaxed.parse(json.dumps(value)[:-1] + ",}") == as_text(value)


@given(st.dictionaries(names, texts, min_size=1, max_size=5))
def test_parse_keeps_quoted_text_whatever_stands_around_it(value: dict[str, str]) -> None:
    """Bare names and a trailing comma make it relaxed; the quoted values mean what they mean in strict JSON."""
    assert relaxed.parse("{" + "".join(f"{name}: {json.dumps(word)}, " for name, word in value.items()) + "}") == value
    singles = {name: word.replace("'", "") for name, word in value.items()}
    assert relaxed.parse("{" + "".join(f"{name}: '{word}', " for name, word in singles.items()) + "}") == singles


@given(st.text("{}[]:,\"'\\ \nab1dui“’\0", max_size=40))
@settings(max_examples=200)
def test_parse_many_refuses_any_text_in_its_own_words_or_reads_it(text: str) -> None:
    for read in (relaxed.parse, relaxed.parse_many):
        found: SyntaxProblem | None = None
        try:
            read(text)
        except SyntaxProblem as problem:
            found = problem
        assert found is None or (found.message and 0 <= found.offset <= len(text))


SHAPES: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "[" * n,
    "braces": lambda n: "{a:" * n,
    "quotes": lambda n: '"' * n,
    "apostrophes": lambda n: "{a: x" + "'" * n,
    "commas": lambda n: "{a: x" + ",a" * n,
    "labels": lambda n: "{a: x" + ",a:b" * n,
    "quoted labels": lambda n: "{a: x" + ",'b" * n,
    "mixed quotes": lambda n: "{a: x" + ",\"b,'c" * n,
    "bare quotes": lambda n: "{a: x" + '"",' * n + "}",
    "backslashes": lambda n: "{a: x" + "\\" * n + "}",
    "escapes": lambda n: '{a: "' + "\\n" * n + '\\d"}',
    "blanks": lambda n: "{a: x" + " " * n + "}",
    "blanks after commas": lambda n: "{a: x" + ",  " * n + "}",
    "fields": lambda n: "{a: x" + " id " * n + "}",
    "field and blanks": lambda n: "{a: x id" + " " * n + "}",
    "pairs": lambda n: "{a: x" + "{}" * n + "}",
    "open string": lambda n: '{a: "' + "x" * n,
    "long key": lambda n: "{a: x," + "a" * n + "}",
    "digits": lambda n: '{"a": ' + "1" * n + "}",
    "colons": lambda n: "{a" + ":" * n,
    "relaxed objects": lambda n: "{a:b}" * n,
    "broken strict objects": lambda n: '{"a":b}\n' * n,
    "strict objects": lambda n: '{"a":1}' * n,
    "array": lambda n: "[" + "{a:b}," * n + "]",
    "scalars": lambda n: "[" + "1 a," * n + "]",
    "surrogates": lambda n: '{"a":"\\ud83c\\udf89"}' * n,
    "escaped quotes": lambda n: '{a: x"' + '\\"' * n,
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
def test_parse_many_takes_time_in_proportion_to_the_text(shape: str) -> None:
    """Eight times the text takes nowhere near 64 times as long."""
    small, large = (cpu_time(relaxed.parse_many, SHAPES[shape](size)) for size in (600, 4_800))
    assert large < 24 * max(small, 0.0005)


def test_field_label_matches_what_betrays_a_forgotten_comma() -> None:
    found = relaxed.FIELD_LABEL.search("j command: x")
    assert found is not None
    assert re.fullmatch("command:", found[1])
    assert relaxed.FIELD_LABEL.search("see http://id://x, myid: 5") is None
