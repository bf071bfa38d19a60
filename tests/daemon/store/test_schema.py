"""Which schema a database has, and how an older one is brought up to date."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from daemon.clock import wall_now
from daemon.store import Store, StoreRefused, schema
from daemon.store.connections import writing_engine
from daemon.tables import metadata
from tests.ledger import Stores, add, planned, rows, story


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    path.touch()
    engine = writing_engine(path)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def schema_of(connection: Connection) -> dict[str, list[str]]:
    """The clauses by which SQLite remembers each table and index; their order means nothing."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    connection.rollback()
    clauses = {name: re.sub(r"\s+", " ", sql).replace("( ", "(").replace(" )", ")") for name, sql in found}
    return {
        name: sorted(each.rstrip(")") for each in re.split(r", (?=[A-Za-z_]+ )", sql)) for name, sql in clauses.items()
    }


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [schema.HEAD]


def test_migrating_from_nothing_gives_exactly_what_a_new_database_gets(tmp_path: Path) -> None:
    with connected(tmp_path / "migrated.db") as migrated, connected(tmp_path / "made.db") as made:
        schema._migrate(migrated, tmp_path / "migrated.db")
        schema.bring_up_to_date(made, tmp_path / "made.db", fresh=True)
        assert schema_of(migrated) == schema_of(made)
        versions = [each.exec_driver_sql("SELECT * FROM alembic_version").all() for each in (migrated, made)]
        assert versions == [[(schema.HEAD,)]] * 2


def test_what_is_made_is_what_the_tables_say(tmp_path: Path) -> None:
    with connected(tmp_path / "x.db") as connection:
        schema._migrate(connection, tmp_path / "x.db")
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_current_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with connected(path) as connection:
        schema.bring_up_to_date(connection, path, fresh=True)
        before = schema_of(connection)
        schema.bring_up_to_date(connection, path, fresh=False)
        assert schema_of(connection) == before
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]


def set_revision(path: Path, revision: str | None) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))


@pytest.mark.parametrize(
    ("revision", "complaint"),
    [
        ("8888", r"made by a newer Eventferry \(schema 8888, this program has \d+\); install that version again"),
        ("9999", r"made by a newer Eventferry \(schema 9999"),
        ("deadbeef", r"made by a newer Eventferry \(schema deadbeef"),
        (None, r"made by a newer Eventferry \(schema unknown"),
        ("0000x", r"cannot be brought up to date \(.*0000x.*\); nothing was changed"),
    ],
)
@story
async def test_f18_a_schema_that_is_not_known_here_is_refused(
    make_store: Stores, database: Path, revision: str | None, complaint: str
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
    set_revision(database, revision)
    before = database.read_bytes()  # noqa: ASYNC240
    with pytest.raises(StoreRefused, match=complaint):
        async with make_store():
            pass
    assert database.read_bytes() == before  # noqa: ASYNC240
    set_revision(database, schema.HEAD)
    async with make_store() as store:
        assert await rows(store, "SELECT external_id FROM events") == ["1"]


@story
async def test_who_only_looks_is_told_to_run_the_daemon_first(make_store: Stores, database: Path) -> None:
    async with make_store():
        pass
    set_revision(database, "0000")
    with pytest.raises(StoreRefused, match=r"has schema 0000, this program has \d+; run the daemon of this version"):
        Store(database, wall_now).database.open_read_only()
