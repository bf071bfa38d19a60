"""Keeping secret values out of whatever people can read, in every form in which they could turn up there."""

import base64
import json
import re
from html import escape
from urllib.parse import quote, quote_plus

MASK = "***"
_SMALLEST_REDACTED = 6
"""Shorter values would blank out innocent text."""
_PART, _LOOK, _STEP = 12, 5, 8
"""So many characters in a row of a secret are blanked out like all of it. A look at 5 in steps of 8 misses none."""
_WORD = re.compile(r"[A-Za-z0-9+/=_~-]{16,}")
"""What is long and plain enough to be a token: with a digit in it, its parts are no innocent words."""


class _Known:
    """Every secret value of this process, in the forms in which one could turn up elsewhere."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._short: tuple[str, ...] = ()
        self._long: tuple[str, ...] = ()
        """Longest first."""
        self._hints: dict[tuple[str, ...], list[tuple[str, int]]] = {}
        """Each `_LOOK` characters in a row of a long form, and where in which words they stand."""

    def add(self, value: str) -> None:
        """Remember a value; idempotent."""
        if len(value) < _SMALLEST_REDACTED or value in self._values:
            return
        self._values.add(value)
        plain, based = _written(value), _based(value)
        forms = sorted({*self._short, *self._long, *plain, *based}, key=len, reverse=True)
        self._long = tuple(form for form in forms if len(form) >= _PART)
        self._short = tuple(form for form in forms if len(form) < _PART)
        # A URL shares its beginning with innocent ones; the tokens in it are remembered by themselves.
        found = (_WORD.findall(form) for form in (based if "://" in value else plain | based))
        words = {word for some in found for word in some if re.search("[0-9]", word)}
        for form in plain | based | words:
            for at in range(len(form) - _LOOK + 1):
                self._hints.setdefault(tuple(form[at : at + _LOOK]), []).extend([(form, at)] if form in words else [])

    def redact(self, text: str) -> str:
        # What is long enough cannot hide between these looks, and most texts show nothing at any of them.
        looks = zip(*(text[at::_STEP] for at in range(_LOOK)), strict=False)
        if not self._hints.keys().isdisjoint(looks):
            for form in self._long:
                text = text.replace(form, MASK)
            text = self._without_parts(text)
        for form in self._short:
            text = text.replace(form, MASK)
        return text

    def _without_parts(self, text: str) -> str:
        """Blank out what is left of words that were cut, by whoever quotes them or by ourselves."""
        parts, shown = [], 0
        for at in range(0, len(text), _STEP):
            places = self._hints.get(tuple(text[at : at + _LOOK]), ())
            runs = [_run(text, at, *place) for place in places if at >= shown]
            start, end = max(runs, key=lambda run: run[1] - run[0], default=(at, at))
            if end - start >= _PART:
                parts += [text[shown : max(start, shown)], MASK]
                shown = end
        return "".join([*parts, text[shown:]])


def _written(value: str) -> set[str]:
    in_json = json.dumps(value)[1:-1]
    in_url = {quote(value, safe=""), quote(value), quote_plus(value), quote_plus(value, safe="*")}
    in_utf8 = json.dumps(value, ensure_ascii=False)[1:-1]
    return {value, *in_url, in_json, in_json.replace("/", "\\/"), in_utf8, escape(value)}


def _based(value: str) -> set[str]:
    """What base64 holds of a value, whether it stands alone or at any place in something longer."""
    raw = value.encode("utf-8", "replace")
    forms = set()
    for ahead in range(3):
        behind = -(ahead + len(raw)) % 3
        encoded = base64.b64encode(bytes(ahead) + raw + bytes(behind)).decode()
        # A character at an edge depends on what stands beside the value.
        forms.add(encoded[(0, 2, 3)[ahead] : len(encoded) - (0, 2, 3)[behind]])
    forms.add(base64.b64encode(raw).decode().rstrip("="))
    return forms | {form.replace("+", "-").replace("/", "_") for form in forms}


def _run(text: str, at: int, word: str, place: int) -> tuple[int, int]:
    """From where to where a text goes along with a word, around where both are known to be the same."""
    back = _alike(text[max(0, at - place) : at][::-1], word[:place][::-1])
    return at - back, at + _alike(text[at : at + len(word)], word[place:])


def _alike(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


_known = _Known()


def remember(value: str) -> None:
    """Treat this value as a secret from now on (e.g. the token inside a URL)."""
    _known.add(value)


def redact(text: str) -> str:
    """Replace every known secret in a text by `***`."""
    return _known.redact(text)
