"""How an entry of BuiltByBit's `/v2/events` becomes an event, whatever is wrong with it (pure)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from daemon.contract import Event, Incoming, Unidentified
from daemon.sources._json import OddNumber, dumps, items, loads, loads_or_text, members, shallow

UNKNOWN_KIND = "unknown"
LONGEST_ID = 100
LONGEST_KIND = 200
_DIGITS, _ID = re.compile("[0-9]+"), re.compile(f"[!-~]{{1,{LONGEST_ID}}}")
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_FIELDS = {"event_id", "listener_id", "created_at", "trigger_type", "trigger_data"}
"""All five are required by the API's description: https://github.com/BuiltByBit/api-openapi-spec"""


def split_envelope(text: str) -> Mapping[str, Any]:
    """Decode an envelope whose events are nested too deeply to decode at once, event by event. Raises NotJson."""
    outer = members(text)
    data = members(outer.get("data", "{}"))
    listed = {"events": [_entry(event) for event in items(data["events"])]} if "events" in data else {}
    return {
        "result": loads(outer.get("result", "null")),
        "data": {**listed, "stats": loads_or_text(data.get("stats", "null"))},
    }


def _entry(text: str) -> Any:
    if not text.startswith("{"):
        return loads_or_text(text)
    entry: dict[str, Any] = {}
    for name, value in members(text).items():
        if name == "trigger_data" and value.startswith("{"):
            entry[name] = {key: loads_or_text(inner) for key, inner in members(value).items()}
        else:
            entry[name] = loads_or_text(value)
    return entry


def to_incoming(source: str, entry: Any, now: datetime) -> Incoming | Unidentified:
    """Turn one entry into an event. Only `event_id` is needed; what else is odd is kept as it came."""
    fields = entry if isinstance(entry, Mapping) else {"entry": entry}
    external_id = _identity(fields.get("event_id"))
    if external_id is None:
        why = "no event_id" if "event_id" not in fields else "its event_id is no usable id"
        return Unidentified(dumps(entry), why)
    kind, channel = _kind(fields.get("trigger_type")), _identity(fields.get("listener_id"))
    occurred_at, data = _moment(fields.get("created_at")), fields.get("trigger_data")
    as_described = (
        kind == fields.get("trigger_type")
        and channel is not None
        and occurred_at is not None
        and (isinstance(data, dict) or data == [])
        and fields.keys() == _FIELDS
    )
    event = Event(
        source=source,
        external_id=external_id,
        channel=channel,
        kind=kind,
        occurred_at=occurred_at or now,
        data=_data(data),
    )
    return Incoming(event, None if as_described else dumps(entry))


def _identity(value: Any) -> str | None:
    """An id as text; numbers and digits are the same id."""
    if isinstance(value, bool | OddNumber):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if _DIGITS.fullmatch(text):
        text = text.lstrip("0") or "0"
    return text if _ID.fullmatch(text) else None


def _kind(value: Any) -> str:
    if not isinstance(value, str):
        return UNKNOWN_KIND
    # A lone surrogate could be stored nowhere, and would keep the whole page out of the store.
    return value.encode("utf-8", "backslashreplace").decode().strip()[:LONGEST_KIND] or UNKNOWN_KIND


def _moment(value: Any) -> datetime | None:
    """Epoch seconds; a number too large for that is taken for milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
        moment = datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _data(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return {str(key): shallow(item) for key, item in value.items()}
    return {} if value is None or value == [] else {"trigger_data": shallow(value)}
