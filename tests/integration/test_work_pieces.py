"""Working a day's pieces: a bad one is set aside with its reason, a broken vendor stops the step, nothing is redone."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from affiliate_empire.effects import BudgetRefused, WindowClosed
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Effect, Piece
from affiliate_empire.operations.artifacts import load_part, save_artifact
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.patience import Patience
from affiliate_empire.operations.work_pieces import PiecesWorked, pieces_gone_out, pieces_of, work_pieces
from affiliate_empire.vendors.errors import QuotaExhausted, ReplyLost, VendorUnavailable
from tests.factories.pieces import DAY, plan_piece

NAMES = [f"pc_{number}" for number in range(6)]


@pytest.fixture
def planned(ledger: Ledger) -> Ledger:
    for number, name in enumerate(NAMES):
        plan_piece(ledger, name, slot_at=f"2026-11-20T{10 + number}:00:00+00:00")
    return ledger


def work(ledger: Ledger, verb: object, step: str = "scripts", at_once: int = 3) -> PiecesWorked:
    hasty = Patience(wait=lambda seconds: None)
    pieces = pieces_of(DAY, ledger=ledger)
    return work_pieces(step, pieces, verb, ledger=ledger, at_once=at_once, patience=hasty)  # type: ignore[arg-type]


def test_a_rejected_piece_is_set_aside_for_good_and_the_others_go_on(planned: Ledger) -> None:
    seen: Counter[str] = Counter()

    def verb(piece_id: str) -> None:
        seen[piece_id] += 1
        if piece_id == "pc_2":
            raise PieceRejected("It says what no fact says.")

    first = work(planned, verb)
    assert first.made == [name for name in NAMES if name != "pc_2"]
    assert first.quarantined == {"pc_2": "It says what no fact says."}
    assert first.healthy
    with planned.begin() as session:
        piece = session.get_one(Piece, "pc_2")
        assert (piece.status, piece.reason) == ("quarantined", "scripts: It says what no fact says.")

    again = work(planned, verb)
    assert again.quarantined == first.quarantined
    assert seen["pc_2"] == 1
    later = work(planned, verb, step="videos")
    assert later.quarantined == {}
    assert seen["pc_2"] == 1


def test_what_a_piece_waits_for_is_kept_with_it_until_it_goes_on(planned: Ledger) -> None:
    def full(piece_id: str) -> None:
        if piece_id == "pc_2":
            raise QuotaExhausted("The channel is full.", vendor="youtube")

    def reason() -> str | None:
        with planned.begin() as session:
            return session.get_one(Piece, "pc_2").reason

    pieces = pieces_of(DAY, ledger=planned)
    held = work_pieces("publications", pieces, full, ledger=planned, at_once=3, holding=(QuotaExhausted,))
    assert held.held == {"pc_2": "waits for room: The channel is full."}
    assert reason() == "publications: waits for room: The channel is full."
    work(planned, lambda piece_id: None, step="videos")  # another step says nothing about it
    assert reason() == "publications: waits for room: The channel is full."
    work(planned, lambda piece_id: None, step="publications")
    assert reason() is None


def test_a_piece_whose_earlier_part_is_missing_is_held_and_the_others_go_on(planned: Ledger) -> None:
    script = {"title": "t", "hook": "h", "description": "d", "hashtags": [], "scenes": []}
    for name in NAMES[1:]:
        save_artifact(planned, piece_id=name, step="script", inputs_sha256="x", content=script)

    def reason(name: str) -> str | None:
        with planned.begin() as session:
            return session.get_one(Piece, name).reason

    def speak(piece_id: str) -> None:
        load_part(piece_id, "script", planned, made_by="scripts")

    done = work(planned, speak, step="voiceovers", at_once=1)
    assert done.made == NAMES[1:]
    assert list(done.held) == ["pc_0"]
    assert reason("pc_0") == "voiceovers: tried again: Piece pc_0 has no script yet: materialize scripts first."

    with planned.begin() as session:
        session.get_one(Piece, "pc_0").reason = "scripts: needs a person: Nobody can say."
    done = work(planned, speak, step="voiceovers")
    assert done.held["pc_0"].endswith("materialize scripts first. (scripts: needs a person: Nobody can say.)")
    assert reason("pc_0") == "scripts: needs a person: Nobody can say."


def test_a_step_that_goes_on_without_what_fails_tries_the_first_patiently_and_the_others_once(planned: Ledger) -> None:
    tried: Counter[str] = Counter()

    def verb(piece_id: str) -> None:
        tried[piece_id] += 1
        if piece_id in ("pc_1", "pc_3"):
            raise VendorUnavailable("It is out of order.", vendor="youtube")
        if piece_id == "pc_2":
            raise FileNotFoundError("its file is gone")

    hasty = Patience(wait=lambda seconds: None)
    holding = (VendorUnavailable, OSError)
    pieces = pieces_of(DAY, ledger=planned)
    done = work_pieces("publications", pieces, verb, ledger=planned, at_once=1, patience=hasty, holding=holding)
    assert done.made == ["pc_0", "pc_4", "pc_5"]
    assert done.held == {
        "pc_1": "tried again: It is out of order.",
        "pc_2": "needs a person: its file is gone",
        "pc_3": "tried again: It is out of order.",
    }
    assert set(done.errors) == set(done.held)
    assert (tried["pc_1"], tried["pc_2"], tried["pc_3"]) == (hasty.attempts, 1, 1)
    with planned.begin() as session:
        assert session.get_one(Piece, "pc_2").reason == "publications: needs a person: its file is gone"


def test_what_a_cap_refused_is_tried_once_more_when_the_others_have_ended(planned: Ledger) -> None:
    """Four at once reserve their bounds together; what the first two give back pays for the third, in their order."""
    tried: Counter[str] = Counter()

    def verb(piece_id: str) -> None:
        tried[piece_id] += 1
        if piece_id in NAMES[2:] and (tried[piece_id] == 1 or piece_id != "pc_3"):
            raise BudgetRefused("No room.", scope="day:x", cap_micros=1, left_micros=0, resets_at=None)

    pieces = pieces_of(DAY, ledger=planned)
    done = work_pieces("scripts", pieces, verb, ledger=planned, at_once=4, holding=(BudgetRefused,))
    assert done.made == ["pc_0", "pc_1", "pc_3"]
    assert set(done.held) == set(done.short) == {"pc_2", "pc_4", "pc_5"}
    assert tried == Counter({"pc_0": 1, "pc_1": 1, **dict.fromkeys(NAMES[2:], 2)})
    with planned.begin() as session:
        assert session.get_one(Piece, "pc_3").reason is None
        assert session.get_one(Piece, "pc_2").reason == "scripts: waits for room: No room."


def test_an_expired_piece_is_missed_and_not_worked(planned: Ledger) -> None:
    with planned.begin() as session:
        session.get_one(Piece, "pc_2").status = "expired"
    done = work(planned, lambda piece_id: None)
    assert (done.missed, done.quarantined) == (["pc_2"], {})
    assert done.made == [name for name in NAMES if name != "pc_2"]


def test_what_was_posted_or_may_have_been_is_never_made_anew(planned: Ledger) -> None:
    states = dict(zip(NAMES, ("settled", "unknown", "prepared", "refused", "expired"), strict=False))
    with planned.begin() as session:
        for name, state in states.items():
            session.add(
                Effect(
                    effect_id=f"ef_{name}",
                    key=f"post:{name}:youtube:gearlab",
                    kind="at_most_once",
                    vendor="youtube",
                    operation="publish",
                    fingerprint="f",
                    state=state,
                    day=DAY,
                    piece_id=name,
                    epoch=1,
                )
            )
    final = pieces_gone_out(DAY, ledger=planned)
    assert final == {"pc_0", "pc_1", "pc_2"}
    made: list[str] = []
    worked = work_pieces("videos", pieces_of(DAY, ledger=planned), made.append, ledger=planned, at_once=1, final=final)
    assert made == NAMES[3:]
    assert worked.made == NAMES


def test_a_vendor_that_is_out_is_raised_after_the_pieces_under_way(planned: Ledger) -> None:
    done: list[str] = []
    tried: Counter[str] = Counter()
    both = threading.Barrier(2)

    def verb(piece_id: str) -> None:
        tried[piece_id] += 1
        if piece_id in NAMES[:2] and tried[piece_id] == 1:
            both.wait(timeout=10)
        if piece_id == "pc_0":
            raise VendorUnavailable("OpenAI does not answer.", vendor="openai")
        done.append(piece_id)

    with pytest.raises(VendorUnavailable, match="does not answer"):
        work(planned, verb, at_once=2)
    assert "pc_1" in done
    assert tried["pc_0"] == 4
    assert all(piece.status == "planned" for piece in pieces_of(DAY, ledger=planned))


def test_a_vendor_that_did_nothing_is_asked_again_and_nobody_else_is_held_up(planned: Ledger) -> None:
    tried: Counter[str] = Counter()

    def verb(piece_id: str) -> None:
        tried[piece_id] += 1
        if piece_id in ("pc_1", "pc_4") and tried[piece_id] <= 2:
            raise VendorUnavailable("Too many at once.", vendor="openai", retry_after=1.0)

    assert work(planned, verb).made == NAMES
    assert tried == Counter({**dict.fromkeys(NAMES, 1), "pc_1": 3, "pc_4": 3})


def test_what_may_have_happened_is_never_done_again_here(planned: Ledger) -> None:
    tried: Counter[str] = Counter()

    def verb(piece_id: str) -> None:
        tried[piece_id] += 1
        if piece_id == "pc_3":
            raise ReplyLost("YouTube gave no readable reply.", vendor="youtube")

    with pytest.raises(ReplyLost):
        work(planned, verb, step="publications")
    assert tried["pc_3"] == 1


def test_no_more_than_allowed_are_worked_at_once(planned: Ledger) -> None:
    lock, running, most = threading.Lock(), [0], [0]
    pair = threading.Barrier(2)

    def verb(_: str) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        pair.wait(timeout=10)
        with lock:
            running[0] -= 1

    assert len(work(planned, verb, at_once=2).made) == 6
    assert most[0] == 2


def test_a_closed_window_is_missed_and_not_a_failure(planned: Ledger) -> None:
    def verb(piece_id: str) -> None:
        if piece_id in ("pc_4", "pc_5"):
            raise WindowClosed("The window has closed.")

    worked = work(planned, verb, step="publications")
    assert sorted(worked.missed) == ["pc_4", "pc_5"]
    assert worked.quarantined == {}
    assert all(piece.status == "planned" for piece in pieces_of(DAY, ledger=planned))


@pytest.mark.parametrize(
    ("made", "quarantined", "healthy"),
    [
        (4, 1, True),
        (3, 2, False),
        (0, 1, True),
        (18, 2, False),
        (19, 1, True),
        (38, 2, True),
        (37, 3, False),
        (0, 0, True),
    ],
)
def test_a_step_is_healthy_above_95_per_cent_or_with_one_piece_lost(made: int, quarantined: int, healthy: bool) -> None:
    worked = PiecesWorked("scripts", [str(n) for n in range(made)], {str(n): "" for n in range(quarantined)})
    assert worked.healthy is healthy
