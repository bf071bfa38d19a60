"""Lists the kinds of sink that a config here can name."""

from dataclasses import dataclass

from daemon.people import PeopleSettings
from sinks.registry import SinkKinds


@dataclass(frozen=True, slots=True)
class Kind:
    """What `type = "…"` can say."""

    kind: str
    origin: str
    """The package that brings it, with its version."""
    for_people: bool | None
    """Whether it carries messages to people, with audience and digest; else each event by itself. None: unknown."""
    missing: str | None
    """Why it cannot be used here, and what to do; None if it can."""


def kinds() -> list[Kind]:
    """All of them, ours first."""
    known = SinkKinds()
    return [_kind(known, name) for name in known.names()]


def _kind(known: SinkKinds, name: str) -> Kind:
    try:
        settings = known.load(name).settings
    except ImportError as error:
        return Kind(name, known.origin(name), None, str(error))
    return Kind(name, known.origin(name), issubclass(settings, PeopleSettings), None)
