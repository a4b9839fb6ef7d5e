"""What must be transactional: tables, the database they live in, repositories of single subjects, migrations."""

from affiliate_empire.ledger.database import Ledger
from affiliate_empire.ledger.errors import DatabaseUnavailable
from affiliate_empire.ledger.open import dagster_url, open_ledger
from affiliate_empire.ledger.postgres import EmbeddedPostgres

__all__ = ["DatabaseUnavailable", "EmbeddedPostgres", "Ledger", "dagster_url", "open_ledger"]
