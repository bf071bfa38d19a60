"""Databases of every release are opened, brought up to date and gone on with."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from daemon import __version__

RELEASES = sorted((Path(__file__).parent.parent / "releases").glob("*.db"))


def test_there_is_a_database_of_this_release():
    assert f"{__version__}.db" in [path.name for path in RELEASES]


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_database_of_this_release_is_gone_on_with(world, release):
    async def story():
        async with world() as w:
            shutil.copyfile(release, w.folder / "eventferry.db")
            with closing(sqlite3.connect(release)) as connection:
                before = connection.execute("SELECT source, external_id, data FROM events").fetchall()
                attempts = connection.execute("SELECT count(*) FROM attempts").fetchone()[0]
            assert len(before) > 10
            w.configure(sinks=w.webhook("good") + w.webhook("down"))
            event_id = w.sim.upstream.add("purchase", {"resource_title": "New"}, event_id=2_000_001)
            await w.start()
            await w.until(lambda: f"builtbybit-{event_id}-good" in w.accepted("good"))
            assert await w.stop() == 0
            after = w.rows("SELECT source, external_id, data FROM events")
            assert set(before) <= set(after)
            assert w.rows("SELECT count(*) FROM attempts")[0][0] > attempts
            assert w.rows("PRAGMA integrity_check") == [("ok",)]

    asyncio.run(story())
