"""Start to first delivery, commit to delivery, idle memory and CPU of the real process, over real sockets.

Run with `.venv/bin/python benchmarks/basics.py [rounds]`. Machines are noisy: read medians, compare runs on one.
"""

import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from daemon.simulator.server import Simulator

IDLE_SECONDS = 20.0


async def started(folder: Path) -> asyncio.subprocess.Process:
    with (folder / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daemon.cli", "run", "--config", str(folder / "config.toml"), stdout=log, stderr=log
        )


def configure(folder: Path, sim: Simulator) -> None:
    config = folder / "config.toml"
    config.write_text(
        f'[sources.builtbybit]\ntype = "builtbybit"\nbase_url = "{sim.api_url}"\ntoken = "{sim.token}"\npoll = "1s"\n'
        f'[sinks.hook]\ntype = "webhook"\nurl = "{sim.webhook_url("hook")}"\n'
        f'[sinks.chat]\ntype = "discord"\nurl = "{sim.discord_url("chat")}"\nevents = ["nothing"]\n'
    )
    config.chmod(0o600)


async def first_delivery() -> float:
    """Seconds from starting the process to its first delivery, with an event already waiting."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        async with Simulator.start() as sim:
            configure(folder, sim)
            sim.upstream.add_sample("purchase")
            began = time.monotonic()
            process = await started(folder)
            await sim.until(lambda: sim.inbox.received("hook"))
            took = sim.inbox.received("hook")[0].at - began
            process.terminate()
            await process.wait()
            return took


async def latencies(events: int) -> list[float]:
    """Milliseconds from an event's commit to the arrival of its delivery, at 5 events a second."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        async with Simulator.start() as sim:
            configure(folder, sim)
            process = await started(folder)
            offset = time.time() - time.monotonic()
            for _ in range(events):
                sim.upstream.add_sample("purchase")
                await asyncio.sleep(0.2)
            await sim.until(lambda: len(sim.inbox.received("hook")) >= events)
            process.terminate()
            await process.wait()
            connection = sqlite3.connect(folder / "eventferry.db")
            stored = dict(connection.execute("SELECT external_id, stored_at FROM events").fetchall())
            connection.close()
            return [
                1000 * (call.at + offset - _seconds(stored[json.loads(call.body)["event_id"]]))
                for call in sim.inbox.received("hook")
            ]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def idle() -> tuple[float, float]:
    """Resident memory in MB and CPU in percent of one core, with two sinks and a poll each second."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        async with Simulator.start() as sim:
            configure(folder, sim)
            config = folder / "config.toml"
            config.write_text(config.read_text().replace('poll = "1s"', 'poll = "30s"'))
            process = await started(folder)
            await asyncio.sleep(4)
            stat = Path(f"/proc/{process.pid}/stat")
            before = cpu_seconds(stat)
            await asyncio.sleep(IDLE_SECONDS)
            used = cpu_seconds(stat) - before
            resident = resident_mb(Path(f"/proc/{process.pid}/status"))
            process.terminate()
            await process.wait()
            return resident, 100 * used / IDLE_SECONDS


def cpu_seconds(stat: Path) -> float:
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(status: Path) -> float:
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))


async def main(rounds: int) -> None:
    starts = [await first_delivery() for _ in range(rounds)]
    print(
        f"start to first delivery: median {statistics.median(starts):.2f} s, worst {max(starts):.2f} s, {rounds} starts"
    )
    waits = sorted(await latencies(100))
    print(f"commit to delivery at 5/s: p50 {statistics.median(waits):.1f} ms, p99 {waits[98]:.1f} ms")
    resident, cpu = await idle()
    print(f"idle (poll 30 s, {IDLE_SECONDS:g} s watched): {resident:.0f} MB resident, {cpu:.2f} % of a core")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
