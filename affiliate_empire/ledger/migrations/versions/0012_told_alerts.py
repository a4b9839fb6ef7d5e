"""When the owner was told of an alert; what was raised before is not told anew.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE alerts SET told_at = raised_at")


def downgrade() -> None:
    op.drop_column("alerts", "told_at")
