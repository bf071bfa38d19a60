"""How long an event waits here at five events a second, alone and while four other sinks hang.

The clock starts when the rim answers the first listing that holds the event, and stops when its POST has arrived
there: parsing, the commit, the claim and the sending lie between. Up to five events share a listing.
"""

import statistics
import time

from benchmarks.figures import Figure, percentile
from benchmarks.rig import eventferry, rim, scratch

PAUSE = 0.2
HANGING = 4
CALM, UNDISTURBED_BY = 50.0, 50.0


def measure(events: int, rounds: int) -> list[Figure]:
    """Medians over the rounds, in which both cases take turns."""
    alone, beside = [], []
    for number in range(1, rounds + 1):
        alone.append(milliseconds(events, hanging=0))
        beside.append(milliseconds(events, hanging=HANGING))
        print(f"round {number}: p99 {percentile(alone[-1], 0.99):.1f} ms, ", end="")
        print(f"beside {HANGING} that hang {percentile(beside[-1], 0.99):.1f} ms", flush=True)
    calm = statistics.median(percentile(each, 0.99) for each in alone)
    disturbed = statistics.median(percentile(each, 0.99) for each in beside)
    return [
        Figure("listed to delivered at 5 events/s, p50", statistics.median(map(statistics.median, alone)), "ms"),
        Figure("listed to delivered at 5 events/s, p99", calm, "ms", "at most", CALM),
        Figure(f"the same while {HANGING} other sinks hang, p99", disturbed, "ms", "at most", calm + UNDISTURBED_BY),
    ]


def milliseconds(events: int, *, hanging: int) -> list[float]:
    """The waits of one run."""
    sinks = {"hook": "/hook/hook"} | {f"hung_{number}": f"/hang/{number}" for number in range(hanging)}
    with rim() as upstream, scratch() as folder, eventferry(upstream, folder, poll="1s", sinks=sinks):
        upstream.until(lambda stats: stats["requests"].get("list"))
        for _ in range(events):
            upstream.add(1)
            time.sleep(PAUSE)
        upstream.until(lambda stats: stats["delivered"].get("hook") == events)
        return [1000 * wait for wait in upstream.waits()["hook"]]
