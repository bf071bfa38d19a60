"""The shape of what is stored; the revisions in `migrations/` follow it."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite would hand it back naive, and compares it as text."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """PostgreSQL keeps the zone; SQLite stores naive UTC."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: nobody could tell what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was about to be stored")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Make what SQLite returns aware again."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


_Id = BigInteger().with_variant(Integer, "sqlite")

DELIVERY_STATES = ("waiting", "delivered", "rejected", "gave_up", "discarded", "skipped")
"""What can become of a delivery. Dead letters are `rejected` and `gave_up`."""

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("source", String(32), nullable=False),
    Column("external_id", String(200), nullable=False),
    Column("channel", String(200)),
    Column("kind", Text, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("data", Text, nullable=False),
    Column("raw", Text),
    Column("digest", LargeBinary(32), nullable=False),
    Column("routed", Integer, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(16)),
    Column("ack_tries", Integer, nullable=False, server_default="0"),
    Column("ack_due_at", UtcDateTime),
    Column("ack_reason", Text),
    Column("relisted", Integer, nullable=False, server_default="0"),
    UniqueConstraint("source", "external_id"),
)
"""`acknowledged_by`: "us", "elsewhere" (gone upstream without us) or "nobody" (our own events).
`ack_due_at`: not before this time; `digest`: SHA-256 over what is stored, checked when read."""

Index(
    "ix_events_unacknowledged",
    events.c.source,
    events.c.id,
    sqlite_where=text("acknowledged_at IS NULL"),
    postgresql_where=text("acknowledged_at IS NULL"),
)

variants = Table(
    "variants",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("event_id", _Id, ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("raw", Text),
    Column("seen_at", UtcDateTime, nullable=False),
    UniqueConstraint("event_id", "digest"),
)
"""The same event id listed with other content: kept beside the first, which is what is delivered."""

unidentified = Table(
    "unidentified",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("source", String(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("raw", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    UniqueConstraint("source", "digest"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("source", String(32), primary_key=True),
    Column("external_id", String(200), primary_key=True),
    Column("pruned_at", UtcDateTime, nullable=False),
    Column("relisted", Integer, nullable=False, server_default="0"),
    Column("ack_due_at", UtcDateTime),
    Index("ix_tombstones_pruned_at", "pruned_at"),
    sqlite_with_rowid=False,
)
"""Keys of pruned events. `ack_due_at` is set while one is listed upstream again."""

Index(
    "ix_tombstones_relisted",
    tombstones.c.source,
    tombstones.c.ack_due_at,
    sqlite_where=text("ack_due_at IS NOT NULL"),
    postgresql_where=text("ack_due_at IS NOT NULL"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("event_id", _Id, ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    Column("sink", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("due_at", UtcDateTime),
    Column("reason", Text),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("replays", Integer, nullable=False, server_default="0"),
    Column("claimed_at", UtcDateTime),
    Column("tried_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Column("body", LargeBinary),
    Column("progress", JSON),
    UniqueConstraint("event_id", "sink"),
)
"""`attempt` only grows: it fences off late verdicts. `claimed_at` is set while an attempt has no verdict.
`failures` is what the retry policy counts; `deaths` counts attempts that the process did not survive."""

WAITING: ColumnElement[bool] = deliveries.c.state == literal("waiting", literal_execute=True)
DEAD: ColumnElement[bool] = deliveries.c.state.in_(
    [literal("rejected", literal_execute=True), literal("gave_up", literal_execute=True)]
)
"""Spelled out in the statement, so that the planner sees that the partial index below serves it."""

Index(
    "ix_deliveries_due",
    deliveries.c.sink,
    deliveries.c.due_at,
    deliveries.c.id,
    sqlite_where=text("state = 'waiting'"),
    postgresql_where=text("state = 'waiting'"),
)
Index(
    "ix_deliveries_dead",
    deliveries.c.id,
    sqlite_where=text("state IN ('rejected', 'gave_up')"),
    postgresql_where=text("state IN ('rejected', 'gave_up')"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("delivery_id", _Id, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("milliseconds", Integer),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text),
    Column("body_size", Integer),
    Column("body_digest", LargeBinary(32)),
    Column("answer", Text),
    Index("ix_attempts_delivery_id", "delivery_id"),
)
"""`outcome`: delivered, try_later, rejected, closed, or cut_off (the process ended before the answer)."""

sinks = Table(
    "sinks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("lane", JSON, nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)
"""`lane`: health and pace as `daemon.lane` writes them; `fingerprint`: keyed hash of the settings."""

sources = Table(
    "sources",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("cursor", Text),
    Column("health", JSON, nullable=False),
    Column("first_sweep_at", UtcDateTime),
    Column("last_sweep_at", UtcDateTime),
    Column("changed_at", UtcDateTime, nullable=False),
)

gates = Table(
    "gates",
    metadata,
    Column("host", Text, primary_key=True),
    Column("access", String(8), primary_key=True),
    Column("opens_at", UtcDateTime, nullable=False),
    Column("strikes", Integer, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("hour", UtcDateTime, primary_key=True),
    Column("source", String(32), primary_key=True),
    Column("kind", String(200), primary_key=True),
    Column("sink", String(32), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("resource", String(200), primary_key=True),
    Column("currency", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("micros", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Hourly sums, kept for ever. `sink` is "" for counts of events. `micros`: money in millionths."""

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Facts about this database: install id, whether everything is paused, backlog at first start."""

notices = Table(
    "notices",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("told_at", UtcDateTime, nullable=False),
    Column("times", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
)
"""What the operator has been told, so that it is said once and not at every round."""
