"""Kills an upgrade at every write, flush and rename: `python -m tests.soak.migration`."""
# ruff: noqa: T201

import argparse
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from daemon.store.schema import HEAD
from tests.soak.syscalls import under_strace

ROOT = Path(__file__).parents[2]
BETWEEN, NEW = f"{int(HEAD) + 1:04}", f"{int(HEAD) + 2:04}"
CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "unlink")
NAME = "eventferry.db"
COPIES = f"{NAME}.before-{NEW}-from-*.copy"

OPEN = """
import asyncio, sys
from pathlib import Path
from daemon.clock import wall_now
from daemon.store import Store, StoreRefused

async def main():
    store = Store(Path(sys.argv[1]), wall_now)
    try:
        await store.database.open()
    except StoreRefused as refused:
        print(refused, file=sys.stderr)
        sys.exit(refused.exit_code)
    await store.database.close()

asyncio.run(main())
"""
REBUILD = """
    with op.batch_alter_table("deliveries") as batch:
        batch.add_column(sa.Column("note", sa.Text()))
    op.execute("UPDATE deliveries SET note = state")
"""
WIDEN = """
    op.create_table("widened", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("raw", sa.Text()))
    op.execute("INSERT INTO widened SELECT id, data FROM events")
    with op.batch_alter_table("events") as batch:
        batch.add_column(sa.Column("note", sa.Text()))
"""
BREAKS = f"{WIDEN}\n    raise RuntimeError('not foreseen')\n"


def next_release(folder: Path, last: str = WIDEN) -> Path:
    """Make a copy of this tree with two revisions more, the second with this work."""
    tree = folder / "next-release"
    if tree.exists():
        shutil.rmtree(tree)
    for package in ("daemon", "migrations", "sinks"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    module = tree / "daemon" / "store" / "schema.py"
    module.write_text(module.read_text().replace(f'HEAD = "{HEAD}"', f'HEAD = "{NEW}"'))
    for revision, before, work in ((BETWEEN, HEAD, REBUILD), (NEW, BETWEEN, last)):
        (tree / "migrations" / "versions" / f"{revision}_next.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f'revision, down_revision = "{revision}", "{before}"\n\ndef upgrade():{work}'
        )
    return tree


def start(tree: Path, database: Path, *, kill_at: tuple[str, int] | None = None) -> subprocess.CompletedProcess[str]:
    """Open the database with a release, as each of its starts does; killed as it makes this call so often."""
    under = []
    if kill_at is not None:
        strace, *rest = under_strace(*kill_at, database.parent)
        copy = database.with_name(COPIES.replace("*", counted(database).revision))
        under = [strace, "-P", str(copy), "-P", f"{copy}.part", *rest]
    return subprocess.run(
        [*under, sys.executable, "-c", OPEN, str(database)],
        cwd=database.parent,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Content(NamedTuple):
    """What a database holds."""

    revision: str
    rows: Mapping[str, int]
    """By table."""


def counted(database: Path) -> Content:
    """Look at a copy, since to look is to recover."""
    with tempfile.TemporaryDirectory() as scratch:
        for ending in ("", "-wal", "-journal"):
            if (file := database.with_name(database.name + ending)).exists():
                shutil.copy(file, Path(scratch) / file.name)
        with closing(sqlite3.connect(Path(scratch) / database.name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
            return Content(revision, counts)


def wrong(folder: Path, before: Content, after: Content) -> Iterator[str]:
    """What should not be after a kill: anything but all that was, or all that is to be."""
    now, copies = counted(folder / NAME), list(folder.glob(COPIES))
    if now not in (before, after):
        yield f"{now}, which is neither {before} nor {after}"
    if any(counted(copy) != before for copy in copies):
        yield "the copy made before is not what was"
    if now == after and not copies:
        yield "upgraded without a copy"


def kill_in_upgrade(folder: Path, database: Path, call: str, *, stride: int = 1, afresh: bool = False) -> int:
    """Kill one start after the other, each later in its upgrade, until one is through; how many were killed.

    `afresh`: each upgrades the database as it was, not what the one before left. Raises AssertionError.
    """
    tree, whole = folder.parent / "next-release", folder.parent / f"whole-{NAME}"
    shutil.copy(database, folder / NAME)
    shutil.copy(database, whole)
    assert start(tree, whole).returncode == 0
    before, after = counted(database), counted(whole)
    for kills in itertools.count():
        if afresh:
            for left in folder.iterdir():
                left.unlink()
            shutil.copy(database, folder / NAME)
        result = start(tree, folder / NAME, kill_at=(call, 1 + kills * stride))
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        assert list(wrong(folder, before, after)) == [], f"{call} {1 + kills * stride}: {folder}"
        if counted(folder / NAME) == after:
            assert start(tree, folder / NAME).returncode == 0
            assert list(wrong(folder, before, after)) == []
            return kills
    raise AssertionError


def main() -> int | str:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if shutil.which("strace") is None:
        return "this needs the program strace"
    total = 0
    with tempfile.TemporaryDirectory(prefix="soak-migration-") as scratch:
        next_release(Path(scratch))
        for database in sorted((ROOT / "tests" / "releases").glob("*.db")):
            for call in CALLS:
                began, folder = time.monotonic(), Path(scratch) / f"{database.stem}-{call}"
                folder.mkdir()
                kills = kill_in_upgrade(folder, database, call, afresh=True)
                total += kills
                print(f"{database.stem}, {call}: {kills} kills; {time.monotonic() - began:.0f} s", flush=True)
    print(f"{total} kills in an upgrade: each start found all that was, or all that is to be, and went on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
