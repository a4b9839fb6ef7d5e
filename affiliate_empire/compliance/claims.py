"""Claims: what a text says of a product must stand in the facts it cites, and some things may not be said at all.

The judge is a reader of words, not of meaning: it catches what can be caught without doubt (numbers, prices, properties
from a list, first-person experience, testimonials, ratings, scarcity) and says which words it objects to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from affiliate_empire.content.post import Post
from affiliate_empire.content.script import Script
from affiliate_empire.policy import Policy

# 16 CFR 465: the writer is a machine that has used nothing and knows nobody who has.
_EXPERIENCE = (
    r"(?<![.\w])I(?![.\w])(?:'\w+)?",
    r"\b(?:my|mine|myself)\b",
    r"\bwe(?:'ve|'d| have| had)?(?: \w+){0,2} (?:test|tried|try|use|own|bought|love|review|recommend|measured|wore)\w*",
    r"\bour (?:own |hands-on )?(?:test|review|experience|favou?rite|pick|team|lab|opinion|verdict)\w*",
    r"\bhands-on\b|\btested (?:by us|in our)\b|\bin our experience\b",
)
_TESTIMONY = (
    r"\b(?:customers?|buyers?|users?|owners?|reviewers?|people|everyone|shoppers?|parents|experts?)\b"
    r"(?! who| that)[^.!?]{0,30}"
    r"\b(?:love|loved|rave|swear|rate|rated|agree|recommend|say|said|report)s?\b",
    r"\b(?:\d(?:\.\d)?|one|two|three|four|five)(?:\s*(?:/|out of)\s*(?:5|five|10|ten))?[- ]stars?\b|[★⭐]",
    r"\b\d(?:\.\d)?\s*(?:/|out of)\s*(?:5|10)\b",
    r"\b(?:top|highly|best)[- ]rated\b|\bfive[- ]star\b|\btestimonials?\b|\brave reviews?\b",
)
_SUPERLATIVE = (
    r"\bthe (?:very )?best\b(?! of\b| way\b| time\b)",
    r"\bbest\b[^.!?]{0,30}\b(?:on the market|in the world|ever|money can buy)\b",
    r"(?<!\w)#1\b|\bnumber one\b|\bno\. ?1\b|\bunbeatable\b|\bunrivall?ed\b|\bworld's\b|\bcheapest\b",
    r"\b(?:lowest|best) price\b|\brisk[- ]free\b|\bguarantee\w*\b|\bmiracle\b|\blife-changing\b|\bgame[- ]chang\w+",
)
_SCARCITY = (
    r"\b(?:only|just) (?:today|now)\b|\blimited[- ]time\b|\blast chance\b|\bhurry\b",
    r"\bwhile (?:stocks?|supplies) lasts?\b|\bonly \w+ left\b|\bact (?:now|fast)\b",
    r"\bsell(?:s|ing) out\b|\balmost gone\b|\bbefore (?:it's|they're|it is) gone\b",
)
_HEALTH = (
    r"\bcur(?:e|es|ed|ing)\b(?=[^.!?]*\b(?:acne|pain|anxiety|disease|insomnia|cold|illness)\b)|\bclinical(?:ly)?\b",
    r"\b(?:doctor|dermatologist|dentist)s?[- ](?:recommended|approved)\b|\bfda\b",
    r"\blos(?:e|ing) weight\b|\bweight loss\b",
    r"\bboosts? (?:your )?immun\w+|\banti-?ag(?:e)?ing\b|\bheals?\b|\bdetox\w*",
)
_FORBIDDEN = (
    ("claims an experience nobody had", _EXPERIENCE),
    ("speaks for customers or rates", _TESTIMONY),
    ("is a superlative or a promise", _SUPERLATIVE),
    ("invents scarcity", _SCARCITY),
    ("is a health claim", _HEALTH),
)
# Properties that people buy for, and that are easily invented. Each must be in a cited fact, in some form of the word.
_PROPERTIES = (
    "waterproof|water-resistant|water-repellent|windproof|fireproof|shockproof|scratch-resistant|stain-resistant|"
    "rustproof|dishwasher-safe|microwave-safe|oven-safe|machine-washable|hypoallergenic|antibacterial|organic|vegan|"
    "cruelty-free|gluten-free|sugar-free|fair-trade|recycled|biodegradable|sustainable|eco-friendly|bpa-free|"
    "certified|patented|award-winning|best-selling|bestseller|handmade|hand-crafted|handcrafted|imported|"
    "stainless|titanium|leather|cashmere|silk|wool|bamboo|solid wood|oak|walnut|marble|gold-plated|sterling|"
    "wireless|bluetooth|rechargeable|cordless|solar|noise-cancelling|noise-canceling|fast-charging|"
    "warranty|free shipping|free returns|money-back|refund|discount|on sale|half price|coupon|promo code|"
    "unbreakable|indestructible|fast-drying|quick-drying|insulated|orthopedic|ergonomic|child-safe|non-toxic"
)

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")
_COUNTED = re.compile(
    r"\b\d{1,2}(?= (?:quick |plain )?(?:things|facts|points|reasons|details|questions|ways|seconds|tips|steps)\b)",
    re.IGNORECASE,
)
_LIST_MARKER = re.compile(r"^\s*\d{1,2}[.)]\s+", re.MULTILINE)
_PRICE = re.compile(
    r"(?P<about>\b(?:under|below|less than|about|around|roughly|nearly|almost|over|more than)\s+)?"
    r"(?:[$€£]\s?(?P<a>\d[\d,]*(?:\.\d+)?)|(?P<b>\d[\d,]*(?:\.\d+)?)\s?(?:dollars|bucks|euros|pounds|USD|EUR|GBP|CAD|AUD)\b)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?://|www\.\S|\b[\w-]+\.(?:com|net|org|shop|store|io)\b", re.IGNORECASE)


def check_script(script: Script, facts: Mapping[str, str], policy: Policy) -> list[str]:
    """Why a script may not be spoken, as sentences; empty when it may.

    Args:
        script: as the model wrote it; the spoken disclosure is put in afterwards and is not looked for here.
        facts: the piece's numbered facts, ``F1`` → text.
        policy: its disclosure texts may not be anticipated or contradicted by the script.
    """
    reasons = _uncited(((scene.narration, scene.fact_ids) for scene in script.scenes), facts, "scene")
    for name, text in (("title", script.title), ("hook", script.hook), ("description", script.description)):
        reasons += _unsupported(text, facts.values(), f"The {name}")
    for number, scene in enumerate(script.scenes, start=1):
        cited = [facts[fact] for fact in scene.fact_ids if fact in facts]
        reasons += _unsupported(scene.narration, [*cited, _name(facts)], f"Scene {number}")
    parts = [script.title, script.hook, *(scene.narration for scene in script.scenes), script.description]
    return _unique([*reasons, *_forbidden([*parts, *script.hashtags], facts, policy)])


def forbidden_claims(text: str) -> list[str]:
    """What a text says that may never be said, whatever a merchant states: such a sentence is no fact to cite."""
    plain = text.replace("’", "'")
    reasons = []
    for why, patterns in _FORBIDDEN:
        for pattern in patterns:
            # "I" is a pronoun only as a capital; everything else counts in any case.
            flags = 0 if pattern.startswith(r"(?<![.\w])I") else re.IGNORECASE
            reasons += [f"{match[0].strip()!r} {why}." for match in re.finditer(pattern, plain, flags)]
    return _unique(reasons)


def check_post(post: Post, facts: Mapping[str, str], policy: Policy) -> list[str]:
    """Why a post may not be published, as sentences; empty when it may. Arguments as for ``check_script``."""
    reasons = _uncited(((section.markdown, section.fact_ids) for section in post.sections), facts, "section")
    for name, text in (("title", post.title), ("meta description", post.meta_description)):
        reasons += _unsupported(text, facts.values(), f"The {name}")
    for number, section in enumerate(post.sections, start=1):
        cited = [facts[fact] for fact in section.fact_ids if fact in facts]
        text = f"{section.heading}\n{_LIST_MARKER.sub('', section.markdown)}"
        reasons += _unsupported(text, [*cited, _name(facts)], f"Section {number}")
        if found := _ADDRESS.search(section.markdown):
            reasons.append(f"Section {number} holds an address ({found[0]}): links are added by the publisher only.")
    parts = [post.title, post.meta_description, *(f"{s.heading}. {s.markdown}" for s in post.sections)]
    return _unique([*reasons, *_forbidden(parts, facts, policy)])


def price_of(facts: Iterable[str]) -> Decimal | None:
    """The price that a fact states (``Price: 49.99 USD``), in its currency's units."""
    for fact in facts:
        if fact.lower().startswith("price:") and (match := _NUMBER.search(fact)):
            return Decimal(match[0].replace(",", ""))
    return None


