"""An event, and several events told together, as plain text for people."""

from collections.abc import Iterator
from textwrap import indent

from daemon.expression import local
from daemon.people import PeopleSettings
from sinks._layout import Message
from sinks._placeholders import Field
from sinks._summary import Line, Overview

MOST_LINES = 500
"""Events of a summary that get a line; nobody reads more."""


def letter(message: Message, people: PeopleSettings) -> str:
    """All that is to be said of an event below its title."""
    fields = "\n".join(map(field_line, message.fields))
    parts = [message.text, fields, message.link, signature(message, people)]
    return "\n\n".join(part for part in parts if part)


def overview_letter(overview: Overview, people: PeopleSettings, limit: int = 100_000) -> str:
    """All that is to be said of several events below their title, in at most `limit` characters if that can be."""
    totals = "\n".join(map(field_line, overview.totals))
    end = signature(overview, people)
    room = limit - len(totals) - len(end) - 2 * len("\n\n")
    return "\n\n".join(part for part in (totals, "\n".join(_listed(overview.lines, room)), end) if part)


def left_out(number: int) -> str:
    """What stands for the events that there is no room for."""
    return f"… and {number} more"


def field_line(field: Field) -> str:
    """A field on a line, with its link behind it; several lines stand below its name."""
    value = _linked(field.value, field.link)
    return f"{field.name}: {value}" if "\n" not in value else f"{field.name}:\n{indent(value, '  ')}"


def signature(of: Message | Overview, people: PeopleSettings) -> str:
    """When it happened, on the readers' clocks, and the id by which a repeat is known."""
    return f"{local(of.occurred_at, people.timezone):%Y-%m-%d %H:%M:%S %Z}, {of.key}"


def _listed(lines: tuple[Line, ...], room: int) -> Iterator[str]:
    """As many lines as there is room for; the last says how many there was none for."""
    room -= len(left_out(len(lines)))
    for number, line in enumerate(lines):
        text = f"- {_linked(line.text, line.link)}"
        room -= len(text) + 1
        if room < 0 or number == MOST_LINES:
            yield left_out(len(lines) - number)
            return
        yield text


def _linked(text: str, link: str | None) -> str:
    return f"{text} <{link}>" if link and link != text else text
