"""The world's writer, painter and voice: they obey what they are asked, and misbehave only as their temper says."""

from __future__ import annotations

import io
import random
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel, ConfigDict

from affiliate_empire.compliance import check_post, check_script
from affiliate_empire.content import Post, Script, post_problems, post_schema, script_problems, script_schema
from affiliate_empire.content.schema import strict_schema
from affiliate_empire.policy import load_policy
from affiliate_empire.prompts import load_library, render
from affiliate_empire.sandbox.catalog import open_catalog
from affiliate_empire.sandbox.drawings import DRAWINGS, HUES
from affiliate_empire.sandbox.painter import paint, setting_of, subject_of
from affiliate_empire.sandbox.speech import clauses
from affiliate_empire.sandbox.writer import FAIR, Temper, Writer, read_brief

POLICY = load_policy()
DISCLOSURE = POLICY.disclosure("spoken")
FACTS = {
    "F1": "Name: Burr Coffee Grinder",
    "F2": "Price: 64.00 USD",
    "F3": "Conical steel burrs with 18 grind settings.",
    "F4": "Hopper holds 240 g of beans.",
}


def ask(version: str, facts: dict[str, str], product: str, temper: Temper = FAIR, seed: int = 1) -> Any:
    template = next(one for one in load_library() if one.prompt_version == version)
    prompt = render(template.template, facts, product=product, niche="kitchen")
    schema = script_schema() if template.kind == "video" else post_schema()
    return Writer(temper).write(f"{prompt.system}\n\n{prompt.user}", schema, random.Random(seed))


# ---------------------------------------------------------------------------------------------- the writer
def test_what_it_writes_of_the_shops_products_may_be_used() -> None:
    problems = []
    for number, item in enumerate(open_catalog("http://127.0.0.1:1", None).items.values()):
        facts = {"F1": f"Name: {item.title}", "F2": f"Price: {item.price} {item.currency}"}
        for sentence in item.description.split(". "):
            facts[f"F{len(facts) + 1}"] = sentence.rstrip(".") + "."
        for version in load_library():
            document = ask(version.prompt_version, facts, item.title, seed=number).document
            if version.kind == "video":
                script = Script.model_validate(document)
                problems += script_problems(script, DISCLOSURE, facts) + check_script(script, facts, POLICY)
            else:
                post = Post.model_validate(document)
                problems += post_problems(post, facts) + check_post(post, facts, POLICY)
    assert problems == []


def test_it_obeys_the_prompt_version() -> None:
    question = ask("video/question-hook@1", FACTS, "Burr Coffee Grinder").document
    number = ask("video/number-hook@1", FACTS, "Burr Coffee Grinder").document
    assert question["hook"].endswith("?")
    assert number["hook"].split()[0] in ("Two", "Three", "The")
    assert (len(question["scenes"]), len(number["scenes"])) == (5, 4)
    assert any(scene["narration"].startswith(("First: ", "Point one: ")) for scene in number["scenes"])
    assert "- " in str(ask("post/checklist@1", FACTS, "Burr Coffee Grinder").document)
    assert "\n- " not in str(ask("post/plain-guide@1", FACTS, "Burr Coffee Grinder").document)


def test_a_brief_is_read_from_the_prompts_words() -> None:
    brief = read_brief(
        "Write for people interested in hiking.\n## Product\nTrail Boots, Size 42\n## Hook\nStart with the price."
        "\n## Length\n3 scenes, 30 to 40 words.\n## Tone\nEnergetic, with exclamation marks.\n"
        "## Facts\nF1: Name: Trail Boots\nF2: Price: 89.50 EUR"
    )
    assert (brief.product, brief.short, brief.kind, brief.niche) == (
        "Trail Boots, Size 42",
        "Trail Boots",
        "boots",
        "hiking",
    )
    assert (brief.words, brief.parts, brief.energetic, brief.exclaims) == ((30, 40), 3, True, True)
    assert brief.price == ("F2", "89.50 EUR")
    assert brief.price_in_hook


def test_the_same_prompt_and_seed_give_the_same_text() -> None:
    one, two, other = (ask("video/question-hook@1", FACTS, "Burr Coffee Grinder", seed=s).document for s in (5, 5, 6))
    assert one == two
    assert one != other


def test_it_fills_a_schema_it_has_never_seen() -> None:
    class Mood(StrEnum):
        CALM = "calm"
        LOUD = "loud"

    class Shot(BaseModel):
        model_config = ConfigDict(extra="forbid")
        text: str
        picture: str
        sources: list[str]

    class Advert(BaseModel):
        model_config = ConfigDict(extra="forbid")
        headline: str
        opening_line: str
        summary: str
        shots: list[Shot]
        keywords: list[str]
        mood: Mood
        rating: int | None
        paid: bool
        nested: dict[str, str] | None

    schema = strict_schema(Advert)
    document = Writer(FAIR).write("F1: Name: Kettle\n## Product\nKettle\n4 scenes", schema, random.Random(1)).document
    advert = Advert.model_validate(document)
    assert len(advert.shots) == 4
    assert "Kettle" in advert.headline
    assert all(shot.picture != shot.text for shot in advert.shots)


