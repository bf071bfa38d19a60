"""Which schema a database has, and bringing an older one up to date after a copy was made."""

import os
import sqlite3
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from daemon.tables import metadata

HEAD = "0001"
"""The newest revision in `migrations/versions`; a test holds it to the truth. Knowing it here spares
a start from importing Alembic unless there is something to migrate."""
APPLICATION_ID = 0x45764672
COPIES_KEPT = 3


class StoreRefused(Exception):
    """The database cannot be used; one line that names the file and the next step."""

    exit_code = 74


def require_ours(connection: Connection, path: Path) -> None:
    """Refuse a file that is some other program's. Raises StoreRefused."""
    found = connection.exec_driver_sql("PRAGMA application_id").scalar()
    connection.rollback()
    if found != APPLICATION_ID:
        raise StoreRefused(f"{path}: not an Eventferry database; set [daemon] database to another file")


def require_current(connection: Connection, path: Path) -> None:
    """For readers, who must not migrate. Raises StoreRefused."""
    require_ours(connection, path)
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
    _migrate(connection)


def _revision(connection: Connection) -> str | None:
    try:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    finally:
        connection.rollback()


def _make(connection: Connection) -> None:
    """A new database gets today's tables at once; a test proves that migrating gives the same."""
    with connection.begin():
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    # Batch mode rebuilds tables; with foreign keys on, dropping the old one would delete child rows.
    # The pragma does nothing inside a transaction, and SQLAlchemy would begin one: ask the driver.
    connection.rollback()
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.execute("PRAGMA foreign_keys=OFF")
    with connection.begin():
        command.upgrade(config, "head")
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise StoreRefused(f"the migration left an orphan in {broken[0]}; it was rolled back")


def copy_before(path: Path, revision: str) -> Path:
    """Copy the database beside itself before its schema changes; the oldest copies go."""
    copy = path.with_name(f"{path.name}.before-{HEAD}-from-{revision}.copy")
    unfinished = copy.with_name(copy.name + ".part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with sqlite3.connect(path) as source, sqlite3.connect(unfinished) as target:
        source.backup(target)
    source.close()
    target.close()
    _sync(unfinished)
    unfinished.replace(copy)
    _sync(path.parent)
    copies = sorted(path.parent.glob(f"{path.name}.before-*.copy"), key=lambda old: old.stat().st_mtime)
    for old in copies[:-COPIES_KEPT]:
        old.unlink()
    return copy


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
