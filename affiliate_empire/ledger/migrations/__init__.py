"""Alembic migrations of the ledger, run by ``Ledger.migrate``; a test holds the newest one equal to the models."""
