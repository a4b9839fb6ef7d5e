"""Follows a dollar back to the prompt version that earned it, and a prompt version forward to its dollars.

Both ways read the same rows and add in micros, so they agree to the last of them. A transaction that no click of ours
stands behind is shown as unattributed, with what it pays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.money import USD, dollars, money
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Artifact,
    Click,
    ConversionEvent,
    Effect,
    Link,
    Piece,
    Plan,
    Product,
    PromptVersion,
    Publication,
)
from affiliate_empire.operations.outcomes import load_conversions, load_outcomes

_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_EVENT_FIELDS = ("event_id", "kind", "version", "sale_micros", "commission_micros", "currency", "observed_at", "source")


def trace_conversion(conversion: str, *, ledger: Ledger, as_of: datetime = _FOREVER) -> dict[str, Any]:
    """A transaction's way back: events → click → link → publication → piece → script → prompt version, with the costs.

    Args:
        conversion: the transaction line (``impact:1001.5523.118``), or the network's transaction id alone.
        ledger: read only.
        as_of: what was learned later is left out.

    Returns:
        ``transaction_id``, ``state``, ``commission_micros`` and ``commission_usd_micros``, ``attributed``,
        ``prompt_version`` (None when unattributed) and one entry per link of the chain.

    Raises:
        BadInput: no such transaction.
    """
    with ledger.begin() as session:
        everything = load_conversions(session, as_of=as_of)
        named = (everything["conversion_id"] == conversion) | (everything["transaction_id"] == conversion)
        found = everything[named]
        if found.empty:
            raise BadInput(
                f"The ledger has no conversion {conversion!r}: take an id from the report's lineage, or from the table "
                "conversion_events."
            )
        if len(found) > 1:
            lines = ", ".join(sorted(found["conversion_id"]))
            raise BadInput(f"{conversion!r} has several lines: say one of {lines}.")
        [read] = found.to_dict("records")
        line = {name: None if isinstance(value, float) else value for name, value in read.items()}  # NaN: absent
        events = session.scalars(
            select(ConversionEvent)
            .where(
                ConversionEvent.network == line["network"],
                ConversionEvent.transaction_id == line["transaction_id"],
                ConversionEvent.line_id == line["line_id"],
                ConversionEvent.observed_at < as_of,
            )
            .order_by(ConversionEvent.observed_at, ConversionEvent.event_id)
        ).all()
        piece_id = line["piece_id"]
        trace: dict[str, Any] = {
            "conversion_id": line["conversion_id"],
            "transaction_id": line["transaction_id"],
            "network": line["network"],
            "program_id": line["program_id"],
            "state": line["state"],
            "currency": line["currency"],
            "sale_micros": int(read["sale_micros"]),
            "commission_micros": int(read["commission_micros"]),
            "commission_usd_micros": int(read["commission_usd_micros"]),
            "usd_rate": None if pd.isna(read["usd_rate"]) else str(read["usd_rate"]),
            "occurred_at": _iso(line["occurred_at"]),
            "sub_id": line["click_id"],
            "attributed": piece_id is not None,
            "events": [{name: _plain(getattr(event, name)) for name in _EVENT_FIELDS} for event in events],
            "prompt_version": None,
        }
        if piece_id is None:
            return trace
        click = session.get_one(Click, line["click_id"])
        link = session.get_one(Link, click.code)
        return trace | {
            "click": {"click_id": click.click_id, "clicked_at": _iso(click.clicked_at), "flags": click.flags},
            "link": {"code": link.code, "target_url": link.target_url, "network": link.network},
            **_piece_chain(session, piece_id),
        }


def trace_prompt(prompt_version: str, *, ledger: Ledger) -> dict[str, Any]:
    """A prompt version's way forward: pieces, scripts, publications, clicks, conversions, dollars.

    Returns:
        ``pieces`` and ``conversions`` as lists, and the totals ``cost_micros``, ``commission_micros``,
        ``profit_micros`` (US dollars), ``clicks``, ``views``; the sum of the conversions' commissions is the total.

    Raises:
        BadInput: no such prompt version.
    """
    with ledger.begin() as session:
        version = session.get(PromptVersion, prompt_version)
        if version is None:
            known = session.scalars(select(PromptVersion.prompt_version).order_by(PromptVersion.prompt_version)).all()
            raise BadInput(
                f"There is no prompt version {prompt_version!r}: say one of {', '.join(known) or 'none yet'}."
            )
        days = (
            session.execute(
                select(Piece.day).where(Piece.prompt_version == prompt_version, Piece.status != "superseded")
            )
            .scalars()
            .all()
        )
        if days:
            outcomes = load_outcomes(session, as_of=_FOREVER, first_day=min(days), last_day=max(days))
            outcomes = outcomes[outcomes["prompt_version"] == prompt_version]
        else:
            outcomes = pd.DataFrame(columns=["piece_id"])
        pieces = [_piece_line(row) for row in outcomes.to_dict("records")]
        earned = load_conversions(session, as_of=_FOREVER)
        mine = earned[earned["piece_id"].isin(set(outcomes["piece_id"]))]
        conversions = [
            {
                "conversion_id": row["conversion_id"],
                "transaction_id": row["transaction_id"],
                "state": row["state"],
                "currency": row["currency"],
                "commission_micros": int(row["commission_micros"]),
                "commission_usd_micros": int(row["commission_usd_micros"]),
                "click_id": row["click_id"],
                "piece_id": row["piece_id"],
            }
            for row in mine.to_dict("records")
        ]
    cost = sum(piece["cost_micros"] for piece in pieces)
    commission = sum(row["commission_usd_micros"] for row in conversions)
    return {
        "prompt_version": version.prompt_version,
        "kind": version.kind,
        "status": version.status,
        "parent": version.parent,
        "sha256": version.sha256,
        "pieces": pieces,
        "conversions": conversions,
        "views": sum(piece["views"] for piece in pieces),
        "clicks": sum(piece["clicks"] for piece in pieces),
        "cost_micros": cost,
        "commission_micros": commission,
        "profit_micros": commission - cost,
    }


def render_trace(trace: dict[str, Any], *, label: str) -> str:
    """A trace as text for a terminal; ``label`` (SIMULATED or LIVE) stands over the numbers."""
    return _render_prompt(trace, label) if "pieces" in trace else _render_conversion(trace, label)


def _piece_chain(session: Session, piece_id: str) -> dict[str, Any]:
    """From the publication down to the prompt version and what the piece cost."""
    piece = session.get_one(Piece, piece_id)
    product = session.get_one(Product, piece.product_id)
    version = session.get_one(PromptVersion, piece.prompt_version)
    publication = session.scalar(select(Publication).where(Publication.piece_id == piece_id))
    plan = session.get(Plan, (piece.day, piece.revision))
    text = session.scalar(
        select(Artifact).where(Artifact.piece_id == piece_id, Artifact.step.in_(["script", "post"])).limit(1)
    )
    effects = session.scalars(
        select(Effect).where(Effect.piece_id == piece_id).order_by(Effect.created_at, Effect.effect_id)
    ).all()
    costs = [
        {
            "effect_id": effect.effect_id,
            "vendor": effect.vendor,
            "operation": effect.operation,
            "model": (effect.result or {}).get("model"),
            "state": effect.state,
            "cost_micros": effect.cost_micros,
            "price_version": effect.price_version,
            "remote_id": effect.remote_id,
        }
        for effect in effects
        if effect.cost_micros
    ]
    writer = next((effect for effect in effects if text and effect.effect_id == text.effect_id), None)
    return {
        "publication": None
        if publication is None
        else {
            "publication_id": publication.publication_id,
            "platform": publication.platform,
            "account_id": publication.account_id,
            "remote_id": publication.remote_id,
            "url": publication.url,
            "title": publication.title,
            "published_at": _iso(publication.published_at),
        },
        "piece": {
            "piece_id": piece.piece_id,
            "day": piece.day.isoformat(),
            "kind": piece.kind,
            "niche": piece.niche,
            "product_id": piece.product_id,
            "product": product.title,
            "arm": piece.arm,
            "propensity": piece.propensity,
            "strategy_id": plan.strategy_id if plan else None,
            "ranking_snapshot_id": plan.ranking_snapshot_id if plan else None,
        },
        "script": None
        if text is None
        else {
            "step": text.step,
            "title": text.content.get("title"),
            "inputs_sha256": text.inputs_sha256,
            "model": (writer.result or {}).get("model") if writer else None,
            "request_id": writer.remote_id if writer else None,
        },
        "prompt_version": version.prompt_version,
        "prompt": {"sha256": version.sha256, "parent": version.parent, "status": version.status},
        "costs": costs,
        "cost_micros": sum(cost["cost_micros"] or 0 for cost in costs),
    }


def _piece_line(row: dict[Any, Any]) -> dict[str, Any]:
    names = ("piece_id", "product", "niche", "platform", "arm", "status")
    amounts = ("views", "clicks", "conversions", "reversals", "commission_micros", "cost_micros")
    return {
        **{name: row[name] for name in names},
        "day": row["day"].isoformat(),
        "url": row["url"] if isinstance(row["url"], str) else None,
        "title": row["title"] if isinstance(row["title"], str) else None,
        **{name: int(row[name]) for name in amounts},
    }


def _render_conversion(trace: dict[str, Any], label: str) -> str:
    lines = [
        f"{label} · conversion {trace['conversion_id']}",
        f"  pays        {money(trace['commission_micros'], trace['currency'])} of "
        f"{money(trace['sale_micros'], trace['currency'])} ({trace['state']}, "
        f"{trace['currency']}), programme {trace['program_id'] or 'unknown'}",
    ]
    if trace["currency"] != USD:
        rate = f"at ${trace['usd_rate']} for one {trace['currency']}" if trace["usd_rate"] else "for want of a rate"
        lines.append(f"  in dollars  {dollars(trace['commission_usd_micros'])} {rate}")
    for event in trace["events"]:
        lines.append(
            f"  event       {event['observed_at']} {event['kind']} by {event['source']}: "
            f"{money(event['commission_micros'], event['currency'])}"
        )
    if not trace["attributed"]:
        why = "it came without a sub-id" if trace["sub_id"] is None else f"no click of ours is {trace['sub_id']}"
        return "\n".join([*lines, f"  unattributed: {why}; it counts as revenue and belongs to no piece."])
    piece, publication, script = trace["piece"], trace["publication"], trace["script"]
    lines += [
        f"  click       {trace['click']['click_id']} at {trace['click']['clicked_at']}",
        f"  link        /r/{trace['link']['code']} → {trace['link']['target_url']}",
    ]
    if publication is not None:
        lines.append(f"  publication {publication['platform']} {publication['remote_id']} · {publication['url']}")
        lines.append(f"              “{publication['title']}”, public {publication['published_at']}")
    lines.append(f"  piece       {piece['piece_id']} of {piece['day']}: {piece['product']} ({piece['niche']})")
    lines.append(
        f"              {piece['arm']}, propensity {piece['propensity']:.3f}, strategy {piece['strategy_id']}, "
        f"ranking {piece['ranking_snapshot_id']}"
    )
    if script is not None:
        lines.append(f"  {script['step']:<12}“{script['title']}” by {script['model'] or 'an unrecorded model'}")
    lines.append(f"  prompt      {trace['prompt_version']} (sha256 {trace['prompt']['sha256'][:12]})")
    for cost in trace["costs"]:
        lines.append(
            f"  cost        {dollars(cost['cost_micros']):>9}  {cost['vendor']} {cost['operation']}"
            f"{' (' + cost['model'] + ')' if cost['model'] else ''}, prices of {cost['price_version']}"
        )
    lines.append(f"  piece cost  {dollars(trace['cost_micros']):>9}")
    return "\n".join(lines)


def _render_prompt(trace: dict[str, Any], label: str) -> str:
    lines = [f"{label} · prompt {trace['prompt_version']} ({trace['status']}, sha256 {trace['sha256'][:12]})"]
    for piece in trace["pieces"]:
        lines.append(
            f"  {piece['day']}  {piece['platform']:<10}{piece['product'][:40]:<42}{piece['views']:>8,} views"
            f"{piece['clicks']:>7,} clicks{piece['conversions']:>4} sales"
            f"{dollars(piece['commission_micros']):>11} earned{dollars(piece['cost_micros']):>10} spent"
        )
    for row in trace["conversions"]:
        lines.append(
            f"  conversion  {row['conversion_id']:<28}{row['state']:<10}{dollars(row['commission_usd_micros']):>10}"
        )
    lines.append(
        f"  total       {len(trace['pieces'])} pieces, {trace['clicks']:,} clicks, "
        f"{len(trace['conversions'])} conversions, {dollars(trace['commission_micros'])} earned, "
        f"{dollars(trace['cost_micros'])} spent, {dollars(trace['profit_micros'])} profit"
    )
    return "\n".join(lines)


def _iso(instant: Any) -> str:
    return pd.Timestamp(instant).tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(value: Any) -> Any:
    return _iso(value) if isinstance(value, datetime) else value
