"""Connect an account: its owner signs in at the platform, and what is granted is kept for the account it is for.

One sign-in, in this order: the browser is sent to the platform and comes back to this machine; the answer must be the
one to this very question; the code becomes a grant; the grant is stored before anything is asked with it; the platform
says what was granted and whose account it is; the grant is kept under that account's name. Whatever goes wrong before
the end leaves nothing behind, and what was connected before as it was.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from affiliate_empire.catalog.niches import UNCATEGORISED, niche_of
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Product
from affiliate_empire.operations.keep_credentials import revive
from affiliate_empire.operations.prepare_ledger import DEFAULT_ACCOUNTS, prepare_ledger
from affiliate_empire.vault import Grants, Vault
from affiliate_empire.vendors.errors import CredentialsRejected, VendorError
from affiliate_empire.vendors.loopback import Loopback
from affiliate_empire.vendors.oauth import Authorization, Granted, NotConsented, Profile, SignIn
from affiliate_empire.vendors.tiktok import PUBLISH

PATIENCE = 300.0  # seconds that a person may take to sign in


@dataclass(frozen=True)
class Connected:
    """An account that may be acted for now.

    ``revived``: it could not be before, and may post again. ``drafts_only``: it was to post directly, and its owner
    did not allow that, so that its route is ``inbox`` now. ``known_niches``: those of the products, where the account's
    is none of them: nothing is planned for it until there is a product of it; empty where all is well.
    """

    account_id: str
    profile: Profile
    is_new: bool
    revived: bool
    drafts_only: bool
    known_niches: Sequence[str] = ()


def connect_account(
    platform: str,
    *,
    authorization: Authorization,
    show: Callable[[str], object],
    who_is: Callable[[str], str],
    vault: Vault,
    grants: Grants,
    clock: Clock,
    account_id: str | None = None,
    niche: str | None = None,
    port: int = 0,
    patience: float = PATIENCE,
) -> Connected:
    """Connect an account of a platform, new or known, by its owner's sign-in.

    Args:
        show: is given the address to sign in at.
        who_is: gives the platform's own name (``Account.remote_id``) of an account that has a grant already.
        account_id: the account that is meant; None takes the one that signs in.
        niche: of the account, if it is new or should have another one; as the products spell it, or as their merchant
            does (``Home & Kitchen``). One that no product is of yet is taken, and said.
        port: that the browser comes back to; 0 takes a free one.
        patience: seconds.

    Raises:
        NotConsented: the owner said no, did not come back in time, or the answer is not to this sign-in.
        BadInput: it is another account than the one that was named; or several signed in, and none was named.
        CredentialsRejected: our app is not accepted, or a scope that is needed was not granted: the message says which,
            and what for.
        VendorError, Misconfigured: as the authorization raises.
    """
    ledger = vault.ledger
    if account_id is not None and account_id.partition(":")[0] != platform:
        raise BadInput(f"{account_id} is no account of {authorization.name}: name it as {platform}:HANDLE.")
    with ledger.begin() as session:
        is_fresh = session.scalars(select(Account.account_id).limit(1)).first() is None
    if is_fresh:  # also its other platforms get theirs
        prepare_ledger(ledger=ledger)
    with ledger.begin() as session:
        niches = sorted(session.scalars(select(Product.niche).distinct()))
    if niche is not None and niche not in niches:
        niche = niche_of(niche)
        if niche == UNCATEGORISED:
            known = ", ".join(niches) or "the products'"
            raise BadInput(f"That names no niche: say one of {known}, or a new one in words.")
    _learn_who_they_are(platform, grants, who_is, ledger)
    pending = f"signing-in-{platform}"
    with Loopback(authorization.host, port) as loopback:
        sign_in = SignIn(loopback.redirect_uri)
        show(authorization.address(sign_in))
        code = _code(loopback.wait(patience), sign_in, authorization, platform)
        granted = authorization.exchange(code, sign_in, now=clock.now())
    vault.save(pending, dict(granted.kept))
    try:
        scopes, profiles = authorization.identify(granted)
        _refuse_missing(scopes, authorization, platform)
        profile = _chosen(profiles, account_id, platform, ledger)
        with ledger.begin() as session:
            account, is_new = _account_of(session, platform, profile, account_id, grants)
            account.display_name = profile.name
            account.niche = niche or account.niche
            drafts_only = platform == "tiktok" and PUBLISH not in scopes and account.route == "direct"
            if drafts_only:
                account.route = "inbox"
            found, of_none = account.account_id, niches if account.niche not in (None, *niches) else []
        vault.put_in_place(pending, found, _secret(platform, granted, profile, clock.now()))
    except BaseException:  # even an interrupt: a grant that is nobody's must not stay in the vault
        vault.forget(pending)
        raise
    if is_new:
        _remove_placeholder(platform, grants, ledger)
    return Connected(found, profile, is_new, revive(found, ledger=ledger, at=clock.now()), drafts_only, of_none)


def _code(answer: Mapping[str, str], sign_in: SignIn, authorization: Authorization, platform: str) -> str:
    again = f"run `empire connect {platform}` again"
    if not secrets.compare_digest(answer.get("state", "").encode(), sign_in.state.encode()):
        raise NotConsented(
            f"What came back is no answer to this sign-in (its state differs): nothing was stored; {again}, and use "
            "the address that it prints."
        )
    if answer.get("error") == "access_denied":
        raise NotConsented(f"Access was refused at {authorization.name}: nothing was stored; {again} to allow it.")
    if "error" in answer or not answer.get("code"):
        said = re.sub(r"[^a-z_]", "", answer.get("error", ""))[:40] or "no code"
        raise NotConsented(f"{authorization.name} did not sign you in ({said}): nothing was stored; {again}.")
    return answer["code"]


def _refuse_missing(scopes: frozenset[str], authorization: Authorization, platform: str) -> None:
    any_of = authorization.any_of
    if authorization.scopes.keys() - any_of <= scopes and (not any_of or any_of & scopes):
        return
    missing = [f"{name} ({what_for})" for name, what_for in authorization.scopes.items() if name not in scopes]
    raise CredentialsRejected(
        f"{authorization.name} did not grant {', '.join(missing)}: nothing was stored; run `empire connect {platform}` "
        "again and allow everything that it asks for.",
        vendor=platform,
        code="scope",
    )


def _learn_who_they_are(platform: str, grants: Grants, who_is: Callable[[str], str], ledger: Ledger) -> None:
    """Ask once who the accounts are that had a grant before: one account of a platform must not be two of ours."""
    unknown = select(Account.account_id).where(Account.platform == platform, Account.remote_id.is_(None))
    with ledger.begin() as session:
        names = session.scalars(unknown.order_by(Account.account_id)).all()
    for name in names:
        if not grants.is_connected(name):
            continue
        try:
            remote_id = who_is(name)
        except VendorError:  # its grant ended, or nobody answers: `_account_of` asks for its name where it matters
            continue
        with ledger.begin() as session:
            session.execute(update(Account).where(Account.account_id == name).values(remote_id=remote_id))


def _chosen(profiles: Sequence[Profile], account_id: str | None, platform: str, ledger: Ledger) -> Profile:
    """The account that is meant, of those that were granted."""
    if account_id is not None:
        with ledger.begin() as session:
            known = session.get(Account, account_id)
            remote_id = None if known is None else known.remote_id
        for profile in profiles:
            if profile.id == remote_id or (remote_id is None and _account_id(platform, profile) == account_id):
                return profile
    if len(profiles) > 1:
        names = ", ".join(_account_id(platform, profile) for profile in profiles)
        raise BadInput(
            f"Several accounts were granted ({names}): nothing was stored; run `empire connect {platform} --account "
            "NAME` with one of them."
        )
    return profiles[0]


def _account_of(
    session: Session, platform: str, profile: Profile, account_id: str | None, grants: Grants
) -> tuple[Account, bool]:
    """The row of the account that signed in, and whether it is new."""
    mine = select(Account).where(Account.platform == platform).order_by(Account.account_id).with_for_update()
    rows = {row.account_id: row for row in session.scalars(mine)}
    known = next((row for row in rows.values() if row.remote_id == profile.id), None)
    who = f"{profile.name} (@{profile.handle})"
    if account_id is not None:
        named = rows.get(account_id)
        another = known is not None and known.account_id != account_id
        if another or (named is not None and named.remote_id not in (None, profile.id)):
            is_whose = f", which is {known.account_id}" if known is not None else ""
            raise BadInput(
                f"{who} signed in{is_whose}, and not {account_id}: nothing was stored; sign out in the browser and run "
                f"`empire connect {platform} --account {account_id}` again as the right one."
            )
        if named is None and _account_id(platform, profile) != account_id:
            raise BadInput(
                f"{who} signed in, and there is no account {account_id}: nothing was stored; run `empire connect "
                f"{platform} --account {_account_id(platform, profile)}`, or without --account."
            )
        known = named
    elif known is None:
        for row in rows.values():
            if row.remote_id is None and grants.is_connected(row.account_id):
                raise BadInput(
                    f"It cannot be told whether {who} is {row.account_id}, whose access ended: nothing was stored; run "
                    f"`empire connect {platform} --account {row.account_id}` if it is, or with --account "
                    f"{_account_id(platform, profile)} if not."
                )
        known = rows.get(_account_id(platform, profile))
        if known is not None and known.remote_id is not None:
            raise BadInput(
                f"{who} has the handle of {known.account_id}, which is another account: nothing was stored; see "
                "`empire accounts list`."
            )
    if known is not None:
        known.remote_id = profile.id  # its handle stays: the hub page in its earlier posts has it
        return known, False
    new = Account(
        account_id=_account_id(platform, profile),
        platform=platform,
        remote_id=profile.id,
        handle=_slug(profile.handle),
        display_name=profile.name,
    )
    session.add(new)
    session.flush()
    return new, True


def _account_id(platform: str, profile: Profile) -> str:
    return f"{platform}:{_slug(profile.handle)}"


def _slug(handle: str) -> str:
    """A handle as it may stand in the address of a hub page."""
    return re.sub(r"[^a-z0-9._-]+", "-", handle.lower()).strip("-") or "account"


def _secret(platform: str, granted: Granted, profile: Profile, now: datetime) -> dict[str, Any]:
    whose = {"user_id": profile.id} if platform == "instagram" else {}
    return {**granted.kept, **whose, "connected_at": now.isoformat()}


def _remove_placeholder(platform: str, grants: Grants, ledger: Ledger) -> None:
    """Take away the account that a new ledger has in place of one, if nothing was ever done with it."""
    for default in DEFAULT_ACCOUNTS:
        name = default["account_id"]
        if default["platform"] != platform or grants.is_connected(name):
            continue
        unused = delete(Account).where(Account.account_id == name, Account.remote_id.is_(None))
        try:
            with ledger.begin() as session:
                session.execute(unused)
        except IntegrityError:
            continue  # pieces were planned for it: it stays, as their account
