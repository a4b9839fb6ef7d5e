"""The ledger's database: migrations, transactions, whose it is."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, func, select, text

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.ledger import DatabaseUnavailable, EmbeddedPostgres, Ledger, dagster_url, open_ledger
from affiliate_empire.ledger.tables import Alert, Base, Installation, Salt


def fresh_database(postgres: EmbeddedPostgres, name: str) -> str:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.url(name)


def test_the_newest_migration_equals_the_models(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(ledger: Ledger) -> None:
    with ledger.begin() as session:
        before = session.scalar(text("SELECT version_num FROM alembic_version"))
    ledger.migrate()
    with ledger.begin() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == before


def test_a_schema_of_a_newer_version_is_refused(postgres: EmbeddedPostgres) -> None:
    ledger = Ledger(fresh_database(postgres, "newer_schema"))
    ledger.migrate()
    with ledger.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="update the product"):
        ledger.migrate()
    ledger.dispose()


def test_a_block_that_raises_leaves_nothing(ledger: Ledger) -> None:
    def save_and_fail() -> None:
        with ledger.begin() as session:
            session.add(Salt(day=func.current_date(), salt="s"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save_and_fail()
    with ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Salt)) == 0


def test_times_come_back_aware_and_in_utc(ledger: Ledger) -> None:
    with ledger.begin() as session:
        created = session.scalars(select(Installation)).one().created_at
        assert created.tzname() == "UTC"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_spelling_of_the_url_opens(postgres: EmbeddedPostgres, scheme: str) -> None:
    ledger = Ledger(postgres.url().replace("postgresql", scheme, 1))
    with ledger.begin() as session:
        assert session.scalar(text("SELECT 1")) == 1
    ledger.dispose()


@pytest.mark.parametrize("url", ["sqlite:///ledger.db", "not a url"])
def test_another_database_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"postgresql://"):
        Ledger(url)


def test_a_database_that_does_not_answer_is_one_clear_sentence(tmp_path: Path) -> None:
    ledger = Ledger(f"postgresql://empire:secret@localhost/empire?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable, match="does not answer") as caught, ledger.begin() as session:
        session.execute(text("SELECT 1"))
    assert "secret" not in str(caught.value)
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        open_ledger(tmp_path, f"postgresql://empire:secret@localhost/empire?host={tmp_path}", "sandbox")
    ledger.dispose()


def test_a_connection_that_dies_is_replaced(ledger: Ledger, postgres: EmbeddedPostgres) -> None:
    def save_while_it_is_cut() -> None:
        with ledger.begin() as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            session.add(Alert(alert_id="a", severity="low", subject="s", message="m", raised_at=func.now()))

    with pytest.raises(DatabaseUnavailable):
        save_while_it_is_cut()
    with ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Alert)) == 0


def test_an_own_database_is_created_migrated_and_bound_to_its_mode(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    url = postgres.url("shop")
    first = open_ledger(tmp_path, url, "live-readonly")
    second = open_ledger(tmp_path, url, "live")
    with second.begin() as session:
        assert session.scalars(select(Installation.mode)).all() == ["live"]
    with pytest.raises(Misconfigured, match="never holds both"):
        open_ledger(tmp_path, url, "sandbox")
    first.dispose()
    second.dispose()


def test_dagster_has_a_database_of_its_own_beside_the_ledgers(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    url = dagster_url(tmp_path, postgres.url("bazaar"))
    assert url.startswith("postgresql+psycopg2://")
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == "bazaar_dagster"
    engine.dispose()


def test_a_role_that_may_not_create_the_database_hears_how(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    password = postgres.url().split(":")[2].split("@")[0]
    url = postgres.url("forbidden").replace(f"empire:{password}", "guest:guest")
    with pytest.raises(DatabaseUnavailable, match="createdb forbidden"):
        open_ledger(tmp_path, url, "sandbox")


def test_a_pool_that_is_all_taken_is_one_clear_sentence(ledger: Ledger) -> None:
    crowded = Ledger(ledger.url)
    crowded.engine = create_engine(ledger.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with crowded.begin() as first:
        first.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable, match="run less at once"), crowded.begin() as second:
            second.execute(text("SELECT 1"))
    crowded.dispose()
