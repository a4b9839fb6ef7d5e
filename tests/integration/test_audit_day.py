"""The claims that stop a day: each kind of damage to what the ledger holds is named, and its check fails and blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.orm import Session

from affiliate_empire.effects import WindowClosed
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Effect, Piece, Publication, QuotaUse
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.work_pieces import pieces_of, work_pieces
from affiliate_empire.policy import load_policy
from affiliate_empire.publishing.flags import affiliate_video_flags
from assets import content, publishing
from assets.steps import outcome, pieces_made_of
from tests.factories.pieces import DAY, plan_piece

# Dagster previews checks of partitioned assets.
pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

POLICY = load_policy()
SLOT = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
LIMIT = POLICY.posting("youtube").limit
SCRIPT: dict[str, Any] = {
    "title": "One grinder in plain facts",
    "hook": "Fresh coffee?",
    "scenes": [{"narration": "It has conical steel burrs.", "visual": "a grinder", "fact_ids": ["F5"]}],
    "description": "A burr grinder in plain facts.",
    "hashtags": ["coffee"],
}
CHECKS = {
    "discloses": (publishing.publications, publishing.every_piece_discloses),
    "duplicates": (publishing.publications, publishing.no_duplicate_publication),
    "quota": (publishing.publications, publishing.slots_within_quota),
    "cited": (content.scripts, content.scripts_cite_facts),
}


@dataclass
class Audited:
    """A day with two published videos and a published post, of which every claim holds."""

    ledger: Ledger
    media: MediaStore

    def check(self, claim: str) -> tuple[bool, bool, list[str]]:
        """Run a claim's check by Dagster: whether the run went on, whether it passed, and what it names."""
        asset, check = CHECKS[claim]
        given: dict[str, Any] = {"ledger": self.ledger, "media": self.media, "policy": POLICY}
        given |= dict.fromkeys(("lake", "io_manager"), dg.mem_io_manager)
        required = asset.required_resource_keys | check.required_resource_keys
        result = dg.materialize(
            [asset, check],
            selection=dg.AssetSelection.checks(check),
            resources={key: given.get(key, "not connected") for key in required},
            raise_on_error=False,
        )
        (evaluation,) = result.get_asset_check_evaluations()
        problems = evaluation.metadata["problems"].value
        assert isinstance(problems, list)
        return result.success, evaluation.passed, [str(problem) for problem in problems]


@pytest.fixture
def audited(ledger: Ledger, tmp_path: Path) -> Audited:
    media = MediaStore(tmp_path / "media")
    for number in (1, 2):
        piece_id = plan_piece(ledger, f"pc_{number}", slot_at=SLOT + timedelta(hours=number))
        sha256 = media.save(f"video {number}".encode(), "video/mp4")
        with ledger.begin() as session:
            session.add_all(
                [
                    artifact(piece_id, "script", SCRIPT),
                    artifact(piece_id, "voiceover", {"text": f"Fresh coffee? {POLICY.disclosure('spoken')} See it."}),
                    artifact(
                        piece_id, "video", {"label": POLICY.disclosure("picture"), "label_likeness": 0.97}, sha256
                    ),
                ]
            )
            publish(session, piece_id, {"sha256": sha256})
    post = plan_piece(ledger, "pc_post", kind="post")
    with ledger.begin() as session:
        publish(session, post, {})
    return Audited(ledger, media)


def artifact(piece_id: str, step: str, document: dict[str, Any], sha256: str | None = None) -> Artifact:
    return Artifact(piece_id=piece_id, step=step, name="", inputs_sha256="i", sha256=sha256, content=document)


