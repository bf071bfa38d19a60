"""A task queue that keeps its tasks: huey on SQLite, its consumer with four threads, and a script that fills it."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

WORKERS = 4


def main(api: str, hook: str) -> None:
    with tempfile.TemporaryDirectory(prefix="eventferry-bench-", dir="/var/tmp") as folder:
        os.environ.update(BENCH_API=api, BENCH_HOOK=hook, BENCH_DB=str(Path(folder) / "huey.db"))
        consumer = [sys.executable, "-m", "huey.bin.huey_consumer", "benchmarks.clients.huey_tasks.huey"]
        with subprocess.Popen([*consumer, "--workers", str(WORKERS), "--quiet"]) as process:
            fill(api)
            process.terminate()


def fill(api: str) -> None:
    """Queue all that is listed, then wait until nothing is."""
    from benchmarks.clients.huey_tasks import carry

    session = requests.Session()
    events, page, last = [], 0, 1
    # All pages first: completing moves events from pages that were not seen yet to those that were.
    while page < last:
        page += 1
        data = session.get(f"{api}/events", params={"page": page, "per_page": 100}).json()["data"]
        last = data["stats"]["max_page"]
        events += data["events"]
    for event in events:
        carry(event)
    while session.get(f"{api}/events", params={"per_page": 1}).json()["data"]["events"]:
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
