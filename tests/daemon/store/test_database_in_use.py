"""What can happen to a database while it is open: a query without end, a full disk, a file that goes away."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from daemon.app import guard
from daemon.store import StoreBroken, StoreClosed, StoreRefused
from daemon.store import database as module
from daemon.store.errors import StoreOverdue
from tests.ledger import Stores, add, planned, rows, story, until


def endless(begun: threading.Event, connection: Connection) -> None:
    """Read for ever, from a snapshot that keeps SQLite from beginning its log anew."""
    connection.exec_driver_sql("SELECT count(*) FROM events").scalar()
    begun.set()
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    connection.exec_driver_sql(numbers).scalar()


def fill(connection: Connection, now: datetime) -> None:
    """Write a row for which SQLite has no page left, which is the very error that a full disk gives."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    connection.exec_driver_sql("INSERT INTO meta VALUES ('big', zeroblob(100000))")


@story
async def test_closing_does_not_wait_for_a_query_without_end(make_store: Stores) -> None:
    async with make_store() as store:
        begun = threading.Event()
        query = asyncio.ensure_future(store.database.read(partial(endless, begun)))
        await until(begun.is_set)
        async with asyncio.timeout(10):
            await store.database.close()
        with pytest.raises(StoreClosed):
            await query


@story
async def test_f20_a_query_is_ended_after_its_time_and_the_log_is_begun_anew(
    make_store: Stores, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.READ_SECONDS == 30
    monkeypatch.setattr(module, "READ_SECONDS", 1.0)
    log = database.with_name(database.name + "-wal")

    async def write_much(store: object, first: int) -> int:
        for number in range(first, first + 60):
            await add(store, planned(number, raw="x" * 100_000))  # type: ignore[arg-type]
        return log.stat().st_size

    async with make_store() as store:
        usual = await write_much(store, 0)
        begun = threading.Event()
        reading = asyncio.ensure_future(store.database.read(partial(endless, begun)))
        await until(begun.is_set)
        grown = await write_much(store, 100)
        with pytest.raises(StoreOverdue, match=r"eventferry.db: a query was ended after 1 s; ask for less") as caught:
            await reading
        assert caught.value.exit_code == 75
        assert grown > usual
        assert await write_much(store, 200) <= max(grown, usual) * 1.2
        assert await rows(store, "SELECT count(*) FROM events") == [180]


@story
async def test_what_must_not_wait_for_room_is_refused_on_a_full_disk(make_store: Stores) -> None:
    """F10."""
    async with make_store() as store:
        assert await store.database.unless_full(rows(store, "SELECT 1")) == [1]
        async with asyncio.timeout(10):
            with pytest.raises(StoreRefused, match="the disk is full; make room, then start again"):
                await store.database.unless_full(store.database.write(fill))


def remove_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def exchange(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


@pytest.mark.parametrize("go_away", [Path.unlink, remove_log, exchange])
@story
async def test_f16_nothing_is_stored_in_a_file_that_is_no_longer_there(
    make_store: Stores, database: Path, go_away: Callable[[Path], None]
) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        await store.database.require_in_place()
        go_away(database)
        with pytest.raises(StoreBroken, match=r"DBMOVED: eventferry.db or eventferry.db-wal was removed or exchanged"):
            await add(store, planned(2))
        assert "put back what was there" in str(await store.database.broken)
        with pytest.raises(StoreBroken):
            await rows(store, "SELECT 1")


@story
async def test_f16_a_file_that_goes_away_while_nothing_is_stored_is_noticed_within_a_minute(
    make_store: Stores, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guard.PLACE_LOOK_SECONDS < 60
    monkeypatch.setattr(guard, "PLACE_LOOK_SECONDS", 0.01)
    async with make_store() as store:
        watches = [asyncio.ensure_future(watch) for watch in guard.watches(store.database, lambda: None)]
        await add(store, planned(1))
        exchange(database)
        async with asyncio.timeout(10):
            assert "removed or exchanged" in str(await store.database.broken)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


@story
async def test_f9_a_full_disk_is_logged_once_and_its_end_too(
    make_store: Stores, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "ROOM_LOOK_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    room, had_room = threading.Event(), []

    def fill_until_room(connection: Connection, now: datetime) -> None:
        if room.is_set():
            connection.exec_driver_sql(f"PRAGMA max_page_count={2**30}")
        else:
            fill(connection, now)

    async with make_store() as store:
        watches = [asyncio.ensure_future(watch) for watch in guard.watches(store.database, lambda: had_room.append(1))]
        writing = asyncio.ensure_future(store.database.write(fill_until_room))
        await until(lambda: "store.disk_full" in caplog.text)
        await asyncio.sleep(0.1)
        room.set()
        await writing
        await until(lambda: had_room)
        assert (caplog.text.count("store.disk_full"), caplog.text.count("store.disk_has_room")) == (1, 1)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
