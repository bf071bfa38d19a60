"""Which schema a database has, and bringing an older one up to date after a copy was made."""

import glob
import os
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from daemon.store import errors
from daemon.store.errors import StoreMisplaced, StoreRefused
from daemon.store.place import make_file, sync
from daemon.tables import metadata

HEAD = "0003"
"""The newest revision in `migrations/versions`; a test holds it to the truth. Knowing it here spares
a start from importing Alembic unless there is something to migrate."""
APPLICATION_ID = 0x45764672
COPIES_KEPT = 3
_FAULTS_OF_A_REVISION = (None, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT)

_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As Alembic makes it."""


def is_blank(connection: Connection, path: Path) -> bool:
    """Whether the file holds nothing yet, as after a death at the very first start.

    Raises StoreMisplaced for a file that is some other program's.
    """
    found = connection.exec_driver_sql("PRAGMA application_id").scalar()
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    connection.rollback()
    if found == APPLICATION_ID:
        return False
    if found or tables:
        raise StoreMisplaced(f"{path}: not an Eventferry database; set [daemon] database to another file")
    return True


def require_current(connection: Connection, path: Path) -> None:
    """For readers, who must not migrate. Raises StoreRefused."""
    if is_blank(connection, path):
        raise StoreMisplaced(f"{path}: there is nothing in this database yet; it is filled when the daemon first runs")
    revision = _revision(connection)
    if revision != HEAD:
        raise StoreRefused(
            f"{path}: has schema {revision or 'none'}, this program has {HEAD}; run the daemon of this version once"
        )


def bring_up_to_date(connection: Connection, path: Path, *, fresh: bool) -> None:
    """Make, migrate or accept the schema. Raises StoreRefused for a newer one."""
    if fresh:
        _make(connection)
        return
    revision = _revision(connection)
    if revision == HEAD:
        return
    if revision is None or revision > HEAD:
        raise StoreRefused(
            f"{path}: made by a newer Eventferry (schema {revision or 'unknown'}, this program has {HEAD}); "
            "install that version again, or restore the copy made before the upgrade"
        )
    copy_before(path, revision)
    _migrate(connection, path)


def _revision(connection: Connection) -> str | None:
    try:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(select(_version.c.version_num)).scalar()
    finally:
        connection.rollback()


def _make(connection: Connection) -> None:
    """A new database gets today's tables at once; a test proves that migrating gives the same."""
    with connection.begin():
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        metadata.create_all(connection)
        _version.create(connection)
        connection.execute(insert(_version).values(version_num=HEAD))


def _migrate(connection: Connection, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    # Batch mode rebuilds tables; with foreign keys on, dropping the old one would delete child rows.
    # The pragma does nothing inside a transaction, and SQLAlchemy would begin one: ask the driver.
    connection.rollback()
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.execute("PRAGMA foreign_keys=OFF")
    with connection.begin():
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreRefused(f"{path}: cannot be brought up to date ({error}); nothing was changed") from None
        except Exception as error:
            if errors.code(error) not in _FAULTS_OF_A_REVISION:
                raise
            what = error.orig if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
            raise StoreRefused(
                f"{path}: cannot be brought up to date ({what}); nothing was changed: "
                "install the version before again, and report this"
            ) from None
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise StoreRefused(f"{path}: the migration left an orphan in {broken[0]}; it was rolled back")


def copy_before(path: Path, revision: str) -> Path:
    """Copy the database beside itself before its schema changes; the oldest copies go."""
    copy = path.with_name(f"{path.name}.before-{HEAD}-from-{revision}.copy")
    unfinished = copy.with_name(copy.name + ".part")
    unfinished.unlink(missing_ok=True)
    os.close(make_file(unfinished))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
    sync(unfinished)
    unfinished.replace(copy)
    sync(path.parent)
    copies = sorted(path.parent.glob(f"{glob.escape(path.name)}.before-*.copy"), key=lambda old: old.stat().st_mtime)
    for old in copies[:-COPIES_KEPT]:
        old.unlink()
    return copy
