"""The kinds of sink there are: ours, and those that other packages bring."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from daemon import __version__
from daemon.contract import Pace, Sink, SinkKind
from daemon.http import Http
from daemon.people import PeopleSettings

KINDS = {
    "discord": "sinks.discord:DiscordSink",
    "webhook": "sinks.webhook:WebhookSink",
    "email": "sinks.email:EmailSink",
    "apprise": "sinks.apprise:AppriseSink",
    "command": "sinks.command:CommandSink",
    "file": "sinks.file:FileSink",
    "console": "sinks.console:ConsoleSink",
}
"""What `type = "…"` in a sink's table names, and where its class is; imported when first used."""

EXTRAS = {"apprise": 'make install APPRISE=1, pip install "eventferry[apprise]", or docker build --build-arg APPRISE=1'}
"""How a package is installed that only one of our kinds needs."""

ENTRY_POINTS = "eventferry.sinks"
"""Other packages declare a kind in this group, written as above; a name of ours cannot be taken."""


class SinkKinds:
    """Every kind that can be loaded here; what `daemon.contract.Kinds` asks for."""

    def __init__(self) -> None:
        theirs = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        self._theirs = {name: theirs[name] for name in sorted(theirs.keys() - KINDS.keys())}
        self._places = KINDS | {name: point.value for name, point in self._theirs.items()}

    def names(self) -> Sequence[str]:
        """All kinds, ours first."""
        return tuple(self._places)

    def origin(self, name: str) -> str:
        """Name the package that brings a kind, with its version."""
        point = self._theirs.get(name)
        if point is None:
            return f"eventferry {__version__}"
        return f"{point.dist.name} {point.dist.version}" if point.dist else point.module

    def load(self, name: str) -> SinkKind:
        """Import one. Raises KeyError if unknown, ImportError with what to do if it cannot be imported.

        What it builds of another package's may raise ImportError too.
        """
        place = self._places[name]
        module_name, _, class_name = place.partition(":")
        try:
            found: Any = attrgetter(class_name)(importlib.import_module(module_name))
        except ModuleNotFoundError as error:
            how = f"; to install it: {EXTRAS[error.name]}" if error.name in EXTRAS else ""
            raise ImportError(f'the sink type "{name}" needs the Python package "{error.name}"{how}') from error
        except (Exception, SystemExit) as error:  # another package's module may raise anything; it gets one clear line
            raise ImportError(
                f'the sink type "{name}" cannot be loaded from {place}: {type(error).__name__}'
            ) from error
        if flaw := _flaw(found):
            raise ImportError(f'the sink type "{name}" is broken: {place} {flaw}')
        build: Callable[[Any, Http], Sink] = partial(_built, name, found) if name in self._theirs else found
        return SinkKind(
            settings=found.Settings, build=build, concurrency=found.concurrency, batch_limit=found.batch_limit
        )


def _flaw(found: Any) -> str | None:
    """What keeps it from being a kind of sink."""
    settings = getattr(found, "Settings", None)
    if not (_is_a(found, Sink) and _is_a(settings, BaseModel)):
        return "is no Sink with Settings"
    if inspect.isabstract(found):
        return "has no deliver"
    if not all(type(number) is int and number > 0 for number in (found.concurrency, found.batch_limit)):
        return "needs whole numbers of at least 1 for concurrency and batch_limit"
    if _is_a(settings, PeopleSettings) and found.deliver_summary is Sink.deliver_summary:
        return "is for people and has no deliver_summary"
    return None


def _is_a(found: object, wanted: type) -> bool:
    return isinstance(found, type) and issubclass(found, wanted)


def _built(name: str, kind: type[Any], settings: Any, http: Http) -> Sink:
    """Make a sink of another package's. Raises ImportError in one clear line, whatever that package does."""
    try:
        sink = kind(settings, http)
        fit = isinstance(sink, Sink) and all(isinstance(pace, Pace) for pace in sink.paces)
    except Exception as error:
        raise ImportError(f'a sink of the type "{name}" cannot be made: {type(error).__name__}') from error
    if not fit:
        raise ImportError(f'a sink of the type "{name}" cannot be made: what it makes is no Sink with paces')
    return sink  # type: ignore[no-any-return] # it was looked at
