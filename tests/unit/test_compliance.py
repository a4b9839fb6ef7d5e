"""What may be said and what must be said; and that the honest text passes."""

from __future__ import annotations

from datetime import date

import pytest

from affiliate_empire.compliance import (
    check_description,
    check_page,
    check_post,
    check_script,
    check_spoken,
    forbidden_claims,
)
from affiliate_empire.content import Post, Scene, Script, Section, render_mdx, spoken_text
from affiliate_empire.policy import load_policy

POLICY = load_policy()
FACTS = {
    "F1": "Name: Canvas Daypack 25 L",
    "F2": "Brand: Harbor",
    "F3": "Price: 49.99 USD",
    "F4": "The daypack is water-resistant and has 2 zip pockets.",
}


def script(narration: str = "It has 2 zip pockets.", cites: tuple[str, ...] = ("F4",), **changes: str) -> Script:
    said = {"title": "Is the Canvas Daypack for You?", "hook": "What should a daypack do for you?"}
    said |= {"description": "The daypack in the merchant's own facts."} | changes
    scenes = [
        Scene(narration=narration, visual="a daypack", fact_ids=list(cites)),
        Scene(narration="Find it through the link in the description.", visual="a shelf", fact_ids=[]),
        Scene(narration="The brand is Harbor.", visual="a label", fact_ids=["F2"]),
    ]
    return Script(scenes=scenes, hashtags=["daypack"], **said)


@pytest.mark.parametrize(
    "text",
    [
        "It has 2 zip pockets.",
        "The Canvas Daypack 25 L is water resistant.",
        "3 facts about the daypack in half a minute.",
        "Think about where you would use it. Compare it with what you already own.",
        "According to the maker, the daypack is water-resistant.",
        "Our planet has no say in this.",
        "Meant for people who love the outdoors.",
    ],
)
def test_an_honest_script_passes(text: str) -> None:
    assert check_script(script(text), FACTS, POLICY) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("We tested it for a month and it never let us down.", "experience"),
        ("I have used mine every day and I love it.", "'I' claims an experience"),
        ("I’ve carried it for a year.", "experience"),
        ("In our tests it held up.", "experience"),
        ("Nine out of ten customers rate it five stars.", "customers"),
        ("Rated 4.8 out of 5.", "4.8 out of 5"),
        ("It is the best daypack on the market, guaranteed.", "superlative"),
        ("Right now it costs only $4.99.", "states a price"),
        ("Hurry, while stocks last.", "scarcity"),
        ("Dermatologist-recommended.", "health"),
        ("It holds 40 litres.", "the number 40"),
        ("It is waterproof.", "'waterproof'"),
        ("It comes with free shipping.", "'free shipping'"),
    ],
)
def test_what_no_fact_states_and_what_may_never_be_said_is_refused(text: str, complaint: str) -> None:
    assert any(complaint in reason for reason in check_script(script(text), FACTS, POLICY))
    in_title = check_script(script(title=text[:90]), FACTS, POLICY)
    assert in_title


@pytest.mark.parametrize(
    ("text", "cites", "holds"),
    [
        ("The shop lists it at $49.99.", ("F3",), True),
        ("It costs 49.99 dollars.", ("F3",), True),
        ("Under $50.", ("F3",), True),
        ("About $50.", ("F3",), True),
        ("Under $40.", ("F3",), False),
        ("Just $39.99.", ("F3",), False),
        ("About $30.", ("F3",), False),
        ("The shop lists it at $49.99.", ("F4",), False),
    ],
)
def test_a_price_is_the_facts_price_and_its_fact_is_cited(text: str, cites: tuple[str, ...], holds: bool) -> None:
    assert (check_script(script(text, cites), FACTS, POLICY) == []) is holds


def test_without_a_price_fact_no_price_may_be_said() -> None:
    without = {key: text for key, text in FACTS.items() if key != "F3"}
    assert check_script(script(hook="What do you get for $49.99?"), FACTS, POLICY) == []
    assert check_script(script(hook="What do you get for $49.99?"), without, POLICY)


def test_a_product_may_be_named_by_its_name() -> None:
    facts = FACTS | {"F1": "Name: Charcoal Detox Face Scrub"}
    assert check_script(script(title="What Is the Charcoal Detox Face Scrub?"), facts, POLICY) == []
    assert check_script(script(title="What Is the Charcoal Detox Face Scrub?"), FACTS, POLICY)
    assert check_script(script("It is a detoxifying miracle."), facts, POLICY)


def test_citations_must_exist_and_there_must_be_one() -> None:
    assert any("F9 does not exist" in reason for reason in check_script(script(cites=("F4", "F9")), FACTS, POLICY))
    silent = Script(
        title="A", hook="B", description="C", hashtags=[], scenes=[Scene(narration="D.", visual="E", fact_ids=[])]
    )
    assert any("cites a fact" in reason for reason in check_script(silent, FACTS, POLICY))


def post(markdown: str = "The daypack has 2 zip pockets.", cites: tuple[str, ...] = ("F4",)) -> Post:
    sections = [
        Section(heading="What the maker says", markdown=markdown, fact_ids=list(cites)),
        Section(heading="What to check", markdown="1. Measure your laptop.\n2. Read the sheet.", fact_ids=[]),
    ]
    return Post(title="Canvas Daypack: a plain guide", meta_description="A guide to a daypack.", sections=sections)


def test_an_honest_post_passes_and_the_others_do_not() -> None:
    assert check_post(post(), FACTS, POLICY) == []
    assert check_post(post("We tested it in the rain."), FACTS, POLICY)
    assert check_post(post("★★★★★ from buyers."), FACTS, POLICY)
    assert check_post(post("Buy at https://evil.example/x."), FACTS, POLICY)
    assert check_post(post("It costs $12."), FACTS, POLICY)
    assert check_post(post(cites=()), FACTS, POLICY)


def test_a_merchants_forbidden_sentence_is_found_before_it_becomes_a_fact() -> None:
    assert forbidden_claims("Our anti-aging cream is loved. Customers love it.")
    assert forbidden_claims(FACTS["F4"]) == []


def test_disclosures_must_be_whole_and_first() -> None:
    text = POLICY.disclosure("text")
    assert check_description(f"{text}\n\nA daypack.", POLICY) == []
    assert check_description(f"A daypack.\n{text}", POLICY)
    assert check_description(text[:-5], POLICY)
    spoken = spoken_text(script(), POLICY.disclosure("spoken"))
    assert check_spoken(spoken, POLICY) == []
    assert check_spoken(spoken.replace("affiliate", "partner"), POLICY)


def test_a_page_discloses_above_its_first_link_and_marks_every_link() -> None:
    mdx = render_mdx(
        post(),
        piece_id="pc_0123456789abcdef0123",
        published_on=date(2026, 11, 21),
        product="Canvas Daypack",
        link_url="https://track.example/r/abc",
        disclosure=POLICY.disclosure("post"),
        ai_statement=POLICY.disclosure("ai"),
    )
    assert check_page(mdx, POLICY) == []
    assert check_page(mdx + '<a href="https://shop.example">shop</a>', POLICY)
    assert check_page(mdx.replace(POLICY.disclosure("ai"), ""), POLICY)
    head, front, article = mdx.split("---\n", 2)
    assert check_page("---\n".join([head, front, article.replace(POLICY.disclosure("post"), "")]), POLICY)
    late = article.replace(POLICY.disclosure("post"), "") + POLICY.disclosure("post")
    assert check_page("---\n".join([head, front, late]), POLICY)
