"""The list of sinks, as `sinks` prints it."""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.cli import session
from daemon.cli.status_view import gathered, zones_of
from daemon.cli.text import Times, columns, line, zone_of
from daemon.settings import Loaded


async def look(loaded: Loaded) -> list[dict[str, Any]]:
    """Each configured sink, and each that deliveries still wait for. Raises StoreRefused."""
    known: dict[str, Any] = {}
    if loaded.database.exists():
        async with session.reading(loaded.database) as store:
            known = {sink["name"]: sink for sink in (await store.browse.status())["sinks"]}
    configured = loaded.settings.sinks
    found = [
        {
            "name": name,
            "type": sink.type,
            "events": sink.events,
            "health": _health(known.get(name)),
            "waiting": known.get(name, {}).get("waiting", 0),
            "gathered": known.get(name, {}).get("gathered", []),
        }
        for name, sink in configured.items()
    ]
    orphans = [sink for name, sink in known.items() if name not in configured and sink["waiting"]]
    return found + [
        {
            "name": sink["name"],
            "type": None,
            "events": None,
            "health": None,
            "waiting": sink["waiting"],
            "gathered": sink["gathered"],
        }
        for sink in orphans
    ]


def _health(sink: Mapping[str, Any] | None) -> str:
    lane = sink["lane"] if sink else None
    return str(lane["health"]) if lane else "not yet asked"


def lines(found: Sequence[Mapping[str, Any]], loaded: Loaded) -> list[str]:
    """One line for each sink, under a heading; then what waits to be told together."""
    zones, times = zones_of(loaded), Times(zone_of(loaded))
    rows = [("NAME", "TYPE", "STATE", "WAITING", "EVENTS")]
    for sink in found:
        wants = "every event" if sink["events"] is None else ", ".join(map(line, sink["events"]))
        if sink["type"] is None:
            wants = "no longer in the config"
        rows.append((line(sink["name"]), sink["type"] or "-", sink["health"] or "-", str(sink["waiting"]), wants))
    kept_back = [
        f"{line(sink['name'])}: {waits}" for sink in found for waits in gathered(sink, zones.get(sink["name"], times))
    ]
    return columns(rows) + kept_back
