"""What an owner is shown before it goes out, and what was decided on it.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("approval", sa.Text(), server_default="required", nullable=False))
    op.execute("UPDATE accounts SET approval = 'auto' WHERE (SELECT mode FROM installation) = 'sandbox'")
    op.create_table(
        "approval_requests",
        sa.Column("request_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("piece_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("shows", JSONB(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_approval_requests"),
        sa.ForeignKeyConstraint(["piece_id"], ["pieces.piece_id"], name="fk_approval_requests_piece_id_pieces"),
    )
    op.create_index("ix_approval_requests_piece_id", "approval_requests", ["piece_id"])
    op.create_table(
        "approval_decisions",
        sa.Column("decision_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_approval_decisions"),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["approval_requests.request_id"],
            name="fk_approval_decisions_request_id_approval_requests",
        ),
    )
    op.create_index("ix_approval_decisions_request_id", "approval_decisions", ["request_id"])
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
        END $$
        """
    )
    for table in ("approval_requests", "approval_decisions"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table("approval_decisions")
    op.drop_table("approval_requests")
    op.execute("DROP FUNCTION refuse_change()")
    op.drop_column("accounts", "approval")
