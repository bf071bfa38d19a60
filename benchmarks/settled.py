"""What a full ledger costs: the same backlog and the same start with a million settled events stored, and with none.

The full database is a small real one, multiplied: 1,000 events are carried, then their rows are copied with new keys.
The backlog appears when the check that a start makes beside the work is over; the start is measured by itself.
"""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.backlog import Run, carry, median_rate
from benchmarks.figures import Figure
from benchmarks.footprint import start
from benchmarks.rig import scratch

MODEL = 1_000
COPIES_PER_COMMIT = 20
MOVED = {"events": ["id", "external_id"], "deliveries": ["id", "event_id"], "attempts": ["id", "delivery_id"]}
"""What is copied, with the columns that each copy counts on."""
LATER = 1_000_000_000
"""Event ids from here on are nobody's yet."""


def measure(settled: int, events: int, rounds: int) -> list[Figure]:
    """Medians over rounds in which the full and an empty database take turns."""
    backlogs: dict[str, list[Run]] = {"full": [], "empty": []}
    starts: dict[str, list[float]] = {"full": [], "empty": []}
    with scratch() as full:
        fill(full, settled)
        for number in range(1, rounds + 1):
            with scratch() as empty:
                for name, folder in (("full", full), ("empty", empty)):
                    starts[name].append(start(folder, first_id=number * LATER))
                    backlogs[name].append(carry(folder, events, first_id=number * LATER + 1, rested=True))
                    run, seconds = backlogs[name][-1], starts[name][-1]
                    print(
                        f"round {number}: {name:5} database {run.rate:7,.0f} events/s, "
                        f"{run.cpu_ms_per_event:.2f} ms of processor each, start {seconds:.2f} s",
                        flush=True,
                    )
    full_rate, empty_rate = median_rate(backlogs["full"]), median_rate(backlogs["empty"])
    full_cpu, empty_cpu = (statistics.median(run.cpu_ms_per_event for run in backlogs[name]) for name in backlogs)
    label = f"with {settled:,} settled events"
    return [
        Figure(f"backlog {label}", full_rate, "events/s"),
        Figure("the same with an empty database", empty_rate, "events/s"),
        Figure("share of the empty database's rate", full_rate / empty_rate, "", "at least", 0.9),
        Figure(f"processor time per event {label}", full_cpu, "ms"),
        Figure("the same with an empty database", empty_cpu, "ms"),
        Figure(f"start to first delivery {label}", statistics.median(starts["full"]), "s", "at most", 2),
        Figure("the same with an empty database", statistics.median(starts["empty"]), "s"),
    ]


def fill(folder: Path, settled: int) -> None:
    """Make a database with so many events, all delivered and completed."""
    carry(folder, MODEL)
    copies = settled // MODEL - 1
    path = folder / "eventferry.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # only while it is made
        for first in range(1, copies + 1, COPIES_PER_COMMIT):
            connection.execute("BEGIN")
            for number in range(first, min(first + COPIES_PER_COMMIT, copies + 1)):
                for table, moved in MOVED.items():
                    _copy(connection, table, moved, number * MODEL)
            connection.execute("COMMIT")
        connection.execute("UPDATE counters SET count = count * ?, micros = micros * ?", (copies + 1, copies + 1))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()  # what is still to be written would disturb the runs
    _verify(folder, MODEL * (copies + 1))
    print(f"{settled:,} settled events take {path.stat().st_size / 1024**2:,.0f} MB", flush=True)


def _copy(connection: sqlite3.Connection, table: str, moved: list[str], distance: int) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = [f"{column} + {distance}" if column in moved else column for column in columns]
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table} WHERE id <= {MODEL}"
    )


def _verify(folder: Path, settled: int) -> None:
    command = [sys.executable, "-m", "daemon.cli", "--config", str(folder / "config.toml"), "status", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    seen = json.loads(answer.stdout)["events"]
    if seen["stored"] != settled or seen["unacknowledged"]:
        raise RuntimeError(f"the database did not turn out as meant: {seen}")
