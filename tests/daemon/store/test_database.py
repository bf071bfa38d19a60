"""Opening the database safely."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from daemon.clock import wall_now
from daemon.store import Store, StoreBroken, StoreClosed, StoreInUse, StoreRefused
from daemon.store import database as module
from daemon.store.place import make_file
from daemon.store.schema import APPLICATION_ID
from tests.ledger import ManualClock, add, opened, planned, rows, story, until

Stores = Callable[[], AbstractAsyncContextManager[Store]]

WANTED = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "journal_size_limit": 67108864,
    "temp_store": 2,
    "page_size": 4096,
    "application_id": APPLICATION_ID,
}


async def refusal(path: Path) -> StoreRefused:
    """What is said, in one line that names the file."""
    with pytest.raises(StoreRefused) as caught:
        async with opened(path, wall_now):
            pass
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


@story
async def test_m1_every_connection_has_the_settings_that_durability_rests_on(make_store: Stores) -> None:
    def settings(connection: object, *_: object) -> dict[str, object]:
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in WANTED}  # type: ignore[attr-defined]

    async with make_store() as store:
        assert await store.database.write(settings) == WANTED
        assert await store.database.read(settings) == WANTED


@story
async def test_a_pragma_that_does_not_take_is_an_error(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.writing_engine.__globals__["_PRAGMAS"], "page_size", 4097)
    assert "PRAGMA page_size is 4096 although 4097 was asked for" in str(await refusal(database))


@story
async def test_readers_cannot_write(make_store: Stores) -> None:
    async with make_store() as store:
        with pytest.raises(OperationalError, match="readonly"):
            await rows(store, "DELETE FROM meta")
        assert not store.database.broken.done()


def test_all_files_are_for_the_owner_only(database: Path) -> None:
    async def look() -> dict[str, int]:
        async with opened(database, wall_now) as store:
            await add(store, planned(1))
            return {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir()}

    before = os.umask(0)
    try:
        modes = asyncio.run(look())
    finally:
        os.umask(before)
    name = database.name
    assert modes == dict.fromkeys([name, f"{name}-wal", f"{name}-shm", f"{name}.lock", f"{name}.key"], 0o600)


@story
async def test_i18_a_second_opening_is_refused_with_the_owners_pid(make_store: Stores, database: Path) -> None:
    async with make_store():
        refused = await refusal(database)
        assert isinstance(refused, StoreInUse)
        assert f"in use by the process {os.getpid()}" in str(refused)
    async with make_store():
        pass


OWNER = """
import asyncio, sys
from pathlib import Path
from daemon.clock import wall_now
from daemon.store import Store

