"""Which schema a database has, and how an older one is brought up to date."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
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
from tests.ledger import add, opened, planned, rows, story

Stores = Callable[[], AbstractAsyncContextManager[Store]]
ROOT = Path(__file__).parents[3]


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
    """The clauses by which SQLite remembers each table and index, one a line; their order means nothing."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    connection.rollback()
    return {name: sorted(line.strip().rstrip(",") for line in sql.strip().splitlines()) for name, sql in found}


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
        ("0002", r"made by a newer Eventferry \(schema 0002, this program has 0001\); install that version again"),
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
    with pytest.raises(StoreRefused, match=r"has schema 0000, this program has 0001; run the daemon of this version"):
        Store(database, wall_now).database.open_read_only()


# The next release: this tree with one revision more, in a process of its own


OPEN = """
import asyncio, sys
from pathlib import Path
from daemon.clock import wall_now
from daemon.store import Store, StoreRefused

async def main():
    store = Store(Path(sys.argv[1]), wall_now)
    try:
        await store.database.open()
    except StoreRefused as refused:
        sys.exit(str(refused))
    await store.database.close()

asyncio.run(main())
"""

GOOD = """
    with op.batch_alter_table("events") as batch:
        batch.add_column(sa.Column("note", sa.Text()))
        batch.drop_column("channel")
"""
FAILS = """
    op.create_table("halfway", sa.Column("x", sa.Text()))
    op.execute("DELETE FROM events")
    op.execute("nonsense")
"""
DIES = """
    op.create_table("halfway", sa.Column("x", sa.Text()))
    op.execute("DELETE FROM events")
    os._exit(9)
"""
ORPHANS = """
    op.execute("DELETE FROM events")
"""


@pytest.fixture
def upgrade(tmp_path: Path, database: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Opens the database with a release whose one new revision does this."""
    tree = tmp_path / "next % release"

    def run(revision: str) -> subprocess.CompletedProcess[str]:
        for package in ("daemon", "migrations"):
            shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
        module = tree / "daemon" / "store" / "schema.py"
        module.write_text(module.read_text().replace('HEAD = "0001"', 'HEAD = "0002"'))
        (tree / "migrations" / "versions" / "0002_next.py").write_text(
            "import os\nimport sqlalchemy as sa\nfrom alembic import op\n"
            f'revision, down_revision = "0002", "0001"\n\ndef upgrade():{revision}'
        )
        command = [sys.executable, "-c", OPEN, str(database)]
        environment = os.environ | {"PYTHONPATH": str(tree)}
        result = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        shutil.rmtree(tree)
        return result

    return run


@pytest.fixture
def filled(make_store: Stores, database: Path) -> dict[str, int]:
    """How many rows each table has before the upgrade."""

    async def fill() -> None:
        async with make_store() as store:
            await add(store, *(planned(number, "hook", "mail") for number in range(10)))

    asyncio.run(fill())
    return counted(database)


def counted(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        numbers = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return numbers


def copy_of(database: Path) -> Path:
    return database.with_name("eventferry.db.before-0002-from-0001.copy")


Upgrade = Callable[[str], subprocess.CompletedProcess[str]]


def test_f18_an_upgrade_keeps_every_row_and_a_copy_of_what_was(
    upgrade: Upgrade, database: Path, filled: dict[str, int]
) -> None:
    result = upgrade(GOOD)
    assert (result.returncode, result.stderr) == (0, "")
    assert counted(database) == filled
    assert counted(copy_of(database)) == filled
    assert stat.S_IMODE(copy_of(database).stat().st_mode) == 0o600
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0002",)
        assert connection.execute("SELECT count(note) FROM events").fetchone() == (0,)
    assert not list(database.parent.glob("*.part*"))


def test_f18_the_copy_holds_what_is_still_in_the_write_ahead_log(
    upgrade: Upgrade, database: Path, filled: dict[str, int]
) -> None:
    program = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); "
        "connection.execute(\"INSERT INTO meta VALUES ('late', '')\"); connection.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(database)], timeout=30, check=False)
    assert upgrade(GOOD).returncode == 0
    assert counted(copy_of(database)) == filled | {"meta": 1}


def test_f18_the_copy_can_be_put_back(upgrade: Upgrade, database: Path, filled: dict[str, int]) -> None:
    assert upgrade(GOOD).returncode == 0
    copy_of(database).replace(database)

    async def look() -> None:
        async with opened(database, wall_now) as store:
            await add(store, planned("new", "hook"))

    asyncio.run(look())
    assert counted(database)["events"] == filled["events"] + 1


@pytest.mark.parametrize(
    ("revision", "code", "complaint"),
    [(FAILS, 1, "nonsense"), (ORPHANS, 1, "left an orphan in deliveries; it was rolled back"), (DIES, 9, "")],
)
def test_w10_an_upgrade_that_fails_half_way_leaves_everything_as_it_was(
    upgrade: Upgrade, database: Path, filled: dict[str, int], revision: str, code: int, complaint: str
) -> None:
    result = upgrade(revision)
    assert result.returncode == code
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert counted(database) == counted(copy_of(database)) == filled
    asyncio.run(_open_and_close(database))
    assert upgrade(GOOD).returncode == 0
    assert counted(database) == filled


async def _open_and_close(path: Path) -> None:
    async with opened(path, wall_now):
        pass


def test_three_copies_are_kept_the_oldest_go(database: Path, filled: dict[str, int], tmp_path: Path) -> None:
    bystander = tmp_path / "eventferry2.db.before-0001-from-0000.copy"
    bystander.touch()
    for age in range(6):
        copy = schema.copy_before(database, f"000{age}")
        os.utime(copy, (1000 + age, 1000 + age))
    kept = sorted(path.name[-9:-5] for path in tmp_path.glob("eventferry.db.before-*.copy"))
    assert kept == ["0003", "0004", "0005"]
    assert bystander.exists()


def test_copies_of_a_database_with_an_odd_name_are_found(tmp_path: Path) -> None:
    database = tmp_path / "[a]*?.db"
    asyncio.run(_open_and_close(database))
    for age in range(5):
        os.utime(schema.copy_before(database, f"000{age}"), (1000 + age, 1000 + age))
    assert len(list(tmp_path.glob("*.copy"))) == schema.COPIES_KEPT
