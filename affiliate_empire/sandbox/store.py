"""The world's memory: one SQLite file in which every accepted act is committed before its reply.

Write-ahead logging with ``synchronous=NORMAL`` survives ``kill -9`` of the process (not a power cut, which no test of
ours needs). Server modules may make tables of their own with ``store.script(DDL)`` when their routes are built.

Shared tables, all times as UTC text of ``clock.stamp`` (fixed width, so they compare as text):

- ``posts``: what the public can see, per ``(platform, remote_id)``; ``public_at`` may lie ahead (scheduled).
- ``publish_requests``: what a publisher sent, per platform and the handle it got (upload session, publish id,
  container, page), and the post that came of it.
- ``views``: increments per post and 10-minute step.
- ``visits``: people and bots on their way to a link: ``planned → sent → clicked → landed``; ``uncertain`` is a request
  whose reply the world did not live to see.
- ``clicks``: the 302 replies that our tracking service gave.
- ``impact_clicks``: what the network's click server recorded. ``id`` is handed on to the shop as ``irclickid``.
- ``orders``: purchases that shoppers will make at ``due_at``; they become ``actions`` then.
- ``actions``: conversions as Impact knows them. ``payout`` and ``amount`` are decimal text as now in force (``0.00``
  once reversed), ``intended_*`` as first tracked. ``state`` is ``PENDING | APPROVED | REVERSED``. ``updated_at`` moves
  with every change: what ``/Actions`` filters by.
- ``action_changes``: what will become of an action, and why.
- ``notifications``: Event Notifications, kept until the receiver said 2xx.
- ``charges``: what each vendor call was charged.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS posts (
    platform TEXT NOT NULL, remote_id TEXT NOT NULL, account TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    media TEXT NOT NULL, flags TEXT NOT NULL, public_at TEXT NOT NULL, accepted_at TEXT NOT NULL, removed_at TEXT,
    identity TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (platform, remote_id));
CREATE TABLE IF NOT EXISTS publish_requests (
    platform TEXT NOT NULL, handle TEXT NOT NULL, request TEXT NOT NULL, remote_id TEXT,
    PRIMARY KEY (platform, handle));
CREATE INDEX IF NOT EXISTS publish_requests_post ON publish_requests (platform, remote_id);
CREATE TABLE IF NOT EXISTS views (
    platform TEXT NOT NULL, remote_id TEXT NOT NULL, step INTEGER NOT NULL, views INTEGER NOT NULL,
    likes INTEGER NOT NULL, comments INTEGER NOT NULL, PRIMARY KEY (platform, remote_id, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (step INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS visits (
    visit_id TEXT PRIMARY KEY, step INTEGER NOT NULL, platform TEXT NOT NULL, remote_id TEXT NOT NULL,
    person TEXT NOT NULL, bot INTEGER NOT NULL, state TEXT NOT NULL, url TEXT, location TEXT);
CREATE INDEX IF NOT EXISTS visits_step ON visits (step);
CREATE TABLE IF NOT EXISTS clicks (
    visit_id TEXT PRIMARY KEY, click_id TEXT, url TEXT NOT NULL, code TEXT NOT NULL, at TEXT NOT NULL,
    person TEXT NOT NULL, bot INTEGER NOT NULL, platform TEXT NOT NULL, remote_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS impact_clicks (
    id TEXT PRIMARY KEY, at TEXT NOT NULL, partner TEXT NOT NULL, ad TEXT NOT NULL, program TEXT NOT NULL,
    subid1 TEXT NOT NULL, destination TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, visit_id TEXT NOT NULL, impact_click_id TEXT NOT NULL, program TEXT NOT NULL,
    item_id TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL, ordered_at TEXT NOT NULL, due_at TEXT NOT NULL,
    state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_due ON orders (state, due_at);
CREATE TABLE IF NOT EXISTS actions (
    id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, state TEXT NOT NULL, payout TEXT NOT NULL, amount TEXT NOT NULL,
    intended_payout TEXT NOT NULL, intended_amount TEXT NOT NULL, currency TEXT NOT NULL, event_at TEXT NOT NULL,
    creation_at TEXT NOT NULL, locking_at TEXT NOT NULL, subid1 TEXT NOT NULL, oid TEXT NOT NULL,
    updated_at TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', referring_at TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS actions_updated ON actions (updated_at);
CREATE TABLE IF NOT EXISTS action_changes (
    action_id TEXT NOT NULL, due_at TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (action_id, due_at));
CREATE TABLE IF NOT EXISTS notifications (
    number INTEGER PRIMARY KEY, action_id TEXT NOT NULL, macros TEXT NOT NULL, created_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, last_answer TEXT, accepted_at TEXT);
CREATE TABLE IF NOT EXISTS charges (
    number INTEGER PRIMARY KEY, vendor TEXT NOT NULL, operation TEXT NOT NULL, micros INTEGER NOT NULL,
    request_id TEXT NOT NULL, at TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    fault_id TEXT PRIMARY KEY, number INTEGER NOT NULL, rule TEXT NOT NULL, hits INTEGER NOT NULL);
"""


class Store:
    """SQLite behind one lock; safe from the event loop and from worker threads alike."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self.script(_SCHEMA)

    def script(self, ddl: str) -> None:
        """Run several statements, such as a server module's own ``CREATE TABLE IF NOT EXISTS``."""
        with self._lock:
            self._db.executescript(ddl)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement, committed on return unless inside ``transaction``; gives the number of rows it touched."""
        with self._lock:
            return self._db.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self.transaction():
            self._db.executemany(sql, rows)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        rows = self.query(sql, parameters)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; may be nested. Never ``await`` inside: the lock is held."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:  # even an interrupt: an open transaction would swallow the next act
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        row = self.one("SELECT value FROM facts WHERE name = ?", (name,))
        return None if row is None else str(row["value"])

    def save_fact(self, name: str, value: str) -> None:
        self.execute(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    def close(self) -> None:
        with self._lock:
            self._db.close()
