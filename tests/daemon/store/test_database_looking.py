"""Looking at a database beside its owner or without one, and what one may not do."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from daemon.clock import wall_now
from daemon.store import Store, StoreRefused
from tests.ledger import Stores, add, contents, foreign, garbage, opened, planned, refusal, rows, story


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


CUT_SHORT = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE big (content)")
connection.execute("INSERT INTO big VALUES (zeroblob(1000000))")
os._exit(9)
"""


def test_looking_after_the_very_first_start_was_cut_short_says_to_start_again(database: Path) -> None:
    """I13: a journal is left that only who may write can roll back."""
    subprocess.run([sys.executable, "-c", CUT_SHORT, str(database)], timeout=30, check=False)
    assert database.with_name(database.name + "-journal").exists()
    before = contents(database.parent)
    with pytest.raises(StoreRefused, match=r"the very first start was cut short; .* when the daemon runs again"):
        Store(database, wall_now).database.open_read_only()
    assert contents(database.parent) == before


def test_who_may_not_read_it_is_told_so(as_somebody_else: Path) -> None:
    database = as_somebody_else / "x.db"
    asyncio.run(_open_and_close(database))
    database.chmod(0)
    with pytest.raises(StoreRefused, match="not readable for you; use sudo") as caught:
        Store(database, wall_now).database.open_read_only()
    assert caught.value.exit_code == 77
