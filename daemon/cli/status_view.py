"""How everything is doing, in plain words, and what to do; as `status` prints it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from daemon import __version__
from daemon.app.advice import advice
from daemon.app.build import people_of
from daemon.cli import session
from daemon.cli.text import Colour, Times, line, painted, zone_of
from daemon.clock import wall_now
from daemon.quantities import many
from daemon.rounds.report import next_report
from daemon.settings import Loaded

Row = Mapping[str, Any]

_COLOURS: dict[str, Colour] = {
    "ok": "green",
    "not yet asked": "bright_black",
    "slowed": "yellow",
    "throttled": "yellow",
    "failing": "red",
    "refused": "red",
    "stopped": "red",
}
_BAD = ("failing", "refused", "stopped")


async def look(loaded: Loaded) -> dict[str, Any]:
    """The status with what is wrong, one sentence each, in `troubles`. Raises StoreRefused."""
    daemon = session.running(loaded.database)
    async with session.reading(loaded.database) as store:
        seen = await store.browse.status()
        owed = await store.orphans.owed(but_sinks=loaded.settings.sinks, but_sources=loaded.settings.sources)
        seen["orphans"] = asdict(owed)
    now = wall_now()
    seen["gates"] = [gate for gate in seen["gates"] if datetime.fromisoformat(gate["opens_at"]) > now]
    seen = {"version": __version__, "database": str(loaded.database), "daemon": daemon, **seen}
    return {**seen, "reports": _reports(loaded, now), "troubles": list(_troubles(seen, loaded))}


def _reports(loaded: Loaded, now: datetime) -> dict[str, dict[str, str]]:
    """For each sink that gets reports, how often, and when the next one is due."""
    return {
        name: {"every": people.report, "due": next_report(people.report, people.zone, now).due.isoformat()}
        for name, people in people_of(loaded).items()
        if people.report
    }


def _troubles(seen: Row, loaded: Loaded) -> Iterator[str]:
    if seen["daemon"] is None:
        yield "no daemon runs"
    elif seen["daemon"].get("trouble"):
        yield seen["daemon"]["trouble"]
    elif seen["daemon"].get("disk_full"):
        yield "the disk is full: nothing can be stored"
    if seen["paused"]:
        yield "everything is paused"
    for source in seen["sources"]:
        for access, health in source["health"].items():
            if source["name"] in loaded.settings.sources and health["health"] in _BAD:
                yield f"{source['name']} ({access}): {health['health']}: {health['reason']}"
    for name, number in seen["orphans"]["deliveries"].items():
        yield f"{name}: {many(number, 'delivery waits', 'deliveries wait')}, but no sink of this name is in the config"
    for name, number in seen["orphans"]["events"].items():
        left = many(number, "event is", "events are")
        yield f"{name}: {left} not completed, but no source of this name is in the config"
    for sink in seen["sinks"]:
        if sink["name"] in loaded.settings.sinks and sink["lane"] and sink["lane"]["health"] in _BAD:
            yield f"{sink['name']}: {sink['lane']['health']}: {sink['lane']['reason']}"


def lines(seen: Row, loaded: Loaded) -> Iterator[str]:
    """The status, readable."""
    times = Times(zone_of(loaded))
    yield from _daemon(seen)
    yield ""
    yield "Sources"
    known = {source["name"]: source for source in seen["sources"]}
    for name in loaded.settings.sources:
        yield from _source(name, known.get(name), times)
    for name, number in seen["orphans"]["events"].items():
        yield from _left_over(name, f"{many(number, 'of its events is', 'of its events are')} not completed upstream")
    for gate in seen["gates"]:
        yield f"  rate limit: no {gate['access']}s from {line(gate['host'])} until {times.full(gate['opens_at'])}"
    yield "Sinks"
    yield from _sinks(seen, loaded, times)
    yield ""
    yield from _ledger(seen)


def _daemon(seen: Row) -> Iterator[str]:
    daemon = seen["daemon"]
    if daemon is None:
        yield painted("No daemon runs.", "red") + " Start it: eventferry run, or: sudo systemctl start eventferry"
    elif daemon.get("trouble"):
        yield f"A daemon runs, but: {painted(line(daemon['trouble']), 'red')}"
    else:
        yield f"{painted('Running', 'green')}: Eventferry {line(daemon['version'])}, process {daemon['pid']}"
        if daemon["disk_full"]:
            yield painted("The disk is full.", "red") + " Make room: work goes on by itself, nothing is lost."
    if seen["paused"]:
        yield painted("Everything is paused", "red") + ": no polling, sending, completing. Go on: eventferry resume"
    yield f"Database {line(seen['database'])}"


def _source(name: str, source: Row | None, times: Times) -> Iterator[str]:
    if source is None or not source["health"]:
        yield _state(name, "not yet asked", "")
        return
    read, write = source["health"].get("read"), source["health"].get("write")
    asked = f"last full sweep: {times.ago(source['last_sweep_at'])}"
    if read is not None and read["health"] == "ok":
        yield _state(name, "ok", asked)
    elif read is not None:
        yield _state(name, read["health"], f"since {times.full(read['since'])}; {asked}")
        yield f"    {line(read['reason'])}"
        yield f"    {_source_advice(read['health'])}"
    if write is not None and write["health"] != "ok":
        state = painted(write["health"], _COLOURS.get(write["health"], "red"))
        yield f"    completing: {state} since {times.full(write['since'])}: {line(write['reason'])}"
        yield "    Polling and delivery go on; what is delivered is completed when this is over."


def _source_advice(health: str) -> str:
    match health:
        case "refused":
            return "Put a working token in place (eventferry check --connect tries it); it is noticed by itself."
        case "throttled":
            return "Nothing to do: the wait that was asked for is kept, then polling goes on."
        case _:
            return "Nothing to do if it ends soon: it is asked again by itself. Events wait there meanwhile."


def _sinks(seen: Row, loaded: Loaded, times: Times) -> Iterator[str]:
    known = {sink["name"]: sink for sink in seen["sinks"]}
    mend = partial(advice, loaded, (seen["daemon"] or {}).get("restart") or "eventferry run")
    zones = zones_of(loaded)
    for name in loaded.settings.sinks:
        if name not in known or not known[name]["lane"]:
            yield _state(name, "not yet asked", "")
        else:
            yield from _sink(known[name], zones.get(name, times), times, mend)
            held = (seen["daemon"] or {}).get("held") or {}
            if name in held and known[name]["lane"]["health"] == "ok":
                yield f"    rate limit: nothing goes out before {times.full(held[name])}; what waits is sent after"
        if report := seen["reports"].get(name):
            yield f"    next {report['every']} report {times.ago(report['due'])}: {zones[name].near(report['due'])}"
    for name, number in seen["orphans"]["deliveries"].items():
        yield from _left_over(name, f"{many(number, 'delivery waits', 'deliveries wait')} for it")


def _left_over(name: str, what: str) -> Iterator[str]:
    yield f"  {line(name)}: no longer in the config, but {what}"
    yield f'    If it was renamed: write renamed_from = "{line(name)}" into its new table, and restart.'
    yield f"    If nobody wants that any more: eventferry sinks discard {line(name)}"


def zones_of(loaded: Loaded) -> dict[str, Times]:
    """For each sink that people read: times as its own config counts them, so that both say the same."""
    return {name: Times(people.zone) for name, people in people_of(loaded).items()}


def _sink(sink: Row, own: Times, times: Times, mend: Callable[[str, str], str]) -> Iterator[str]:
    lane = sink["lane"]
    numbers = f"{sink['delivered']} delivered, {sink['waiting']} waiting"
    yield _state(sink["name"], lane["health"], numbers)
    yield from (f"    {waits}" for waits in gathered(sink, own))
    if lane["health"] == "ok":
        return
    yield f"    since {times.full(lane['since'])}: {line(lane['reason'])}"
    held = lane.get("held_until")
    again = f"tried again {times.ago(held)}" if held else "tried again"
    name = line(sink["name"])
    match lane["health"], lane.get("stopped_by"):
        case "stopped", "operator":
            yield f"    What it should get waits. Go on: eventferry sinks resume {name}"
        case "stopped", _:
            probing = f"; it is {again} by itself" if lane.get("probe") else ""
            yield f"    What it should get waits{probing}."
            yield f"    {line(mend(sink['name'], lane['reason']))}"
            yield f"    If nothing had to be changed here: eventferry sinks resume {name}"
        case "failing", _:
            yield f"    Nothing is lost: {again}; what waits is sent when it answers."
        case _:
            yield f"    Nothing to do: it asked for fewer calls; it is {again}."


def gathered(sink: Row, times: Times) -> Iterator[str]:
    """What is kept back to be told together, and until when: a line for each reason."""
    for group in sink["gathered"]:
        until = times.near(group["due_at"])
        waiting = many(group["waiting"], "waits", "wait")
        yield f"{waiting} {_GATHERED.get(group['cause'], 'to be told together until')} {until}"


_GATHERED = {
    "digest": "for the digest at",
    "quiet": "for the end of quiet hours at",
    "burst": "to be told together (too many came at once) at",
    "late": "to be told together (late) at",
}


def _state(name: str, state: str, more: str) -> str:
    return f"  {line(name):<16}  {painted(f'{state:<13}', _COLOURS.get(state, 'red'))}  {more}".rstrip()


def _ledger(seen: Row) -> Iterator[str]:
    events = seen["events"]
    yield f"{events['stored']} events stored, {events['unacknowledged']} of them not yet completed upstream"
    if events["unrouted"]:
        yield f"{events['unrouted']} of them no sink wanted: eventferry events --state unrouted"
    if events["unidentified"]:
        yield f"{events['unidentified']} things listed without a usable id: eventferry events --unidentified"
    if seen["dead_letters"]:
        dead = f"{many(seen['dead_letters'], 'delivery', 'deliveries')} failed for good"
        yield painted(dead, "red") + ": eventferry events --dead"
        yield "  Once what was wrong is mended, send again: eventferry replay --dead"
