"""Every secret of a sandbox business, and every place where one could have got to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from affiliate_empire.settings import SANDBOX_KEYS

_NO_SECRETS = ("client_key", "client_id", "user_id", "app_id", "account_sid")
_BOOKS = {  # of the world: what it gave out, by table
    "youtube_tokens": "token", "google_grants": "token", "oauth_grants": "token", "oauth_codes": "code",
    "tiktok_refresh_tokens": "token", "tiktok_access_tokens": "token", "instagram_tokens": "token",
    "youtube_sessions": "upload_id", "tiktok_publishes": "upload_token",
}  # fmt: skip


def all_secrets(home: Path) -> dict[str, str]:
    """What must be seen nowhere, and what it is: app secrets, tokens, codes, upload addresses, the master key."""
    found = {value: name for name, value in SANDBOX_KEYS.items() if not name.endswith(_NO_SECRETS)}
    with closing(sqlite3.connect(f"file:{home / 'world' / 'world.sqlite3'}?mode=ro", uri=True)) as books:
        for table, column in _BOOKS.items():
            found |= {row[0]: table for row in books.execute(f"SELECT {column} FROM {table}")}  # noqa: S608
    if (home / "vault.key").exists():
        found |= dict.fromkeys((home / "vault.key").read_text().split(), "master key")
    return found


def tables(url: str) -> Iterator[tuple[str, str]]:
    """Every table of a database, as text."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, name in names:
            read = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, name))
            yield f"table {schema}.{name}", "\n".join(row[0] for row in connection.execute(read))


def seen(secrets: dict[str, str], places: Iterable[tuple[str, str]]) -> list[str]:
    """Which secrets stand where, without quoting them."""
    found = set()
    for where, text in places:
        for secret, what in secrets.items():
            if secret in text or quote(secret, safe="") in text:
                found.add(f"{what} in {where}")
    return sorted(found)
