"""How fast a backlog is carried: events delivered and completed per second, beside clients that do less or ask more.

Run with `python -m benchmarks.backlog [--events 20000] [--rounds 3] [--only eventferry]`. The clock is the ledger:
from the first listing to the last first arrival or completion, whichever is later.
"""

import argparse
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.figures import Figure, table
from benchmarks.rig import PATIENCE, Rim, eventferry, rim, scratch

OURS, LIMIT = "eventferry", "bare_aiohttp"
AT_ONCE = 64
"""Deliveries with the receiver at a time, as the comparators have it; our default is 4."""
CLIENTS = {LIMIT: 1.0, "bare_httpx": 0.5, "plain_requests": 0.25, "huey_sqlite": 0.25}
"""The comparators, each with its share of the events: rates are per second, and some are slow."""
USUAL = ("plain_requests", "huey_sqlite")
NODE_RED = 0.33
"""What Node-RED, which keeps nothing, reached of the limit."""


@dataclass(frozen=True, slots=True)
class Run:
    """One backlog carried."""

    rate: float
    requests_per_event: float
    cpu_ms_per_event: float
    """That of the sender alone, its start included unless it had rested."""
    peak_mb: float = 0


def compare(events: int, rounds: int, names: list[str]) -> dict[str, list[Run]]:
    """Rounds are interleaved, so that what else the machine does falls on all alike."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            run = _fresh(events) if name == OURS else _client(name, int(events * CLIENTS[name]))
            runs[name].append(run)
            print(
                f"round {number}: {name:14} {run.rate:7,.0f} events/s, {run.cpu_ms_per_event:.2f} ms of processor each",
                flush=True,
            )
    return runs


def _fresh(events: int) -> Run:
    with scratch() as folder:
        return carry(folder, events)


def carry(folder: Path, events: int, *, first_id: int = 1, rested: bool = False) -> Run:
    """Let Eventferry carry a backlog into the database of this folder; `rested`: not until it has started in peace."""
    with rim(first_id) as upstream:
        if not rested:
            upstream.add(events)
        with eventferry(upstream, folder, poll="10s" if rested else "30s", at_once=AT_ONCE) as ferry:
            if rested:
                upstream.until(lambda stats: stats["requests"].get("list"))
                ferry.rest()
                upstream.add(events)
            before = ferry.cpu_seconds() if rested else 0
            upstream.until(lambda stats: stats["completed"] == stats["delivered"].get("hook") == events)
            peak_mb, used = ferry.peak_mb(), ferry.cpu_seconds() - before
        return Run(*_outcome(upstream, events), 1000 * used / events, peak_mb)


def _client(name: str, events: int) -> Run:
    with rim() as upstream:
        upstream.add(events)
        ends = f"{upstream.url}/v2", f"{upstream.url}/hook/hook"
        before = getrusage(RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", f"benchmarks.clients.{name}", *ends], check=True, timeout=PATIENCE)
        after = getrusage(RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Run(*_outcome(upstream, events), 1000 * used / events)


def _outcome(upstream: Rim, events: int) -> tuple[float, float]:
    """Events per second and API requests per event; raises if anything is missing."""
    stats = upstream.stats()
    if stats["completed"] != events or stats["delivered"] != {"hook": events}:
        raise RuntimeError(f"not all of {events} events were carried: {stats}")
    return events / (stats["last"] - stats["first_listed"]), sum(stats["requests"].values()) / events


def median_rate(runs: list[Run]) -> float:
    return statistics.median(run.rate for run in runs)


def figures(runs: dict[str, list[Run]]) -> list[Figure]:
    """Rates, then how they compare, then what ours cost besides."""
    rates = {name: median_rate(each) for name, each in runs.items()}
    made = [Figure(f"backlog: {name}", rate, "events/s") for name, rate in rates.items()]
    if OURS not in runs:
        return made
    if LIMIT in rates:
        made.append(Figure(f"share of {LIMIT}", rates[OURS] / rates[LIMIT], "", "more than", NODE_RED))
    made += [Figure(f"times {name}", rates[OURS] / rates[name], "", "at least", 3) for name in USUAL if name in rates]
    made += [
        Figure(f"processor time per event: {name}", statistics.median(run.cpu_ms_per_event for run in each), "ms")
        for name, each in runs.items()
    ]
    requests = statistics.median(run.requests_per_event for run in runs[OURS])
    return [
        *made,
        Figure("API requests per event of a backlog", requests, "", "at most", 0.03),
        Figure("peak memory in a backlog", max(run.peak_mb for run in runs[OURS]), "MB", "at most", 150),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backlog", description="Carry a backlog, and compare.")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[OURS, *CLIENTS], help="this one alone")
    options = parser.parse_args()
    names = [options.only] if options.only else [OURS, *CLIENTS]
    print(*table(figures(compare(options.events, options.rounds, names))), sep="\n")


if __name__ == "__main__":
    main()
