"""How text becomes safe to show: cleaned, cut, escaped for where it goes."""

import re
from urllib.parse import quote

READ = 20_000
"""Characters; no text is looked at beyond: nobody reads more in a chat or a mail."""
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_EMPTY_LINES = re.compile("\n(?: *\n){2,}")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f"  # control characters (of line ends and tabs see below)
    "\xad\u034f\u061c\u180b-\u180e\u200b-\u200f\u2060-\u2065\ufeff\ufff9-\ufffb"  # zero width
    "\u202a-\u202e\u2066-\u206f"  # direction overrides and isolates
    "\ud800-\udfff\U000e0000-\U000e007f]"  # halves of a character; invisible tags
)
_MARKDOWN = re.compile(
    r"[\\*_~`|<>\[\]@]"
    r"|:(?=//|\w+:|\Z)"  # bare links; :emoji:; what the next text might make one of these
    r"|(?m:^ *(?:[-+#]|\d+(?=\. )))"  # lists, headings, small print: only at the start of a line
)

_LINK = re.compile(r"https://(?:[a-z0-9-]+\.)*builtbybit\.com(?::443)?(?:[/?#].*)?", re.IGNORECASE)
_LINK_SAFE = "%/:?!$&'*+,;=~"
"""What RFC 3986 allows as it is, but for what would end a markdown link or mention somebody."""
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_LONGEST_LINK = 2048


def clean(text: str) -> str:
    """Drop what cannot be seen but can deceive: control, zero-width and direction characters, lone surrogates."""
    return _EMPTY_LINES.sub("\n\n", visible(text[:READ])).strip()


def visible(text: str) -> str:
    """The same with all its spaces and empty lines, however long it is."""
    return _UNSEEN.sub("", _LINE_END.sub("\n", text).replace("\t", " "))


def one_line(text: str) -> str:
    """The same on a single line."""
    return " ".join(clean(text).split())


def units(text: str) -> int:
    """The length in UTF-16 units, in which some receivers count."""
    return len(text.encode("utf-16-le", "replace")) // 2


def cut(text: str, limit: int, *, utf16: bool = False) -> str:
    """The text, or as much of it as fits before a visible "…"; counted in characters or in UTF-16 units."""
    if (units(text) if utf16 else len(text)) <= limit:
        return text
    if utf16:
        kept = text.encode("utf-16-le", "replace")[: 2 * (limit - 1)].decode("utf-16-le", "ignore")
    else:
        kept = text[: limit - 1]
    return kept.rstrip() + "…"


def markdown(text: str, limit: int) -> str:
    """Clean text so that Discord shows it as it is, in at most `limit` UTF-16 units.

    Nothing in it becomes a link, a mention, an emoji, a heading, a list, a spoiler or code:
    https://support.discord.com/hc/en-us/articles/210298617
    """
    return cut_markdown(escape_markdown(text), limit)


def cut_markdown(text: str, limit: int) -> str:
    """Markdown in at most `limit` UTF-16 units; no escape is cut in half."""
    if units(text) <= limit:
        return text
    short = cut(text, limit, utf16=True)[:-1]
    dangling = (len(short) - len(short.rstrip("\\"))) % 2
    return short[: len(short) - dangling] + "…"


def escape_markdown(text: str) -> str:
    """The same, however long it becomes."""
    return _MARKDOWN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    mark = match[0]
    # A backslash before a digit would be shown; the dot behind the number is what makes a list.
    return f"{mark}\\" if mark[-1].isdigit() else f"{mark[:-1]}\\{mark[-1]}"


def https_link(value: object) -> str | None:
    """The value as a link fit to be clicked, if it leads to BuiltByBit; None for everything else."""
    if not isinstance(value, str) or len(value) > _LONGEST_LINK:
        return None
    head, mark, fragment = _STRAY_PERCENT.sub("%25", one_line(value)).partition("#")
    link = quote(head, safe=_LINK_SAFE) + mark + quote(fragment, safe=_LINK_SAFE)
    return link if len(link) <= _LONGEST_LINK and _LINK.fullmatch(link) else None
