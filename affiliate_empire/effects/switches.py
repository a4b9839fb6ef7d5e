"""Pauses: the owner's switches, honoured whenever an effect is claimed and again before its commit."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.effects.errors import AccountPaused, Paused
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Pause
from affiliate_empire.policy import load_policy

_ACCOUNT = "account:"


def pause_scope(scope: str, reason: str, *, ledger: Ledger) -> None:
    """Switch a scope off: ``all``, ``vendor:openai`` or ``account:youtube:gearlab``. What is being sent finishes.

    Raises:
        BadInput: there is no such scope.
    """
    kind, _, name = scope.partition(":")
    if not (scope == "all" or (kind in ("vendor", "account") and name)):
        raise BadInput(f"{scope!r} cannot be paused: say all, vendor:NAME or account:ID.")
    if kind == "vendor" and name not in (known_vendors := load_policy().vendors):
        raise BadInput(f"There is no vendor {name!r}; the vendors are: {', '.join(sorted(known_vendors))}.")
    with ledger.begin() as session:
        if kind == "account" and session.get(Account, name) is None:
            known = ", ".join(session.scalars(select(Account.account_id).order_by(Account.account_id))) or "none yet"
            raise BadInput(f"There is no account {name!r}; the accounts are: {known}.")
        held = session.get(Pause, scope)
        if held is not None and kind == "account" and session.get_one(Account, name).status != "active":
            reason = reason if reason in held.reason else f"{held.reason}; {reason}"  # the restriction stays in sight
        # The owner acts by the wall's clock, not by the world's.
        new = insert(Pause).values(scope=scope, reason=reason, paused_at=func.now())
        session.execute(new.on_conflict_do_update(index_elements=[Pause.scope], set_={"reason": reason, "cause": None}))


def resume_scope(scope: str, *, ledger: Ledger, restricted: bool = False) -> None:
    """Switch a scope on again.

    Args:
        scope: as ``pause_scope`` takes it.
        ledger: where the pauses are.
        restricted: its owner's word that the platform, which had restricted the account, lets it post again. It may
            not be meant by who lifts a pause of his own, and what is posted then may cost him the account.

    Raises:
        BadInput: it is neither paused nor restricted; or it is restricted and nobody said that this is over.
    """
    kind, _, name = scope.partition(":")
    with ledger.begin() as session:
        reason = session.scalars(delete(Pause).where(Pause.scope == scope).returning(Pause.reason)).one_or_none()
        account = session.get(Account, name) if kind == "account" else None
        if account is not None and account.status != "active":
            if not restricted:
                said = f" ({reason})" if reason else ""
                raise BadInput(
                    f"{name} is {account.status} by its platform{said}: look into the platform's app, and when it may "
                    f"post again, say so with `{_lifting(scope, restricted=True)}`."
                )
            account.status = "active"
        elif reason is None:
            paused = ", ".join(session.scalars(select(Pause.scope).order_by(Pause.scope))) or "nothing"
            hint = "" if kind in ("all", "vendor", "account") else f" Say account:{scope} or vendor:{scope}?"
            raise BadInput(f"{scope!r} is not paused; paused now: {paused}.{hint}")


def _lifting(scope: str, *, restricted: bool) -> str:
    """The command that lifts a pause; a restriction is lifted by its name only."""
    return f"empire resume {scope} --restricted" if restricted else f"empire resume {scope}"


def check(session: Session, vendor: str, account_id: str | None) -> None:
    """Let what is sent to a vendor, for an account, pass unless a switch that concerns it is off.

    Raises:
        AccountPaused: the account is, or its platform restricts it: the others' pieces go on.
        Paused: the vendor is, or everything.
    """
    scopes = ["all", f"vendor:{vendor}"]
    if account_id is not None:
        scopes.append(f"account:{account_id}")
    account = None if account_id is None else session.get(Account, account_id)
    restricted = account is not None and account.status != "active"
    pause = session.scalars(select(Pause).where(Pause.scope.in_(scopes)).order_by(Pause.scope)).first()
    if pause is not None:
        of_account = pause.scope.startswith(_ACCOUNT)
        lifting = _lifting(pause.scope, restricted=of_account and restricted)
        refusal = AccountPaused if of_account else Paused
        raise refusal(f"{pause.scope} is paused ({pause.reason}): lift it with `{lifting}`.", scope=pause.scope)
    if account is not None and restricted:
        scope = f"{_ACCOUNT}{account_id}"
        lifting = _lifting(scope, restricted=True)
        raise AccountPaused(f"{account_id} is {account.status}: lift it with `{lifting}`.", scope=scope)


def held_accounts(session: Session) -> dict[str, str]:
    """The accounts that nothing is sent for, each with why: ``paused (a holiday)``, ``restricted``."""
    restricted = session.execute(select(Account.account_id, Account.status).where(Account.status != "active"))
    paused = session.execute(select(Pause.scope, Pause.reason).where(Pause.scope.startswith(_ACCOUNT)))
    held = {account_id: str(status) for account_id, status in restricted}
    for scope, reason in paused:
        account_id = scope.removeprefix(_ACCOUNT)
        held[account_id] = " and ".join([*filter(None, [held.get(account_id)]), f"paused ({reason})"])
    return held


def paused_scopes(*, ledger: Ledger) -> dict[str, str]:
    """Every pause in force: scope → reason."""
    with ledger.begin() as session:
        return {pause.scope: pause.reason for pause in session.scalars(select(Pause).order_by(Pause.scope))}


def pauses_in_words(*, ledger: Ledger) -> list[str]:
    """Every pause in force as a sentence with its remedy: what is shown wherever something may stand still for it."""
    with ledger.begin() as session:
        restricted = {
            f"{_ACCOUNT}{account_id}"
            for account_id in session.scalars(select(Account.account_id).where(Account.status != "active"))
        }
    return [
        f"Paused: {scope} ({reason}). Lift it with: {_lifting(scope, restricted=scope in restricted)}"
        for scope, reason in paused_scopes(ledger=ledger).items()
    ]
