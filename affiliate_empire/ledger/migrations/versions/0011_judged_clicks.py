"""Which rules a click's flags were judged by, and a visitor's clicks found together.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clicks", sa.Column("judged_by", sa.BigInteger(), nullable=True))
    op.create_index("ix_clicks_not_judged", "clicks", ["visitor_hash"], postgresql_where=sa.text("judged_by IS NULL"))
    op.create_index("ix_clicks_visitor_hash", "clicks", ["visitor_hash"])


def downgrade() -> None:
    op.drop_index("ix_clicks_visitor_hash", "clicks")
    op.drop_index("ix_clicks_not_judged", "clicks")
    op.drop_column("clicks", "judged_by")