def act(session: Session, piece_id: str, name: str, handle: dict[str, Any], hours: float = 0) -> Effect:
    """A settled act of publishing, with its use of the quota."""
    piece = session.get_one(Piece, piece_id)
    effect = Effect(
        effect_id=f"ef_{name}",
        key=f"post:{name}",
        kind="at_most_once",
        vendor=piece.platform,
        operation="publish",
        fingerprint="f",
        state="settled",
        day=DAY,
        piece_id=piece_id,
        account_id=piece.account_id,
        handle=handle,
        remote_id=f"remote_{name}",
        epoch=1,
    )
    session.add(effect)
    session.flush()
    quota = POLICY.posting(piece.platform).quota
    at = piece.slot_at + timedelta(hours=hours)
    session.add(QuotaUse(effect_id=effect.effect_id, quota=quota, account_id=piece.account_id, at=at))
    return effect


def publish(session: Session, piece_id: str, handle: dict[str, Any]) -> None:
    piece = session.get_one(Piece, piece_id)
    if piece.kind == "video":
        description = f"{POLICY.disclosure('text')}\n\nA grinder."
        labels = affiliate_video_flags().as_disclosures()
    else:
        description = f"{POLICY.disclosure('post')}\n\nA grinder.\n\n{POLICY.disclosure('ai')}"
        labels = {"banner": True, "sponsoredLinks": True}
    effect = act(session, piece_id, piece_id, {"description": description} | handle)
    session.add(
        Publication(
            publication_id=f"pb_{piece_id}",
            piece_id=piece_id,
            account_id=piece.account_id,
            platform=piece.platform,
            day=DAY,
            effect_id=effect.effect_id,
            remote_id=effect.remote_id,
            url="https://video.example.com/1",
            title="A grinder",
            description=description,
            disclosures=labels,
            slot_at=piece.slot_at,
            published_at=piece.slot_at,
        )
    )


# ---------------------------------------------------------------- damages, each of one kind
def said(piece: str, **values: Any) -> Callable[[Session], None]:
    """Other values in a publication's row."""

    def damage(session: Session) -> None:
        for name, value in values.items():
            setattr(session.get_one(Publication, f"pb_{piece}"), name, value)

    return damage


def made(step: str, sha256: str | None = None, **values: Any) -> Callable[[Session], None]:
    """Other content in an artifact of the first piece."""

    def damage(session: Session) -> None:
        row = session.get_one(Artifact, ("pc_1", step, ""))
        row.content = row.content | values
        row.sha256 = sha256 or row.sha256

    return damage


def handed(piece: str, **values: Any) -> Callable[[Session], None]:
    """Another handle of the act of publishing."""

    def damage(session: Session) -> None:
        row = session.get_one(Effect, f"ef_{piece}")
        row.handle = (row.handle or {}) | values

    return damage


def without_video(session: Session) -> None:
    session.delete(session.get_one(Artifact, ("pc_1", "video", "")))


def acted_again(session: Session) -> None:
    act(session, "pc_1", "again", {})


def unrecorded(session: Session) -> None:
    session.delete(session.get_one(Publication, "pb_pc_1"))


def never_settled(session: Session) -> None:
    session.get_one(Effect, "ef_pc_1").state = "lost"


def posted_too_often(session: Session) -> None:
    """Beside the two videos of the day, as many acts as fill the window, and one more."""
    for number in range(LIMIT - 1):
        act(session, "pc_1", f"more_{number}", {}, hours=-number)


