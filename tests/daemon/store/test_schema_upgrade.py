"""The next release: this tree with one revision more, in a process of its own."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.clock import wall_now
from daemon.store import schema
from tests.ledger import Stores, add, opened, planned

ROOT = Path(__file__).parents[3]
NEXT = f"{int(schema.HEAD) + 1:04}"


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
        module.write_text(module.read_text().replace(f'HEAD = "{schema.HEAD}"', f'HEAD = "{NEXT}"'))
        (tree / "migrations" / "versions" / f"{NEXT}_next.py").write_text(
            "import os\nimport sqlalchemy as sa\nfrom alembic import op\n"
            f'revision, down_revision = "{NEXT}", "{schema.HEAD}"\n\ndef upgrade():{revision}'
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
    return database.with_name(f"eventferry.db.before-{NEXT}-from-{schema.HEAD}.copy")


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
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (NEXT,)
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
