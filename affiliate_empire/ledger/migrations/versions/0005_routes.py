"""The way an account's posts take: an account that may not post directly gets drafts, or files to post by hand.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("route", sa.Text(), server_default="direct", nullable=False))


def downgrade() -> None:
    op.drop_column("accounts", "route")