async def main():
    await Store(Path(sys.argv[1]), wall_now).database.open()
    print("mine", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_f19_a_database_owned_by_another_process_is_free_once_that_is_killed(database: Path) -> None:
    """I13: nothing is left to be removed by hand."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(database)], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "mine\n"
            refused = asyncio.run(refusal(database))
            assert isinstance(refused, StoreInUse)
            assert f"in use by the process {owner.pid};" in str(refused)
        finally:
            owner.kill()

    async def look() -> list[object]:
        async with opened(database, wall_now) as store:
            return await rows(store, "SELECT count(*) FROM events")

    assert asyncio.run(look()) == [0]


@pytest.mark.parametrize(
    "name", ["with space", "100%", "a?b=c", "hash#tag", "per%20cent", "ünïcode", "[x]*", "a&b;c", "q'uote\""]
)
@story
async def test_any_name_can_be_a_databases(tmp_path: Path, clock: ManualClock, name: str) -> None:
    folder = tmp_path / name
    await asyncio.to_thread(folder.mkdir)
    async with opened(folder / name, clock) as store:
        await add(store, planned(1))
    async with opened(folder / name, clock) as store:
        assert await rows(store, "SELECT external_id FROM events") == ["1"]
    assert sorted(contents(folder)) == [name, f"{name}.key"]


@story
async def test_a_relative_path_counts_from_where_we_are(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(Path("x.db"), clock) as store:
        await add(store, planned(1))
    assert "x.db" in contents(tmp_path)


# Files that are not what they should be


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


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE somebodys (own)")
        connection.execute("INSERT INTO somebodys VALUES (1)")
        connection.commit()


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


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage" * 1000)


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


# Permissions


@pytest.mark.parametrize("suffix", [".lock", ".key"])
def test_f17_a_file_beside_it_that_we_may_not_use_is_named(as_somebody_else: Path, suffix: str) -> None:
    database = as_somebody_else / "x.db"
    beside = database.with_name(database.name + suffix)
    asyncio.run(_open_and_close(database))
    beside.chmod(0)
    refused = asyncio.run(refusal(database))
    assert refused.exit_code == 77
    assert f"may not use x.db{suffix}; check the owner" in str(refused)


async def _open_and_close(path: Path) -> None:
    async with opened(path, wall_now):
        pass


def test_f17_a_folder_that_we_may_not_enter_is_refused(as_somebody_else: Path) -> None:
    folder = as_somebody_else / "locked"
    folder.mkdir(mode=0)
    refused = asyncio.run(refusal(folder / "x.db"))
    assert refused.exit_code == 77


# Looking, beside the owner or without one


@story
async def test_a_database_can_be_looked_at_beside_its_owner(make_store: Stores, database: Path) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        look = Store(database, wall_now)
        look.database.open_read_only()
        try:
            assert await rows(look, "SELECT external_id FROM events") == ["1"]
            await add(store, planned(2))
            assert await rows(look, "SELECT external_id FROM events") == ["1", "2"]
            with pytest.raises(StoreRefused, match="opened for reading only"):
                await add(look, planned(3))
            with pytest.raises(OperationalError, match="readonly"):
                await rows(look, "DELETE FROM events")
            with pytest.raises(StoreRefused, match="opened for reading only"):
                _ = look.database.broken
            assert not look.database.disk_full
        finally:
            await look.database.close()
        await add(store, planned(4))


@story
async def test_looking_without_an_owner_changes_nothing_and_locks_nobody_out(
    make_store: Stores, database: Path
) -> None:
    async with make_store() as store:
        await add(store, planned(1))
    before = contents(database.parent)
    look = Store(database, wall_now)
    look.database.open_read_only()
    try:
        assert await rows(look, "SELECT external_id FROM events") == ["1"]
        async with make_store() as store:
            await add(store, planned(2))
    finally:
        await look.database.close()
    assert before.keys() <= contents(database.parent).keys()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: None, "there is no database yet"),
        (Path.touch, "there is nothing in this database yet"),
        (foreign, "not an Eventferry database"),
        (garbage, "not a database"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_one_line(
    database: Path, make: Callable[[Path], None], complaint: str
) -> None:
    make(database)
    before = contents(database.parent)
    with pytest.raises(StoreRefused, match=complaint):
        Store(database, wall_now).database.open_read_only()
    assert contents(database.parent) == before


def test_who_may_not_read_it_is_told_so(as_somebody_else: Path) -> None:
    database = as_somebody_else / "x.db"
    asyncio.run(_open_and_close(database))
    database.chmod(0)
    with pytest.raises(StoreRefused, match="not readable for you; use sudo") as caught:
        Store(database, wall_now).database.open_read_only()
    assert caught.value.exit_code == 77


# The rest


@story
async def test_closing_does_not_wait_for_a_query_without_end(make_store: Stores) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    async with make_store() as store:
        query = asyncio.ensure_future(rows(store, endless))
        await until(lambda: store.database._reading)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            await store.database.close()
        with pytest.raises(StoreClosed):
            await query


@story
async def test_a_fingerprint_tells_change_and_depends_on_the_key(
    make_store: Stores, tmp_path: Path, clock: ManualClock
) -> None:
    async with make_store() as store:
        one = store.database.fingerprint("secret \ud800")
        assert one == store.database.fingerprint("secret \ud800") != store.database.fingerprint("secret")
    async with make_store() as store:
        assert store.database.fingerprint("secret \ud800") == one
    async with opened(tmp_path / "other.db", clock) as store:
        assert store.database.fingerprint("secret \ud800") != one


@story
async def test_a_failed_opening_lets_go_of_the_lock(make_store: Stores, database: Path) -> None:
    async with make_store():
        pass
    key_file = database.with_name("eventferry.db.key")
    key = await asyncio.to_thread(key_file.read_bytes)
    await asyncio.to_thread(key_file.write_bytes, b"")
    await refusal(database)
    await asyncio.to_thread(key_file.write_bytes, key)
    async with make_store():
        pass
