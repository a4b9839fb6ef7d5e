"""``/h/{handle}``: an account's page of products, since links under Shorts, Reels and TikToks cannot be clicked.

One self-contained page per handle: the disclosure before anything else, then the products of the latest publications
that can still be bought through a programme that still pays, each leading through its own tracking link. Nothing but
text is loaded, so that it opens at once on a phone.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Link, Product, Program, Publication
from affiliate_empire.tracking.outages import DATABASE_OUTAGE

SHOWN = 40
_SELLS = ("in_stock", "preorder", "backorder")
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-content-type-options": "nosniff",
}


class Hub:
    """The page. ``disclosure`` is policy's text; ``simulated`` puts the sandbox's label on it."""

    def __init__(self, ledger: Ledger, clock: Clock, *, disclosure: str, simulated: bool) -> None:
        self._ledger = ledger
        self._clock = clock
        self._disclosure = disclosure
        self._simulated = simulated
        loader = FileSystemLoader(Path(__file__).parent / "templates")
        environment = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, auto_reload=False
        )
        self._template = environment.get_template("hub.html")

    async def __call__(self, request: Request) -> Response:
        try:
            page = await run_in_threadpool(self._render, request.path_params["handle"])
        except DATABASE_OUTAGE:
            return PlainTextResponse("Please try again in a moment.\n", 503, headers={"retry-after": "5"})
        if page is None:
            return PlainTextResponse("There is no such page.\n", 404, headers={"cache-control": "no-store"})
        return HTMLResponse(page, headers=_HEADERS)

    def _render(self, handle: str) -> str | None:
        """The page of a handle; None when no account has it."""
        with self._ledger.begin() as session:
            names = session.scalars(
                select(Account.display_name).where(Account.handle == handle).order_by(Account.account_id)
            ).all()
            if not names:
                return None
            items = session.execute(_latest(handle, self._clock.now())).mappings().all()
        return self._template.render(name=names[0], items=items, disclosure=self._disclosure, simulated=self._simulated)


def _latest(handle: str, now: datetime) -> Any:
    """What the public can see by now, newest first: link code, product, title and address of the publication."""
    return (
        select(Link.code, Product.title.label("product"), Publication.title, Publication.url, Publication.published_at)
        .join(Publication, Publication.piece_id == Link.piece_id)
        .join(Product, Product.product_id == Link.product_id)
        .join(Program, Program.program_id == Product.program_id)
        .join(Account, Account.account_id == Publication.account_id)
        .where(
            Account.handle == handle,
            Link.status == "live",
            Publication.published_at <= now,
            Product.availability.in_(_SELLS),
            Program.status == "joined",
        )
        .order_by(Publication.published_at.desc(), Link.code)
        .limit(SHOWN)
    )