LABEL_OFF = {"containsSyntheticMedia": False, "hasPaidProductPlacement": True}
LABEL_MISSING = {"containsSyntheticMedia": True}
BANNER_OFF = {"banner": False, "sponsoredLinks": True}
NO_STATEMENT = POLICY.disclosure("post")
OTHER_SCENES = [SCRIPT["scenes"][0] | {"narration": "It is waterproof to 50 metres."}]
DAMAGES = {
    "description without disclosure": ("discloses", said("pc_1", description="A grinder."), "pb_pc_1: The description"),
    "label off": ("discloses", said("pc_1", disclosures=LABEL_OFF), "pb_pc_1: The label containsSyntheticMedia"),
    "label missing": ("discloses", said("pc_1", disclosures=LABEL_MISSING), "The label hasPaidProductPlacement"),
    "no labels": ("discloses", said("pc_1", disclosures={}), "pb_pc_1: No label was set"),
    "voice without disclosure": ("discloses", made("voiceover", text="See it."), "pb_pc_1: The spoken text lacks"),
    "other label in the picture": (
        "discloses",
        made("video", label="#spon"),
        "pb_pc_1: The picture's label is '#spon'",
    ),
    "label unlike": ("discloses", made("video", label_likeness=0.84), "pb_pc_1: The label was seen"),
    "label never measured": ("discloses", made("video", label_likeness=None), "pb_pc_1: The label was seen"),
    "another video kept": ("discloses", made("video", sha256="a" * 64), "pb_pc_1: The video that went out is not"),
    "file gone": ("discloses", handed("pc_1", sha256="b" * 64), "pb_pc_1: The file of the video is not in"),
    "no video": ("discloses", without_video, "pb_pc_1: No video is kept"),
    "post without disclosure": ("discloses", said("pc_post", description="A grinder."), "pb_pc_post: The disclosure"),
    "post without AI statement": ("discloses", said("pc_post", description=NO_STATEMENT), "pb_pc_post: The post lacks"),
    "page without disclosure": ("discloses", handed("pc_post", description="A."), "pb_pc_post: The disclosure does"),
    "post without banner": ("discloses", said("pc_post", disclosures=BANNER_OFF), "pb_pc_post: The label banner"),
    "shared post": ("duplicates", said("pc_2", remote_id="remote_pc_1"), "2 publications claim the post remote_pc_1"),
    "second act": ("duplicates", acted_again, "Piece pc_1 was posted by 2 acts on youtube:gearlab"),
    "act without publication": ("duplicates", unrecorded, "ef_pc_1 came to the post remote_pc_1 on youtube"),
    "publication without act": ("duplicates", never_settled, "pb_pc_1 stands on ef_pc_1"),
    "quota": ("quota", posted_too_often, f"youtube:gearlab used {LIMIT + 1} of {LIMIT} youtube.posts"),
    "uncited claim": ("cited", made("script", scenes=OTHER_SCENES), "pc_1: Scene 1 says 'waterproof'"),
}


@pytest.mark.parametrize("claim", CHECKS)
def test_every_claim_holds_of_an_undamaged_day_and_blocks_when_it_does_not(audited: Audited, claim: str) -> None:
    assert audited.check(claim) == (True, True, [])
    (spec,) = CHECKS[claim][1].check_specs
    assert spec.blocking


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_named_and_stops_the_day(audited: Audited, name: str) -> None:
    claim, damage, sentence = DAMAGES[name]
    with audited.ledger.begin() as session:
        damage(session)
    went_on, passed, problems = audited.check(claim)
    assert (went_on, passed) == (False, False)
    assert any(sentence in problem for problem in problems), problems
    # Only what was damaged is named.
    assert not [problem for problem in problems if problem.startswith("pb_pc_2")]


def test_what_a_step_did_not_make_is_shown_with_its_reasons(ledger: Ledger) -> None:
    for number in range(4):
        plan_piece(ledger, f"pc_{number}", slot_at=SLOT + timedelta(hours=number))

    def verb(piece_id: str) -> None:
        if piece_id == "pc_0":
            raise WindowClosed("The window is closed.")
        if piece_id != "pc_3":
            raise PieceRejected("It does not disclose.")

    done = [work_pieces("publications", pieces_of(DAY, ledger=ledger), verb, ledger=ledger, at_once=1)]
    shown = outcome(done, ledger=ledger)
    reasons = {"pc_1": "It does not disclose.", "pc_2": "It does not disclose."}
    assert (shown["quarantined"], shown["quarantine_reasons"].value) == (2, reasons)
    assert (shown["missed"], shown["missed_pieces"].value) == (1, ["pc_0"])
    assert not pieces_made_of(done).passed
