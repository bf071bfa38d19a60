"""Whether a placeholder that the config names may be misspelt: one that never comes is empty for ever, and no error."""

import difflib
from collections.abc import Collection, Sequence
from functools import cache

from daemon.placeholders import CURRENCY, PRICE, STARS, snake_case
from sinks._audience import public_names
from sinks._placeholders import LIST_PRICE, PERSON, PERSON_ID, PERSON_LINK

_ALIKE = 0.8
"""Of 1; one letter that is wrong, missing or in excess in a word of five or more, or two that changed places."""
_MOST_SEEN = 500
_OF_EVERY_EVENT = ("trigger", "event_id", "listener_id", "source", "occurred_at", "test", "delivery_id")
_OTHERS = ("renewal", "free", "discount", "response")


def meant(name: str, seen: Collection[str] = ()) -> str:
    """The known placeholder that a name resembles; "" if it is known itself, came of late (`seen`), or may well come.

    Those of most triggers are unpublished, so that one is believed which is put together like those that are known.
    """
    word = snake_case(name)
    before, _, last = word.rpartition("_")
    firsts, lasts = _parts()
    if name in seen or word in firsts or (before in firsts and last in lasts):
        return ""
    words = [*_known(), *sorted(seen)[:_MOST_SEEN]]
    return next(iter(difflib.get_close_matches(word, words, 1, _ALIKE)), "")


@cache
def _known() -> Sequence[str]:
    private = (*PRICE, *CURRENCY, *STARS, *PERSON, *PERSON_ID, *PERSON_LINK, *LIST_PRICE)
    public = (name for name in public_names() if not name.startswith("other_"))
    return sorted({*public, *private, *_OTHERS, *_OF_EVERY_EVENT})


@cache
def _parts() -> tuple[frozenset[str], frozenset[str]]:
    """What may stand before the last "_" of a name, or be all of it; and what may stand after."""
    pairs = [name.rpartition("_") for name in _known()]
    return frozenset({*_known(), *(first for first, _, _ in pairs)}), frozenset(last for _, _, last in pairs)
