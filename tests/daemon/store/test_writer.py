"""The one writer: groups, failures, full disks, the end."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError

from daemon.store import Store, StoreBroken, StoreClosed
from daemon.store.connections import writing_engine
from daemon.store.writer import Operation, Writer
from tests.ledger import ManualClock, Stores, rows, story


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


class Held:
    """Keeps the writer busy until it is let go, so that what comes in the meantime is queued together."""

    def __init__(self, store: Store) -> None:
        self._go = Event()
        self.task = asyncio.ensure_future(store.database.write(self._wait))

    def _wait(self, connection: Connection, now: datetime) -> None:
        self._go.wait(10)

    def let_go(self) -> None:
        self._go.set()


def commits_of(store: Store) -> list[str]:
    """Fills with a word for each commit that the writer makes from now on."""
    seen: list[str] = []
    assert store.database._write_engine is not None
    event.listen(store.database._write_engine, "commit", lambda connection: seen.append("commit"))
    return seen


@story
async def test_many_writes_share_few_commits_and_each_gets_its_own_answer(make_store: Stores) -> None:
    async with make_store() as store:
        commits = commits_of(store)
        held = Held(store)
        writes = [store.database.write(note(f"n{number}")) for number in range(1000)]
        gathered = asyncio.gather(*writes)
        await asyncio.sleep(0)
        held.let_go()
        assert await gathered == [f"n{number}" for number in range(1000)]
        await held.task
        assert len(commits) <= 3
        assert await noted(store) == [f"n{number}" for number in range(1000)]


@story
async def test_i2_a_write_is_answered_only_when_others_can_read_it(make_store: Stores) -> None:
    async with make_store() as store:
        with closing(sqlite3.connect(store.database.path)) as other:
            for number in range(1, 50):
                await store.database.write(note(f"n{number}"))
                assert other.execute("SELECT count(*) FROM meta").fetchone() == (number,)


@story
async def test_one_failing_operation_does_no_harm_to_its_neighbours(make_store: Stores) -> None:
    async with make_store() as store:
        await store.database.write(note("there"))
        held = Held(store)
        names = ["a", "there", "b", "there", "c"]
        gathered = asyncio.gather(*(store.database.write(note(name)) for name in names), return_exceptions=True)
        await asyncio.sleep(0)
        held.let_go()
        answers = await gathered
        assert [answers[0], answers[2], answers[4]] == ["a", "b", "c"]
        assert all(isinstance(answers[number], IntegrityError) for number in (1, 3))
        assert await noted(store) == ["there", "a", "b", "c"]


@story
async def test_an_operation_that_raises_half_way_leaves_nothing(make_store: Stores) -> None:
    def half(connection: Connection, now: datetime) -> None:
        note("half")(connection, now)
        raise RuntimeError("in the middle")

    async with make_store() as store:
        with pytest.raises(RuntimeError, match="in the middle"):
            await store.database.write(half)
        assert await noted(store) == []
        assert await store.database.write(note("next")) == "next"


@story
async def test_the_write_of_a_cancelled_caller_still_happens(make_store: Stores) -> None:
    """M7: a cancelled write is one that may have happened; here it always does."""
    async with make_store() as store:
        held = Held(store)
        tasks = [asyncio.ensure_future(store.database.write(note(f"n{number}"))) for number in range(5)]
        await asyncio.sleep(0)
        for task in tasks[1:4]:
            task.cancel()
        held.let_go()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(answer) for answer in answers[1:4]] == [asyncio.CancelledError] * 3
        assert (answers[0], answers[4]) == ("n0", "n4")
        assert await noted(store) == [f"n{number}" for number in range(5)]


@story
async def test_closing_commits_what_is_queued(make_store: Stores) -> None:
    async with make_store() as store:
        held = Held(store)
        writes = [asyncio.ensure_future(store.database.write(note(f"n{number}"))) for number in range(2000)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.database.close())
        await asyncio.sleep(0)
        held.let_go()
        await closing
        assert len(await asyncio.gather(*writes)) == 2000
    async with make_store() as store:
        assert len(await noted(store)) == 2000


@story
async def test_after_closing_nothing_is_written_or_read_any_more(make_store: Stores) -> None:
    async with make_store() as store:
        await store.database.close()
        with pytest.raises(StoreClosed):
            await store.database.write(nothing)
        with pytest.raises(StoreClosed):
            await store.database.read(lambda connection: None)
        await store.database.close()


@story
async def test_a_writer_that_cannot_connect_answers_all_the_same(tmp_path: Path, clock: ManualClock) -> None:
    engine = writing_engine(tmp_path / "missing" / "x.db")
    writer = Writer(engine, clock)
    with pytest.raises(StoreBroken, match="SQLITE_CANTOPEN"):
        await writer.write(nothing)
    assert "SQLITE_CANTOPEN" in str(await writer.broken)
    await writer.close()
