"""What platforms say of how often an account may post; what a piece should earn; one planned piece a slot.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_limits",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("quota", sa.Text(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("posts", sa.BigInteger(), nullable=True),
        sa.Column("unseen", sa.BigInteger(), nullable=False),
        sa.Column("longest_seconds", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("holds_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="fk_account_limits_account_id_accounts"),
        sa.PrimaryKeyConstraint("account_id", "quota", "signal", name="pk_account_limits"),
    )
    op.add_column("pieces", sa.Column("expected_profit_micros", sa.BigInteger(), nullable=True))
    op.add_column("pieces", sa.Column("planned_slot_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint("uq_pieces_day_account_id_slot_at_revision", "pieces")
    op.create_index(
        "uq_pieces_slot", "pieces", ["account_id", "slot_at"], unique=True,
        postgresql_where=sa.text("status = 'planned'"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("uq_pieces_slot", "pieces")
    op.create_unique_constraint(
        "uq_pieces_day_account_id_slot_at_revision", "pieces", ["day", "account_id", "slot_at", "revision"]
    )
    op.drop_column("pieces", "planned_slot_at")
    op.drop_column("pieces", "expected_profit_micros")
    op.drop_table("account_limits")
