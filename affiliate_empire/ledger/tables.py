"""The ledger's tables: what must be transactional, as SQLAlchemy models.

Money columns end in ``_micros`` (millionths of the row's currency), times in ``_at`` (UTC-aware), business days in
``day``. ``clicks``, ``postbacks``, ``conversion_events``, ``metric_snapshots``, ``approval_…`` are append-only. Schema
changes are Alembic migrations; a test holds the head equal to these models.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    case,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Declarative base: one naming convention, aware times, JSONB for evidence."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        date: Date,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        int: BigInteger,
        bool: Boolean,
        Decimal: Numeric,
        float: Float,
    }


def _created_at() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


# ---------------------------------------------------------------- the installation
class Installation(Base):
    """One row: who this ledger is. A restore or a copy bumps the epoch and parks open effects.

    Nothing new is begun until the owner has confirmed the epoch; what may have been done between the backup and
    ``restored_at`` is asked about before it is done again.
    """

    __tablename__ = "installation"
    installation_id: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str]  # sandbox | live (live-readonly reads the live ledger)
    epoch: Mapped[int] = mapped_column(default=1)
    confirmed_epoch: Mapped[int] = mapped_column(default=1)
    restored_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _created_at()


class Account(Base):
    """An account on a platform: ``youtube:gearlab``."""

    __tablename__ = "accounts"
    account_id: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str]  # youtube | tiktok | instagram | blog
    remote_id: Mapped[str | None]  # its platform's own name of it, once it was connected: channel id, open_id, user id
    handle: Mapped[str]  # hub page /h/{handle}
    display_name: Mapped[str]
    niche: Mapped[str | None]  # None: any niche
    status: Mapped[str] = mapped_column(default="active")  # active | restricted
    # How its posts get there: direct | inbox | package (publishing.flags.ROUTES; only TikTok has more than one).
    route: Mapped[str] = mapped_column(default="direct", server_default="direct")
    # auto | required: whether a person looks at each piece before it is posted. A new account of a live ledger waits
    # for its owner until told otherwise (`empire accounts approval`); the sandbox's posts by itself.
    approval: Mapped[str] = mapped_column(
        default=select(case((Installation.mode == "sandbox", "auto"), else_="required")).scalar_subquery(),
        server_default="required",
    )
    created_at: Mapped[datetime] = _created_at()
    __table_args__ = (UniqueConstraint("platform", "remote_id"),)


# ---------------------------------------------------------------- the catalogue
class Program(Base):
    """An affiliate programme at a network, with its terms."""

    __tablename__ = "programs"
    program_id: Mapped[str] = mapped_column(primary_key=True)  # impact:1001
    network: Mapped[str]
    native_id: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]  # joined | pending | not_joined | closed
    commission_rate: Mapped[Decimal]  # fraction of the sale
    currency: Mapped[str]
    cookie_days: Mapped[int]
    deeplink: Mapped[bool]
    deeplink_domains: Mapped[list[Any]]
    terms: Mapped[dict[str, Any]]
    observed_at: Mapped[datetime]


class Product(Base):
    """A product as last seen; every observation stays in the lake's ``products`` partitions."""

    __tablename__ = "products"
    product_id: Mapped[str] = mapped_column(primary_key=True)
    program_id: Mapped[str] = mapped_column(ForeignKey("programs.program_id"))
    source: Mapped[str]  # product_feed | impact
    native_id: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    brand: Mapped[str]
    category: Mapped[str]
    niche: Mapped[str]
    price_micros: Mapped[int]
    currency: Mapped[str]
    availability: Mapped[str]  # in_stock | out_of_stock | preorder | backorder
    url: Mapped[str]
    image_url: Mapped[str]
    commission_rate: Mapped[Decimal]
    first_seen_day: Mapped[date]
    last_seen_day: Mapped[date]
    observed_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("program_id", "native_id"), Index(None, "niche"))


