"""Kills a daemon under load so many times and says what came of it: `python -m tests.soak --cycles 1000 --seed 1`."""
# ruff: noqa: T201

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.soak.oracle import Evidence, Verdict, judge
from tests.soak.ordeal import POINTS, Point, ordeal

CYCLES_IN_A_WORLD = 50
"""Then the database is judged and a new one begun."""
SHOWN = 20


def moment(chance: random.Random) -> Point | float:
    """At a named point of a call, somewhere in the work, or already while it starts."""
    point = chance.choice(list(POINTS.values()))
    if point.side != "api":
        point = replace(point, nth=chance.randint(1, 8))
    working = replace(POINTS["fetched"], delay=chance.uniform(0, 2.5))
    return chance.choice((point, working, working, chance.uniform(0, 0.8)))


async def torment(folder: Path, seed: int, cycles: int) -> Evidence:
    """So many lives that are cut short, and one that is not."""
    chance = random.Random(seed)
    async with ordeal(folder, seed) as one:
        for _ in range(cycles):
            await one.live(moment(chance), events=chance.randint(0, 12))
        return await one.live_on()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began, total, done, events = time.monotonic(), Verdict(), 0, 0
    while done < arguments.cycles and not total.problems:
        seed = arguments.seed + done
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{seed}-"))
        cycles = min(CYCLES_IN_A_WORLD, arguments.cycles - done)
        try:
            evidence = asyncio.run(torment(folder, seed, cycles))
        except BaseException:
            print(f"seed {seed} came to no end; what is left of it: {folder}")
            raise
        verdict = judge(evidence)
        total.add(verdict)
        done, events = done + cycles, events + len(evidence.listed)
        print(f"seed {seed}, {cycles} cycles, {len(evidence.listed)} events: {verdict}; {verdict.details}", flush=True)
        if verdict.problems:
            print(f"what is left of it: {folder}")
        else:
            shutil.rmtree(folder)
    print("\n".join(total.problems[:SHOWN]))
    print(f"{done} cycles: {total}")
    print(f"{events} events, {total.details}; {time.monotonic() - began:.0f} s")
    return 1 if total.problems else 0


if __name__ == "__main__":
    sys.exit(main())
