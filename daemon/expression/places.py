"""How a value of an event is written where a template puts it, so that it stays what it is: data."""

import re
from html import escape
from typing import Literal

from daemon.expression.text import READ, clean, escape_markdown, https_link

Place = Literal["text", "markdown", "html"]
_HARMFUL_SCHEME = re.compile(r"\s*(?:javascript|vbscript|data)\s*:", re.IGNORECASE)


class Finished(str):
    """What a filter of ours has written for one place, so that it is not escaped there once more.

    Only filters make these: event data comes from JSON, and whatever is done to one of these gives plain text again.
    """

    __slots__ = ("place",)
    place: Place

    @classmethod
    def of(cls, place: Place, text: str) -> "Finished":
        """Mark a text as finished for this place, and for no other."""
        finished = cls(text)
        finished.place = place
        return finished


def written(value: str, place: Place) -> str:
    """A text as it may stand there: cleaned, and escaped unless a filter of ours wrote it for that place."""
    if isinstance(value, Finished) and value.place == place:
        return str(value)
    text = clean(value) + ("…" if len(value) > READ else "")
    if place == "markdown":
        return https_link(text) or escape_markdown(text)
    if place == "html":
        # In an attribute, no escape keeps such a link from being followed.
        return escape(f"unsafe:{text}" if _HARMFUL_SCHEME.match(text) else text)
    return text
