"""The ledger of the first day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("niche", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
    )
    op.create_table(
        "budgets",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("cap_micros", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_budgets")),
    )
    op.create_table(
        "clicks",
        sa.Column("click_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("referrer", sa.Text(), nullable=False),
        sa.Column("visitor_hash", sa.Text(), nullable=False),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("click_id", name=op.f("pk_clicks")),
    )
    op.create_index(op.f("ix_clicks_clicked_at"), "clicks", ["clicked_at"], unique=False)
    op.create_index(op.f("ix_clicks_code"), "clicks", ["code"], unique=False)
    op.create_table(
        "conversion_events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("click_id", sa.Text(), nullable=True),
        sa.Column("program_id", sa.Text(), nullable=True),
        sa.Column("sale_micros", sa.BigInteger(), nullable=False),
        sa.Column("commission_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_conversion_events")),
        sa.UniqueConstraint(
            "network",
            "transaction_id",
            "line_id",
            "kind",
            "version",
            name=op.f("uq_conversion_events_network_transaction_id_line_id_kind_version"),
        ),
    )
    op.create_index(op.f("ix_conversion_events_click_id"), "conversion_events", ["click_id"], unique=False)
    op.create_index(op.f("ix_conversion_events_observed_at"), "conversion_events", ["observed_at"], unique=False)
    op.create_table(
        "effects",
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("piece_id", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("niche", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("handle", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("max_cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("price_version", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("effect_id", name=op.f("pk_effects")),
        sa.UniqueConstraint("key", name=op.f("uq_effects_key")),
    )
    op.create_index(op.f("ix_effects_day"), "effects", ["day", "state"], unique=False)
    op.create_index(op.f("ix_effects_piece_id"), "effects", ["piece_id"], unique=False)
    op.create_table(
        "installation",
        sa.Column("installation_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("installation_id", name=op.f("pk_installation")),
    )
    op.create_table(
        "pauses",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_pauses")),
    )
    op.create_table(
        "postbacks",
        sa.Column("postback_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("postback_id", name=op.f("pk_postbacks")),
    )
    op.create_table(
        "programs",
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("commission_rate", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("cookie_days", sa.BigInteger(), nullable=False),
        sa.Column("deeplink", sa.Boolean(), nullable=False),
        sa.Column("deeplink_domains", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("program_id", name=op.f("pk_programs")),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("prompt_version", name=op.f("pk_prompt_versions")),
    )
    op.create_table(
        "rejected_rows",
        sa.Column("rejected_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("rejected_id", name=op.f("pk_rejected_rows")),
    )
    op.create_index(op.f("ix_rejected_rows_day"), "rejected_rows", ["day"], unique=False)
    op.create_table(
        "salts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_salts")),
    )
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_name"), "snapshots", ["name", "day"], unique=False)
    op.create_table(
        "strategies",
        sa.Column("strategy_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("decided_for", sa.Date(), nullable=True),
        sa.Column("in_force_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("strategy_id", name=op.f("pk_strategies")),
        sa.UniqueConstraint("decided_for", name=op.f("uq_strategies_decided_for")),
        sa.UniqueConstraint("version", name=op.f("uq_strategies_version")),
    )
    op.create_table(
        "plans",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("strategy_id", sa.Text(), nullable=False),
        sa.Column("ranking_snapshot_id", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["ranking_snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_plans_ranking_snapshot_id_snapshots")
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.strategy_id"], name=op.f("fk_plans_strategy_id_strategies")
        ),
        sa.PrimaryKeyConstraint("day", "revision", name=op.f("pk_plans")),
    )
    op.create_table(
        "products",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("niche", sa.Text(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("availability", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("image_url", sa.Text(), nullable=False),
        sa.Column("commission_rate", sa.Numeric(), nullable=False),
        sa.Column("first_seen_day", sa.Date(), nullable=False),
        sa.Column("last_seen_day", sa.Date(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.program_id"], name=op.f("fk_products_program_id_programs")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_products")),
        sa.UniqueConstraint("program_id", "native_id", name=op.f("uq_products_program_id_native_id")),
    )
    op.create_index(op.f("ix_products_niche"), "products", ["niche"], unique=False)
    op.create_table(
        "quota_uses",
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("quota", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_quota_uses_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(["effect_id"], ["effects.effect_id"], name=op.f("fk_quota_uses_effect_id_effects")),
        sa.PrimaryKeyConstraint("effect_id", "quota", name=op.f("pk_quota_uses")),
    )
    op.create_index(op.f("ix_quota_uses_account_id"), "quota_uses", ["account_id", "quota", "at"], unique=False)
    op.create_table(
        "reservations",
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["effect_id"], ["effects.effect_id"], name=op.f("fk_reservations_effect_id_effects")),
        sa.ForeignKeyConstraint(["scope"], ["budgets.scope"], name=op.f("fk_reservations_scope_budgets")),
        sa.PrimaryKeyConstraint("effect_id", "scope", name=op.f("pk_reservations")),
    )
    op.create_table(
        "pieces",
        sa.Column("piece_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("niche", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("max_cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_pieces_account_id_accounts")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_pieces_product_id_products")),
        sa.ForeignKeyConstraint(
            ["prompt_version"],
            ["prompt_versions.prompt_version"],
            name=op.f("fk_pieces_prompt_version_prompt_versions"),
        ),
        sa.PrimaryKeyConstraint("piece_id", name=op.f("pk_pieces")),
        sa.UniqueConstraint(
            "day", "account_id", "slot_at", "revision", name=op.f("uq_pieces_day_account_id_slot_at_revision")
        ),
    )
    op.create_index(op.f("ix_pieces_day"), "pieces", ["day"], unique=False)
    op.create_table(
        "artifacts",
        sa.Column("piece_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("inputs_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["effect_id"], ["effects.effect_id"], name=op.f("fk_artifacts_effect_id_effects")),
        sa.ForeignKeyConstraint(["piece_id"], ["pieces.piece_id"], name=op.f("fk_artifacts_piece_id_pieces")),
        sa.PrimaryKeyConstraint("piece_id", "step", "name", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "links",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("piece_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("target_url", sa.Text(), nullable=False),
        sa.Column("sub_id_parameter", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_links_account_id_accounts")),
        sa.ForeignKeyConstraint(["piece_id"], ["pieces.piece_id"], name=op.f("fk_links_piece_id_pieces")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_links_product_id_products")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_links")),
        sa.UniqueConstraint("piece_id", name=op.f("uq_links_piece_id")),
    )
    op.create_table(
        "publications",
        sa.Column("publication_id", sa.Text(), nullable=False),
        sa.Column("piece_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("disclosures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_publications_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(["effect_id"], ["effects.effect_id"], name=op.f("fk_publications_effect_id_effects")),
        sa.ForeignKeyConstraint(["piece_id"], ["pieces.piece_id"], name=op.f("fk_publications_piece_id_pieces")),
        sa.PrimaryKeyConstraint("publication_id", name=op.f("pk_publications")),
        sa.UniqueConstraint("effect_id", name=op.f("uq_publications_effect_id")),
        sa.UniqueConstraint("piece_id", "account_id", name=op.f("uq_publications_piece_id_account_id")),
    )
    op.create_index(op.f("ix_publications_day"), "publications", ["day", "platform"], unique=False)
    op.create_table(
        "metric_snapshots",
        sa.Column("publication_id", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("views", sa.BigInteger(), nullable=False),
        sa.Column("likes", sa.BigInteger(), nullable=False),
        sa.Column("comments", sa.BigInteger(), nullable=False),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["publications.publication_id"],
            name=op.f("fk_metric_snapshots_publication_id_publications"),
        ),
        sa.PrimaryKeyConstraint("publication_id", "observed_at", name=op.f("pk_metric_snapshots")),
    )


def downgrade() -> None:
    op.drop_table("metric_snapshots")
    op.drop_index(op.f("ix_publications_day"), table_name="publications")
    op.drop_table("publications")
    op.drop_table("links")
    op.drop_table("artifacts")
    op.drop_index(op.f("ix_pieces_day"), table_name="pieces")
    op.drop_table("pieces")
    op.drop_table("reservations")
    op.drop_index(op.f("ix_quota_uses_account_id"), table_name="quota_uses")
    op.drop_table("quota_uses")
    op.drop_index(op.f("ix_products_niche"), table_name="products")
    op.drop_table("products")
    op.drop_table("plans")
    op.drop_table("strategies")
    op.drop_index(op.f("ix_snapshots_name"), table_name="snapshots")
    op.drop_table("snapshots")
    op.drop_table("salts")
    op.drop_index(op.f("ix_rejected_rows_day"), table_name="rejected_rows")
    op.drop_table("rejected_rows")
    op.drop_table("prompt_versions")
    op.drop_table("programs")
    op.drop_table("postbacks")
    op.drop_table("pauses")
    op.drop_table("installation")
    op.drop_index(op.f("ix_effects_piece_id"), table_name="effects")
    op.drop_index(op.f("ix_effects_day"), table_name="effects")
    op.drop_table("effects")
    op.drop_index(op.f("ix_conversion_events_observed_at"), table_name="conversion_events")
    op.drop_index(op.f("ix_conversion_events_click_id"), table_name="conversion_events")
    op.drop_table("conversion_events")
    op.drop_index(op.f("ix_clicks_code"), table_name="clicks")
    op.drop_index(op.f("ix_clicks_clicked_at"), table_name="clicks")
    op.drop_table("clicks")
    op.drop_table("budgets")
    op.drop_table("alerts")
    op.drop_table("accounts")
