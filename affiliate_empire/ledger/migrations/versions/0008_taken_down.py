"""That a publication shall go, why, and since when it is gone.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("publications", sa.Column("takedown_reason", sa.Text(), nullable=True))
    op.add_column("publications", sa.Column("taken_down_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("publications", "taken_down_at")
    op.drop_column("publications", "takedown_reason")
