"""Which exceptions mean that the database cannot be reached at the moment: wait, try again, lose nothing."""

import psycopg
import sqlalchemy.exc

from affiliate_empire.ledger.errors import DatabaseUnavailable

DATABASE_OUTAGE = (
    DatabaseUnavailable,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,  # every pooled connection is waiting for the same dead server
    OSError,
)
