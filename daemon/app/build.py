"""From settings to sinks, sources and routes."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from daemon import log
from daemon.clock import Clock
from daemon.contract import Event, Gates, Sink, Source
from daemon.expression import TextTemplate
from daemon.gathering import Gathering
from daemon.http import Http
from daemon.people import PeopleSettings
from daemon.rounds.policy import LanePolicy
from daemon.routing import Rule, parse_rule
from daemon.secrets import Secret
from daemon.settings import ConfigError, Loaded, Problem, SinkCommon, load, schema
from daemon.sources.registry import SOURCE_KINDS
from daemon.store import Enrolled
from sinks.registry import SinkKinds

SHORTEST_DEADLINE = timedelta(seconds=60)
MARGIN = timedelta(seconds=10)

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class BuiltSink:
    """A sink with how it is to be treated."""

    sink: Sink
    rule: Rule
    policy: LanePolicy
    enrolled: Enrolled
    doubts: set[str] = dataclasses.field(default_factory=set, compare=False)
    """What was logged of its condition since the start: each once."""


def load_settings(config: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration with all kinds known here. Raises ConfigError with every mistake."""
    return load(config, SinkKinds(), SOURCE_KINDS, environ)


def config_schema() -> dict[str, Any]:
    """The JSON Schema of a config with all kinds known here."""
    return schema(SinkKinds(), SOURCE_KINDS)


def build_sinks(loaded: Loaded) -> dict[str, BuiltSink]:
    """Make every configured sink; nothing is connected yet. Raises ConfigError if another package's cannot be made."""
    kinds = SinkKinds()
    built = {}
    people = people_of(loaded)
    for name, settings in loaded.settings.sinks.items():
        kind = kinds.load(settings.type)
        gathering = _gathering(people[name]) if name in people else None
        concurrency = settings.concurrency or kind.concurrency
        try:
            sink = kind.build(people.get(name, settings), Http(proxy=_proxy(loaded)))
        except ImportError as error:
            raise ConfigError([Problem(None, f"sinks.{name}", str(error))], loaded.path) from error
        built[name] = BuiltSink(
            sink=sink,
            rule=parse_rule(settings.events, settings.where),
            policy=LanePolicy(
                waits=tuple(settings.retries),
                concurrency=concurrency,
                batch_limit=kind.batch_limit,
                deadline=_deadline(settings),
                gathering=gathering,
            ),
            enrolled=Enrolled(name, settings.type, _revealed_text(settings), gathering),
        )
    return built


def people_of(loaded: Loaded) -> dict[str, PeopleSettings]:
    """The settings of the sinks whose receivers are people, each with the time zone that goes for it."""
    zone = loaded.settings.daemon.timezone
    tables: Mapping[str, BaseModel] = loaded.settings.sinks
    return {
        name: table.model_copy(update={"timezone": table.timezone or zone})
        for name, table in tables.items()
        if isinstance(table, PeopleSettings)
    }


def _gathering(people: PeopleSettings) -> Gathering | None:
    """When they are told, and what together; None if each event comes by itself at any time."""
    gathering = Gathering(people.digest, people.burst or None, people.quiet_hours, people.zone)
    return gathering if gathering.digest or gathering.burst or gathering.quiet_hours else None


def build_sources(loaded: Loaded, gates: Gates, clock: Clock) -> dict[str, Source]:
    """Make every configured source; nothing is connected yet."""
    return {
        name: SOURCE_KINDS[settings.type].build(name, settings, Http(proxy=_proxy(loaded)), gates, clock)
        for name, settings in loaded.settings.sources.items()
    }


def route(sinks: Mapping[str, BuiltSink], event: Event) -> tuple[str, ...]:
    """The sinks that want this event."""
    wanted = []
    for name, built in sinks.items():
        decision = built.rule.decide(event)
        doubt = decision.explanation
        if decision.is_doubtful and log.is_first(doubt, built.doubts):
            _log.warning("where.failed", sink=name, event_key=event.key, reason=doubt)
        if decision.wanted:
            wanted.append(name)
    return tuple(wanted)


def is_expected(sinks: Mapping[str, BuiltSink], kind: str) -> bool:
    """Whether some sink asks for events of this trigger, whatever they hold."""
    return any(built.rule.filter.matches(kind) for built in sinks.values())


def _proxy(loaded: Loaded) -> str | None:
    proxy = loaded.settings.daemon.proxy
    return None if proxy is None else proxy.reveal()


def _deadline(settings: SinkCommon) -> timedelta:
    """For a whole call: longer than the sink's own timeout, which gives the better reason."""
    own = getattr(settings, "timeout", None)
    return max(own + MARGIN, SHORTEST_DEADLINE) if isinstance(own, timedelta) else SHORTEST_DEADLINE


def _revealed_text(settings: SinkCommon) -> str:
    """All settings with their secrets, only to be hashed: tells whether anything was changed.

    A key at its default counts only if the first fingerprints held it: those that came later would make every
    sink look changed after an upgrade.
    """
    first_keys = {*_FIRST_KEYS[""], *_FIRST_KEYS.get(settings.type, ())}
    values = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        is_said = name in first_keys or value != field.get_default(call_default_factory=True)
        if is_said and name != "renamed_from":  # another name mends nothing
            values[name] = _revealed(value)
    if settings.type == "webhook" and isinstance(secrets := values.get("secret"), list) and len(secrets) < 2:
        values["secret"] = secrets[0] if secrets else None
    return json.dumps(values, sort_keys=True, default=str)


_FIRST_KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("type", "events", "concurrency", "retries", "give_up_after"),
    "console": ("format",),
    "discord": ("url", "thread_id", "username", "avatar_url", "title", "timeout"),
    "email": ("host", "port", "security", "username", "password", "sender", "to", "subject", "ca_file", "timeout"),
    "file": ("path",),
    "webhook": ("url", "secret", "headers", "timeout"),
}
"""As release 0.2.0 had them, which knew at most one secret for a webhook."""


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, TextTemplate):
        return f"Template({value.source!r})"
    if isinstance(value, Mapping):
        return {str(key): _revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
