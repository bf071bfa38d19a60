"""What it costs to have Eventferry: memory and processor at rest, a start, and disk syncs.

At rest means: 100 events carried, nothing pending, two sinks, polls as by default. A start ends with the arrival of the
delivery of an event that was waiting. Syncs are counted by strace in a run of their own, which it slows down.
"""

import shutil
import signal
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.rig import Ferry, eventferry, rim, scratch

WARM_UP = 100


def measure(idle_seconds: float, starts: int, synced_events: int) -> list[Figure]:
    resident, cpu = idle(idle_seconds)
    figures = [
        Figure("resident memory at rest", resident, "MB", "at most", 100),
        Figure(f"processor at rest, over {idle_seconds:g} s", cpu, "% of a core", "at most", 1),
        Figure(f"start to first delivery, median of {starts}", _typical_start(starts), "s", "at most", 1.5),
    ]
    if shutil.which("strace"):
        figures.append(Figure("disk syncs per 1,000 events of a backlog", syncs(synced_events), ""))
    else:
        print("strace is not installed: disk syncs are not counted")
    return figures


def idle(seconds: float) -> tuple[float, float]:
    """Resident MB, and the share of a core in percent."""
    sinks = {"hook": "/hook/hook", "second": "/hook/second"}
    with rim() as upstream, scratch() as folder, eventferry(upstream, folder, sinks=sinks) as ferry:
        upstream.add(WARM_UP)
        upstream.until(lambda stats: stats["completed"] == WARM_UP)
        time.sleep(3)
        before, began = ferry.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        used = ferry.cpu_seconds() - before
        return ferry.resident_mb(), 100 * used / (time.monotonic() - began)


def _typical_start(starts: int) -> float:
    def fresh() -> float:
        with scratch() as folder:
            return start(folder)

    return statistics.median(fresh() for _ in range(starts))


def start(folder: Path, first_id: int = 1) -> float:
    """Seconds from starting the process to its first delivery."""
    with rim(first_id) as upstream:
        upstream.add(1)
        began = time.monotonic()
        with eventferry(upstream, folder):
            stats = upstream.until(lambda stats: stats["delivered"])
            upstream.until(lambda stats: stats["completed"])
    arrived: float = stats["first_arrival"]
    return arrived - began


def syncs(events: int) -> float:
    """`fsync` and `fdatasync` calls per 1,000 events."""
    with rim() as upstream, scratch() as folder, eventferry(upstream, folder, poll="1s") as ferry:
        upstream.until(lambda stats: stats["requests"].get("list"))
        counts = folder / "strace"
        command = ["strace", "-f", "-c", "-U", "name,calls", "-e", "trace=fsync,fdatasync", "-o", str(counts)]
        with subprocess.Popen([*command, "-p", str(ferry.pid)], stderr=subprocess.DEVNULL) as strace:
            _until_traced(ferry)
            upstream.add(events)
            upstream.until(lambda stats: stats["completed"] == events)
            strace.send_signal(signal.SIGINT)
        calls = [line.split() for line in counts.read_text().splitlines()]
        return 1000 / events * sum(int(words[1]) for words in calls if words and words[0] in ("fsync", "fdatasync"))


def _until_traced(ferry: Ferry) -> None:
    deadline = time.monotonic() + 30
    tasks = Path(f"/proc/{ferry.pid}/task")
    while any("\nTracerPid:\t0\n" in (task / "status").read_text() for task in tasks.iterdir()):
        if time.monotonic() > deadline:
            raise TimeoutError("strace cannot attach")
        time.sleep(0.05)
