"""The writer when the disk is full, the file is held, or no longer to be trusted."""

import asyncio
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Connection, event

from daemon.store import Store, StoreBroken, StoreClosed
from daemon.store.connections import writing_engine
from daemon.store.place import make_file
from daemon.store.writer import Operation, Writer
from tests.ledger import ManualClock, Stores, rows, story, until


def note(name: str) -> Operation[str]:
    """Write one row, told apart by its name."""

    def operation(connection: Connection, _: datetime) -> str:
        connection.exec_driver_sql("INSERT INTO meta VALUES (?, '')", (name,))
        return name

    return operation


def nothing(connection: Connection, now: datetime) -> None:
    """Change nothing."""


async def noted(store: Store) -> list[str]:
    return await rows(store, "SELECT name FROM meta ORDER BY rowid")


@story
async def test_on_a_full_disk_writes_wait_and_go_on_by_themselves(make_store: Stores) -> None:
    """F9. SQLite's own limit on pages gives the very error that a full disk gives."""
    space = Event()

    def fill(connection: Connection, now: datetime) -> None:
        limit = 2**30 if space.is_set() else connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={limit}")
        connection.exec_driver_sql("INSERT INTO meta VALUES ('big', zeroblob(100000))")

    async with make_store() as store:
        waiting = [asyncio.ensure_future(store.database.write(each)) for each in (fill, note("after"))]
        await until(lambda: store.database.disk_full)
        assert await noted(store) == []
        assert not any(each.done() for each in waiting)
        space.set()
        async with asyncio.timeout(10):
            assert await asyncio.gather(*waiting) == [None, "after"]
        assert not store.database.disk_full
        assert not store.database.broken.done()


@story
async def test_closing_on_a_full_disk_gives_up_what_waits_and_does_not_hang(make_store: Stores) -> None:
    def fill(connection: Connection, now: datetime) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.exec_driver_sql("INSERT INTO meta VALUES ('big', zeroblob(100000))")

    async with make_store() as store:
        waiting = [asyncio.ensure_future(store.database.write(each)) for each in (fill, fill)]
        async with asyncio.timeout(10):
            await until(lambda: store.database.disk_full)
            waiting.append(asyncio.ensure_future(store.database.write(fill)))
            await asyncio.sleep(0)
            await store.database.close()
        assert [type(answer) for answer in await asyncio.gather(*waiting, return_exceptions=True)] == [StoreClosed] * 3


@story
async def test_closing_while_another_program_holds_the_lock_does_not_hang(database: Path, clock: ManualClock) -> None:
    engine, other = writing_engine(database), writing_engine(database)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20"))
    os.close(make_file(database))
    try:
        with other.connect() as connection, connection.begin():
            writer = Writer(engine, clock)
            write = asyncio.ensure_future(writer.write(nothing))
            await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await writer.close()
            with pytest.raises(StoreClosed):
                await write
    finally:
        engine.dispose()
        other.dispose()


NO_MORE_BYTES = """
import asyncio, resource, sys
from pathlib import Path
from daemon.clock import wall_now
from daemon.store import Store, StoreBroken

def big(connection, now):
    connection.exec_driver_sql("INSERT INTO meta VALUES (?, zeroblob(3000000))", (str(id(connection)) + str(now),))

def small(connection, now):
    connection.exec_driver_sql("INSERT INTO meta VALUES ('small', '')")

async def main():
    store = Store(Path(sys.argv[1]), wall_now)
    await store.database.open()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    first = await asyncio.gather(store.database.write(big), return_exceptions=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    # Room again, and SQLite would go on as if nothing had happened.
    second = await asyncio.gather(*(store.database.write(small) for _ in range(3)), return_exceptions=True)
    print([type(answer).__name__ for answer in first + second], await store.database.broken)
    await store.database.close()

asyncio.run(main())
"""


def test_f11_after_an_input_output_error_nothing_is_written_any_more_and_the_store_says_so(database: Path) -> None:
    """M4, I14. A limit on the size of files makes `write` fail, and not for lack of space."""
    result = subprocess.run(
        [sys.executable, "-c", NO_MORE_BYTES, str(database)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stderr == ""
    names, _, reason = result.stdout.strip().partition("] ")
    assert names == "['StoreBroken', 'StoreBroken', 'StoreBroken', 'StoreBroken'"
    assert reason.startswith(f"{database}: SQLITE_IOERR")


def damage(path: Path) -> None:
    """Overwrite all but the first page."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xde\xad" * ((path.stat().st_size - 4096) // 2))


@story
async def test_i14_a_corrupt_file_met_by_a_reader_stops_the_writer_too(make_store: Stores) -> None:
    async with make_store() as store:
        await store.database.write(note("n"))
    async with make_store() as store:
        damage(store.database.path)
        with pytest.raises(StoreBroken, match="SQLITE_CORRUPT"):
            await store.database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM attempts").all())
        assert "SQLITE_CORRUPT" in str(await store.database.broken)
        with pytest.raises(StoreBroken):
            await store.database.write(note("more"))
