"""Line numbers, held against what tomllib finds."""

import json
import string
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from daemon.settings.lines import KeyPath, locate

NAMES = st.text(string.ascii_lowercase + "_-19", min_size=1, max_size=3) | st.sampled_from(
    ["", "a.b", "x = 1", "[a]", "#", 'q"q', "'", "é", "\\", "a b"]
)
SCALARS = st.sampled_from(
    [
        "1",
        "true",
        "1979-05-27 07:32:00Z",
        "-1.5e3",
        "inf",
        '"#[=\\"]"',
        "'{#\\'",
        '""',
        "''",
        '"""\na = 1\n[b]\n"""',
        '"""x""""',
        '"""x"""""',
        "'''\n''x''''",
        "''''''",
        '"""\\\n   y \\""" z"""',
        '"""# a\\\\"""',
        "'''\n\n[[c]]\n'''",
    ]
)
NOISE = st.sampled_from(["", "\n", "\n\n", "# [a] b = 1 '''\n", '  # """\n\n', "\t\n"])


class Writer:
    """Writes a TOML text and notes, while it does, where each key and table is."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def line(self) -> int:
        return self.text.count("\n") + 1

    def key(self, name: str) -> str:
        forms = [json.dumps(name, ensure_ascii=False)]
        if name and all(sign in string.ascii_letters + string.digits + "_-" for sign in name):
            forms.append(name)
        if "'" not in name:
            forms.append(f"'{name}'")
        return str(self.draw(st.sampled_from(forms)))

    def dotted(self, names: list[str]) -> str:
        space = self.draw(st.sampled_from(["", " "]))
        return f"{space}.{space}".join(self.key(name) for name in names)

    def pairs(self, path: KeyPath, separator: str, depth: int) -> None:
        for name in self.draw(st.lists(NAMES, max_size=3, unique=True)):
            if separator == "\n":
                self.text += self.draw(NOISE)
            dots = self.draw(st.lists(st.just("deep"), max_size=2))
            if (*path, name) in self.lines:
                continue
            for length in range(len(dots) + 1):
                self.lines[(*path, name, *dots[:length])] = self.line()
            self.text += f"{self.dotted([name, *dots])}{self.draw(st.sampled_from(['=', ' = ']))}"
            self.value((*path, name, *dots), depth)
            self.text += separator

    def value(self, path: KeyPath, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "scalar", "list", "table"])) if depth else "scalar"
        if kind == "scalar":
            self.text += self.draw(SCALARS)
        elif kind == "list":
            self.text += "["
            for index in range(self.draw(st.integers(0, 3))):
                self.text += self.draw(NOISE)
                before = len(self.text)
                line = self.line()
                self.value((*path, index), depth - 1)
                if self.text[before] == "{":
                    self.lines[(*path, index)] = line
                self.text += self.draw(NOISE) + ","
            self.text += self.draw(NOISE) + "]"
        else:
            self.text += "{ "
            self.pairs(path, ", ", depth - 1)
            self.text = self.text.removesuffix(", ") + " }"

    def header(self, path: KeyPath, opening: str, closing: str) -> int:
        self.text += self.draw(NOISE)
        line = self.line()
        self.text += f"{opening} {self.dotted([part for part in path if isinstance(part, str)])} {closing}\n"
        return line

    def tables(self, path: KeyPath, depth: int) -> None:
        for name in self.draw(st.lists(NAMES, max_size=3, unique=True)):
            if (here := (*path, name)) in self.lines:
                continue
            if self.draw(st.booleans()):
                for index in range(self.draw(st.integers(1, 3))):
                    line = self.header(here, "[[", "]]")
                    self.lines[*here, index] = line
                    self.lines.setdefault(here, line)
                    self.content((*here, index), depth)
            elif depth and self.draw(st.booleans()):  # implied by the headers below it, perhaps made explicit after
                explicit = self.draw(st.booleans())
                before = dict(self.lines)
                inner = (*here, "inner")
                line = self.header(inner, "[", "]")
                self.lines |= {inner: line, here: line}
                self.content(inner, depth - 1)
                assert before.items() <= self.lines.items()
                if explicit:
                    self.lines[here] = self.header(here, "[", "]")
                    self.pairs(here, "\n", 2)
            else:
                self.lines[here] = self.header(here, "[", "]")
                self.content(here, depth)

    def content(self, path: KeyPath, depth: int) -> None:
        self.pairs(path, "\n", 2)
        if depth:
            self.tables(path, depth - 1)


@st.composite
def documents(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, dict[KeyPath, int]]:
    writer = Writer(draw)
    writer.content((), 2)
    return writer.text, writer.lines


@settings(max_examples=150, deadline=None)
@given(documents(), st.booleans())
def test_every_key_has_the_line_on_which_it_was_written(written: tuple[str, dict[KeyPath, int]], windows: bool) -> None:
    text, lines = written
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)  # a key of ours met a table of the same name
    assert locate(text.replace("\n", "\r\n") if windows else text) == lines


FRAGMENTS = [
    "a",
    "b",
    ".",
    "=",
    " = ",
    "1",
    '"',
    "'",
    '"""',
    "'''",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    "\n",
    "#",
    "\\",
    " ",
]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
def test_whatever_tomllib_takes_gets_right_lines_or_none(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for path, line in locate(text).items():
        name = next(part for part in reversed(path) if isinstance(part, str))
        assert name in text.split("\n")[line - 1], (path, line)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n\n[sinks.sales]\nurl = 'x'\n", ("sinks", "sales", "url"), 4),
        ("[a]\nb.c.d = 1", ("a", "b", "c"), 2),
        ("[a.b]\n[a]\nc = 1", ("a",), 2),
        ("x = '''\n[a]\nb = 1\n'''\nb = 2", ("b",), 5),
        ('x = """\n\\"""\nb = 1\n"""\nb = 2', ("b",), 5),
        ("x = [\n  1, # ]\n  { y = 1 },\n]\nz = 1", ("x", 1, "y"), 3),
        ("x = [\n  1, # ]\n]\nz = 1", ("z",), 4),
        ("[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 1", ("a", 1, "c", "d"), 6),
        ("[[a]]\nb = 1\n[[a]]\nb = 2", ("a", 1), 3),
        ('"a.b" = 1\n[ "c" . \'d\' ]\n"\\u0065" = 1', ("c", "d", "e"), 3),
    ],
)
def test_a_line_is_found(text: str, path: KeyPath, line: int) -> None:
    assert locate(text)[path] == line


def test_a_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        locate("a = ")


def test_a_large_config_is_read_at_once() -> None:
    text = "".join(f"[sinks.s{number}]\nurl = 'x'\nheaders = {{ a = 'b' }}\n" for number in range(3000))
    assert locate(text)["sinks", "s2999", "headers", "a"] == 9000
