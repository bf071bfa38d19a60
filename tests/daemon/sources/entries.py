"""Entries of the list, usual and odd."""

from datetime import UTC, datetime
from typing import Any

from daemon.contract import Incoming
from daemon.sources._builtbybit_event import to_incoming

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MISSING: Any = object()


def entry(**changes: Any) -> dict[str, Any]:
    usual = {
        "event_id": 4711,
        "listener_id": 12,
        "created_at": 1_770_000_000,
        "trigger_type": "purchase",
        "trigger_data": {"username": "Steve", "final_price": "9.99"},
    }
    return {name: value for name, value in (usual | changes).items() if value is not MISSING}


def understood(given: Any) -> Incoming:
    incoming = to_incoming("shop", given, NOW)
    assert isinstance(incoming, Incoming)
    return incoming
