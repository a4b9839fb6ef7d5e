"""Who an account is at its platform, and what ends when it is connected again.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("remote_id", sa.Text(), nullable=True))
    op.create_unique_constraint("uq_accounts_platform_remote_id", "accounts", ["platform", "remote_id"])
    op.add_column("alerts", sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("pauses", sa.Column("cause", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("pauses", "cause")
    op.drop_column("alerts", "resolved_at")
    op.drop_constraint("uq_accounts_platform_remote_id", "accounts")
    op.drop_column("accounts", "remote_id")
