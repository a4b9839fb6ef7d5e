"""Alembic's environment: migrations run on the connection, and inside the transaction, of ``Ledger.migrate``."""

from __future__ import annotations

from alembic import context

from affiliate_empire.ledger.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_server_default=True,
    transactional_ddl=True,
)
context.run_migrations()
