"""From settings to sinks, sources and routes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from daemon.clock import Clock
from daemon.contract import Event, Gates, Sink, Source
from daemon.http import Http
from daemon.rounds.deliver import LanePolicy
from daemon.routing import Filter, parse_filter
from daemon.secrets import Secret
from daemon.settings import Loaded, SinkCommon, load, schema
from daemon.sources.registry import SOURCE_KINDS
from daemon.store import Enrolled
from sinks.registry import SinkKinds

SHORTEST_DEADLINE = timedelta(seconds=60)
MARGIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class BuiltSink:
    """A sink with how it is to be treated."""

    sink: Sink
    filter: Filter
    policy: LanePolicy
    enrolled: Enrolled


def load_settings(config: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration with all kinds known here. Raises ConfigError with every mistake."""
    return load(config, SinkKinds(), SOURCE_KINDS, environ)


def config_schema() -> dict[str, Any]:
    """The JSON Schema of a config with all kinds known here."""
    return schema(SinkKinds(), SOURCE_KINDS)


def build_sinks(loaded: Loaded) -> dict[str, BuiltSink]:
    """Make every configured sink; nothing is connected yet."""
    kinds = SinkKinds()
    built = {}
    for name, settings in loaded.settings.sinks.items():
        kind = kinds.load(settings.type)
        concurrency = settings.concurrency or kind.concurrency
        built[name] = BuiltSink(
            sink=kind.build(settings, Http(proxy=_proxy(loaded))),
            filter=parse_filter(settings.events or ()),
            policy=LanePolicy(
                waits=tuple(settings.retries),
                concurrency=concurrency,
                batch_limit=kind.batch_limit,
                deadline=_deadline(settings),
            ),
            enrolled=Enrolled(name, settings.type, revealed_text(settings)),
        )
    return built


def build_sources(loaded: Loaded, gates: Gates, clock: Clock) -> dict[str, Source]:
    """Make every configured source; nothing is connected yet."""
    return {
        name: SOURCE_KINDS[settings.type].build(name, settings, Http(proxy=_proxy(loaded)), gates, clock)
        for name, settings in loaded.settings.sources.items()
    }


def route(sinks: Mapping[str, BuiltSink], event: Event) -> tuple[str, ...]:
    """The sinks that want this event."""
    return tuple(name for name, built in sinks.items() if built.filter.matches(event.kind))


def _proxy(loaded: Loaded) -> str | None:
    proxy = loaded.settings.daemon.proxy
    return None if proxy is None else proxy.reveal()


def _deadline(settings: SinkCommon) -> timedelta:
    """For a whole call: longer than the sink's own timeout, which gives the better reason."""
    own = getattr(settings, "timeout", None)
    return max(own + MARGIN, SHORTEST_DEADLINE) if isinstance(own, timedelta) else SHORTEST_DEADLINE


def revealed_text(settings: BaseModel) -> str:
    """All settings with their secrets, only to be hashed: tells whether anything was changed."""
    values = {name: _revealed(getattr(settings, name)) for name in sorted(type(settings).model_fields)}
    return json.dumps(values, sort_keys=True, default=str)


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {str(key): _revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
