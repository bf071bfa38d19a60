"""Lists of events, as `events` prints them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.cli import session
from daemon.cli.text import Times, columns, line, marked
from daemon.contract import OWN_SOURCE, Event, is_test
from daemon.routing import parse_rule
from daemon.settings import Loaded
from daemon.store import EventFilter
from daemon.store.text import storable

Row = Mapping[str, Any]


async def listed(database: Path, wanted: EventFilter) -> list[dict[str, Any]]:
    """The events wanted. Raises StoreRefused."""
    async with session.reading(database) as store:
        return await store.browse.events(wanted)


async def aside(database: Path) -> list[dict[str, Any]]:
    """What was listed without a usable id. Raises StoreRefused."""
    async with session.reading(database) as store:
        return await store.browse.unidentified()


async def shown(loaded: Loaded, name: str) -> list[dict[str, Any]]:
    """All that is known of the events with this name, and why each sink wants them or not. Raises StoreRefused."""
    async with session.reading(loaded.database) as store:
        found = await store.browse.show(storable(name))
    return [{**event, "routing": _routing(loaded, event)} for event in found]


def _routing(loaded: Loaded, row: Row) -> dict[str, str]:
    """What each sink makes of it by the config as it is now."""
    if row["source"] == OWN_SOURCE and not row["kind"].startswith("alert."):
        made = "a test, sent to one sink by hand" if is_test(OWN_SOURCE, row["kind"]) else "a report, made for one sink"
        return {delivery["sink"]: made for delivery in row["deliveries"]}
    if row["source"] == OWN_SOURCE:
        alerts = loaded.settings.daemon.alerts
        told = {True: "daemon.alerts names it", False: "daemon.alerts does not name it"}
        return {name: told[name in alerts] for name in loaded.settings.sinks}
    happened = datetime.fromisoformat(row["occurred_at"])
    event = Event(row["source"], row["external_id"], row["channel"], row["kind"], happened, row["data"])
    sinks = loaded.settings.sinks
    return {name: parse_rule(sink.events, sink.where).decide(event).explanation for name, sink in sinks.items()}


def lines(found: Sequence[Row], times: Times) -> list[str]:
    """One line for each event, under a heading."""
    if not found:
        return ["no events"]
    rows = [("TIME", "EVENT", "TRIGGER", "SINKS")]
    rows += [
        (times.full(event["occurred_at"], zone=False), line(event["key"]), line(event["kind"]), _sinks(event))
        for event in found
    ]
    return columns(rows)


def dead_lines(found: Sequence[Row], times: Times) -> list[str]:
    """The same, each with why it was rejected or given up."""
    listed = lines(found, times)
    for number, event in reversed(list(enumerate(found, start=1))):
        listed[number + 1 : number + 1] = [f"    {line(sink)}: {line(why)}" for sink, why in event["reasons"].items()]
    return listed


def _sinks(event: Row) -> str:
    sent = "  ".join(marked(state, sink) for sink, state in event["deliveries"].items())
    return sent or "no sink"


def aside_lines(found: Sequence[Row], times: Times) -> list[str]:
    """One line for each thing without an id, with all that was listed."""
    if not found:
        return ["nothing was listed without a usable id"]
    rows = [
        (times.full(one["seen_at"], zone=False), line(one["source"]), line(one["reason"]), line(one["raw"]))
        for one in found
    ]
    return columns([("SEEN", "SOURCE", "WHY", "AS LISTED"), *rows])
