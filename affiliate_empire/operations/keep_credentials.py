"""The owner's hand on stored credentials: put one in, take one out, replace the master key, be reminded in time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select, update

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Pause
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.hold_account import ACCESS
from affiliate_empire.policy import Policy
from affiliate_empire.vault import Grants, Vault
from affiliate_empire.vault.keys import add_key, drop_keys, open_master_keys
from affiliate_empire.vault.store import Secret
from affiliate_empire.vendors.accounts import NotConnected
from affiliate_empire.vendors.errors import GrantEnded

_TOKEN = {"youtube": "refresh_token", "tiktok": "refresh_token", "instagram": "access_token"}
_SINCE = "master-key"  # of each master key, and of each grant that has no date of its own: since when it is known


def set_grant(account_id: str, token: str, *, user_id: str | None, vault: Vault, ledger: Ledger, clock: Clock) -> None:
    """Keep the token that an account's owner was granted elsewhere.

    It is YouTube's or TikTok's refresh token, or Instagram's access token with the id of its user.

    What the end of the former grant had brought about ends with it, as when the account is connected again.

    Raises:
        BadInput: there is no such account, or something is missing.
    """
    platform = account_id.partition(":")[0]
    with ledger.begin() as session:
        known = session.get(Account, account_id) is not None
    if not known or platform not in _TOKEN:
        raise BadInput(f"There is no account {account_id} that takes a token: see `empire accounts list`.")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput("That is no token: give it on standard input, without spaces.")
    if (platform == "instagram") != (user_id is not None):
        raise BadInput("Say --user-id for Instagram, and for no other platform.")
    secret = {_TOKEN[platform]: token, "connected_at": clock.now().isoformat()}
    vault.save(account_id, secret | ({"user_id": user_id} if user_id else {}))
    revive(account_id, ledger=ledger, at=clock.now())


def revive(account_id: str, *, ledger: Ledger, at: datetime) -> bool:
    """End what the end of the former grant had brought about: its alerts, and the pause; whether there was any."""
    ended = ("access was refused", "access was not extended", "access rejected", "due for renewal")
    subjects = [f"{account_id}: {what}" for what in ended]
    with ledger.begin() as session:
        open_alerts = update(Alert).where(Alert.subject.in_(subjects), Alert.resolved_at.is_(None))
        resolved = session.scalars(open_alerts.values(resolved_at=at).returning(Alert.alert_id)).all()
        pause = delete(Pause).where(Pause.scope == f"account:{account_id}", Pause.cause == ACCESS)
        lifted = session.scalars(pause.returning(Pause.scope)).all()
    return bool(resolved or lifted)


def rotate_master_key(*, vault: Vault, home: Path, setting: str | None, retire: bool) -> int:
    """Replace the master key while everything runs; returns how many credentials were encrypted anew.

    First everything is encrypted for the new key and the old one. When no process has only the old key any more,
    ``retire`` encrypts it for the new one alone. Interrupted, it is gone on with by the next call.

    Args:
        setting: of ``EMPIRE_MASTER_KEY``; None where the key is in the home's file.

    Raises:
        Misconfigured: the setting has no second key.
    """
    keys = open_master_keys(home, setting)
    if len(keys.ids) == 1 and not retire:
        if setting is not None:
            raise Misconfigured(
                "EMPIRE_MASTER_KEY has one key: put the new one before it, with a comma between them, and run again."
            )
        add_key(home)
    changed = vault.encrypt_anew(only_current=retire)
    if retire and setting is None:
        drop_keys(home)
    return changed


def remind_of_rotation(*, vault: Vault, grants: Grants, ledger: Ledger, clock: Clock, policy: Policy) -> None:
    """Alert the owner once a quarter of each grant, and of the master key, that is older than that.

    A grant that the settings give has no date: its age counts from the first look at it.
    """
    now = clock.now()
    ages: dict[str, datetime] = {}
    try:
        in_force = _in_force(grants, ledger)
        if not in_force:
            return
        since = vault.load(_SINCE) or {}
        undated = {name: f"{name} {grant['origin']}" for name, grant in in_force.items() if "connected_at" not in grant}
        first_seen = {mark: now.isoformat() for mark in (vault.key_id, *undated.values()) if mark not in since}
        if first_seen:
            vault.save(_SINCE, since := since | first_seen)
        for name, grant in in_force.items():
            ages[name] = datetime.fromisoformat(grant.get("connected_at") or since[undated[name]])
        ages[f"master key {vault.key_id}"] = datetime.fromisoformat(since[vault.key_id])
    except Misconfigured as error:
        raise_alert("credentials", now.date(), severity="high", subject="a credential cannot be read",
                    message=str(error), at=now, ledger=ledger)  # fmt: skip
        return
    for name, since_at in ages.items():
        quarters = (now - since_at) // policy.credentials_remind_after
        if quarters < 1:
            continue
        is_key = name.startswith("master key")
        what = f"The {name}" if is_key else f"The access to {name}"
        how = "`empire secrets rotate`" if is_key else f"`empire secrets set {name}` with a new grant"
        raise_alert(
            "renew credential",
            name,
            since_at,
            quarters,
            severity="medium",
            subject=f"{name}: due for renewal",
            message=f"{what} is {(now - since_at).days} days old: renew it with {how}.",
            at=now,
            ledger=ledger,
        )


def _in_force(grants: Grants, ledger: Ledger) -> dict[str, Secret]:
    """The grants that are in use, by account: those that ended were told of."""
    with ledger.begin() as session:
        accounts = session.scalars(select(Account.account_id).where(Account.platform.in_(_TOKEN))).all()
    found = {}
    for account_id in sorted(accounts):
        try:
            found[account_id] = grants.of(account_id)
        except (NotConnected, GrantEnded):
            continue
    return found
