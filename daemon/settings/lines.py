"""On which line of a TOML text each table and key stands, since tomllib does not tell."""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

KeyPath = tuple[str | int, ...]
"""Names of tables and keys, and indexes into lists, from the outside in."""

# A multi-line string may end in up to two more quotes, which belong to it: https://toml.io/en/v1.0.0#string
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")


def locate(text: str) -> Mapping[KeyPath, int]:
    """Give the line of every table and key of a valid TOML text, counted from 1.

    A table stands where its own header is, else where its first key is. Where this scan and tomllib
    do not find the very same keys nothing is known: no line is better than a wrong one.
    Raises tomllib.TOMLDecodeError.
    """
    document = tomllib.loads(text)
    scan = _Scan(text)
    try:
        scan.document()
    except (IndexError, ValueError):
        return {}
    return scan.lines if scan.lines.keys() == set(_paths(document)) else {}


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every path tomllib found: of tables, of keys, and of the tables in lists."""
    if path and (isinstance(value, dict) or isinstance(path[-1], str)):
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from _paths(entry, (*path, key))


class _Scan:
    """Walks through a text that is known to be valid, so it may look at little."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._array_lengths: dict[KeyPath, int] = {}
        self._with_header: set[KeyPath] = set()
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self._text):
            line = self._line()
            if self._text.startswith("[[", self._at):
                table = self._header("[[", "]]", line)
            elif self._text[self._at] == "[":
                table = self._header("[", "]", line)
            else:
                self._pair(table)

    def _header(self, opening: str, closing: str, line: int) -> KeyPath:
        self._expect(opening)
        *parents, name = self._key()
        path = self._note((), parents, line)
        path = (*path, name)
        self._expect(closing)
        if opening == "[[":
            index = self._array_lengths.get(path, 0)
            self._array_lengths[path] = index + 1
            self.lines.setdefault(path, line)
            path = (*path, index)
        if path not in self._with_header:
            self._with_header.add(path)
            self.lines[path] = line
        return path

    def _note(self, path: KeyPath, names: list[str], line: int) -> KeyPath:
        """Walk from `path` along `names`, in lists of tables always into the last; keep the first line of each."""
        for name in names:
            path = (*path, name)
            self.lines.setdefault(path, line)
            if length := self._array_lengths.get(path):
                path = (*path, length - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        *parents, name = self._key()
        path = (*self._note(table, parents, line), name)
        self.lines.setdefault(path, line)
        self._expect("=")
        self._value(path)

    def _key(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            if match := _STRING.match(self._text, self._at):
                names.append(next(iter(tomllib.loads(f"{match[0]}=0"))))
            else:
                match = _BARE_KEY.match(self._text, self._at)
                names.append(match[0] if match else "")
            self._at = match.end() if match else self._at
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        match self._text[self._at]:
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                if not self._take(_STRING):
                    raise ValueError("a string that does not end")
            case _:
                self._take(_BARE_VALUE)

    def _list(self, path: KeyPath) -> None:
        self._expect("[")
        index = 0
        while self._text[self._skip(_BLANK)] != "]":
            if self._text[self._at] == "{":
                self.lines[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._expect("{")
        while self._text[self._skip(_BLANK)] != "}":
            self._pair(path)
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
        self._at += 1

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._at) + 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._take(pattern)
        return self._at

    def _take(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match is not None

    def _expect(self, mark: str) -> None:
        self._skip(_SPACE)
        if not self._text.startswith(mark, self._at):
            raise ValueError("not where a key or value was expected")
        self._at += len(mark)
