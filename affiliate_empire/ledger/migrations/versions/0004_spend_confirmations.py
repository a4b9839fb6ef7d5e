"""What the owner confirmed that a live day may cost.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spend_confirmations",
        sa.Column("confirmation_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("terms", JSONB(), nullable=False),
        sa.Column("terms_sha256", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("confirmation_id", name="pk_spend_confirmations"),
    )


def downgrade() -> None:
    op.drop_table("spend_confirmations")
