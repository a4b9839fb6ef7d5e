"""A business day in a ledger, as its steps leave it: plan, scripts, costs, posts, clicks, conversions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from affiliate_empire.analytics.impact import events_from_push
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Artifact,
    Base,
    Click,
    ConversionEvent,
    Effect,
    Link,
    MetricSnapshot,
    Piece,
    Product,
    Program,
    Publication,
)
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.record_plan import record_plan
from affiliate_empire.policy import load_policy
from affiliate_empire.ranking import PERFORMANCE_COLUMNS, no_trends, rank
from tests.factories.catalog import DAY, assortment

POLICY = load_policy()
CALENDAR = BusinessCalendar()
SLATE = {"youtube": 4, "blog": 1}
CAPS = Caps(14_000_000, 412_000_000, 14_000_000)


@dataclass
class BusinessDay:
    """Writes what a day's steps would have written. Instants are local hours of the day."""

    ledger: Ledger
    media: MediaStore
    day: date = DAY
    seed: int = 7

    def at(self, hours: float) -> datetime:
        return CALENDAR.midnight(self.day) + timedelta(hours=hours)

    def offer(self, products: pd.DataFrame | None = None) -> pd.DataFrame:
        """Store programme and products, and return the day's ranking of them."""
        frame = assortment() if products is None else products
        rows: list[Base] = [
            Program(
                program_id="impact:1001",
                network="impact",
                native_id="1001",
                name="Harbor & Pine",
                status="joined",
                commission_rate=Decimal("0.08"),
                currency="USD",
                cookie_days=30,
                deeplink=True,
                deeplink_domains=[],
                terms={},
                observed_at=self.at(0.25),
            )
        ]
        for record in frame.to_dict("records"):
            named = {str(name): value for name, value in record.items() if name != "network"}
            named["commission_rate"] = Decimal(str(named["commission_rate"]))
            named["observed_at"] = self.at(0.25)
            rows.append(Product(last_seen_day=self.day, **named))
        with self.ledger.begin() as session:
            for row in rows:
                session.merge(row)
                session.flush()
        return rank(frame, pd.DataFrame(columns=PERFORMANCE_COLUMNS), no_trends(), as_of=self.day, policy=POLICY)

    def plan(self, ranked: pd.DataFrame, *, hour: float = 2.0, **changes: Any) -> pd.DataFrame:
        arguments: dict[str, Any] = {"slate": SLATE, "caps": CAPS, "seed": self.seed}
        return record_plan(
            self.day,
            ranked,
            ledger=self.ledger,
            clock=FixedClock(self.at(hour)),
            media=self.media,
            policy=POLICY,
            calendar=CALENDAR,
            **arguments | changes,
        )

    def prepared(self) -> pd.DataFrame:
        """A prepared ledger with a catalogue and the day's plan."""
        prepare_ledger(ledger=self.ledger)
        return self.plan(self.offer())

    def spend(self, piece_id: str, vendor: str, operation: str, micros: int, *, state: str = "settled") -> str:
        """A cost line of a piece; returns its effect id."""
        effect_id = derived_id("ef", piece_id, vendor, operation, state)
        with self.ledger.begin() as session:
            session.add(
                Effect(
                    effect_id=effect_id,
                    key=f"{piece_id}:{vendor}:{operation}:{state}",
                    kind="bounded_repeat",
                    vendor=vendor,
                    operation=operation,
                    fingerprint="f",
                    state=state,
                    day=self.day,
                    piece_id=piece_id,
                    niche=session.get_one(Piece, piece_id).niche,
                    result={"model": "gpt-6.1-terra"} if vendor == "openai" else {},
                    remote_id=f"req_{effect_id}",
                    max_cost_micros=micros,
                    cost_micros=micros,
                    price_version="2026-11-22",
                    epoch=1,
                    settled_at=self.at(3),
                )
            )
        return effect_id

    def publish(self, piece_id: str, *, script_micros: int = 9_500, voice_micros: int = 40_000) -> str:
        """Script, voice, link and post of a piece, public at its slot; returns the link's code."""
        script = self.spend(piece_id, "openai", "write_script", script_micros)
        self.spend(piece_id, "elevenlabs", "speak", voice_micros)
        code = derived_id("c", piece_id)[2:12]
        with self.ledger.begin() as session:
            piece = session.get_one(Piece, piece_id)
            published = derived_id("ef", piece_id, "publish")
            session.add_all(
                [
                    Artifact(
                        piece_id=piece_id,
                        step="script" if piece.kind == "video" else "post",
                        name="",
                        inputs_sha256="i" * 64,
                        content={"title": f"About {piece.niche} <b>&"},
                        effect_id=script,
                    ),
                    Link(
                        code=code,
                        piece_id=piece_id,
                        account_id=piece.account_id,
                        product_id=piece.product_id,
                        network="impact",
                        target_url="https://shop.example.com/c/1/2/1001?u=x",
                        sub_id_parameter="subId1",
                    ),
                    Effect(
                        effect_id=published,
                        key=f"publish:{piece_id}",
                        kind="at_most_once",
                        vendor=piece.platform,
                        operation="publish",
                        fingerprint="p",
                        state="settled",
                        day=self.day,
                        piece_id=piece_id,
                        account_id=piece.account_id,
                        cost_micros=0,
                        epoch=1,
                    ),
                ]
            )
            session.flush()
            session.add(
                Publication(
                    publication_id=derived_id("pu", piece_id, piece.account_id),
                    piece_id=piece_id,
                    account_id=piece.account_id,
                    platform=piece.platform,
                    day=self.day,
                    effect_id=published,
                    remote_id=f"remote-{piece_id[-6:]}",
                    url=f"https://video.example.com/{piece_id[-6:]}",
                    title=f"About {piece.niche} <b>&",
                    description=POLICY.disclosure("text"),
                    disclosures={"containsSyntheticMedia": True, "hasPaidProductPlacement": True},
                    slot_at=piece.slot_at,
                    published_at=piece.slot_at,
                )
            )
        return code

    def watch(self, piece_id: str, views: int, *, hour: float = 23.0) -> None:
        with self.ledger.begin() as session:
            account_id = session.get_one(Piece, piece_id).account_id
            session.add(
                MetricSnapshot(
                    publication_id=derived_id("pu", piece_id, account_id),
                    observed_at=self.at(hour),
                    definition="youtube.views@2026-08-24",
                    views=views,
                    likes=views // 50,
                    comments=views // 500,
                    raw={},
                )
            )

    def click(self, code: str, number: int, *, hour: float = 21.0, flags: tuple[str, ...] = ()) -> str:
        """A hit on a link; returns its id."""
        click_id = derived_id("k", code, number, self.day)[2:].ljust(26, "0")
        with self.ledger.begin() as session:
            session.add(
                Click(
                    click_id=click_id,
                    code=code,
                    clicked_at=self.at(hour) + timedelta(seconds=number),
                    user_agent="Mozilla/5.0",
                    referrer="",
                    visitor_hash=f"v{number}",
                    flags=list(flags),
                )
            )
        return click_id

    def sell(self, action_id: str, click_id: str | None, payout: str, *, hour: float = 22.0, **changes: str) -> None:
        """A push of Impact about a sale."""
        said = {
            "ActionId": action_id,
            "CampaignId": "1001",
            "Status": "PENDING",
            "Payout": payout,
            "IntendedPayout": payout,
            "Amount": str(Decimal(payout) * 10),
            "IntendedAmount": str(Decimal(payout) * 10),
            "Currency": "USD",
            "EventDate": self.at(hour - 0.5).isoformat(),
            "SubId1": click_id or "",
        } | changes
        with self.ledger.begin() as session:
            for event in events_from_push(said, self.at(hour)):
                session.merge(ConversionEvent(**event))