class RejectedRow(Base):
    """A row of a feed that could not be used, with the reason and the row itself: nothing handed in is lost."""

    __tablename__ = "rejected_rows"
    rejected_id: Mapped[str] = mapped_column(primary_key=True)  # derived from source, day, row, hash
    source: Mapped[str]
    day: Mapped[date]
    row_number: Mapped[int]
    reason: Mapped[str]
    raw: Mapped[dict[str, Any]]
    observed_at: Mapped[datetime]
    __table_args__ = (Index(None, "day"),)


class ExchangeRate(Base):
    """What one unit of a currency is worth on a business day, by the ECB's last fixing before it. Never changed."""

    __tablename__ = "exchange_rates"
    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    fixing_day: Mapped[date]
    per_euro: Mapped[Decimal]  # units of the currency for one euro
    usd: Mapped[Decimal]  # dollars for one unit of the currency
    observed_at: Mapped[datetime]


# ---------------------------------------------------------------- decisions
class PromptVersion(Base):
    """A prompt version: immutable text, identified by name and version (``video/question-hook@1``)."""

    __tablename__ = "prompt_versions"
    prompt_version: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]  # video | post
    template: Mapped[str]
    sha256: Mapped[str]
    parent: Mapped[str | None]
    status: Mapped[str]  # active | candidate | retired
    created_at: Mapped[datetime] = _created_at()


class Strategy(Base):
    """A version of the strategy, with the evidence it was decided on. Append-only: the audit log of decisions."""

    __tablename__ = "strategies"
    strategy_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(unique=True)
    decided_for: Mapped[date | None] = mapped_column(unique=True)  # the day whose evening decided it; None: the first
    in_force_from: Mapped[datetime]
    content: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = _created_at()


class ExperimentResult(Base):
    """What a day's review said of two prompt versions, on the counts it was given. Decided once."""

    __tablename__ = "experiment_results"
    day: Mapped[date] = mapped_column(primary_key=True)
    arm_a: Mapped[str] = mapped_column(ForeignKey("prompt_versions.prompt_version"), primary_key=True)
    arm_b: Mapped[str] = mapped_column(ForeignKey("prompt_versions.prompt_version"), primary_key=True)
    kind: Mapped[str]  # video | post
    decision: Mapped[str]  # continue | a | b
    evidence: Mapped[dict[str, Any]]  # lift, interval, p, alpha, pieces; from which day on
    decided_at: Mapped[datetime]


class Snapshot(Base):
    """A frame as it was when a decision used it; the rows lie in the content-addressed store under ``sha256``."""

    __tablename__ = "snapshots"
    snapshot_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]  # rankings | trend_signals | trending_topics
    day: Mapped[date]
    sha256: Mapped[str]
    rows: Mapped[int]
    taken_at: Mapped[datetime]
    __table_args__ = (Index(None, "name", "day"),)


class Plan(Base):
    """The recorded plan of a day: made once; later materializations return it."""

    __tablename__ = "plans"
    day: Mapped[date] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    strategy_id: Mapped[str] = mapped_column(ForeignKey("strategies.strategy_id"))
    ranking_snapshot_id: Mapped[str] = mapped_column(ForeignKey("snapshots.snapshot_id"))
    evidence: Mapped[dict[str, Any]]  # which caps bound, what the budget allowed
    decided_at: Mapped[datetime]


class Piece(Base):
    """A piece of content to make and publish once: minted by the plan, never elsewhere."""

    __tablename__ = "pieces"
    piece_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date]
    revision: Mapped[int]
    kind: Mapped[str]  # video | post
    platform: Mapped[str]
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    slot_at: Mapped[datetime]
    planned_slot_at: Mapped[datetime | None]  # the plan's slot, where it passed without a post and another was given
    product_id: Mapped[str] = mapped_column(ForeignKey("products.product_id"))
    niche: Mapped[str]
    prompt_version: Mapped[str] = mapped_column(ForeignKey("prompt_versions.prompt_version"))
    arm: Mapped[str]  # exploit | explore
    propensity: Mapped[float]
    facts: Mapped[dict[str, Any]]  # the product's facts when planned, numbered F1…: what a script may cite
    max_cost_micros: Mapped[int]
    # Dollars; none: planned before it was kept.
    expected_profit_micros: Mapped[int | None]
    status: Mapped[str] = mapped_column(default="planned")  # planned | quarantined | superseded | expired
    reason: Mapped[str | None]  # why quarantined, superseded, expired or moved to another slot; or what it waits for
    created_at: Mapped[datetime] = _created_at()
    __table_args__ = (
        Index(None, "day"),
        # One piece a slot; what is out of the day has left its slot to others.
        Index("uq_pieces_slot", "account_id", "slot_at", unique=True, postgresql_where=text("status = 'planned'")),
    )


