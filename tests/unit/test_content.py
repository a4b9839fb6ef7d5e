"""What a piece says: the spoken text and its parts, form checks, strict schemas, and MDX that shows text as text."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from affiliate_empire.content import (
    Post,
    Scene,
    Script,
    Section,
    passages,
    post_problems,
    post_schema,
    render_mdx,
    scene_narrations,
    script_problems,
    script_schema,
    slug,
    spoken_text,
    still_prompt,
    thumbnail_prompt,
)
from affiliate_empire.content.mdx import mdx_problems
from affiliate_empire.content.post import escape_mdx
from affiliate_empire.content.schema import strict_schema
from affiliate_empire.policy import load_policy

DISCLOSURE = load_policy().disclosure("spoken")
FACTS = {"F1": "Name: Kettle", "F2": "Holds 1.7 litres."}
LINE = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != "")


def script(**changes: Any) -> Script:
    scenes = [
        Scene(
            narration=f"It holds water, and this is sentence number {n} of this script",
            visual="A kettle",
            fact_ids=["F2"],
        )
        for n in ("one", "two", "three", "four")
    ]
    fields = {
        "title": "The Kettle",
        "hook": "Is a kettle what you need?",
        "scenes": scenes,
        "description": "A kettle.",
        "hashtags": ["kettle"],
    }
    return Script.model_validate(fields | changes)


def post(**changes: Any) -> Post:
    body = "The kettle holds one point seven litres, says the merchant. " * 8
    fields = {
        "title": "The Kettle",
        "meta_description": "What the merchant says.",
        "sections": [Section(heading=f"Part {n}", markdown=body, fact_ids=["F2"]) for n in range(3)],
    }
    return Post.model_validate(fields | changes)


# ---------------------------------------------------------------------------------------------- spoken text
@given(hook=LINE, narrations=st.lists(LINE, min_size=1, max_size=6), disclosure=LINE)
def test_passages_are_slices_of_the_spoken_text_with_the_disclosure_second(
    hook: str, narrations: list[str], disclosure: str
) -> None:
    written = script(hook=hook, scenes=[Scene(narration=text, visual="v", fact_ids=[]) for text in narrations])
    text = spoken_text(written, disclosure)
    parts = passages(written, disclosure)
    assert [part.kind for part in parts] == ["hook", "disclosure", *["narration"] * len(narrations)]
    assert all(text[part.start : part.end] == part.text for part in parts)
    assert " ".join(part.text for part in parts) == text
    assert " ".join(scene_narrations(written, disclosure)) == text
    assert [part.scene for part in parts] == [0, 0, *range(len(narrations))]


def test_a_sentence_without_a_full_stop_gets_one() -> None:
    assert spoken_text(script(hook="Look here"), "An ad!").startswith("Look here. An ad! It holds water")


def test_a_sound_script_has_no_problems() -> None:
    assert script_problems(script(), DISCLOSURE, FACTS) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scenes": script().scenes[:3]}, "3 scenes"),
        ({"scenes": script().scenes * 2}, "8 scenes"),
        ({"hook": "  "}, "must say something"),
        ({"title": "t" * 91}, "91 characters"),
        ({"hook": "word " * 60}, "words together"),
        ({"scenes": [Scene(narration="Short.", visual="v", fact_ids=["F1"])] * 4}, "words together"),
        ({"hook": "See https://shop.example"}, "plain words"),
        ({"hook": "It is **great**?"}, "plain words"),
        ({"scenes": [s.model_copy(update={"fact_ids": ["F9"]}) for s in script().scenes]}, "F9"),
        ({"scenes": [s.model_copy(update={"fact_ids": []}) for s in script().scenes]}, "No scene names"),
        ({"scenes": [s.model_copy(update={"visual": " "}) for s in script().scenes]}, "visual"),
    ],
)
def test_each_fault_of_a_script_is_named(change: dict[str, Any], says: str) -> None:
    assert any(says in problem for problem in script_problems(script(**change), DISCLOSURE, FACTS))


def test_hashtags_lose_their_signs_and_doubles() -> None:
    assert script(hashtags=["#Coffee", "coffee", "home & kitchen", "#"]).hashtags == ["coffee", "homekitchen"]


def test_a_picture_prompt_asks_for_no_text_and_no_people() -> None:
    for prompt in (still_prompt(script().scenes[0], "Kettle"), thumbnail_prompt(script(), "Kettle")):
        assert "No text" in prompt
        assert "no people" in prompt
        assert "Kettle" in prompt


# ---------------------------------------------------------------------------------------------- schemas
@pytest.mark.parametrize("schema", [script_schema(), post_schema()])
def test_schemas_are_strict_all_the_way_down(schema: dict[str, Any]) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        if isinstance(node, dict):
            assert "$ref" not in node
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert node["required"] == list(node["properties"])
            for inner in node.values():
                walk(inner)

    walk(schema)
    assert schema["type"] == "object"


def test_a_field_named_like_a_keyword_survives() -> None:
    class Odd(BaseModel):
        title: str
        default: int = 3

    assert set(strict_schema(Odd)["properties"]) == {"title", "default"}


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        script(colour="red")
    with pytest.raises(ValidationError):
        post(colour="red")


# ---------------------------------------------------------------------------------------------- posts
def render(written: Post, **changes: Any) -> str:
    policy = load_policy()
    call: dict[str, Any] = {
        "piece_id": "pc_0123456789abcdef",
        "published_on": date(2026, 11, 20),
        "product": "Kettle",
        "link_url": "http://127.0.0.1:1/r/abc?x=1&y=2",
        "disclosure": policy.disclosure("post"),
        "ai_statement": policy.disclosure("ai"),
        "tags": ["kitchen"],
    }
    return render_mdx(written, **(call | changes))


def parts_of(mdx: str) -> tuple[dict[str, Any], str]:
    _, head, body = mdx.split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_post_opens_with_the_disclosure_and_marks_its_links() -> None:
    head, body = parts_of(render(post()))
    assert head["title"] == "The Kettle"
    assert head["date"] == "2026-11-20"
    assert head["slug"] == slug("The Kettle", "pc_0123456789abcdef") == "the-kettle-89abcdef"
    assert html.unescape(body.strip()).startswith(f"<Disclosure>{load_policy().disclosure('post')}</Disclosure>")
    assert body.count('<AffiliateLink href="http://127.0.0.1:1/r/abc?x=1&amp;y=2">') == body.count("href") == 2
    assert load_policy().disclosure("ai") in html.unescape(body)


HOSTILE = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "export const x = 1",
            "import evil from 'x'",
            "<script>alert(1)</script>",
            "{process.env.KEY}",
            "[click](https://evil.example)",
            "![x](javascript:alert(1))",
            "https://evil.example/?a=b",
            "---",
            "# heading",
            "- a\n- {b}\n1. c\n**bold <b>**",
            "`code` ```js\nx\n```",
            "<!-- c -->",
            "a\u2028import b",
            "\x00\x1b[31m",
            "| a | b |\n|---|---|",
            "\\{x\\}",
        ]
    ),
)


@given(title=HOSTILE, heading=HOSTILE, texts=st.lists(HOSTILE, min_size=1, max_size=4), product=HOSTILE)
def test_whatever_a_model_or_a_merchant_writes_is_shown_and_never_run(
    title: str, heading: str, texts: list[str], product: str
) -> None:
    written = post(title=title, sections=[Section(heading=heading, markdown="\n\n".join(texts), fact_ids=[])] * 3)
    head, body = parts_of(render(written, product=product))
    assert isinstance(head["title"], str)
    assert mdx_problems(render(written, product=product)) == []
    ours = re.sub(r'<AffiliateLink href="[^"<>]*">|</?(Disclosure|AiStatement)>|</AffiliateLink>', "", body)
    assert not set("<{}`[]|\\") & set(ours)
    assert not re.search(r"https?://|www\.\S|\]\(", ours, re.IGNORECASE)
    assert body.count("<AffiliateLink ") == 2


def test_the_facts_a_post_cites_are_listed_without_their_prices() -> None:
    citing = post(sections=[Section(heading="H", markdown="Text.", fact_ids=["F1", "F2"])] * 3)
    body = parts_of(render(citing, facts={"F1": "Holds {1} litre.", "F2": "Price: 5 USD", "F9": "Not cited."}))[1]
    assert '<Facts checked="2026-11-20">\n\n- Holds &#123;1&#125; litre.\n\n</Facts>' in body
    assert "5 USD" not in body
    assert "Not cited" not in body


BREAKS = [
    "<script>x</script>", "{x}", "export const x = 1", "import x from 'y'", "<Unknown />", "<a href=\"http://x\">y</a>",
    "<AffiliateLink href=\"javascript:alert(1)\">y</AffiliateLink>", "<Disclosure>again</Disclosure>", "</Disclosure>",
    "[x](http://y)", "![x](y)", "`x`", "a\n---", "# h", "> q", "1. - x", "<!-- c -->", "&nbsp;", "a\\", "    code",
    "<AffiliateLink href=\"http://x\" onClick=\"y\">z</AffiliateLink>", "<Facts checked=\"2026-13-01\">", "*x*", "**x",
    "<>x</>", "~~~", "12345. x", "a  b", "**b****c**", "<Facts checked=\"2026-11-20\">",
]  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_not_of_the_grammar_is_refused(broken: str) -> None:
    page = render(post())
    assert mdx_problems(page) == []
    head, end, rest = page.rpartition("<AiStatement>")
    assert mdx_problems(f"{head}{broken}\n\n{end}{rest}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<Disclosure>", "<AiStatement>"),
        ("title: ", "titel: "),
        ('slug: "', 'slug: "../'),
        ('date: "2026', 'date: "20-26'),
        ("tags: [", "tags: {["),
        ("---\n\n", "---\n"),
        ("disclosure: ", "evil: 1\ndisclosure: "),
    ],
)
def test_a_page_with_another_frame_is_refused(old: str, new: str) -> None:
    assert old in render(post())
    assert mdx_problems(render(post()).replace(old, new, 1))


@given(text=st.text(max_size=80))
def test_escaping_loses_no_visible_character(text: str) -> None:
    shown = html.unescape(escape_mdx(text))
    assume(not re.search(r"https?://|www\.", text, re.IGNORECASE))
    kept = [character for character in text if not character.isspace() and character.isprintable()]
    assert [character for character in shown if not character.isspace() and character.isprintable()] == kept


def test_bold_and_lists_are_kept() -> None:
    section = Section(heading="H", markdown="Some **bold** words.\n\n* one\n* two\n\n3) three", fact_ids=["F1"])
    body = render(post(sections=[section] * 3))
    assert "Some **bold** words." in body
    assert "- one\n- two" in body
    assert "3. three" in body


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sections": post().sections[:2]}, "2 sections"),
        ({"title": ""}, "title"),
        ({"meta_description": "m" * 161}, "161 characters"),
        ({"sections": [Section(heading="H", markdown="Short.", fact_ids=["F1"])] * 3}, "words together"),
        ({"sections": [s.model_copy(update={"heading": " "}) for s in post().sections]}, "heading"),
        ({"sections": [s.model_copy(update={"fact_ids": ["F9"]}) for s in post().sections]}, "F9"),
        ({"sections": [s.model_copy(update={"fact_ids": []}) for s in post().sections]}, "No section names"),
    ],
)
def test_each_fault_of_a_post_is_named(change: dict[str, Any], says: str) -> None:
    assert post_problems(post(), FACTS) == []
    assert any(says in problem for problem in post_problems(post(**change), FACTS))


@given(title=st.text(max_size=120), piece=st.from_regex(r"pc_[0-9a-f]{20}", fullmatch=True))
def test_a_slug_is_an_address(title: str, piece: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(title, piece))
    assert slug(title, piece).endswith(piece[-8:])