def states_price(text: str, price: str, others: Iterable[str]) -> bool:
    """Whether a text names a price, or the bare number of the fact ``price`` where none of the ``others`` has it."""
    if _PRICE.search(text):
        return True
    numbers = {Decimal(number.replace(",", "")) for number in _NUMBER.findall(price)}
    elsewhere = {Decimal(number.replace(",", "")) for other in others for number in _NUMBER.findall(other)}
    said = {Decimal(number.replace(",", "")) for number in _NUMBER.findall(text)}
    return bool(said & (numbers - elsewhere))


def _uncited(parts: Iterable[tuple[str, list[str]]], facts: Mapping[str, str], word: str) -> list[str]:
    listed = list(parts)
    unknown = sorted({fact for _, cited in listed for fact in cited if fact not in facts})
    reasons = [f"Fact {fact} does not exist; cite only {', '.join(facts)}." for fact in unknown]
    if not any(fact in facts for _, cited in listed for fact in cited):
        reasons.append(f"No {word} cites a fact: every claim needs the ids of the facts it relies on.")
    return reasons


def _unsupported(text: str, facts: Iterable[str], where: str) -> list[str]:
    """Prices, numbers and properties in ``text`` that no fact in ``facts`` states."""
    known = list(facts)
    together = "\n".join(known).lower()
    reasons = []
    price = price_of(known)
    for match in _PRICE.finditer(text):
        stated = Decimal((match["a"] or match["b"]).replace(",", ""))
        if price is None:
            reasons.append(f"{where} states a price ({match[0].strip()}), and no cited fact does: leave it out.")
        elif not _price_holds(stated, price, (match["about"] or "").strip().lower()):
            reasons.append(f"{where} states the price {match[0].strip()}; the fact says {price}.")
    rest = _COUNTED.sub("", _PRICE.sub(" ", text))
    stated_numbers = {Decimal(number.replace(",", "")) for number in _NUMBER.findall(together)}
    for number in dict.fromkeys(_NUMBER.findall(rest)):
        if Decimal(number.replace(",", "")) not in stated_numbers:
            reasons.append(f"{where} states the number {number}, and no cited fact does.")
    plain_facts = together.replace("-", " ")
    for found in dict.fromkeys(re.findall(rf"\b(?:{_PROPERTIES})\b", text.lower())):
        if found.replace("-", " ") not in plain_facts:
            reasons.append(f"{where} says {found!r}, and no cited fact does.")
    return reasons


def _price_holds(stated: Decimal, price: Decimal, about: str) -> bool:
    if about in ("under", "below", "less than"):
        return price < stated
    if about in ("over", "more than"):
        return price > stated
    if about:
        return abs(stated - price) <= price / 20
    return stated == price


def _forbidden(parts: list[str], facts: Mapping[str, str], policy: Policy) -> list[str]:
    text = "\n".join(parts)
    # A product may be named by its name, even where that is Charcoal Detox Face Scrub.
    named = {reason.lower() for reason in forbidden_claims(_name(facts))}
    reasons = [reason for reason in forbidden_claims(text) if reason.lower() not in named]
    if policy.disclosure("spoken").lower() in text.lower():
        reasons.append("The disclosure is added by the publisher: do not write it.")
    return reasons


def _name(facts: Mapping[str, str]) -> str:
    """The fact that names the product: naming it is no claim, even when the name holds a number or a material."""
    return next((text for text in facts.values() if text.lower().startswith(("name:", "title:", "product:"))), "")


def _unique(reasons: list[str]) -> list[str]:
    return list(dict.fromkeys(reasons))
