"""What works in a config but may not be meant: nobody hears of trouble, or everybody reads a secret."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from daemon.secrets import Secret
from daemon.settings.lines import KeyPath
from daemon.settings.model import Settings, SinkCommon
from daemon.settings.problems import dotted
from daemon.settings.read import Document

_READABLE_BY_OTHERS = 0o044
_USUAL_IN_A_BODY = {"type", "username", "secret", "password", "bearer", "body", "json", "form"}
"""Keys of a sink that receivers may well want to find in what they are sent."""


def doubts(document: Document, settings: Settings) -> Iterator[str]:
    """Each in a line fit for people."""
    alerts = set(settings.daemon.alerts)
    if not alerts:
        yield "daemon.alerts names no sink: when something is wrong, nobody hears of it"
    elif len(alerts) == 1:
        yield f"daemon.alerts names only {alerts.pop()}: when that sink is what is wrong, nobody hears of it"
    elif len({getattr(settings.sinks[name], "url", name) for name in alerts}) == 1:
        yield "daemon.alerts names sinks with one and the same URL: when that is gone, nobody hears of it"
    for name, sink in settings.sinks.items():
        yield from _astray(name, sink)
    if document.path is not None and document.path.stat().st_mode & _READABLE_BY_OTHERS:
        tables: dict[KeyPath, BaseModel] = {("daemon",): settings.daemon}
        tables |= {("sources", name): table for name, table in settings.sources.items()}
        tables |= {("sinks", name): table for name, table in settings.sinks.items()}
        ways = [way for path, table in tables.items() for way in _literals(_by_key(table), path)]
        open_ones = ", ".join(dotted(way) for way in ways if document.variable(way) is None)
        if open_ones:
            yield (
                f"{document.path} holds secrets that other users of this machine can read ({open_ones}): "
                f'move them out and write "cred:NAME" or "file:/path", or chmod 600 it if the daemon runs as its owner'
            )


def _astray(name: str, sink: SinkCommon) -> Iterator[str]:
    """Keys of the sink that stand below the line which opens its body, where TOML takes them for a part of that."""
    keys = _by_key(sink)
    for table in ("json", "form"):
        body = keys.get(table)
        for key, value in body.items() if isinstance(body, dict) else ():
            is_filled_in = isinstance(value, str) and "{" in value
            if key in keys.keys() - _USUAL_IN_A_BODY and not is_filled_in:
                place = dotted(("sinks", name, table))
                yield f"{place}.{key} is sent as part of the body; if the sink was meant, put it above [{place}]"


def _by_key(table: BaseModel) -> dict[str, Any]:
    """The values by their keys as they are written in the file."""
    return {field.alias or name: getattr(table, name) for name, field in type(table).model_fields.items()}


def _literals(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Where a secret was written out instead of pointed at."""
    if isinstance(value, Secret) and value.reference is None:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from _literals(entry, (*path, key))