class Artifact(Base):
    """What a step made for a piece: a document in ``content``, a file in the media store under ``sha256``, or both."""

    __tablename__ = "artifacts"
    piece_id: Mapped[str] = mapped_column(ForeignKey("pieces.piece_id"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)  # script | voiceover | still | thumbnail | video | post
    name: Mapped[str] = mapped_column(primary_key=True)  # "" or the scene's number: "0", "1"…
    inputs_sha256: Mapped[str]
    sha256: Mapped[str | None]
    media_type: Mapped[str | None]
    content: Mapped[dict[str, Any]]
    effect_id: Mapped[str | None] = mapped_column(ForeignKey("effects.effect_id"))
    created_at: Mapped[datetime] = _created_at()


# ---------------------------------------------------------------- the owner's approval
class ApprovalRequest(Base):
    """What would go out with a piece, as its owner is shown it. Append-only; the latest one counts."""

    __tablename__ = "approval_requests"
    request_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    piece_id: Mapped[str] = mapped_column(ForeignKey("pieces.piece_id"))
    sha256: Mapped[str]  # of `shows` (publishing.approval): what a decision is bound to
    shows: Mapped[dict[str, Any]]  # file, caption, link, labels
    requested_at: Mapped[datetime]  # business time
    __table_args__ = (Index(None, "piece_id"),)


class ApprovalDecision(Base):
    """The owner's word on one request. Append-only: a trigger refuses changes to both tables."""

    __tablename__ = "approval_decisions"
    decision_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("approval_requests.request_id"))
    verdict: Mapped[str]  # approved | rejected
    reason: Mapped[str | None]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime] = _created_at()  # the owner's time, not the world's
    __table_args__ = (Index(None, "request_id"),)


# ---------------------------------------------------------------- effects, budgets, quotas, switches
class Effect(Base):
    """One outside effect: what is meant to happen, how far it came, and what it cost."""

    __tablename__ = "effects"
    effect_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]  # at_most_once | bounded_repeat
    vendor: Mapped[str]
    operation: Mapped[str]
    fingerprint: Mapped[str]
    state: Mapped[
        str
    ]  # intended | claimed | prepared | committing | settled | lost | refused | unknown | expired | superseded
    day: Mapped[date]
    piece_id: Mapped[str | None]
    account_id: Mapped[str | None]
    niche: Mapped[str | None]
    run_id: Mapped[str | None]
    deadline_at: Mapped[datetime | None]
    handle: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    remote_id: Mapped[str | None]
    max_cost_micros: Mapped[int] = mapped_column(default=0)
    cost_micros: Mapped[int | None]
    price_version: Mapped[str | None]
    error: Mapped[str | None]
    claims: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]  # database time at which its commit was entered last
    epoch: Mapped[int]
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    settled_at: Mapped[datetime | None]  # business time
    __table_args__ = (Index(None, "day", "state"), Index(None, "piece_id"))


class Budget(Base):
    """A cap: what is reserved and spent in one scope of one period. ``reserved + spent <= cap`` at every commit."""

    __tablename__ = "budgets"
    scope: Mapped[str] = mapped_column(
        primary_key=True
    )  # day:2026-11-21 · month:2026-11 · run:… · vendor:openai:2026-11-21
    cap_micros: Mapped[int]
    reserved_micros: Mapped[int] = mapped_column(default=0)
    spent_micros: Mapped[int] = mapped_column(default=0)


class Reservation(Base):
    """An effect's share of a budget: open until the effect ends, then the cost (0 when nothing was charged)."""

    __tablename__ = "reservations"
    effect_id: Mapped[str] = mapped_column(ForeignKey("effects.effect_id"), primary_key=True)
    scope: Mapped[str] = mapped_column(ForeignKey("budgets.scope"), primary_key=True)
    reserved_micros: Mapped[int]
    spent_micros: Mapped[int | None]


