"""What the BBCode and HTML of reviews and updates say, as text or as Discord's markdown.

One pass without backtracking: html.parser is quadratic on unfinished tags (CVE-2025-6069), and knows no BBCode. What is
no tag for sure stays as it was written: `[WIP]`, `a < b`.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from daemon.expression.text import READ, clean, escape_markdown, visible

_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9]*+)(?P<rest>[^<>]*+)>"
    r"|\[(?P<bb_end>/?)(?P<bb_name>\*|[A-Za-z][A-Za-z0-9]*+)(?P<bb_rest>(?:[= ][^\[\]]*+)?)\]"
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ADDRESS = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""", re.IGNORECASE)
_LINK = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][^\s]*)?")
_LINK_SAFE = "%/:?#!$&'*+,;=~"
_LONGEST_LINK = 2048

_ITEM = "\0"
"""Stands for the start of a list's item until all is put together; no cleaned text holds it."""
_ALONE = {"br": "\n", "hr": "\n\n", "li": _ITEM, "*": _ITEM, "p": "\n\n", "tr": "\n", "img": ""}
"""Tags that need no end to be one, and what stands for them."""
_BREAKS = {
    **dict.fromkeys(("/p", "/list", "/ul", "/ol"), "\n\n"),
    **dict.fromkeys(("div", "/div", "center", "/center", "/tr"), "\n"),
    **dict.fromkeys(("td", "th"), " "),
}
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6", "heading")
_QUOTES = ("quote", "blockquote")
_CODE = ("code", "icode", "pre")
_LINKS = ("a", "url")
_MARKS = {
    **dict.fromkeys(("b", "strong", *_HEADINGS), "**"),
    **dict.fromkeys(("i", "em"), "*"),
    **dict.fromkeys(("s", "strike", "del"), "~~"),
    **dict.fromkeys(("spoiler", "ispoiler"), "||"),
    "u": "__",
}
_DEEPEST = 16
"""Tags within tags; one further down is passed over."""


@dataclass(slots=True)
class _Part:
    """A tag that was not ended yet, with what it holds so far."""

    name: str = ""
    rest: str = ""
    pieces: list[str] = field(default_factory=list)


def markup_to_text(source: str) -> str:
    """The words, with line ends where the tags make some; a link says where it leads."""
    return _Conversion(as_markdown=False).of(source)


def markup_to_markdown(source: str) -> str:
    """The same with Discord's markdown for bold, italic, quotes, code and https links; all else escaped."""
    return _Conversion(as_markdown=True).of(source)


class _Conversion:
    def __init__(self, *, as_markdown: bool) -> None:
        self._as_markdown = as_markdown
        self._open = [_Part()]

    def of(self, source: str) -> str:
        for tag, words in _tokens(visible(source[:READ]), is_cut=len(source) > READ):
            if tag.startswith("/"):
                self._end(tag[1:])
            elif tag and tag not in _ALONE and len(self._open) < _DEEPEST:
                self._open.append(_Part(tag, words))
            self._add(_ALONE.get(tag, _BREAKS.get(tag, "")) if tag else self._escaped(words))
        while len(self._open) > 1:
            self._end(self._open[-1].name)
        return clean(_with_items("".join(self._open[0].pieces)))

    def _add(self, piece: str) -> None:
        self._open[-1].pieces.append(piece)

    def _end(self, name: str) -> None:
        """Close a tag, and those within it that were left open; an end without a start is nothing."""
        if not any(part.name == name for part in self._open[1:]):
            return
        while True:
            part = self._open.pop()
            self._add(self._rendered(part, "".join(part.pieces)))
            if part.name == name:
                return

    def _is_within(self, *names: str) -> bool:
        return any(part.name in names for part in self._open)

    def _escaped(self, words: str) -> str:
        if not self._as_markdown:
            return words
        return words.replace("`", "'") if self._is_within(*_CODE) else escape_markdown(words)

    def _rendered(self, part: _Part, content: str) -> str:
        if part.name in _LINKS:
            return self._link(part, content)
        if self._as_markdown and not self._is_within(*_CODE) and content.strip():
            content = self._marked(part.name, content)
        return f"\n{content}\n" if part.name in (*_HEADINGS, *_QUOTES, "code", "pre") else content

    def _marked(self, name: str, content: str) -> str:
        inner = content.strip()
        if name in _CODE:
            return f"```\n{inner}\n```" if "\n" in inner else f"`{inner}`"
        if name in _QUOTES and not self._is_within(*_QUOTES):
            return "\n".join(f"> {line}" for line in clean(_with_items(inner)).split("\n"))
        mark = _MARKS.get(name)
        if mark is None or any(_MARKS.get(part.name) == mark for part in self._open):
            return content
        before, _, after = content.partition(inner)
        return f"{before}{mark}{inner}{mark}{after}"

    def _link(self, part: _Part, content: str) -> str:
        words = content.replace("\\", "") if self._as_markdown else content
        link = _https(_target(part) or words.strip())
        if link is None or self._is_within(*_LINKS, *_CODE):
            return content
        if words.strip() in ("", link):
            return link
        # A text that names an address itself might lie about where its link leads.
        is_plain = self._as_markdown and not re.search(r"://|www\.", words)
        return f"[{' '.join(content.split())}]({link})" if is_plain else f"{content} ({link})"


def _tokens(source: str, *, is_cut: bool) -> Iterator[tuple[str, str]]:
    """Tags ("/" before the name of an end) with what follows their name, and the texts between, without a name."""
    closed = {name for match in _TAG.finditer(source) if (name := _name(match)).startswith("/")}
    at = 0
    for match in _TAG.finditer(source):
        name = _name(match)
        bare = name.removeprefix("/")
        if bare in _ALONE or f"/{bare}" in closed or is_cut:
            yield "", _unescaped(source[at : match.start()])
            yield name, match["rest"] or match["bb_rest"] or ""
            at = match.end() + (name == "br" and source.startswith("\n", match.end()))
    yield "", _unescaped(source[at:])


def _name(match: re.Match[str]) -> str:
    return ((match["end"] or match["bb_end"] or "") + (match["name"] or match["bb_name"])).lower()


def _unescaped(text: str) -> str:
    return visible(_ENTITY.sub(lambda entity: html.unescape(entity[0]), text))


def _target(part: _Part) -> str:
    """What `<a href="…">` or `[url=…]` names; nothing for a bare `[url]`."""
    if part.rest.startswith("="):
        return part.rest[1:].strip().strip("\"'")
    found = _ADDRESS.search(part.rest)
    return html.unescape(next(filter(None, found.groups()), "")[:_LONGEST_LINK]).strip() if found else ""


def _https(target: str) -> str | None:
    link = quote(target[: _LONGEST_LINK + 1], safe=_LINK_SAFE) if _LINK.fullmatch(target) else ""
    return link if 0 < len(link) <= _LONGEST_LINK else None


def _with_items(text: str) -> str:
    first, *items = text.split(_ITEM)
    return "\n- ".join([first.rstrip(), *(item.rstrip() for item in items)]) if items else text
