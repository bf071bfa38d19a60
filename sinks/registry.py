"""The kinds of sink there are: ours, and those that other packages bring."""

import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any

from daemon import __version__
from daemon.contract import Sink, SinkKind
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
        """Import one. Raises KeyError if unknown, ImportError with what to do if it cannot be imported."""
        place = self._places[name]
        module_name, _, class_name = place.partition(":")
        try:
            found: Any = getattr(importlib.import_module(module_name), class_name)
        except ModuleNotFoundError as error:
            how = f"; to install it: {EXTRAS[error.name]}" if error.name in EXTRAS else ""
            raise ImportError(f'the sink type "{name}" needs the Python package "{error.name}"{how}') from error
        except Exception as error:  # another package's module may raise anything; it gets one clear line
            raise ImportError(
                f'the sink type "{name}" cannot be loaded from {place}: {type(error).__name__}'
            ) from error
        if not _is_sink(found):
            raise ImportError(f'the sink type "{name}" is broken: {place} is no Sink with Settings')
        if issubclass(found.Settings, PeopleSettings) and found.deliver_summary is Sink.deliver_summary:
            raise ImportError(f'the sink type "{name}" is broken: {place} is for people and has no deliver_summary')
        build: Callable[[Any, Http], Sink] = found
        return SinkKind(
            settings=found.Settings, build=build, concurrency=found.concurrency, batch_limit=found.batch_limit
        )


def _is_sink(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Sink) and hasattr(found, "Settings")
