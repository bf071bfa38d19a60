"""How several events become one thing to read: what there was in all, then a line for each."""

from dataclasses import dataclass
from datetime import datetime

from daemon.contract import Summary
from daemon.people import PeopleSettings
from sinks._layout import Field, compose


@dataclass(frozen=True, slots=True)
class Line:
    """One event in a few words; clean text, not yet escaped for any place."""

    text: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What people should see of several events; clean text, not yet escaped for any place."""

    title: str
    """One line that says how many, and why they come together."""
    totals: tuple[Field, ...]
    lines: tuple[Line, ...]
    """One for each event, oldest first; a sink shows as many as it has room for, and says how many it left out."""
    occurred_at: datetime
    """Of the newest."""
    key: str
    """The id of the summary, by which a repeat is known."""


def summarize(summary: Summary, people: PeopleSettings) -> Overview:
    """Lay a summary out for these readers."""
    messages = [compose(delivery.event, people) for delivery in summary.deliveries]
    return Overview(
        title=f"{len(messages)} events",
        totals=(),
        lines=tuple(Line(message.title, message.link) for message in messages),
        occurred_at=max(message.occurred_at for message in messages),
        key=summary.id,
    )
