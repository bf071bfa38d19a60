"""Files that are not what they should be."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.clock import wall_now
from daemon.store import StoreBroken, StoreRefused
from daemon.store import database as module
from daemon.store.place import make_file
from daemon.store.schema import APPLICATION_ID
from tests.ledger import Stores, add, contents, foreign, garbage, opened, planned, refusal, rows, story


@pytest.mark.parametrize("how", ["deleted", "emptied", "made blank"])
@story
async def test_f15_a_database_that_vanished_is_refused_and_not_made_anew(
    make_store: Stores, database: Path, how: str
) -> None:
    async with make_store() as store:
        await add(store, planned(1))
    await asyncio.to_thread(database.unlink)
    if how == "emptied":
        os.close(make_file(database))
    if how == "made blank":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA user_version=1")
    before = contents(database.parent)
    refused = await refusal(database)
    assert "has vanished, but eventferry.db.key shows that there was one. Restore it, or remove" in str(refused)
    assert refused.exit_code == 74
    assert contents(database.parent) == before
    await asyncio.to_thread(database.with_name("eventferry.db.key").unlink)
    async with make_store() as store:
        assert await rows(store, "SELECT count(*) FROM events") == [0]


def test_i13_a_death_at_the_very_first_start_needs_no_repair(database: Path) -> None:
    """After switching to WAL the file has a first page, but nothing in it yet."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
    assert database.stat().st_size > 0

    async def look() -> list[object]:
        async with opened(database, wall_now) as store:
            return await rows(store, "SELECT count(*) FROM events")

    assert asyncio.run(look()) == [0]


KILLED = """
import os, sys
from pathlib import Path
from daemon.store import schema
from daemon.store.connections import writing_engine

path = Path(sys.argv[1])
path.touch()
schema.bring_up_to_date(writing_engine(path).connect(), path, fresh=True)
os._exit(9)
"""


@story
async def test_i13_a_death_before_the_marks_reached_the_main_file_needs_no_repair(
    make_store: Stores, database: Path
) -> None:
    """All of the database is then still in the write-ahead log."""
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, str(database)], timeout=30)
    assert APPLICATION_ID.to_bytes(4, "big") not in contents(database.parent)[database.name]
    async with make_store() as store:
        assert await rows(store, "SELECT count(*) FROM events") == [0]


def foreign_without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id=4711")


def foreign_with_a_log(path: Path) -> None:
    """Left by a process that was killed."""
    program = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); "
        "connection.execute('PRAGMA journal_mode=wal'); connection.execute('CREATE TABLE somebodys (own)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=30)
    path.with_name(path.name + "-shm").unlink()


def text(path: Path) -> None:
    path.write_text("[daemon]\n")


@pytest.mark.parametrize("make", [foreign, foreign_without_tables, foreign_with_a_log, garbage, text])
def test_f13_a_file_that_is_not_ours_is_refused_and_stays_as_it_was(
    database: Path, make: Callable[[Path], None]
) -> None:
    make(database)
    before = contents(database.parent)
    refused = asyncio.run(refusal(database))
    assert "not an Eventferry database; set [daemon] database" in str(refused) or "not a database" in str(refused)
    after = contents(database.parent)
    assert {name: after[name] for name in before} == before
    assert database.name + ".key" not in after


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"XXXX")


def spoil_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * 4096)


def spoil_an_index(path: Path) -> None:
    """Only the full check finds that an index lacks a row (M5)."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        root, sql = connection.execute(
            "SELECT rootpage, sql FROM sqlite_master WHERE name = 'ix_attempts_delivery_id'"
        ).fetchone()
        connection.execute("PRAGMA writable_schema=1")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'ix_attempts_delivery_id'")
        connection.execute("PRAGMA writable_schema=RESET")
        connection.execute("INSERT INTO attempts VALUES (1, 1, 1, '', 1, 'x', NULL, NULL, NULL, NULL)")
        connection.execute("PRAGMA writable_schema=1")
        connection.execute(
            "INSERT INTO sqlite_master VALUES ('index', 'ix_attempts_delivery_id', 'attempts', ?, ?)", (root, sql)
        )
        connection.execute("PRAGMA writable_schema=0")


@pytest.mark.parametrize("spoil", [truncate, spoil_header, spoil_a_page, spoil_an_index])
def test_f13_a_damaged_file_is_refused_and_stays_as_it_was(
    make_store: Stores, database: Path, spoil: Callable[[Path], None]
) -> None:
    async def fill() -> None:
        async with make_store() as store:
            await add(store, *(planned(number, "hook") for number in range(100)))

    asyncio.run(fill())
    spoil(database)
    before = contents(database.parent)
    refused = asyncio.run(refusal(database))
    assert refused.exit_code == 74
    assert "restore a copy, nothing was changed" in str(refused)
    after = contents(database.parent)
    assert {name: after[name] for name in before} == before


@story
async def test_a_large_database_is_checked_beside_the_work_and_stops_it_if_damaged(
    make_store: Stores, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
    spoil_an_index(database)
    monkeypatch.setattr(module, "BACKGROUND_CHECK_FROM", 1024)
    async with make_store() as store:
        with pytest.raises(StoreRefused, match="the database is damaged"):
            await store.database.check_in_background()
        assert "damaged" in str(await store.database.broken)
        with pytest.raises(StoreBroken):
            await add(store, planned(1))


@story
async def test_a_sound_database_passes_the_check_beside_the_work(
    make_store: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_store() as store:
        await store.database.check_in_background()
        monkeypatch.setattr(module, "BACKGROUND_CHECK_FROM", 1024)
        await store.database.check_in_background()
        assert not store.database.broken.done()
