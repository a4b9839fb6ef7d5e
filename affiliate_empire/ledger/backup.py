"""Backups of the ledger, and taking one back without forgetting what has happened outside since.

A backup is what ``pg_dump`` writes: one consistent moment, taken while the business runs. A restore builds the ledger
of that moment beside the current one, adds what the current one knows since, and puts it in its place in one
transaction; the current one stays on the server under another name. What was posted and paid for cannot be undone by a
restore, so the current ledger's word stands on effects, money, quotas and credentials, on what platforms and owner
have said of accounts, posts and links, and all that was added since is kept.
Dagster's own database is not touched.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import func, select

from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger.database import Ledger, normalised
from affiliate_empire.ledger.errors import DatabaseUnavailable
from affiliate_empire.ledger.installation import bump_epoch
from affiliate_empire.ledger.placement import package_folder
from affiliate_empire.ledger.tables import Account, Base, Credential, Effect, Installation, Pause

# Rows on which the current ledger's word stands: they say what is so outside.
_OF_THE_OUTSIDE = (
    "account_limits",
    "alerts",
    "budgets",
    "credentials",
    "effects",
    "links",
    "pauses",
    "publications",
    "quota_uses",
    "reservations",
)
# Of an account, what its platform and its owner have said of it; of a click, what was forgotten of who made it.
_COLUMNS_OF_THE_OUTSIDE = {
    "accounts": ("remote_id", "status", "approval", "route"),
    "clicks": ("user_agent", "referrer", "visitor_hash", "flags", "judged_by"),
}
# A row of these exists while something is held, so one that is gone was given back, or forgotten by its owner's word.
_HELD = ("credentials", "quota_uses", "reservations", "salts")
_PAUSED_BECAUSE = (
    "restored from a backup without the ledger it was made of: what was posted and paid for since is not known; look "
    "at your platforms and at `empire effects` first, and best leave today's slots unused"
)


@dataclass(frozen=True)
class Restored:
    """What a restore came to.

    Attributes:
        kept_as: the database that holds the former ledger.
        since: whether the former ledger told what has happened since the backup; if not, everything is paused.
        parked: effects that wait for the owner's word.
    """

    epoch: int
    kept_as: str
    since: bool
    parked: int


def save_backup(ledger: Ledger, file: Path) -> int:
    """Write a consistent backup of the ledger, readable by its owner alone; returns its size in bytes.

    Raises:
        BadInput: there is a file of this name.
        DatabaseUnavailable: the server cannot be dumped.
    """
    if file.exists():
        raise BadInput(f"{file} is there already: choose another name for the backup.")
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            _run("pg_dump", ledger.url, "--format=custom", "--no-owner", "--no-privileges", out=out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return file.stat().st_size


def restore_backup(ledger: Ledger, file: Path, *, at: datetime, key_ids: Collection[str]) -> Restored:
    """Put the ledger of a backup in place of the current one; services that run reconnect by themselves.

    Every effect that is open parks until the owner has looked. Where the current ledger is empty, nobody knows what has
    happened since the backup: then everything is paused as well.

    Args:
        ledger: the current ledger, migrated; afterwards it is the restored one.
        at: names the database that keeps the former ledger.
        key_ids: the master keys at hand, those that are being retired included; none where the home has none yet.

    Raises:
        BadInput: the file is no backup of a ledger.
        Misconfigured: it is of the other mode, of another installation, of a newer version, or its credentials were
            encrypted with another master key.
        DatabaseUnavailable: the server does not let a database be made or renamed.
    """
    if not file.is_file():
        raise BadInput(f"There is no file {file}: name the backup that `empire backup` wrote.")
    url = normalised(ledger.url)
    current, scratch = str(url.database), f"{url.database}_restoring"
    restored = Ledger(url.set(database=scratch).render_as_string(hide_password=False))
    with _maintenance(ledger) as server:
        _execute(server, "DROP DATABASE IF EXISTS {} (FORCE)", scratch)
        _execute(server, "CREATE DATABASE {} TEMPLATE template0", scratch)
        try:
            try:
                _run("pg_restore", restored.url, "--no-owner", "--no-privileges", "--exit-on-error", str(file))
            except DatabaseUnavailable as error:
                raise BadInput(f"{file} is no backup of a ledger that can be restored here: {error}") from error
            restored.migrate()
            since = _refuse_strangers(ledger, restored, file, key_ids)
            with _alone(server, ledger) as source:
                if since:
                    _carry_over(source, restored)
                epoch, parked = _begin_epoch(restored, source, file, since=since)
                restored.dispose()
                source.close()
                kept_as = f"{current}_before_{at:%Y%m%d_%H%M%S}"
                with server.transaction():
                    _execute(server, "ALTER DATABASE {} RENAME TO {}", current, kept_as)
                    _execute(server, "ALTER DATABASE {} RENAME TO {}", scratch, current)
            _execute(server, "ALTER DATABASE {} ALLOW_CONNECTIONS true", kept_as)
        finally:
            restored.dispose()
            _execute(server, "DROP DATABASE IF EXISTS {} (FORCE)", scratch)
    return Restored(epoch, kept_as, since, parked)


def _refuse_strangers(ledger: Ledger, restored: Ledger, file: Path, key_ids: Collection[str]) -> bool:
    """Refuse a backup that does not belong here; returns whether the current ledger knows what happened since."""
    with ledger.begin() as session:
        here = session.scalars(select(Installation)).one()
        lived = session.scalar(select(func.count()).select_from(Account)) or session.scalar(
            select(func.count()).select_from(Effect)
        )
    with restored.begin() as session:
        there = session.scalars(select(Installation)).one_or_none()
        keys = set(session.scalars(select(Credential.key_id).distinct()))
    if there is None:
        raise BadInput(f"{file} holds no ledger: name the backup that `empire backup` wrote.")
    if there.mode != here.mode:
        raise Misconfigured(
            f"{file} is a backup of {there.mode} mode and this ledger is of {here.mode} mode: restore it into another "
            "EMPIRE_HOME (or DATABASE_URL); one never holds both."
        )
    if lived and there.installation_id != here.installation_id:
        raise Misconfigured(
            f"{file} is a backup of another installation: restore it into an empty EMPIRE_HOME (or DATABASE_URL)."
        )
    if not lived and (missing := keys.difference(key_ids)):
        raise Misconfigured(
            f"The credentials in {file} were encrypted with the master key {', '.join(sorted(missing))}, and "
            f"this home has {', '.join(key_ids) or 'none yet'}: put the former into EMPIRE_MASTER_KEY, or its "
            "vault.key into the home."
        )
    return bool(lived)


def _carry_over(source: psycopg.Connection[Any], restored: Ledger) -> None:
    """Add to the restored ledger what the current one has beyond it, in one transaction."""
    names = [table.name for table in Base.metadata.sorted_tables if table.name != Installation.__tablename__]
    with psycopg.connect(restored.url) as target:
        # A retired effect has left its key to a younger one: no key may stand in the way of another row's.
        target.execute("UPDATE effects SET key = 'restoring:' || effect_id")
        for name in _HELD:
            _execute(target, "DELETE FROM {}", name)
        for name in names:
            table = Base.metadata.tables[name]
            columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
            keys = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.primary_key.columns)
            draft, whole = sql.Identifier(f"draft_{name}"), sql.Identifier(name)
            target.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(draft, whole))
            read = sql.SQL("COPY {} ({}) TO STDOUT (FORMAT binary)").format(whole, columns)
            write = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(draft, columns)
            with source.cursor().copy(read) as rows, target.cursor().copy(write) as copied:
                for block in rows:
                    copied.write(block)
            others = [column.name for column in table.columns if not column.primary_key]
            stand = others if name in _OF_THE_OUTSIDE else _COLUMNS_OF_THE_OUTSIDE.get(name, ())
            clash: sql.Composable = sql.SQL("DO NOTHING")
            if name == Account.__tablename__:
                # Names that changed hands since must not stand in each other's way.
                target.execute(
                    "UPDATE accounts SET remote_id = NULL WHERE account_id IN (SELECT account_id FROM draft_accounts)"
                )
            if stand:
                changes = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(o)) for o in stand)
                there, here = (
                    sql.SQL(", ").join(sql.SQL("{}.{}").format(row, sql.Identifier(o)) for o in stand)
                    for row in (whole, sql.SQL("excluded"))
                )
                clash = sql.SQL("({}) DO UPDATE SET {} WHERE ROW({}) IS DISTINCT FROM ROW({})").format(
                    keys, changes, there, here
                )
            insert = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT {}")
            target.execute(insert.format(whole, columns, columns, draft, clash))
            for column in (column for column in table.columns if column.identity is not None):
                # Rows that were added with their numbers have not moved the counter that gives the next one.
                counted = sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), max({})) FROM {}")
                number = sql.Identifier(column.name)
                target.execute(counted.format(sql.Literal(name), sql.Literal(column.name), number, whole))


def _begin_epoch(restored: Ledger, source: psycopg.Connection[Any], file: Path, *, since: bool) -> tuple[int, int]:
    """A new epoch, above that of either ledger; returns it and how many effects wait for the owner."""
    (current,) = source.execute("SELECT epoch FROM installation").fetchone() or (0,)
    with restored.begin() as session:
        installation = session.scalars(select(Installation)).one()
        installation.epoch = max(installation.epoch, current)
        session.flush()
        epoch = bump_epoch(session, f"restored from the backup {file.name}", confirmed=True, knows_since=since)
        if not since:
            session.merge(Pause(scope="all", reason=_PAUSED_BECAUSE, paused_at=func.now()))
        ended = ("settled", "lost", "refused", "expired", "superseded")
        parked = session.scalar(select(func.count()).select_from(Effect).where(Effect.state.not_in(ended)))
    return epoch, parked or 0


@contextmanager
def _maintenance(ledger: Ledger) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside the ledger's database, from which it can be renamed.

    Raises:
        DatabaseUnavailable: the server, or the role's rights, do not allow it.
    """
    try:
        beside = psycopg.connect(_beside(ledger.url), autocommit=True)
        with beside as server:
            yield server
    except psycopg.Error as error:
        first = str(error).strip().splitlines()[0]
        raise DatabaseUnavailable(
            f"The server does not let the backup be restored ({first}): the role needs CREATEDB and must own the "
            "ledger's database; nothing was changed."
        ) from error


