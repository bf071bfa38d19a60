"""How things are written for people: times in a zone, colours where they show, others' text harmless."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from json import dumps
from typing import Any, Literal
from zoneinfo import ZoneInfo

import typer

from daemon.clock import wall_now
from daemon.log import printable, scrub
from daemon.settings import Loaded

Colour = Literal["green", "yellow", "red", "bright_black"]

_SYMBOLS = {"delivered": "✓", "waiting": "…", "rejected": "✗", "gave_up": "!", "discarded": "⌫", "skipped": "–"}
_PLAIN = {"delivered": "+", "waiting": ".", "rejected": "x", "gave_up": "!", "discarded": "#", "skipped": "-"}
_WIDEST = 24
"""Characters of a column: what is longer, such as an alert's key, would push every line beyond a terminal's 80."""
STATE_COLOURS: dict[str, Colour] = {
    "delivered": "green",
    "waiting": "yellow",
    "rejected": "red",
    "gave_up": "red",
    "discarded": "bright_black",
    "skipped": "bright_black",
}


def line(value: object) -> str:
    """Somebody else's text on one line, with nothing that could move a cursor or hide a part."""
    return printable(scrub(str(value)))


def block(text: str, indent: str) -> str:
    """Somebody else's text on lines of their own."""
    return "\n".join(indent + line(part) for part in text.splitlines())


def painted(text: str, colour: Colour) -> str:
    """The text in a colour, if stdout is a terminal that wants them (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else typer.style(text, fg=colour)


def marked(state: str, sink: str) -> str:
    """A sink with the sign of what became of a delivery to it."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    sign = (_SYMBOLS if unicode else _PLAIN).get(state, "?")
    return painted(f"{sign} {line(sink)}", STATE_COLOURS.get(state, "red"))


def print_json(value: Any) -> None:
    """For machines: ASCII, so that nothing in it acts on a terminal."""
    print(dumps(value, indent=2, default=str))


def print_either(document: Any, lines: Callable[[], Iterable[str]], *, json: bool) -> None:
    """For machines, or for people."""
    if json:
        print_json(document)
        return
    for each in lines():
        print(each)


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines in which each column but the last is as wide as its widest entry; a very long one pushes its own line."""
    rows = list(rows)
    widths = [min(max(len(entry) for entry in column), _WIDEST) for column in zip(*rows, strict=True)][:-1]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in rows]


def zone_of(loaded: Loaded) -> ZoneInfo | None:
    """The zone of the config; None stands for this machine's."""
    name = loaded.settings.daemon.timezone
    return ZoneInfo(name) if name else None


@dataclass(frozen=True, slots=True)
class Times:
    """Writes moments in one zone."""

    zone: ZoneInfo | None

    def full(self, value: str | None, *, zone: bool = True) -> str:
        """A stored moment (ISO 8601) to the second, with or without the name of the zone."""
        if value is None:
            return "never"
        return f"{self._here(value):{'%Y-%m-%d %H:%M:%S %Z' if zone else '%Y-%m-%d %H:%M:%S'}}"

    def near(self, value: str) -> str:
        """A moment of the next days as people say it: "Mon 09:00 CET"; with the date if it is further off."""
        moment = self._here(value)
        soon = abs(_parsed(value) - wall_now()) < timedelta(days=6)
        return f"{moment:{'%a %H:%M %Z' if soon else '%a %Y-%m-%d %H:%M %Z'}}"

    def _here(self, value: str) -> datetime:
        moment = _parsed(value)
        try:
            return moment.astimezone(self.zone)
        except OverflowError:  # of a damaged row, at the very end of the calendar
            return moment

    def ago(self, value: str | None) -> str:
        """The same as a distance from now: "12 s ago", "in 3 min"."""
        if value is None:
            return "never"
        distance = wall_now() - _parsed(value)
        words = _span(abs(distance))
        return f"{words} ago" if distance >= timedelta() else f"in {words}"


def _parsed(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _span(distance: timedelta) -> str:
    seconds = int(distance.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
