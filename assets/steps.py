"""What every asset's body shares: its days, how it fails, how it works pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from affiliate_empire.effects import AccountPaused, BudgetRefused, EffectParked
from affiliate_empire.effects.switches import pauses_in_words
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.kernel.money import dollars, from_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.export_artifacts import export_artifacts
from affiliate_empire.operations.keep_room import Purse, by_profit
from affiliate_empire.operations.work_pieces import PiecesWorked, pieces_gone_out, pieces_of, work_pieces
from affiliate_empire.vendors.errors import ReplyLost, VendorUnavailable
from assets.pictures import listing

# One piece's trouble, or one account's: the others are made, and these go on by themselves (``stages_overdue``).
_HOLDING = (AccountPaused, BudgetRefused, EffectParked)
_RETRIES = 2
_WAIT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 60.0


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days of this run; a run without a partition is a mistake and says so."""
    keys = context.partition_keys
    if not keys:
        raise dg.Failure("No partition was chosen: materialize a day.", allow_retries=False)
    return [date.fromisoformat(key) for key in keys]


def multi_keys_of(context: dg.AssetExecutionContext) -> list[tuple[str, date, str]]:
    """The run's partition keys of day × platform, each with its two parts."""
    keys = [key for key in context.partition_keys if isinstance(key, dg.MultiPartitionKey)]
    if not keys:
        raise dg.Failure("No partition was chosen: materialize a day of one platform.", allow_retries=False)
    parts = [(str(key), key.keys_by_dimension) for key in keys]
    return [(key, date.fromisoformat(of["day"]), of["platform"]) for key, of in parts]


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turns the business's errors into Dagster's: what may be tried again is, and what is final never is.

    Which error is which was decided by the vendor's client.
    """
    try:
        yield
    except VendorUnavailable as error:
        wait = min(error.retry_after or _WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=wait) from error
    except EmpireError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def try_outages_again(context: dg.AssetExecutionContext, errors: Iterable[Exception]) -> None:
    """Ask for the step once more where a vendor could not be reached, all else being done; not when that was in vain.

    Then the step ends as it is, and what it holds is for the next run.
    """
    outages = [each for each in errors if isinstance(each, VendorUnavailable) and not isinstance(each, ReplyLost)]
    if outages and context.retry_number < _RETRIES:
        waits = [each.retry_after or _WAIT_SECONDS for each in outages]
        raise dg.RetryRequested(_RETRIES, seconds_to_wait=min(*waits, _LONGEST_WAIT_SECONDS)) from outages[0]


def pieces_made(asset: str) -> dg.AssetCheckSpec:
    """The claim that a step made nearly all of its pieces."""
    return dg.AssetCheckSpec(
        "pieces_made",
        asset=asset,
        description="At least 95 % of the pieces were made; below 20 pieces, at most one was quarantined.",
    )


def pieces_made_of(done: Iterable[PiecesWorked]) -> dg.AssetCheckResult:
    """The check ``pieces_made`` of a step, with the reasons of what was quarantined or waits."""
    works = list(done)
    made, total = sum(len(work.made) for work in works), sum(work.total for work in works)
    quarantined, held = _quarantined(works), _held(works)
    waiting = [f"{len(held)} held:", *dict.fromkeys(held.values())] if held else []
    said = [
        f"{made} of {total} pieces were made.",
        *waiting,
        *(f"{piece}: {reason}" for piece, reason in quarantined.items()),
    ]
    passed = all(work.healthy for work in works)
    if not passed:
        said.append("→ They stay out of the day; when their reasons look alike, mend the prompt or the product.")
    return dg.AssetCheckResult(
        check_name="pieces_made",
        passed=passed,
        description=" ".join(said),
        metadata={"made": made, "quarantined": dg.MetadataValue.json(quarantined), "held": len(held)},
    )


def outcome(done: Iterable[PiecesWorked], *, ledger: Ledger) -> dict[str, Any]:
    """What a step did not make, as metadata: pieces quarantined, late or waiting, and the pauses in force."""
    works = list(done)
    quarantined = _quarantined(works)
    missed = [piece for work in works for piece in work.missed]
    why_missed = dict.fromkeys(
        str(work.errors[piece]) for work in works for piece in work.missed if piece in work.errors
    )
    held = _held(works)
    paused = pauses_in_words(ledger=ledger)
    return {
        "quarantined": len(quarantined),
        **({"quarantine_reasons": dg.MetadataValue.json(quarantined)} if quarantined else {}),
        "missed": len(missed),
        **({"missed_pieces": dg.MetadataValue.json(missed)} if missed else {}),
        **({"why_missed": listing(why_missed)} if why_missed else {}),
        **({"held": dg.MetadataValue.json(held)} if held else {}),
        **({"paused": listing(paused)} if paused else {}),
    }


def worked(
    context: dg.AssetExecutionContext,
    verb: Callable[[str], object],
    *,
    kind: str | None,
    step: str | tuple[str, ...],
    ledger: Ledger,
    at_once: int,
    purse: Purse | None = None,
    describe: Callable[[Iterable[pd.DataFrame]], dict[str, Any]] | None = None,
) -> Iterator[Any]:
    """Works the pieces of each day and yields the frames that were made, then the check ``pieces_made``.

    Args:
        context: the asset's.
        verb: makes one piece, by its id.
        kind: ``video`` or ``post``; None for both.
        step: the artifacts' step or steps, as the ledger names them.
        ledger: where pieces and artifacts are.
        at_once: how many pieces are worked at once.
        purse: the money that its pieces share; None for what is free.
        describe: more metadata, from what was made.
    """
    steps = (step,) if isinstance(step, str) else step
    name = context.asset_key.to_python_identifier()
    done: dict[str, PiecesWorked] = {}

    def work(piece_id: str) -> object:
        if purse is not None:
            purse.refuse_short(piece_id, *steps)
        return verb(piece_id)

    with failing_clearly():
        for day in days_of(context):
            # Where money runs short, what should earn most is made first.
            pieces = sorted(pieces_of(day, ledger=ledger, kind=kind), key=by_profit)
            final = pieces_gone_out(day, ledger=ledger)
            done[day.isoformat()] = work_pieces(
                name, pieces, work, ledger=ledger, at_once=at_once, final=final, holding=_HOLDING
            )
            _tell_of_shortage(day, done[day.isoformat()], purse)
        frames = {key: export_artifacts(date.fromisoformat(key), *steps, ledger=ledger) for key in done}
    spent = int(sum(frame["cost_micros"].sum() for frame in frames.values()))
    yield dg.Output(
        frames,
        metadata={
            "pieces": sum(len(work.made) for work in done.values()),
            **outcome(done.values(), ledger=ledger),
            "spent_usd": float(from_micros(spent)),
            "spent": dollars(spent),
            **(describe(frames.values()) if describe else {}),
        },
    )
    yield pieces_made_of(done.values())


def _tell_of_shortage(day: date, work: PiecesWorked, purse: Purse | None) -> None:
    """Tell the owner once of each cap that holds pieces of a day back, and again when it is another amount."""
    by_cap: dict[tuple[str, int], list[BudgetRefused]] = {}
    for refusal in work.short.values():
        by_cap.setdefault((refusal.scope, refusal.cap_micros), []).append(refusal)
    for (scope, cap), refusals in by_cap.items():
        if purse is None:
            continue
        held = "1 piece is" if len(refusals) == 1 else f"{len(refusals)} pieces are"
        raise_alert(
            "held for money", day, scope, cap, severity="high",
            subject=f"{scope.partition(':')[0]} budget holds pieces",
            message=f"{held} held at {work.step} of {day}, and made by themselves once there is room: {refusals[0]}",
            at=purse.clock.now(), ledger=purse.ledger,
        )  # fmt: skip


def _quarantined(works: Iterable[PiecesWorked]) -> dict[str, str]:
    """Reason by piece."""
    return {piece: reason for work in works for piece, reason in work.quarantined.items()}


def _held(works: Iterable[PiecesWorked]) -> dict[str, str]:
    """Reason by piece."""
    return {piece: reason for work in works for piece, reason in work.held.items()}
