"""How times, and what is remembered of what was, are stored, and read again even where they are damaged."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

DAMAGED_TIME = datetime(9000, 1, 1, tzinfo=UTC)
"""What a stored time that cannot be read is taken for: one such row must not keep all the others from being read."""


class Remembered(sa.TypeDecorator[Any]):
    """A JSON table. What cannot be read is nothing: something is sent again then, or a lane begins anew."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Read what was stored; nothing is learned from what is damaged."""
        read = super().result_processor(dialect, coltype)

        def lenient(stored: Any) -> Any:
            try:
                found = read(stored) if read is not None else stored
            except (TypeError, ValueError, RecursionError):
                return {}
            return found if isinstance(found, dict) else {}

        return lenient


class Number(sa.TypeDecorator[int]):
    """A whole number. What is none, which SQLite lets stand here, is read as 0, so that it stops no lane."""

    impl = sa.Integer
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Read what was stored."""
        return _read_number


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite would hand it back naive, and compares it as text."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """PostgreSQL keeps the zone; SQLite stores naive UTC."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sqlite.DATETIME())  # type: ignore[no-untyped-call] # SQLAlchemy's has no types

    # One function for a value, where the usual hooks would make three: each row has several times.
    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """What is done to a time before it is stored."""
        return _in_utc if dialect.name == "postgresql" else _as_text

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """What is done to a time that was stored."""
        return None if dialect.name == "postgresql" else _read_time


def _in_utc(value: datetime | None) -> datetime | None:
    """Refuse naive times: nobody could tell what they mean."""
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("a naive datetime was about to be stored")
    return value.astimezone(UTC)


def _as_text(value: datetime | None) -> str | None:
    moment = _in_utc(value)
    return None if moment is None else _written(moment)


@lru_cache(32)
def _written(moment: datetime) -> str:
    """Text that sorts, as SQLAlchemy's own type writes it. Most that one transaction stores are the same moment.

    In UTC alone: the two times of a clock that was set back are one and the same to a cache.
    """
    return moment.isoformat(" ", "microseconds").removesuffix("+00:00")


def _read_number(stored: Any) -> int | None:
    return stored if stored is None or isinstance(stored, int) else 0


def _read_time(stored: Any) -> datetime | None:
    try:
        moment = None if stored is None else datetime.fromisoformat(stored)
        return moment and moment.replace(tzinfo=moment.tzinfo or UTC)
    except (TypeError, ValueError):
        return DAMAGED_TIME
