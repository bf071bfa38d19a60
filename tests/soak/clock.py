"""Sets the wall clock of a busy daemon every second: `python -m tests.soak.clock --seconds 180`."""
# ruff: noqa: T201

import argparse
import asyncio
import itertools
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from daemon.simulator.faults import Behaviour, Faults
from daemon.simulator.inbox import Received
from daemon.simulator.server import Simulator
from tests.acceptance.conftest import World

LIBRARIES = [
    found
    for folder in ("/usr/lib", "/usr/local/lib")
    for name in ("libfaketimeMT.so.1", "libfaketime.so.1")
    for found in sorted(Path(folder).glob(f"**/faketime/{name}"))
]
WAIT, JITTER = 3.0, 0.1
"""Seconds before a failed delivery is tried again, and the share by which that may be longer."""
EARLY = 1.0
END_PATIENCE = 60.0
LOOK_EVERY = 5
MOST_POLLS_A_SECOND = 5
_NEGATIVE = re.compile(r"(?<![\w:-])-\d+(\.\d+)? ?(s|ms|min|h|d)\b")


class WallClock:
    """The wall clock of one process, to be set from outside (https://github.com/wolfcw/libfaketime)."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall-clock"
        self.set(timedelta())

    def set(self, off: timedelta) -> None:
        """Let it be off the true time by so much."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{off.total_seconds():+f}")
        new.replace(self._file)

    @property
    def under(self) -> list[str]:
        """What to start a program with."""
        only_this = ("FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1")
        return ["env", f"LD_PRELOAD={LIBRARIES[0]}", f"FAKETIME_TIMESTAMP_FILE={self._file}", *only_this]


def steps() -> list[timedelta]:
    """Where the wall clock is set, one after the other: F46."""
    now = datetime.now(UTC)
    return [
        timedelta(hours=-1),
        timedelta(days=2),
        datetime(1970, 1, 1, 0, 5, tzinfo=UTC) - now,
        datetime(2038, 1, 19, 3, 14, 5, tzinfo=UTC) - now,
        timedelta(days=365 * 15),
        timedelta(seconds=-1.5),
        timedelta(),
    ]


@dataclass(slots=True)
class Tally:
    """What was seen."""

    problems: list[str] = field(default_factory=list)
    retries: int = 0
    latest: float = 0.0
    """Seconds by which a retry came later than its wait with all the jitter."""
    steps: int = 0
    holds: int = 0

    def judge(self, calls: Sequence[Received]) -> None:
        """I12: each retry comes when it should, counted in monotonic time, and nothing comes again once accepted."""
        last: dict[str, Received] = {}
        for call in calls:
            before = last.get(call.id)
            last[call.id] = call
            if before is None:
                continue
            gap = call.at - before.at
            if before.accepted:
                self.problems.append(f"{call.id}: sent again after it was accepted")
            elif gap < WAIT - EARLY:
                self.problems.append(f"{call.id}: tried again after {gap:.2f} s instead of {WAIT:g} s")
            self.retries += 1
            if call.name == "flaky":  # what a slow sink gets is late because others are before it
                self.latest = max(self.latest, gap - WAIT * (1 + JITTER))


async def set_again_and_again(folder: Path, seconds: float, *, rate: float = 5.0) -> Tally:
    """Let a daemon work while its wall clock is set every second; what came of it."""
    tally = Tally()
    async with Simulator.start(faults=Faults(read_limit=2, limit_window=3.0)) as sim:
        world, clock = World(sim, folder), WallClock(folder)
        retries = f"retries = {[f'{WAIT:g}s'] * 20}"
        sinks = world.webhook("flaky", retries) + world.webhook("slowed", f"concurrency = 1\n{retries}")
        world.configure(sinks=sinks, daemon='keep = "1d"', source='complete_within = "1h"')
        sim.inbox.behave("flaky", Behaviour(limit=1_000_000, statuses=(503, 200, 200) * 10_000))
        slowing = (429, *[200] * 40) * 1_000
        sim.inbox.behave("slowed", Behaviour(limit=1_000_000, statuses=slowing, retry_after=f"{WAIT:g}"))
        await world.start(under=clock.under)
        await world.until(lambda: "daemon.started" in world.log())
        try:
            added = await _disturb(world, clock, seconds, rate, tally)
            settled = "SELECT 1 FROM deliveries WHERE state = 'waiting' LIMIT 1"
            await world.until(lambda: not sim.upstream.pending and not world.rows(settled), END_PATIENCE)
            assert await world.stop() == 0
        finally:
            if world.process is not None and world.process.returncode is None:
                world.process.kill()
                await world.process.wait()
        _judge(world, added, tally)
    return tally


