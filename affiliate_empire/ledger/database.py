"""The ledger's database: engine, transactions, migrations.

``Ledger`` is what every caller holds. It neither starts a server (``affiliate_empire.ledger.postgres``) nor knows the
business (the repositories beside it do).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, create_engine, exc, make_url, text
from sqlalchemy.orm import Session

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.files import out_of_space
from affiliate_empire.ledger.errors import DatabaseUnavailable

# Any fixed number: it makes two processes that open a new database at once migrate one after the other.
_MIGRATION_LOCK = 7_263_514
_DISK_FULL = "53100"  # SQLSTATE


class Ledger:
    """A pool of connections to one ledger database.

    Args:
        url: any ``postgresql://`` form; psycopg 3 is what speaks.

    Raises:
        Misconfigured: the URL is not one of PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self._url = normalised(url)
        self.engine: Engine = create_engine(
            self._url,
            pool_size=5,
            max_overflow=5,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "application_name": "empire", "options": "-c timezone=UTC"},
        )

    @property
    def url(self) -> str:
        """The URL with its password, for a process that is started to work on the same ledger."""
        text = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        # SQLAlchemy writes a space in the socket's folder as "+", which libpq takes for a plus.
        address, mark, query = text.partition("?")
        return address + mark + query.replace("+", "%20")

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            DatabaseUnavailable: the database does not answer, or went away inside the block.
            OutOfSpace: the server's disk is full; the transaction was rolled back.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except exc.TimeoutError as error:
            raise DatabaseUnavailable(
                "All connections of this process to the ledger were busy for 30 s: run less at once, or look for a "
                "long query in pg_stat_activity."
            ) from error
        except exc.DBAPIError as error:
            # Without a connection there is no SQLSTATE; class 57P is the server shutting down or starting up.
            state = getattr(error.orig, "sqlstate", None)
            if isinstance(error, exc.OperationalError) and (state is None or state.startswith(("57P", "08"))):
                raise DatabaseUnavailable(_sentence(self._url, str(error.orig))) from error
            if state == _DISK_FULL:
                raise out_of_space("the ledger's database") from error
            raise

    def migrate(self) -> None:
        """Bring the schema to the newest migration; harmless when it is there, safe when several processes call it.

        Raises:
            Misconfigured: the database was migrated by a newer version of the product.
        """
        from alembic import command  # 0.2 s that readers of the ledger need not pay
        from alembic.config import Config
        from alembic.util import CommandError

        with self.begin() as session:
            connection = session.connection()
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            config = Config()
            config.set_main_option("script_location", "affiliate_empire.ledger:migrations")
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise Misconfigured(
                    f"The database's schema is not one of this version ({error}): update the product, or restore the "
                    "backup that belongs to this version."
                ) from error

    def dispose(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()


def normalised(url: str) -> URL:
    """A URL that SQLAlchemy opens with psycopg 3, from any spelling: ``postgres://``, ``postgresql+psycopg2://`` …"""
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise Misconfigured(
            "DATABASE_URL cannot be read: it should look like postgresql://user:password@host:5432/empire."
        ) from error
    if parsed.drivername.split("+")[0] not in ("postgres", "postgresql"):
        raise Misconfigured(f"DATABASE_URL names {parsed.drivername}, but the ledger needs PostgreSQL: postgresql://…")
    return parsed.set(drivername="postgresql+psycopg")


def ensure_database(url: str) -> None:
    """Create the database that a URL names when its server has none of that name.

    Raises:
        DatabaseUnavailable: the server does not answer, or the role may not create databases.
    """
    target = normalised(url)
    name = target.database or "empire"
    if _connects(target):
        return
    maintenance = create_engine(target.set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with maintenance.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    except exc.DBAPIError as error:
        if not _connects(target):  # unless another process created it meanwhile
            raise DatabaseUnavailable(
                f"The server of DATABASE_URL has no database {name!r} and it could not be created "
                f"({_first_line(error)}): create it with `createdb {name}` or grant the role CREATEDB."
            ) from error
    finally:
        maintenance.dispose()


def _connects(url: URL) -> bool:
    """False when the server answers but the database does not exist."""
    engine = create_engine(url, connect_args={"connect_timeout": 10})
    try:
        with engine.connect():
            return True
    except exc.OperationalError as error:
        if "does not exist" in str(error.orig) and "database" in str(error.orig):
            return False
        raise DatabaseUnavailable(_sentence(url, str(error.orig))) from error
    finally:
        engine.dispose()


def _sentence(url: URL, problem: str) -> str:
    where = url.query.get("host", url.host)
    first = problem.strip().splitlines()[0] if problem.strip() else "no answer"
    return (
        f"The database {url.database!r} at {where} does not answer ({first}): start it (`empire db url` for the "
        "embedded one), or check DATABASE_URL."
    )


def _first_line(error: exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
