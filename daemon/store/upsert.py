"""Inserting what is not there yet; SQLite and PostgreSQL say it alike, but from different modules."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(dialect: str, table: Table) -> sqlite.Insert:
    """An INSERT that can be given `on_conflict_do_nothing` or `on_conflict_do_update`."""
    return cast(sqlite.Insert, postgresql.insert(table)) if dialect == "postgresql" else sqlite.insert(table)


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows that break no unique constraint; how many those were."""
    statement = upsert(connection.dialect.name, table).on_conflict_do_nothing()
    return sum(connection.execute(statement, row).rowcount for row in rows)


def put(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or replace the values of the one with the same primary key."""
    keys = [column.name for column in table.primary_key]
    statement = upsert(connection.dialect.name, table).values(row)
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))
