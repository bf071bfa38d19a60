"""Stops a busy daemon as a debugger or a host would, and lets it go on: `python -m tests.soak.frozen --seconds 90`."""
# ruff: noqa: T201

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from daemon.simulator.faults import Behaviour
from daemon.simulator.server import Simulator
from tests.acceptance.conftest import World

AT_ONCE = 4
SINKS = ("quick", "slow", "silent")
MOST_POLLS = 3
"""In the second after it goes on: the one that was due, and one for each that what it brought may hasten."""
END_PATIENCE = 120.0


@dataclass(slots=True)
class Tally:
    """What was seen."""

    problems: list[str] = field(default_factory=list)
    in_flight: int = 0
    """Deliveries under way as it was stopped."""
    timed_out: int = 0
    repeats: int = 0
    polls: int = 0
    """In the second after it went on."""
    posts: int = 0


async def freeze(folder: Path, seconds: float, *, timeout: float, events: int = 30) -> Tally:
    """Stop a daemon for so long while requests wait for an answer; what came of it."""
    async with Simulator.start() as sim:
        world = World(sim, folder)
        how = f'timeout = "{timeout:g}s"\nconcurrency = {AT_ONCE}\nretries = {["1s"] * 20}'
        world.configure(sinks="".join(world.webhook(name, how) for name in SINKS))
        sim.inbox.behave("slow", Behaviour(latency=0.4))
        sim.inbox.behave("silent", Behaviour(hang=True, times=2))
        added = [sim.upstream.add_sample() for _ in range(events)]
        process = await world.start()
        try:
            await world.until(lambda: len(sim.inbox.received("silent")) >= 2 and sim.inbox.received("slow"))
            os.kill(process.pid, signal.SIGSTOP)
            in_flight = world.rows("SELECT count(*) FROM deliveries WHERE claimed_at IS NOT NULL")[0][0]
            await asyncio.sleep(seconds / 2)
            added += [sim.upstream.add_sample() for _ in range(events)]
            await asyncio.sleep(seconds / 2)
            before = len(sim.inbox.calls), len(sim.upstream.calls)
            os.kill(process.pid, signal.SIGCONT)
            await asyncio.sleep(1)
            tally = Tally(in_flight=in_flight)
            _judge_waking(world, before, tally)
            settled = "SELECT 1 FROM deliveries WHERE state = 'waiting' LIMIT 1"
            await world.until(lambda: not sim.upstream.pending and not world.rows(settled), END_PATIENCE)
            assert await world.stop() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        _judge_end(world, added, tally)
    return tally


def _judge_waking(world: World, before: tuple[int, int], tally: Tally) -> None:
    posts, calls = world.sim.inbox.calls[before[0] :], world.sim.upstream.calls[before[1] :]
    tally.posts, tally.polls = len(posts), sum(call.method == "GET" for call in calls)
    if tally.polls > MOST_POLLS:
        tally.problems.append(f"{tally.polls} polls in the second after it went on")
    for delivery, times in Counter(post.id for post in posts if post.accepted).items():
        if times > 1:
            tally.problems.append(f"{delivery} sent {times} times in the second after it went on")


def _judge_end(world: World, added: list[str], tally: Tally) -> None:
    timed_out: Counter[str] = Counter()
    for event, sink, outcome, reason in world.rows(
        "SELECT e.external_id, d.sink, a.outcome, a.reason FROM attempts a "
        "JOIN deliveries d ON d.id = a.delivery_id JOIN events e ON e.id = d.event_id"
    ):
        if outcome == "try_later" and "answer within" in reason:
            timed_out[f"builtbybit-{event}-{sink}"] += 1
        elif outcome != "delivered":
            tally.problems.append(f"{event} at {sink}: an attempt is {outcome}: {reason}")
    tally.timed_out = timed_out.total()
    accepted = Counter(delivery for name in SINKS for delivery in world.accepted(name))
    expected = {f"builtbybit-{event}-{name}" for event in added for name in SINKS}
    tally.problems += [f"{each}: never accepted" for each in sorted(expected - accepted.keys())]
    tally.problems += [f"{each}: under another id" for each in sorted(accepted.keys() - expected)]
    tally.repeats = accepted.total() - len(accepted)
    for delivery, times in accepted.items():
        if times > 1 + timed_out[delivery]:
            tally.problems.append(f"{delivery}: accepted {times} times, {timed_out[delivery]} attempts timed out (I5)")
    for sink, state, number in world.rows("SELECT sink, state, count(*) FROM deliveries GROUP BY 1, 2"):
        if state != "delivered":
            tally.problems.append(f"{number} deliveries of {sink} are {state}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-frozen-"))
    tally = asyncio.run(freeze(folder, arguments.seconds, timeout=20, events=300))
    print("\n".join(tally.problems[:20]))
    print(
        f"stopped for {arguments.seconds:g} s with {tally.in_flight} deliveries under way: {len(tally.problems)} "
        f"problems, {tally.timed_out} timed out, {tally.repeats} repeats; in the next second {tally.polls} polls, "
        f"{tally.posts} posts"
    )
    if tally.problems:
        print(f"what is left of it: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