class QuotaUse(Base):
    """One use of an account's quota in a rolling window; freed when the effect is proven not to have happened."""

    __tablename__ = "quota_uses"
    effect_id: Mapped[str] = mapped_column(ForeignKey("effects.effect_id"), primary_key=True)
    quota: Mapped[str] = mapped_column(primary_key=True)  # youtube.posts
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    at: Mapped[datetime]
    __table_args__ = (Index(None, "account_id", "quota", "at"),)


class AccountLimit(Base):
    """What a platform said of an account's posts at one moment. It holds for a while, and only lowers policy's cap."""

    __tablename__ = "account_limits"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"), primary_key=True)
    quota: Mapped[str] = mapped_column(primary_key=True)  # youtube.posts
    signal: Mapped[str] = mapped_column(primary_key=True)  # the platform's word: uploadLimitExceeded, creator_info…
    posts: Mapped[int | None]  # how many the platform allows in a window; 0: none; none: it did not say
    unseen: Mapped[int] = mapped_column(default=0)  # posts that it counts and this ledger does not: made by hand
    longest_seconds: Mapped[float | None]  # of a video
    reason: Mapped[str]
    observed_at: Mapped[datetime]
    holds_until: Mapped[datetime]


class Pause(Base):
    """A switch that the claim honours: ``all``, ``vendor:openai``, ``account:youtube:gearlab``."""

    __tablename__ = "pauses"
    scope: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    cause: Mapped[str | None]  # access: lifted when the account is connected again; None: by the owner's word alone
    paused_at: Mapped[datetime]


class SpendConfirmation(Base):
    """The owner's word that what a day may cost is right: no live spending beyond the newest one's terms."""

    __tablename__ = "spend_confirmations"
    confirmation_id: Mapped[str] = mapped_column(primary_key=True)  # the terms' hash and the moment
    day: Mapped[date]  # that the forecast was of
    terms: Mapped[dict[str, Any]]  # caps and pieces that were confirmed, with the forecast's figures
    terms_sha256: Mapped[str]
    confirmed_at: Mapped[datetime]


class Credential(Base):
    """A credential, encrypted by ``affiliate_empire.vault``: ``tiktok:gearlab``. One writer at a time renews it."""

    __tablename__ = "credentials"
    name: Mapped[str] = mapped_column(primary_key=True)
    ciphertext: Mapped[bytes]
    key_id: Mapped[str]  # which master key it is encrypted with
    version: Mapped[int] = mapped_column(default=1)  # counts renewals
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Alert(Base):
    """Something the owner must know; derived id, so that the same cause alerts once."""

    __tablename__ = "alerts"
    alert_id: Mapped[str] = mapped_column(primary_key=True)
    severity: Mapped[str]  # critical | high | medium | low
    subject: Mapped[str]
    message: Mapped[str]
    raised_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]  # business time at which its cause ended, where somebody knows of it
    told_at: Mapped[datetime | None]  # business time at which a message about it was delivered to the owner


