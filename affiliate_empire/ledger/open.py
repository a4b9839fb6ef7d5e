"""Opening a ledger: server, databases, schema, and whose it is.

The one way in for entrances and resources. A home belongs to one mode for good, and so does a database: what was
SIMULATED never stands beside what was LIVE.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from sqlalchemy import select, text

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.ledger.database import Ledger, ensure_database, normalised
from affiliate_empire.ledger.installation import bump_epoch
from affiliate_empire.ledger.placement import replace_text
from affiliate_empire.ledger.postgres import EmbeddedPostgres
from affiliate_empire.ledger.tables import Installation


def open_ledger(home: Path, database_url: str | None, mode: str) -> Ledger:
    """A migrated ledger of this home.

    Args:
        home: the home's folder; holds the embedded server when there is no URL.
        database_url: an own PostgreSQL, in any ``postgresql://`` spelling; None starts the embedded one.
        mode: ``sandbox``, ``live`` or ``live-readonly`` (which reads the live ledger).

    Raises:
        DatabaseUnavailable: the server cannot be started or reached.
        Misconfigured: the ledger belongs to the other mode.
    """
    server = EmbeddedPostgres(home) if database_url is None else None
    if server is not None:
        server.start()
        database_url = server.url("empire")
    else:
        ensure_database(str(database_url))
    ledger = Ledger(str(database_url))
    try:
        ledger.migrate()
        new = _claim_installation(ledger, mode)
        if server is not None:
            _notice_a_copy(server, ledger, new)
    except BaseException:  # whatever it was, the pool must not stay open behind a caller who got no ledger
        ledger.dispose()
        raise
    return ledger


def dagster_url(home: Path, database_url: str | None) -> str:
    """``postgresql+psycopg2://`` URL of Dagster's own database beside the ledger; the server and it exist afterwards.

    dagster-postgres ships psycopg2, while SQLAlchemy 2.1 reads a bare ``postgresql://`` as psycopg 3: hence the driver
    in the URL. Beside an own database ``shop`` it is ``shop_dagster`` (``dagster`` beside ``empire``), so that two
    installations on one server never share an instance.
    """
    if database_url is None:
        server = EmbeddedPostgres(home)
        server.start()
        url = normalised(server.url("dagster"))
    else:
        beside = normalised(database_url)
        name = "dagster" if beside.database in (None, "empire") else f"{beside.database}_dagster"
        url = beside.set(database=name)
        ensure_database(url.render_as_string(hide_password=False))
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _claim_installation(ledger: Ledger, mode: str) -> bool:
    """Write the installation's one row, or hold this mode against it; returns whether it was written."""
    kept = "sandbox" if mode == "sandbox" else "live"
    with ledger.begin() as session:
        found = session.scalars(select(Installation)).one_or_none()
        if found is None:
            # Two processes that open a new ledger at once must not both write a row.
            session.execute(text("LOCK TABLE installation IN SHARE ROW EXCLUSIVE MODE"))
            found = session.scalars(select(Installation)).one_or_none()
        new = found is None
        if found is None:
            found = Installation(installation_id=uuid4().hex, mode=kept, epoch=1)
            session.add(found)
    if found.mode != kept:
        raise Misconfigured(
            f"This ledger belongs to {found.mode} mode and EMPIRE_MODE is {mode}: choose another EMPIRE_HOME (or "
            "another DATABASE_URL); one never holds both."
        )
    return new


def _notice_a_copy(server: EmbeddedPostgres, ledger: Ledger, new: bool) -> None:
    """Begin a new epoch when the cluster lies in another folder than the one that was opened last time."""
    note = server.folder / "cluster"
    here = server.fingerprint()
    if note.exists() and note.read_text() == here:
        return
    if not new:
        with ledger.begin() as session:
            bump_epoch(session, "copied or restored")
    replace_text(note, here)
