"""Tells the owner of alerts, each at least once and, when nothing fails, exactly once.

An alert is marked as told after its delivery, under the lock of its row: another worker passes by what one is sending.
What was not delivered is untold still, and the next call tries it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Select, select

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert
from affiliate_empire.operations.alerts import SEVERITIES
from affiliate_empire.vendors.errors import VendorError
from affiliate_empire.vendors.owner import OwnerClient

_ONE_BY_ONE = 10  # more at once are one message that lists them
_PATIENCE = 25.0  # seconds after which the rest is left to the next call; Dagster ends a tick after 60


@dataclass
class Telling:
    """What came of it: the subjects that were told, and a sentence for each failure that differs."""

    told: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = f"Told of {', '.join(self.told)}." if self.told else "Nothing was told."
        return " ".join([said, *self.failures])


def tell_owner(*, owner: OwnerClient, ledger: Ledger, clock: Clock, label: str) -> Telling:
    """Send what is neither told nor resolved: the gravest first, one message an alert, or one for more than ten.

    Args:
        owner: sends.
        ledger: holds the alerts.
        clock: business time.
        label: ``SIMULATED`` or ``LIVE``, said in every title.
    """
    telling = Telling()
    with ledger.begin() as session:
        untold = sorted(session.scalars(_untold()), key=_gravest_first)
    if len(untold) > _ONE_BY_ONE:
        _tell([alert.alert_id for alert in untold], telling, owner, ledger, clock, label)
        return telling
    until = time.monotonic() + _PATIENCE
    for alert in untold:
        if time.monotonic() > until:
            break
        _tell([alert.alert_id], telling, owner, ledger, clock, label)
    return telling


def _untold() -> Select[Alert]:
    return select(Alert).where(Alert.told_at.is_(None), Alert.resolved_at.is_(None))


def _gravest_first(alert: Alert) -> tuple[int, datetime, str]:
    return SEVERITIES.index(alert.severity), alert.raised_at, alert.alert_id


def _tell(alert_ids: list[str], telling: Telling, owner: OwnerClient, ledger: Ledger, clock: Clock, label: str) -> None:
    """One message about alerts, as far as they are untold still and nobody else is telling them."""
    now = clock.now()
    with ledger.begin() as session:
        mine = _untold().where(Alert.alert_id.in_(alert_ids)).with_for_update(skip_locked=True)
        alerts = sorted(session.scalars(mine), key=_gravest_first)
        if not alerts:
            return
        try:
            failures = owner.tell(_title(alerts, label), _body(alerts), severity=alerts[0].severity)
        except VendorError as error:
            failures = [str(error)]
        else:
            telling.told += [alert.subject for alert in alerts]
            for alert in alerts:
                alert.told_at = now
        telling.failures += [failure for failure in failures if failure not in telling.failures]


def _title(alerts: Sequence[Alert], label: str) -> str:
    (first, *others) = alerts
    said = f"{len(alerts)} alerts, the gravest {first.severity}" if others else f"{first.severity}: {first.subject}"
    return f"{label} · {said}"


def _body(alerts: Sequence[Alert]) -> str:
    (first, *others) = alerts
    if not others:
        return f"{first.message}\n{first.raised_at:%Y-%m-%d %H:%M} UTC"
    return "\n\n".join(
        f"{alert.severity}: {alert.subject}, {alert.raised_at:%Y-%m-%d %H:%M} UTC\n{alert.message}" for alert in alerts
    )
