"""Opening the database safely."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from daemon.clock import wall_now
from daemon.store import StoreInUse
from daemon.store import database as module
from daemon.store.schema import APPLICATION_ID
from tests.ledger import ManualClock, Stores, add, contents, opened, planned, refusal, rows, story

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