# ---------------------------------------------------------------- publishing and tracking
class Link(Base):
    """A tracking link ``/r/{code}``: where it leads and whose click it is."""

    __tablename__ = "links"
    code: Mapped[str] = mapped_column(primary_key=True)
    piece_id: Mapped[str] = mapped_column(ForeignKey("pieces.piece_id"), unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    product_id: Mapped[str] = mapped_column(ForeignKey("products.product_id"))
    network: Mapped[str]
    target_url: Mapped[str]  # the network's tracking URL, without our sub-id
    sub_id_parameter: Mapped[str]  # subId1
    status: Mapped[str] = mapped_column(default="live")  # live | retired
    created_at: Mapped[datetime] = _created_at()


class Publication(Base):
    """A post on a platform account: exactly one per piece and account."""

    __tablename__ = "publications"
    publication_id: Mapped[str] = mapped_column(primary_key=True)  # derived from piece and account
    piece_id: Mapped[str] = mapped_column(ForeignKey("pieces.piece_id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    platform: Mapped[str]
    day: Mapped[date]
    effect_id: Mapped[str] = mapped_column(ForeignKey("effects.effect_id"), unique=True)
    remote_id: Mapped[str]
    url: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    disclosures: Mapped[dict[str, Any]]  # the flags and texts that went out
    slot_at: Mapped[datetime]
    published_at: Mapped[datetime]  # when the public can see it
    takedown_reason: Mapped[str | None]  # the owner's: why it shall go; TikTok's, of what it never published
    taken_down_at: Mapped[datetime | None]  # business time at which it was known to be gone
    __table_args__ = (UniqueConstraint("piece_id", "account_id"), Index(None, "day", "platform"))


class Click(Base):
    """Every hit on a tracking link, flagged, never dropped. No foreign key: written by COPY before the 302 leaves."""

    __tablename__ = "clicks"
    click_id: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    clicked_at: Mapped[datetime]
    user_agent: Mapped[str]
    referrer: Mapped[str]
    visitor_hash: Mapped[str]  # HMAC of the truncated address and agent with the day's salt; never the address
    flags: Mapped[list[Any]]  # analytics.traffic: head and prefetch as it comes, the others when it is judged
    judged_by: Mapped[int | None]  # the version of the rules; empty until it is judged
    recorded_at: Mapped[datetime] = _created_at()
    __table_args__ = (
        Index(None, "clicked_at"),
        Index(None, "code"),
        Index(None, "visitor_hash"),
        Index("ix_clicks_not_judged", "visitor_hash", postgresql_where=text("judged_by IS NULL")),
    )


class Salt(Base):
    """The day's salt for visitor hashes; deleted after its window, which makes the hashes anonymous for good."""

    __tablename__ = "salts"
    day: Mapped[date] = mapped_column(primary_key=True)
    salt: Mapped[str]


class Postback(Base):
    """A network's push as it arrived, stored before anything else is done with it."""

    __tablename__ = "postbacks"
    postback_id: Mapped[str] = mapped_column(primary_key=True)
    network: Mapped[str]
    method: Mapped[str]
    query: Mapped[str]
    body: Mapped[str]
    headers: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
    problem: Mapped[str | None]  # why no event could be read from it


class ConversionEvent(Base):
    """One thing a network said about one transaction line. Append-only; the current state is derived."""

    __tablename__ = "conversion_events"
    event_id: Mapped[str] = mapped_column(primary_key=True)  # derived from the unique key
    network: Mapped[str]
    transaction_id: Mapped[str]
    line_id: Mapped[str]
    kind: Mapped[str]  # pending | approved | reversed | adjusted | paid
    version: Mapped[str]  # the network's own modification marker, "" when it has none
    click_id: Mapped[str | None]
    program_id: Mapped[str | None]
    sale_micros: Mapped[int]
    commission_micros: Mapped[int]  # the commission as it stands after this event (0 when reversed)
    currency: Mapped[str]
    # Dollars for one unit of the currency on the day of the sale, the same for all events of a line; none for dollars,
    # and where nobody knew a rate.
    usd_rate: Mapped[Decimal | None]
    occurred_at: Mapped[datetime]  # when the sale happened
    observed_at: Mapped[datetime]  # when we learned of it
    source: Mapped[str]  # push | poll
    raw: Mapped[dict[str, Any]]
    __table_args__ = (
        UniqueConstraint("network", "transaction_id", "line_id", "kind", "version"),
        Index(None, "click_id"),
        Index(None, "observed_at"),
    )


class MetricSnapshot(Base):
    """A publication's metrics at one moment, under one definition of them."""

    __tablename__ = "metric_snapshots"
    publication_id: Mapped[str] = mapped_column(ForeignKey("publications.publication_id"), primary_key=True)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    definition: Mapped[str]  # youtube.views@2026-08-24
    views: Mapped[int]
    likes: Mapped[int]
    comments: Mapped[int]
    shares: Mapped[int | None]  # these three: none where the platform does not tell, or not yet
    engaged_views: Mapped[int | None]
    watch_seconds: Mapped[float | None]  # on average, of a view
    raw: Mapped[dict[str, Any]]
