"""A restored ledger waits for its owner, and an effect knows when it was sent last.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever restored or copied a ledger before this revision has gone on with it since.
    op.add_column("installation", sa.Column("confirmed_epoch", sa.BigInteger(), nullable=True))
    op.execute("UPDATE installation SET confirmed_epoch = epoch")
    op.alter_column("installation", "confirmed_epoch", nullable=False)
    op.add_column("installation", sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("effects", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("effects", "sent_at")
    op.drop_column("installation", "restored_at")
    op.drop_column("installation", "confirmed_epoch")
