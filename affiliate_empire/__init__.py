"""The business: everything AI Affiliate Empire knows and does, free of Dagster.

Imports run down the floors only (``docs/architecture.md``); nothing happens at import.
"""
