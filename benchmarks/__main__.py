"""All benchmarks in one run, with the targets beside the results: `python -m benchmarks [--quick] [PART ...]`.

The parts are backlog, latency, footprint and settled. Machines are noisy: compare what one run measured.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

from benchmarks import backlog, footprint, latency, settled
from benchmarks.figures import Figure, table
from benchmarks.rig import SCRATCH

PARTS: dict[str, tuple[Callable[[], list[Figure]], Callable[[], list[Figure]]]] = {
    "backlog": (lambda: _backlog(20_000, 3), lambda: _backlog(4_000, 1)),
    "latency": (lambda: latency.measure(200, 3), lambda: latency.measure(50, 1)),
    "footprint": (lambda: footprint.measure(30, 5, 5_000), lambda: footprint.measure(10, 3, 1_000)),
    "settled": (lambda: settled.measure(1_000_000, 20_000, 3), lambda: settled.measure(100_000, 4_000, 1)),
}
"""Each part in full, and quick."""


def _backlog(events: int, rounds: int) -> list[Figure]:
    return backlog.figures(backlog.compare(events, rounds, [backlog.OURS, *backlog.CLIENTS]))


def machine() -> str:
    """What the figures were measured on."""
    disk = subprocess.run(
        ["stat", "-f", "-c", "%T", SCRATCH], capture_output=True, text=True, check=True
    ).stdout.strip()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "httpx", "requests", "huey"))
    return (
        f"{os.cpu_count()} processors (load {os.getloadavg()[0]:.1f}), Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {libraries}; databases in {SCRATCH} ({disk}), where a synced write of "
        f"4 KiB takes {1000 * statistics.median(synced_writes(200)):.1f} ms"
    )


def synced_writes(times: int) -> Iterator[float]:
    """Seconds that each took: the disk is part of every figure, and other programs use it too."""
    with tempfile.TemporaryFile(dir=SCRATCH, buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            began = time.monotonic()
            os.fsync(file.fileno())
            yield time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and compare with the targets.")
    parser.add_argument("--quick", action="store_true", help="fewer events and rounds: minutes, and only a hint")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    began, figures = time.monotonic(), []
    print(machine(), flush=True)
    for name in options.parts or PARTS:
        print(f"\n{name}", flush=True)
        figures += PARTS[name][1 if options.quick else 0]()
    print(f"\nafter {(time.monotonic() - began) / 60:.0f} minutes{', quick' if options.quick else ''}:\n")
    print(*table(figures), sep="\n")


if __name__ == "__main__":
    main()
