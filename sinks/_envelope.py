"""What machines get of an event: one JSON object, the same whichever sink carries it."""

import json
import math
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from daemon.contract import Event

DEEPEST = 64
"""JSON readers give up at some depth (PHP's at 512, Python's near 1000); data nested deeper is cut off and says so."""


_write = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_ANY_JSON_HOLDS = {str, bool, type(None)}


def envelope(event: Event) -> dict[str, Any]:
    """The event in the form Standard Webhooks proposes (type, timestamp, data), with its identity added.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    moment = event.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds")
    document = {
        "type": event.trigger,
        "timestamp": moment.removesuffix("+00:00") + "Z",
        "data": storable(event.data),
        "source": event.source,
        "event_id": event.external_id,
        "listener_id": event.channel,
        "key": event.key,
    }
    if event.is_test:
        document["test"] = True
    return document


def encode(document: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """Serialise as strict JSON in ASCII, where even a lone surrogate survives."""
    if indent is None:
        return _write(document).encode()
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=indent).encode()


def as_text(value: Any) -> str:
    """A value where only text can stand: null as nothing, lists and tables as JSON."""
    stored = "" if value is None else storable(value)
    return stored if isinstance(stored, str) else _write(stored)


def storable(value: Any, depth: int = DEEPEST) -> Any:
    """The value with everything replaced that strict JSON cannot hold."""
    kind = type(value)
    if kind in _ANY_JSON_HOLDS:
        return value
    # Nearly all that is decoded from JSON; telling it by its exact type takes a quarter of the time.
    if kind is list and depth:
        return [inner if type(inner) in _ANY_JSON_HOLDS else storable(inner, depth - 1) for inner in value]
    if kind is dict and depth:
        return {str(name): storable(inner, depth - 1) for name, inner in value.items()}
    match value:
        case bool() | str():
            return value
        case int():
            # Python refuses to write very long integers in decimal: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
            return value if value.bit_length() < 2048 else hex(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() | list() | tuple() if depth == 0:
            return f"(nested deeper than {DEEPEST} levels)"
        case Mapping():
            return storable(dict(value), depth)
        case list() | tuple():
            return storable([*value], depth)
        case _:
            return str(value)
