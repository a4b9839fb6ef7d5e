"""What the whole day keeps: credentials that rotate, exchange rates, what trends were seen.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_credentials"),
    )
    op.create_table(
        "experiment_results",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("arm_a", sa.Text(), nullable=False),
        sa.Column("arm_b", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["arm_a"], ["prompt_versions.prompt_version"], name="fk_experiment_results_arm_a_prompt_versions"
        ),
        sa.ForeignKeyConstraint(
            ["arm_b"], ["prompt_versions.prompt_version"], name="fk_experiment_results_arm_b_prompt_versions"
        ),
        sa.PrimaryKeyConstraint("day", "arm_a", "arm_b", name="pk_experiment_results"),
    )
    op.create_table(
        "exchange_rates",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("fixing_day", sa.Date(), nullable=False),
        sa.Column("per_euro", sa.Numeric(), nullable=False),
        sa.Column("usd", sa.Numeric(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("day", "currency", name="pk_exchange_rates"),
    )
    op.add_column("conversion_events", sa.Column("usd_rate", sa.Numeric(), nullable=True))
    op.add_column("metric_snapshots", sa.Column("shares", sa.BigInteger(), nullable=True))
    op.add_column("metric_snapshots", sa.Column("engaged_views", sa.BigInteger(), nullable=True))
    op.add_column("metric_snapshots", sa.Column("watch_seconds", sa.Float(), nullable=True))