def test_its_temper_decides_how_often_it_misbehaves() -> None:
    temper = Temper(truncated=0.1, refusal=0.05, invented_claim=0.2)
    seen = [ask("video/question-hook@1", FACTS, "Burr Coffee Grinder", temper, seed) for seed in range(600)]
    refused = sum(one.refusal is not None for one in seen)
    rambling = sum(one.rambling for one in seen)
    invented = sum(
        bool(check_script(Script.model_validate(one.document), FACTS, POLICY))
        for one in seen
        if one.document is not None
    )
    assert 15 <= refused <= 45
    assert 35 <= rambling <= 85
    assert 85 <= invented <= 160


# ---------------------------------------------------------------------------------------------- the painter
@pytest.mark.parametrize(
    ("prompt", "subject", "setting"),
    [
        ("a short video about LED Desk Lamp with Wireless Charger. On a shelf.", "lamp", "shelf"),
        ("a short video about Burr Coffee Grinder, 18 Settings. Close-up of steel.", "device", "closeup"),
        ("hero illustration of Adventure-Ready Expedition Backpack, one subject", "backpack", "bold"),
        ("a short video about Japanese Chef's Knife 21 cm. Flat lay from above", "knife", "flatlay"),
        ("a short video about Wireless Numpad. outdoors on a stone ledge", "keyboard", "outdoors"),
        ("a short video about Something Nobody Knows. two-colour backdrop", "parcel", "bold"),
    ],
)
def test_it_draws_the_thing_that_is_named_where_it_is_wanted(prompt: str, subject: str, setting: str) -> None:
    assert (subject_of(prompt), setting_of(prompt)) == (subject, setting)


@pytest.mark.parametrize(
    "setting", ["podium", "table beside a window", "flat lay", "shelf", "outdoors", "bold", "close-up"]
)
def test_a_picture_is_a_whole_file_with_something_to_see(setting: str) -> None:
    data = paint(f"illustration of red kettle, {setting}", 432, 768, random.Random(3))
    assert data == paint(f"illustration of red kettle, {setting}", 432, 768, random.Random(3))
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", (432, 768))
        pixels = np.asarray(picture, np.float32)
    assert pixels.std() > 15
    # A detailed picture: not a gradient, and not noise. Its edges are few and strong.
    edges = np.abs(np.diff(pixels.mean(axis=2), axis=1))
    assert 0.001 < (edges > 25).mean() < 0.2


def test_the_asked_colour_is_the_things_colour() -> None:
    def middle(colour: str) -> np.ndarray[Any, Any]:
        data = paint(f"illustration of {colour} sofa, podium", 432, 768, random.Random(3))
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.crop((170, 290, 262, 340)), np.float32).mean(axis=(0, 1))

    red, blue = middle("red"), middle("blue")
    assert red[0] > red[2] + 40
    assert blue[2] > blue[0] + 40


def test_every_drawing_stands_within_its_square() -> None:
    for name, shapes in DRAWINGS.items():
        for form, _, points, *_ in shapes:
            pairs = points if form in ("poly", "line") else (points[:2], points[2:4])
            assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in pairs), name
    assert all(0 <= part <= 1 for hue in HUES.values() for part in hue)


# ---------------------------------------------------------------------------------------------- the voice
@given(st.text(alphabet="ab A.I,;:!?… 3—\"'\n", max_size=80))
def test_clauses_cover_the_text_without_a_gap(text: str) -> None:
    found = clauses(text)
    assert "".join(text[clause.start : clause.end] for clause in found) == text
    assert all(clause.pause > 0 for clause in found)


def test_a_breath_is_taken_at_punctuation_and_not_inside_a_word() -> None:
    text = "It holds 1,000 g at 3.5 V. Made with A.I. Really, yes!"
    assert [text[clause.start : clause.end].strip() for clause in clauses(text)] == [
        "It holds 1,000 g at 3.5 V.",
        "Made with A.I.",
        "Really,",
        "yes!",
    ]


def test_the_sandbox_imports_nothing_of_the_business() -> None:
    folder = Path(__file__).parents[2] / "affiliate_empire" / "sandbox"
    for name in ("writer", "painter", "drawings", "speech", "prices", "servers/openai", "servers/elevenlabs"):
        lines = (folder / f"{name}.py").read_text("utf-8").splitlines()
        imported = [line for line in lines if "affiliate_empire" in line and "import" in line]
        assert all("affiliate_empire.sandbox" in line for line in imported), name
