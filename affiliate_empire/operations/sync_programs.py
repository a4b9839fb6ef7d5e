"""Read the joined programmes and their terms into the ledger: what may be offered, at which rate, under which rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.catalog.frames import Programs
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Program
from affiliate_empire.operations.patience import read
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.impact import ImpactClient

NETWORK = "impact"


def sync_programs(*, ledger: Ledger, impact: ImpactClient, clock: Clock, policy: Policy) -> pd.DataFrame:
    """Read every joined programme once and keep its terms. That the network answered is the proof of connectivity.

    Returns:
        ``Programs``, ordered by programme.

    Raises:
        BadInput: terms that cannot be read.
        VendorUnavailable, VendorRefused: the network does not answer, or refuses.
    """
    observed_at = clock.now()
    programs = [
        program_row(campaign, read(impact.fetch_public_terms, str(campaign["CampaignId"])), observed_at)
        for campaign in read(impact.fetch_campaigns)
    ]
    with ledger.begin() as session:
        save_programs(session, programs)
    columns = list(Programs.to_schema().columns)
    rows = [program | _eligibility(program, policy) for program in sorted(programs, key=lambda p: str(p["program_id"]))]
    frame = pd.DataFrame(rows, columns=columns)
    frame["commission_rate"] = frame["commission_rate"].astype(float)
    frame["observed_at"] = pd.to_datetime(frame["observed_at"], utc=True)
    return Programs.validate(frame)


def _eligibility(program: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    rule = policy.network(str(program["network"]))
    reasons = []
    if not rule.ai_content_allowed:
        reasons.append("its network forbids AI-made content")
    if not rule.redirect_allowed or not rule.sub_id_parameter:
        reasons.append("its network allows no redirect with a click id")
    if program["commission_rate"] <= 0:
        reasons.append("it pays no share of the sale")
    if not program["deeplink"]:
        reasons.append("it allows no link to a product's page")
    return {"eligible": not reasons, "reason": "; ".join(reasons)}


def program_row(campaign: Mapping[str, Any], terms: Mapping[str, Any], observed_at: datetime) -> dict[str, Any]:
    """A joined programme as a row of ``programs``. A programme that pays no share of the sale has the rate 0."""
    native_id = str(campaign["CampaignId"])
    payouts = terms.get("PayoutTermsList") or []
    sale: dict[str, Any] = next((payout for payout in payouts if payout.get("PayoutType") == "PCT_OF_SALEAMOUNT"), {})
    try:
        rate = Decimal(str(sale.get("PayoutPercentage") or "0")) / 100
        window = int(str(sale.get("ReferralPeriod") or "0"))
    except (InvalidOperation, ValueError) as error:
        raise BadInput(
            f"Impact's terms of programme {native_id} cannot be read ({error}): check them in Impact."
        ) from error
    return {
        "program_id": f"{NETWORK}:{native_id}",
        "network": NETWORK,
        "native_id": native_id,
        "name": str(campaign["CampaignName"]),
        "status": "joined",
        "commission_rate": rate,
        "currency": str(terms.get("Currency") or campaign.get("Currency") or "USD"),
        "cookie_days": window,
        "deeplink": str(campaign.get("AllowsDeeplinking", "")).lower() == "true",
        "deeplink_domains": [str(domain) for domain in campaign.get("DeeplinkDomains") or []],
        "terms": dict(terms),
        "observed_at": observed_at,
    }


def save_programs(session: Session, programs: Sequence[dict[str, Any]]) -> None:
    """Keep programmes as last seen; one that the network names no more is not joined any more."""
    left = update(Program).where(
        Program.network == NETWORK,
        Program.status == "joined",
        Program.program_id.not_in([program["program_id"] for program in programs]),
    )
    session.execute(left.values(status="not_joined"))
    if not programs:
        return
    rows = insert(Program).values(list(programs))
    changed = {name: rows.excluded[name] for name in programs[0] if name != "program_id"}
    session.execute(rows.on_conflict_do_update(index_elements=[Program.program_id], set_=changed))
