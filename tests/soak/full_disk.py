"""Fills the disk that a daemon works on, again and again, under load: `python -m tests.soak.full_disk` (as root).

It mounts a small file system of its own, in a mount namespace of its own, which ends with it.
"""
# ruff: noqa: T201

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from daemon.simulator.faults import Behaviour
from daemon.simulator.server import Simulator
from tests.acceptance.conftest import World
from tests.acceptance.disk import until_full

SIZE = "64m"
BLOCK = 64 * 1024
PATIENCE = 120.0
IN_NAMESPACE = "EVENTFERRY_TEST_NAMESPACE"


def fill(path: Path, leave: int) -> None:
    """Write until the disk is full, then give back so many bytes."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\xff" * BLOCK)
        except OSError:
            file.truncate(max(0, file.tell() - leave))


async def run(folder: Path, cycles: int) -> str:
    """So many times a disk that fills up under load; what became of it, or an error."""
    chance, began = random.Random(1), time.monotonic()
    async with Simulator.start() as sim:
        world = World(sim, folder)
        world.configure(sinks=world.webhook("hook") + world.webhook("other"))
        for name in ("hook", "other"):
            sim.inbox.behave(name, Behaviour(limit=1_000_000))
        await world.start()
        await world.until(lambda: "daemon.started" in world.log())
        ids = []
        for _ in range(cycles):
            fill(folder / "ballast", leave=chance.randrange(1, 1024 * 1024))
            feeding = asyncio.create_task(feed(world, chance, ids))
            await until_full(world, patience=PATIENCE)
            feeding.cancel()
            await asyncio.sleep(1.5)  # it tries again and again
            (folder / "ballast").unlink()
            await world.until(lambda: set(sim.upstream.completed) == set(ids), PATIENCE)
            await until_full(world, full=False)
        assert await world.stop() == 0, "it could not be stopped"
        for name in ("hook", "other"):
            assert Counter(world.accepted(name)) == Counter(f"builtbybit-{each}-{name}" for each in ids), (
                "lost, repeated"
            )
        # The log lies on the same disk: a line may be torn.
        assert world.log().count("store.disk_full") <= cycles, "a storm in the log"
        return f"{cycles} times full: {len(ids)} events, 0 lost, 0 repeated; {time.monotonic() - began:.0f} s"


async def feed(world: World, chance: random.Random, ids: list[str]) -> None:
    while True:
        ids.append(world.sim.upstream.add("purchase", {"note": "x" * chance.randrange(2_000)}))
        await asyncio.sleep(0.01)


def main() -> int | str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    cycles = parser.parse_args().cycles
    if IN_NAMESPACE not in os.environ:
        command = ["unshare", "--mount", sys.executable, "-m", "tests.soak.full_disk", "--cycles", str(cycles)]
        return subprocess.run(command, env={**os.environ, IN_NAMESPACE: "1"}, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="soak-full-disk-") as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", name], check=True)
        try:
            print(asyncio.run(run(Path(name), cycles)))
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