async def _disturb(world: World, clock: WallClock, seconds: float, rate: float, tally: Tally) -> list[str]:
    added: list[str] = []
    end = time.monotonic() + seconds
    for number, off in enumerate(itertools.cycle(steps())):
        if time.monotonic() > end:
            break
        clock.set(off)
        tally.steps += 1
        second = time.monotonic() + 1
        if number % LOOK_EVERY == LOOK_EVERY - 1:
            tally.problems += [problem async for problem in _look(world, clock)]
        while time.monotonic() < second:
            added.append(world.sim.upstream.add_sample())
            await asyncio.sleep(1 / rate)
    # The last one sets it back, so that who follows it too late would not send in time.
    clock.set(timedelta(hours=-1))
    return added


async def _look(world: World, clock: WallClock) -> Any:
    """What status and show say is never negative."""
    config = ("--config", str(world.folder / "config.toml"))
    for words in (["status"], ["events"], ["status", "--json"]):
        process = await asyncio.create_subprocess_exec(
            *clock.under, sys.executable, "-m", "daemon.cli", *words, *config, stdout=asyncio.subprocess.PIPE
        )
        output = (await process.communicate())[0].decode()
        if words[-1] != "--json":
            for found in _NEGATIVE.finditer(output):
                yield f"{' '.join(words)} says {found[0]}"
        elif any(number < 0 for number in _numbers(json.loads(output))):
            yield f"a negative number in {output}"


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value


def _judge(world: World, added: Sequence[str], tally: Tally) -> None:
    sim = world.sim
    for name in ("flaky", "slowed"):
        calls = sim.inbox.received(name)
        tally.judge(calls)
        missing = {f"builtbybit-{event}-{name}" for event in added} - set(world.accepted(name))
        tally.problems += [f"{each}: never accepted" for each in sorted(missing)]
        tally.problems += [f"{call.id}: sent to {name} during its hold" for call in calls if call.too_early]
        tally.holds += sum(call.status == 429 for call in calls)
    polls = [call for call in sim.upstream.calls if call.method == "GET"]
    tally.holds += sum(call.status == 429 for call in polls)
    tally.problems += [f"{call.method} {call.path}: before its gate opened" for call in polls if call.too_early]
    for first, last in zip(polls, polls[MOST_POLLS_A_SECOND:], strict=False):
        if last.at - first.at < 1:
            tally.problems.append(f"more than {MOST_POLLS_A_SECOND} polls within a second")
    (stored,) = world.rows("SELECT count(*) FROM events WHERE source = 'builtbybit'")[0]
    if stored != len(added):
        tally.problems.append(f"{stored} of {len(added)} events are still stored")
    if world.rows("SELECT 1 FROM attempts WHERE milliseconds < 0"):
        tally.problems.append("an attempt took negative time")
    if "Traceback" in world.log():
        tally.problems.append(f"the log has a traceback:\n{world.log()[-4000:]}")


def main() -> int | str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="past 120 the hourly prune runs, too")
    arguments = parser.parse_args()
    if not LIBRARIES:
        return "this needs libfaketime"
    folder = Path(tempfile.mkdtemp(prefix="soak-clock-"))
    tally = asyncio.run(set_again_and_again(folder, arguments.seconds))
    print("\n".join(tally.problems[:20]))
    print(
        f"the wall clock set {tally.steps} times: {len(tally.problems)} problems; {tally.retries} retries, the latest"
    )
    print(f"{max(tally.latest, 0):.2f} s late; {tally.holds} holds and gates kept")
    if tally.problems:
        print(f"what is left of it: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
