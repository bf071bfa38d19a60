"""Let several deliveries be told in one message, and let sinks share a limit."""

import sqlalchemy as sa
from alembic import op

from daemon import columns

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing that waits is gathered yet, and every limit is whole."""
    op.add_column("deliveries", sa.Column("gathered", sa.String(8)))
    op.create_table(
        "paces",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("opens_at", columns.UtcDateTime(), nullable=False),
        sa.Column("spent_until", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_paces"),
    )
