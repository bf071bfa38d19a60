"""Count the deaths of the process for each event, whichever of its deliveries was under way."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Begin with what is known: the deaths of the delivery that had most."""
    op.add_column("events", sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE events SET deaths = (SELECT max(deaths) FROM deliveries WHERE event_id = events.id)"
        " WHERE id IN (SELECT event_id FROM deliveries WHERE deaths > 0 AND state = 'waiting')"
    )
