"""Memory is bounded whatever others send; to be killed for want of it costs no more than any kill (F7, I15)."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.simulator.faults import Behaviour, Faults
from tests.acceptance.conftest import PATIENCE
from tests.soak.oracle import judge
from tests.soak.ordeal import ordeal

MEGABYTE = 1024 * 1024
GROUPS = Path("/sys/fs/cgroup")
SPOILT = ("endless", "gzip", "huge_headers", "deep")
BUSY = 60.0
ROOM = 160 * MEGABYTE
"""By how much it may grow, whatever it is sent: the largest page thrice over, and all the answers."""


@dataclass
class Group:
    """Processes that share a limit to their memory (https://docs.kernel.org/admin-guide/cgroup-v2.html, and v1)."""

    folder: Path

    @property
    def _first(self) -> bool:
        return (self.folder / "memory.limit_in_bytes").exists()

    def limit(self, size: int) -> None:
        (self.folder / ("memory.limit_in_bytes" if self._first else "memory.max")).write_text(str(size))

    def take(self, pid: int, *, first_to_die: bool = False) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid))
        if first_to_die:
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000")

    @property
    def kills(self) -> int:
        """How many of its processes the kernel has killed."""
        counts = (self.folder / ("memory.oom_control" if self._first else "memory.events")).read_text()
        found = re.search(r"^oom_kill (\d+)", counts, re.MULTILINE)
        return int(found[1]) if found else 0

    @property
    def under(self) -> list[str]:
        """What to start a program with, so that all it takes counts."""
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"]


@contextmanager
def group(name: str) -> Iterator[Group]:
    parent = GROUPS / "memory" if (GROUPS / "memory").is_dir() else GROUPS
    folder = parent / f"eventferry-test-{name}-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"needs a cgroup of its own for memory ({error.strerror})")
    made = Group(folder)
    try:
        if not any((folder / file).exists() for file in ("memory.limit_in_bytes", "memory.max")):
            pytest.skip("needs the memory controller of cgroups")
        yield made
    finally:
        folder.rmdir()


def peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def test_whatever_others_send_its_memory_stays_under_a_limit(world):
    """F7, F38, I15, I16: endless and packed answers, huge headers and pages, from the source and the receivers."""

    async def story():
        with group("bombs") as limited:
            async with world() as w:
                w.configure(sinks="".join(w.webhook(name, 'timeout = "5s"\nretries = ["1s"]') for name in SPOILT))
                process = await w.start(under=limited.under)
                await w.until(lambda: "daemon.started" in w.log() and w.sim.upstream.calls, BUSY)
                idle = peak(process.pid)
                limited.limit(idle + ROOM)
                for name in SPOILT:
                    w.sim.inbox.behave(name, Behaviour(answer=name, times=2))
                w.sim.upstream.add_raw({"event_id": 1, "trigger_data": {"text": "x" * MEGABYTE}})
                for number in range(2, 20):
                    w.sim.upstream.add_raw({"event_id": number, "trigger_data": {"text": "x" * 50_000}})
                await w.until(lambda: len({call.name for call in w.sim.inbox.calls}) == len(SPOILT), BUSY)
                for form in ("endless", "gzip"):
                    w.sim.upstream.faults, polls = Faults(answer=form, times=1), len(w.sim.upstream.calls)
                    await w.until(lambda polls=polls: len(w.sim.upstream.calls) > polls + 1, BUSY)
                w.sim.upstream.faults = Faults()
                last = w.sim.upstream.add_sample()
                await w.until(lambda: all(f"builtbybit-{last}-{name}" in w.accepted(name) for name in SPOILT), BUSY)
                grown = peak(process.pid) - idle
                assert await w.stop() == 0
                assert limited.kills == 0
                assert grown < ROOM, f"it grew by {grown / MEGABYTE:.0f} MB"
                assert "Traceback" not in w.log()

    asyncio.run(story())


def test_a_daemon_that_the_kernel_kills_for_want_of_memory_loses_nothing(tmp_path):
    """F7, I1 to I5, I13: a real kill, in the middle of the work, of a process that cannot prepare for it."""

    async def story():
        with group("hog") as limited:
            async with ordeal(tmp_path, seed=7) as one:
                living = asyncio.create_task(one.live(BUSY, events=30))
                await one.world.sim.until(lambda: len(one.world.sim.inbox.calls) > 5, BUSY)
                pid = one.world.process.pid
                limited.limit(48 * MEGABYTE)
                limited.take(pid, first_to_die=True)
                hog = await _hog(limited)
                try:
                    await one.world.sim.until(lambda: limited.kills > 0, PATIENCE)
                    await living
                finally:
                    with suppress(ProcessLookupError):  # the kernel may have wanted more
                        hog.kill()
                    await hog.wait()
                return judge(await one.live_on())

    verdict = asyncio.run(story())
    assert verdict.problems == []


async def _hog(limited: Group) -> asyncio.subprocess.Process:
    """A process that wants more and more memory, so that the kernel has to kill somebody of its group."""
    greed = "import time\nkept = []\nwhile True: kept.append(bytearray(1 << 20)); time.sleep(0.002)"
    return await asyncio.create_subprocess_exec(*limited.under, sys.executable, "-c", greed)
