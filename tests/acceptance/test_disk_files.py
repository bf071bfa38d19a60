"""A database that is damaged, gone, misplaced or exchanged: refused with one line, never overwritten (F13 to F17)."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from daemon.simulator.faults import Behaviour
from tests.acceptance.disk import DATABASE, LOG, begun, completed, ended, logged, make_database


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.glob(f"{DATABASE}*")
        if path.is_file() and path.suffix != ".lock"
    }


def spoil(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def make_newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def replace_by_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


REFUSED = {
    "F13 truncated": (lambda path: os.truncate(path, 8192), 74, "restore a copy"),
    "F15 deleted": (lambda path: path.unlink(), 74, "has vanished, but eventferry.db.key shows"),
    "F17 symbolic link": (replace_by_link, 78, "is a symbolic link; [daemon] database must name the file"),
    "F18 newer": (make_newer, 74, "made by a newer Eventferry (schema 9999"),
}


def test_a_database_that_is_not_what_it_should_be_is_refused_in_one_line_and_stays_as_it_is(world, tmp_path):
    """F13, F15, F17, F18, I14: nothing is fetched, sent or completed, and nothing is made anew."""
    sound = tmp_path / "sound"

    async def story():
        async with world() as w:
            w.configure()
            w.sim.upstream.add_sample()
            await make_database(w)
            sound.mkdir()
            for path in w.folder.glob(f"{DATABASE}*"):
                shutil.copy(path, sound)
            for name, (break_it, exit_code, says) in REFUSED.items():
                break_it(w.folder / DATABASE)
                before, said = contents(w.folder), len(w.log())
                await w.start()
                assert await ended(w) == exit_code, name
                *_, line = w.log()[said:].splitlines()
                assert line.startswith(f"eventferry: {w.folder / DATABASE}: "), name
                assert says in line, name
                assert "Traceback" not in w.log()
                after = contents(w.folder)
                assert {each: after[each] for each in before} == before, name
                for path in w.folder.glob(f"{DATABASE}*"):
                    path.unlink()
                for kept in sound.iterdir():
                    shutil.copy(kept, w.folder)
            assert w.sim.upstream.calls == []

    asyncio.run(story())


def test_an_event_in_which_a_bit_flipped_is_set_aside_and_the_others_flow(world):
    """F14, M5: SQLite's own checks let it pass, the digest of the content does not."""

    async def story():
        async with world() as w:
            w.configure()
            w.sim.inbox.behave("hook", Behaviour(status=503))
            ids = [w.sim.upstream.add("purchase", {"note": f"the note of number {number}"}) for number in range(3)]
            await w.start("once")
            assert await ended(w) in (0, 1)
            path = w.folder / DATABASE
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("UPDATE deliveries SET due_at = '2026-01-01 00:00:00.000000'")
                connection.commit()
            content = path.read_bytes()
            places = [at for at in range(len(content)) if content.startswith(b"the note of number 1", at)]
            assert places
            for at in places:
                spoil(path, at, b"u")
            w.sim.inbox.behave("hook", Behaviour())
            await begun(w)
            await w.until(lambda: completed(w, *ids))
            assert await w.stop() == 0
            assert w.accepted("hook") == [f"builtbybit-{each}-hook" for each in (ids[0], ids[2])]
            states = w.rows("SELECT state, reason FROM deliveries ORDER BY id")
            assert states[1] == ("gave_up", "its stored content is damaged; not sent")
            assert [state for state, _ in states] == ["delivered", "gave_up", "delivered"]

    asyncio.run(story())


def remove_log(folder):
    (folder / LOG).unlink()


def remove_database(folder):
    (folder / DATABASE).unlink()


def exchange_database(folder):
    shutil.copy(folder / DATABASE, folder / "copy")
    (folder / "copy").rename(folder / DATABASE)


@pytest.mark.parametrize("break_it", [remove_log, remove_database, exchange_database])
def test_a_file_that_is_removed_or_exchanged_while_in_use_ends_the_daemon_with_74(world, break_it):
    """F16: what went to a file that nobody can find any more does not count as stored, nor is it completed."""

    async def story():
        async with world() as w:
            w.configure()
            first = w.sim.upstream.add_sample()
            await begun(w)
            await w.until(lambda: completed(w, first))
            break_it(w.folder)
            second = w.sim.upstream.add_sample()
            assert await ended(w) == 74
            assert not completed(w, second)
            assert len(w.accepted("hook")) == 1
            (said,) = logged(w, "store.broken")
            assert "was removed or exchanged while it was in use; put back what was there" in said["reason"]
            assert "Traceback" not in w.log()
            if break_it is not remove_database:
                await begun(w)
                await w.until(lambda: completed(w, second))
                assert await w.stop() == 0

    asyncio.run(story())
