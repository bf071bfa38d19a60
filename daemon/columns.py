"""How times and progress are stored, and read again even where they are damaged."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

DAMAGED_TIME = datetime(9000, 1, 1, tzinfo=UTC)
"""What a stored time that cannot be read is taken for: one such row must not keep all the others from being read."""


class _SqliteDateTime(sqlite.DATETIME):
    """Text that sorts, as SQLAlchemy's own type writes it."""

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        return lambda value: None if value is None else value.isoformat(" ", "microseconds")

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return _read_time


def _read_time(stored: Any) -> datetime | None:
    try:
        return None if stored is None else datetime.fromisoformat(stored)
    except (TypeError, ValueError):
        return DAMAGED_TIME


class Progress(sa.TypeDecorator[Any]):
    """JSON. What cannot be read is no progress: then something is sent again rather than never."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Read what was stored; nothing is learned from what is damaged."""
        read = super().result_processor(dialect, coltype)

        def lenient(stored: Any) -> Any:
            try:
                return read(stored) if read is not None else stored
            except (TypeError, ValueError):
                return {}

        return lenient


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite would hand it back naive, and compares it as text."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """PostgreSQL keeps the zone; SQLite stores naive UTC."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(_SqliteDateTime())  # type: ignore[no-untyped-call] # SQLAlchemy's has no types

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse naive times: nobody could tell what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was about to be stored")
        value = value if value.tzinfo is UTC else value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Make what SQLite returns aware again."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)
