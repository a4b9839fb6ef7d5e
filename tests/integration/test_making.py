"""The making of a piece against a real ledger and the sandbox world: paid once, found again, never invented."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.moderation import Categories
from PIL import Image
from sqlalchemy import select

from affiliate_empire.compliance import check_post, check_script
from affiliate_empire.content import Post, Script, passages
from affiliate_empire.effects import BudgetRefused, Caps, Effects
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Effect, Piece
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.make_post import make_post
from affiliate_empire.operations.make_script import make_script
from affiliate_empire.operations.make_stills import make_stills
from affiliate_empire.operations.make_thumbnail import make_thumbnail
from affiliate_empire.operations.make_voiceover import make_voiceover
from affiliate_empire.policy import Policy, load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Mode, Settings
from affiliate_empire.vendors.anthropic import AnthropicClient
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable
from affiliate_empire.vendors.openai import OpenAIClient
from tests.factories.pieces import FACTS, plan_piece
from tests.factories.worlds import RunningWorld

POLICY = load_policy()
NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
RESPONSES, IMAGES = "POST /openai/v1/responses", "POST /openai/v1/images/generations"
MODERATIONS = "POST /openai/v1/moderations"
SPEAK = "POST /elevenlabs/v1/text-to-speech/*"
FAIR = {"truncated": 0.0, "refusal": 0.0, "invented_claim": 0.0}


def key(vendor: str) -> Callable[[], str]:
    return lambda: SANDBOX_KEYS[vendor]


class Workshop:
    """The verbs with everything they need."""

    def __init__(self, ledger: Ledger, world: RunningWorld, folder: Path, cap_micros: int = 10_000_000) -> None:
        self.ledger, self.world, self.folder = ledger, world, folder
        self.media = MediaStore(folder / "media")
        caps = Caps(day_micros=cap_micros, month_micros=cap_micros, run_micros=cap_micros)
        self.effects = Effects(ledger, FixedClock(NOW), caps=caps)
        self.openai = OpenAIClient(f"{world.url}/openai/v1", key("openai"), timeout=20)
        self.elevenlabs = ElevenLabsClient(f"{world.url}/elevenlabs", key("elevenlabs"), timeout=20)
        self.anthropic = AnthropicClient(f"{world.url}/anthropic", key("anthropic"), timeout=20)
        self.start = len(world.witness("charges"))
        self._clients: list[OpenAIClient | ElevenLabsClient | AnthropicClient] = [
            self.openai,
            self.elevenlabs,
            self.anthropic,
        ]

    def use(self, client: OpenAIClient) -> None:
        """Ask another client from now on."""
        self._clients.append(client)
        self.openai = client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def script(self, piece_id: str) -> Artifact:
        return make_script(piece_id, **self._texts(POLICY))

    def post(self, piece_id: str, policy: Policy = POLICY) -> Artifact:
        return make_post(piece_id, **self._texts(policy))

    def _texts(self, policy: Policy) -> dict[str, Any]:
        writers = {"openai": self.openai, "anthropic": self.anthropic}
        return {
            "ledger": self.ledger,
            "effects": self.effects,
            "writers": writers,
            "moderator": self.openai,
            "policy": policy,
        }

    def voiceover(self, piece_id: str) -> Artifact:
        return make_voiceover(
            piece_id,
            ledger=self.ledger,
            effects=self.effects,
            elevenlabs=self.elevenlabs,
            media=self.media,
            policy=POLICY,
        )

    def stills(self, piece_id: str) -> list[Artifact]:
        return make_stills(piece_id, **self._pictures())

    def thumbnail(self, piece_id: str) -> Artifact:
        return make_thumbnail(piece_id, **self._pictures())

    def _pictures(self) -> dict[str, Any]:
        return {
            "ledger": self.ledger,
            "effects": self.effects,
            "openai": self.openai,
            "media": self.media,
            "policy": POLICY,
        }

    def charged(self) -> list[dict[str, Any]]:
        """What the vendors charged since this workshop opened, by their own word."""
        return list(self.world.witness("charges")[self.start :])

    def spent(self) -> list[Effect]:
        """What the ledger says was spent, in the order of the attempts."""
        with self.ledger.begin() as session:
            assert imbalances(session) == []
            assert exceeded(session) == []
            return list(session.scalars(select(Effect).where(Effect.cost_micros > 0).order_by(Effect.key)))

    def temper(self, **rates: float) -> None:
        httpx.put(f"{self.world.url}/_world/writer", json=FAIR | rates, trust_env=False).raise_for_status()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=NOW)
    yield world
    world.stop()


@pytest.fixture
def workshop(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Workshop]:
    world.clear_faults()
    shop = Workshop(ledger, world, tmp_path)
    shop.temper()
    yield shop
    shop.close()


def agree(workshop: Workshop) -> None:
    """Ledger and vendors name the same charges, to the micro-dollar."""
    ours = sorted((effect.vendor, effect.remote_id, effect.cost_micros) for effect in workshop.spent())
    theirs = sorted((charge["vendor"], charge["request_id"], charge["micros"]) for charge in workshop.charged())
    assert ours == theirs


# ---------------------------------------------------------------------------------------------- a piece is made
def test_a_video_is_made_once_and_a_rerun_pays_nothing(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    made = [workshop.script(piece), workshop.voiceover(piece), *workshop.stills(piece), workshop.thumbnail(piece)]
    charges = workshop.charged()
    script = Script.model_validate(made[0].content)
    assert len(charges) == 2 + len(script.scenes) + 1
    agree(workshop)

    again = [workshop.script(piece), workshop.voiceover(piece), *workshop.stills(piece), workshop.thumbnail(piece)]
    assert workshop.charged() == charges
    assert [(a.step, a.name, a.inputs_sha256, a.sha256, a.content) for a in again] == [
        (a.step, a.name, a.inputs_sha256, a.sha256, a.content) for a in made
    ]


def test_a_crash_before_the_artifact_was_kept_pays_nothing_anew(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    before = [workshop.script(piece), workshop.voiceover(piece), *workshop.stills(piece), workshop.thumbnail(piece)]
    charges = workshop.charged()
    with workshop.ledger.begin() as session:
        for artifact in session.scalars(select(Artifact)):
            session.delete(artifact)
    after = [workshop.script(piece), workshop.voiceover(piece), *workshop.stills(piece), workshop.thumbnail(piece)]
    assert [artifact.sha256 for artifact in after] == [artifact.sha256 for artifact in before]
    assert [artifact.effect_id for artifact in after] == [artifact.effect_id for artifact in before]
    assert workshop.charged() == charges


def test_the_script_may_be_spoken_and_the_voice_says_the_disclosure_after_the_hook(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    script = Script.model_validate(workshop.script(piece).content)
    assert check_script(script, FACTS, POLICY) == []
    voice = workshop.voiceover(piece).content
    hook, disclosure, *_ = passages(script, POLICY.disclosure("spoken"))
    assert voice["text"].startswith(f"{hook.text} {disclosure.text} ")
    assert " ".join(voice["narrations"]) == voice["text"] == "".join(voice["characters"])
    assert len(voice["narrations"]) == len(script.scenes)
    assert 24 <= voice["seconds"] <= 40
    assert workshop.media.path(workshop.voiceover(piece).sha256 or "").suffix == ".mp3"


def test_the_stills_differ_and_the_thumbnail_is_composed(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.script(piece)
    stills = workshop.stills(piece)
    assert [still.name for still in stills] == [str(number) for number in range(len(stills))]
    assert len({still.sha256 for still in stills}) == len(stills) >= 4
    for still in stills:
        with Image.open(workshop.media.path(still.sha256 or "")) as picture:
            assert picture.size == (864, 1536)
    thumbnail = workshop.thumbnail(piece)
    assert thumbnail.sha256 != thumbnail.content["picture"]
    with Image.open(io.BytesIO(workshop.media.path(thumbnail.sha256 or "").read_bytes())) as picture:
        assert picture.size == (1080, 1920)


def test_a_post_may_be_published(workshop: Workshop) -> None:
    for version in ("post/plain-guide@1", "post/checklist@1"):
        piece = plan_piece(
            workshop.ledger, f"pc_{version[5:10]}", kind="post", prompt_version=version, slot_at=SLOTS[version]
        )
        post = Post.model_validate(workshop.post(piece).content)
        assert check_post(post, FACTS, POLICY) == []
    assert {charge["vendor"] for charge in workshop.charged()} == {"anthropic"}
    agree(workshop)


def test_the_policy_alone_says_which_vendor_writes_the_posts(workshop: Workshop) -> None:
    """Back to a model of OpenAI: a word in policy/models.toml, no code."""
    roles = POLICY.models["roles"] | {"post": POLICY.model("script", NOW.date())}
    piece = plan_piece(workshop.ledger, kind="post", prompt_version="post/plain-guide@1")
    post = workshop.post(piece, replace(POLICY, models=POLICY.models | {"roles": roles}))
    assert check_post(Post.model_validate(post.content), FACTS, POLICY) == []
    assert [charge["vendor"] for charge in workshop.charged()] == ["openai"]
    roles["post"] = POLICY.model("runway", NOW.date())
    with pytest.raises(Misconfigured, match=r"runway.*policy/models\.toml"):
        workshop.post(piece, replace(POLICY, models=POLICY.models | {"roles": roles}))


SLOTS = {
    "post/plain-guide@1": datetime(2026, 11, 20, 12, tzinfo=UTC),
    "post/checklist@1": datetime(2026, 11, 20, 15, tzinfo=UTC),
}


def test_prompt_versions_make_different_scripts(workshop: Workshop) -> None:
    asked = plan_piece(workshop.ledger, "pc_a", prompt_version="video/question-hook@1")
    counted = plan_piece(
        workshop.ledger, "pc_b", prompt_version="video/number-hook@1", slot_at=datetime(2026, 11, 20, 22, tzinfo=UTC)
    )
    question, number = (Script.model_validate(workshop.script(piece).content) for piece in (asked, counted))
    assert question.hook.endswith("?")
    assert not number.hook.endswith("?")
    assert (len(question.scenes), len(number.scenes)) == (5, 4)


# ---------------------------------------------------------------------------------------------- things go wrong
@pytest.mark.parametrize(
    ("match", "step"), [(RESPONSES, "script"), (SPEAK, "voiceover"), (IMAGES, "stills"), (IMAGES, "thumbnail")]
)
def test_a_lost_reply_is_booked_and_followed_by_one_more_attempt(workshop: Workshop, match: str, step: str) -> None:
    piece = plan_piece(workshop.ledger)
    if step != "script":
        workshop.script(piece)
    before = workshop.charged()
    workshop.world.fault(match, when="after", drop=True)
    getattr(workshop, step)(piece)
    charges = workshop.charged()[len(before) :]
    expected = {"script": 2, "voiceover": 2, "stills": 6, "thumbnail": 2}[step]
    assert len(charges) == expected  # one lost, one more; nothing else
    lost = [effect for effect in workshop.spent() if effect.state == "lost"]
    assert len(lost) == 1
    assert lost[0].cost_micros == lost[0].max_cost_micros >= charges[0]["micros"]


def test_a_piece_whose_replies_are_lost_twice_is_rejected_and_never_sent_again(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.world.fault(RESPONSES, when="after", drop=True, times=9)
    for _ in range(3):
        with pytest.raises(PieceRejected):
            workshop.script(piece)
    # Each of the three answers may be lost and repeated once; a rerun adds none.
    assert len(workshop.charged()) == 6


def test_an_unavailable_vendor_charges_nothing_and_the_step_can_go_on(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.world.fault(RESPONSES, status=429, headers={"retry-after": "2"}, body={"error": {"message": "slow"}})
    with pytest.raises(VendorUnavailable) as unavailable:
        workshop.script(piece)
    assert unavailable.value.retry_after == 2
    assert workshop.spent() == []
    workshop.script(piece)
    agree(workshop)


def test_a_wrong_key_is_no_fault_of_the_piece(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.use(OpenAIClient(f"{workshop.world.url}/openai/v1", lambda: "sk-wrong"))
    with pytest.raises(VendorRefused, match="EMPIRE_OPENAI_API_KEY"):
        workshop.script(piece)


def test_a_missing_key_books_nothing_and_the_step_goes_on_when_it_is_there(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    settings = Settings(_env_file=None, mode=Mode.LIVE)  # type: ignore[call-arg]
    connected = workshop.openai
    workshop.use(OpenAIClient(f"{workshop.world.url}/openai/v1", lambda: settings.secret("openai")))
    with pytest.raises(Misconfigured, match="EMPIRE_OPENAI_API_KEY"):
        workshop.script(piece)
    assert workshop.spent() == []
    workshop.use(connected)
    workshop.script(piece)
    agree(workshop)


@pytest.mark.parametrize("temper", [{"invented_claim": 1.0}, {"truncated": 1.0}, {"refusal": 1.0}])
def test_a_model_that_never_behaves_costs_three_answers_and_rejects_the_piece(
    workshop: Workshop, temper: dict[str, float]
) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.temper(**temper)
    with pytest.raises(PieceRejected):
        workshop.script(piece)
    assert len(workshop.charged()) == 3
    agree(workshop)
    with pytest.raises(PieceRejected):
        workshop.script(piece)
    assert len(workshop.charged()) == 3  # the reasons are known: nothing is asked again
    with workshop.ledger.begin() as session:
        assert session.scalars(select(Artifact)).all() == []


@pytest.mark.parametrize("temper", [{"invented_claim": 1.0}, {"truncated": 1.0}, {"refusal": 1.0}])
def test_one_bad_answer_is_repaired(workshop: Workshop, temper: dict[str, float]) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.temper(**temper)
    cleared = threading.Event()

    class Clearing(OpenAIClient):
        """The model calms down after the first answer."""

        def write_json(self, **call: Any) -> Any:
            try:
                return super().write_json(**call)
            finally:
                if not cleared.is_set():
                    cleared.set()
                    workshop.temper()

    workshop.use(Clearing(f"{workshop.world.url}/openai/v1", key("openai"), timeout=20))
    script = Script.model_validate(workshop.script(piece).content)
    assert check_script(script, FACTS, POLICY) == []
    assert len(workshop.charged()) == 2
    agree(workshop)
    workshop.script(piece)
    assert len(workshop.charged()) == 2


# ---------------------------------------------------------------------------------------------- moderation
def flagged(*categories: str, texts: int) -> dict[str, Any]:
    """A verdict of the moderation in the vendor's form."""
    names = [field.alias or name for name, field in Categories.model_fields.items()]
    result = {
        "flagged": True,
        "categories": {name: name in categories for name in names},
        "category_scores": dict.fromkeys(names, 0.5),
        "category_applied_input_types": {name: ["text"] for name in names},
    }
    return {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": [result] * texts}


def test_what_the_moderation_flags_is_written_anew_once(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.world.fault(MODERATIONS, status=200, body=flagged("violence", texts=2))
    workshop.script(piece)
    assert len(workshop.charged()) == 2
    agree(workshop)


def test_what_is_flagged_again_is_quarantined_and_nothing_more_is_asked(workshop: Workshop) -> None:
    facts = FACTS | {"F3": "The burrs survive every explicit sex scene in the kitchen."}
    for number, (make, kind, version) in enumerate(
        ((workshop.script, "video", "video/question-hook@1"), (workshop.post, "post", "post/plain-guide@1"))
    ):
        slot = datetime(2026, 11, 20, 12 + number, tzinfo=UTC)
        piece = plan_piece(workshop.ledger, f"pc_{kind}", kind=kind, prompt_version=version, facts=facts, slot_at=slot)
        before = len(workshop.charged())
        for _ in range(2):
            with pytest.raises(PieceRejected, match=r"flagged again after a repair.*sexual"):
                make(piece)
        assert len(workshop.charged()) == before + 2  # the answer and its repair; a rerun asks for neither
    with workshop.ledger.begin() as session:
        assert session.scalars(select(Artifact)).all() == []


def test_without_a_verdict_nothing_is_kept_and_the_paid_answer_waits(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.world.fault(MODERATIONS, status=503, body={"error": {"message": "m", "type": "t", "code": "overloaded"}})
    with pytest.raises(VendorUnavailable):
        workshop.script(piece)
    with workshop.ledger.begin() as session:
        assert session.scalars(select(Artifact)).all() == []
    workshop.script(piece)
    assert len(workshop.charged()) == 1
    agree(workshop)


def test_a_picture_that_the_vendor_blocks_rejects_only_its_piece(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger, facts=FACTS | {"F1": "Name: Nude Burr Coffee Grinder"})
    workshop.script(piece)
    with pytest.raises(PieceRejected, match="safety"):
        workshop.stills(piece)


def test_a_file_that_is_gone_is_paid_for_once_more(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    workshop.script(piece)
    first = workshop.voiceover(piece)
    workshop.media.path(first.sha256 or "").unlink()
    second = workshop.voiceover(piece)
    assert workshop.media.exists(second.sha256 or "")
    assert [charge["vendor"] for charge in workshop.charged()].count("elevenlabs") == 2


def test_a_cap_stops_the_spending_before_it_happens(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> None:
    poor = Workshop(ledger, world, tmp_path, cap_micros=100)
    piece = plan_piece(ledger)
    with pytest.raises(BudgetRefused):
        poor.script(piece)
    assert poor.charged() == []
    poor.close()


def test_many_pieces_at_once_each_pay_once(workshop: Workshop) -> None:
    pieces = [
        plan_piece(workshop.ledger, f"pc_{number}", slot_at=datetime(2026, 11, 20, 10 + number, tzinfo=UTC))
        for number in range(3)
    ]

    def make(piece: str) -> None:
        workshop.script(piece)
        workshop.voiceover(piece)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(make, pieces))
    assert len(workshop.charged()) == 6
    agree(workshop)


def test_steps_in_the_wrong_order_say_what_to_do(workshop: Workshop) -> None:
    piece = plan_piece(workshop.ledger)
    for step in (workshop.voiceover, workshop.stills, workshop.thumbnail):
        with pytest.raises(BadInput, match="scripts first"):
            step(piece)
    with pytest.raises(BadInput, match="no piece"):
        workshop.script("pc_nobody")
    with workshop.ledger.begin() as session:
        session.get_one(Piece, piece).facts = {}
    with pytest.raises(PieceRejected, match="no facts"):
        workshop.script(piece)