@contextmanager
def _alone(server: psycopg.Connection[Any], ledger: Ledger) -> Iterator[psycopg.Connection[Any]]:
    """The only connection to the current ledger: nobody writes to it while it is taken over."""
    ledger.dispose()
    name = str(normalised(ledger.url).database)
    with psycopg.connect(ledger.url) as source:
        (mine,) = source.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        _execute(server, "ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
        try:
            others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            server.execute(others, (name, mine))
            yield source
        except BaseException:  # even an interrupt: the ledger that stays must let its services in again
            _execute(server, "ALTER DATABASE {} ALLOW_CONNECTIONS true", name)
            raise


def _execute(connection: psycopg.Connection[Any], statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _run(program: str, url: str, *arguments: str, out: IO[bytes] | None = None) -> None:
    """Run one of PostgreSQL's programs on a database; the password is not on the command line.

    Raises:
        DatabaseUnavailable: it failed; ends with the last line that it said.
    """
    given = conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    names |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}
    environment = os.environ | {names[key]: str(value) for key, value in given.items() if key in names}
    command = [str(package_folder() / "pginstall18" / "bin" / program), *arguments]
    if program == "pg_restore":
        command[1:1] = ["--dbname", str(given["dbname"])]
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=environment, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise DatabaseUnavailable(f"{program} failed: {said[-1]}")


def _beside(url: str) -> str:
    """The server's own database, as psycopg takes it."""
    return psycopg.conninfo.make_conninfo(url, dbname="postgres")
