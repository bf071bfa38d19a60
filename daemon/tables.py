"""The shape of what is stored; the revisions in `migrations/` follow it."""

import sqlalchemy as sa

from daemon.columns import Number, Remembered, UtcDateTime

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("external_id", sa.String(200), nullable=False),
    sa.Column("channel", sa.String(200)),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("occurred_at", UtcDateTime, nullable=False),
    sa.Column("stored_at", UtcDateTime, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("raw", sa.Text),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("routed", sa.Integer, nullable=False),
    sa.Column("acknowledged_at", UtcDateTime),
    sa.Column("acknowledged_by", sa.String(16)),
    sa.Column("ack_tries", Number, nullable=False, server_default="0"),
    sa.Column("ack_due_at", UtcDateTime),
    sa.Column("ack_reason", sa.Text),
    sa.Column("relisted", Number, nullable=False, server_default="0"),
    sa.UniqueConstraint("source", "external_id"),
    sa.Column("deaths", Number, nullable=False, server_default="0"),
)
"""`acknowledged_by`: "us", "elsewhere" (gone upstream without us) or "nobody" (our own events).
`ack_due_at`: not before this time; `digest`: SHA-256 over what is stored, checked when read.
`deaths`: how often the process died while deliveries of it were under way, since all were last cleared of it."""

sa.Index(
    "ix_events_unacknowledged",
    events.c.source,
    events.c.id,
    sqlite_where=sa.text("acknowledged_at IS NULL"),
    postgresql_where=sa.text("acknowledged_at IS NULL"),
)

variants = sa.Table(
    "variants",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("event_id", _Id, sa.ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("raw", sa.Text),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("event_id", "digest"),
)
"""The same event id listed with other content: kept beside the first, which is what is delivered."""

unidentified = sa.Table(
    "unidentified",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("source", "digest"),
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("source", sa.String(32), primary_key=True),
    sa.Column("external_id", sa.String(200), primary_key=True),
    sa.Column("pruned_at", UtcDateTime, nullable=False),
    sa.Column("relisted", Number, nullable=False, server_default="0"),
    sa.Column("ack_due_at", UtcDateTime),
    sa.Index("ix_tombstones_pruned_at", "pruned_at"),
    sqlite_with_rowid=False,
)
"""Keys of pruned events. `ack_due_at` is set while one is listed upstream again."""

sa.Index(
    "ix_tombstones_relisted",
    tombstones.c.source,
    tombstones.c.ack_due_at,
    sqlite_where=sa.text("ack_due_at IS NOT NULL"),
    postgresql_where=sa.text("ack_due_at IS NOT NULL"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("event_id", _Id, sa.ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    sa.Column("sink", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("due_at", UtcDateTime),
    sa.Column("reason", sa.Text),
    sa.Column("attempt", Number, nullable=False, server_default="0"),
    sa.Column("failures", Number, nullable=False, server_default="0"),
    sa.Column("deaths", Number, nullable=False, server_default="0"),
    sa.Column("replays", Number, nullable=False, server_default="0"),
    sa.Column("claimed_at", UtcDateTime),
    sa.Column("tried_at", UtcDateTime),
    sa.Column("settled_at", UtcDateTime),
    sa.Column("body", sa.LargeBinary),
    sa.Column("progress", Remembered),
    sa.UniqueConstraint("event_id", "sink"),
    sa.Column("gathered", sa.String(8)),
)
"""`state`: waiting, delivered, rejected or gave_up (dead letters), discarded, skipped.
`attempt` only grows: it fences off late verdicts. `claimed_at` is set while an attempt has no verdict.
`gathered` is set while it is to be told together with others, and says why (`daemon.contract.Cause`).
`failures` is what the retry policy counts; `deaths` counts attempts that the process did not survive."""

WAITING: sa.ColumnElement[bool] = deliveries.c.state == sa.literal("waiting", literal_execute=True)
DEAD: sa.ColumnElement[bool] = deliveries.c.state.in_(
    [sa.literal("rejected", literal_execute=True), sa.literal("gave_up", literal_execute=True)]
)
"""Spelled out in the statement, so that the planner sees that the partial index below serves it."""
sa.Index(
    "ix_deliveries_due",
    deliveries.c.sink,
    deliveries.c.due_at,
    deliveries.c.id,
    sqlite_where=sa.text("state = 'waiting'"),
    postgresql_where=sa.text("state = 'waiting'"),
)
sa.Index(
    "ix_deliveries_dead",
    deliveries.c.id,
    sqlite_where=sa.text("state IN ('rejected', 'gave_up')"),
    postgresql_where=sa.text("state IN ('rejected', 'gave_up')"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("delivery_id", _Id, sa.ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    sa.Column("attempt", Number, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("milliseconds", sa.Integer),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("body_size", sa.Integer),
    sa.Column("body_digest", sa.LargeBinary(32)),
    sa.Column("answer", sa.Text),
    sa.Index("ix_attempts_delivery_id", "delivery_id"),
)
"""`outcome`: delivered, try_later, rejected, closed, or cut_off (the process ended before the answer)."""

sinks = sa.Table(
    "sinks",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("lane", Remembered, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
"""`lane`: health and speed as `daemon.lane` writes them; `fingerprint`: keyed hash of the settings."""

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("cursor", sa.Text),
    sa.Column("health", Remembered, nullable=False),
    sa.Column("first_sweep_at", UtcDateTime),
    sa.Column("last_sweep_at", UtcDateTime),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

gates = sa.Table(
    "gates",
    metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("access", sa.String(8), primary_key=True),
    sa.Column("opens_at", UtcDateTime, nullable=False),
    sa.Column("strikes", Number, nullable=False),
)

paces = sa.Table(
    "paces",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("opens_at", UtcDateTime, nullable=False),
    sa.Column("spent_until", UtcDateTime, nullable=False),
)
"""Limits on messages that sinks share. `opens_at`: nothing goes out before; `spent_until`: when the allowance
is whole again, from which follows how much of it is left."""

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("hour", UtcDateTime, primary_key=True),
    sa.Column("source", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(200), primary_key=True),
    sa.Column("sink", sa.String(32), primary_key=True),
    sa.Column("outcome", sa.String(16), primary_key=True),
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("currency", sa.String(16), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Hourly sums, kept for ever. `sink` is "" for counts of events.
`micros`: of events the sum of their money, or stars, in millionths; of deliveries the most microseconds one took."""

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""Facts about this database: install id, whether everything is paused, backlog at first start, former names; of each
sink, which report it got last and how many messages of a burst went out."""

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("told_at", UtcDateTime, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
)
"""What the operator has been told, so that it is said once and not at every round."""
