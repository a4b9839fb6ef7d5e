"""The world's language model: a writer that does what the prompt it was given says.

It reads hook style, length, tone, product and numbered facts out of the prompt's text (``Brief``), composes from the
facts, and pours the result into whatever JSON schema it was handed, by field names. A better prompt therefore makes a
better text. It misbehaves as models do, at the rates of a ``Temper``: it rambles until it is cut off, refuses, or
claims something that no fact states. It neither counts tokens nor speaks HTTP (``servers.openai``).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Temper:
    """How often a call goes wrong by itself, as fractions of calls."""

    truncated: float = 0.01
    refusal: float = 0.005
    invented_claim: float = 0.02


FAIR = Temper(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Written:
    """What the model made: a document, or a refusal. ``rambling`` output never ends before the token limit."""

    document: Any = None
    refusal: str | None = None
    rambling: bool = False


# ---------------------------------------------------------------------------------------------- reading the prompt
@dataclass(frozen=True)
class Brief:
    """What a prompt asks for, as far as it can be understood."""

    facts: dict[str, str]
    product: str
    niche: str
    hook: str  # question | number | warning | picture | plain
    price_in_hook: bool
    words: tuple[int, int]
    parts: int  # scenes or sections
    energetic: bool
    exclaims: bool
    counts_off: bool
    bullets: bool
    closing_link: bool

    @property
    def short(self) -> str:
        """The product as one says it: without sizes, sets and the rest of a catalogue title."""
        head = re.split(r"\s[-–|]\s|,\s|\(|\s+with\s+|\s+for\s+", self.product, maxsplit=1)[0].strip()
        words = (head or self.product).split()
        return " ".join(words[:6]) or "product"

    @property
    def kind(self) -> str:
        """The product's kind in a word: the head noun of its title."""
        words = [word for word in re.findall(r"[A-Za-z][A-Za-z'-]*", self.short) if len(word) > 1]
        if words and words[-1].lower() in {"set", "kit", "pair", "pack", "collection"} and len(words) > 1:
            return " ".join(words[-2:]).lower()
        return (words[-1] if words else "product").lower()

    @property
    def a_kind(self) -> str:
        if re.search(r"[^s]s$", self.kind) and not self.kind.endswith(("us", "is")):
            return self.kind
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

    @property
    def price(self) -> tuple[str, str] | None:
        """The fact that states the price, and the price as one writes it in a sentence."""
        for key, text in self.facts.items():
            if match := _PRICE.search(text):
                amount = (match["a1"] or match["a2"]).rstrip(".,")
                return key, f"${amount}" if "USD" in match[0] or "$" in match[0] else match[0]
        return None


_PRICE = re.compile(r"(?:\$\s?(?P<a1>\d[\d,]*(?:\.\d+)?))|(?:(?P<a2>\d[\d,]*(?:\.\d+)?)\s?(?:USD|EUR|GBP|CAD|AUD))\b")
_FACT = re.compile(r"^\s*[-*]?\s*(F\d+)\s*[:.)]\s*(.+?)\s*$", re.MULTILINE)
_HEADING = re.compile(r"^#+\s*(.+?)\s*$", re.MULTILINE)
_WORDS = re.compile(r"(\d+)\s*(?:-|–|to|and)\s*(\d+)\s+(?:spoken\s+)?words", re.IGNORECASE)
_ONE_WORDS = re.compile(r"(?:about|at most|around|up to)\s+(\d+)\s+words", re.IGNORECASE)
_PARTS = re.compile(r"(\d+)(?:\s*(?:-|–|to)\s*(\d+))?\s+(?:scenes|sections|parts|paragraphs)", re.IGNORECASE)
_NICHE = re.compile(r"interested in ([^.\n]+)", re.IGNORECASE)


def read_brief(prompt: str) -> Brief:
    """Understand a prompt. What it does not say is filled as a model would: plainly and at a middling length."""
    sections = _sections(prompt)
    facts = dict(_FACT.findall(prompt))
    hook_text = sections.get("hook", "") or " ".join(re.findall(r"[^.\n]*\b(?:hook|open with)\b[^.\n]*", prompt, re.I))
    style = hook_text.lower()
    tone = (sections.get("tone", "") or prompt).lower()
    length = sections.get("length", "") or prompt
    if match := _WORDS.search(length):
        words = int(match[1]), int(match[2])
    elif match := _ONE_WORDS.search(length):
        words = int(int(match[1]) * 0.85), int(match[1])
    else:
        words = 55, 75
    parts = _PARTS.search(length)
    niche = _NICHE.search(prompt)
    product = sections.get("product", "").strip().splitlines()
    titles = [re.sub(r"^(title|name|product)\s*:\s*", "", text, flags=re.I) for text in facts.values()]
    return Brief(
        facts=facts,
        product=(product[0] if product else titles[0] if titles else "product").strip(),
        niche=(niche[1] if niche else "everyday things").strip(),
        hook=(
            "question" if "question" in style or "ask" in style
            else "number" if "number" in style or "how many" in style
            else "warning" if "mistake" in style or "warning" in style or "before you buy" in style
            else "picture" if "picture" in style or "imagine" in style or "story" in style
            else "plain"
        ),
        price_in_hook="price" in style,
        words=words,
        parts=int(parts[2] or parts[1]) if parts else 4,
        energetic=any(word in tone for word in ("energetic", "lively", "punchy", "excited", "upbeat")),
        exclaims="exclamation" in tone and "no exclamation" not in tone,
        counts_off="count" in tone or "first, second" in tone,
        bullets="bullet lists rather" in tone or "use bullet" in tone,
        closing_link="link" in prompt.lower(),
    )  # fmt: skip


def _sections(prompt: str) -> dict[str, str]:
    """Heading → the text below it."""
    heads = list(_HEADING.finditer(prompt))
    return {
        head[1].lower(): prompt[
            head.end() : heads[number + 1].start() if number + 1 < len(heads) else len(prompt)
        ].strip()
        for number, head in enumerate(heads)
    }


# ---------------------------------------------------------------------------------------------- composing
@dataclass
class _Part:
    """A scene or a section."""

    narration: str
    fact_ids: list[str]
    visual: str = ""
    heading: str = ""


@dataclass
class _Piece:
    """A whole composition, before it is poured into a schema."""

    title: str
    hook: str
    parts: list[_Part]
    description: str
    hashtags: list[str] = field(default_factory=list)


_HOOKS = {
    "question": (
        "Looking for {a_kind} that does its job without fuss?",
        "What should {a_kind} do for you before you pay for it?",
        "Which {kind} would you still use a year from now?",
        "Is the {short} what your {niche} corner is missing?",
        "Do you know what to check before buying {a_kind}?",
    ),
    "number": (
        "{count} things to know about the {short} before you buy.",
        "{count} facts about the {short} in half a minute.",
        "The {short}, in {count_low} points.",
    ),
    "warning": (
        "Before you buy {a_kind}, look at these points.",
        "Most people choose {a_kind} by its looks alone; look closer.",
    ),
    "picture": (
        "Picture the place where your next {kind} will stand.",
        "Imagine the {short} in your own home.",
    ),
    "plain": ("Here is the {short}, in plain words.", "This is the {short}."),
}
_TITLES = {
    "question": ("Is the {short} for You?", "What Is the {short} Good For?", "Do You Need the {short}?"),
    "number": ("{count} Things to Know About the {short}", "The {short} in {count} Points"),
    "warning": ("Before You Buy the {short}", "Check This Before Buying {A_kind}"),
    "picture": ("The {short} at Home", "A Place for the {short}"),
    "plain": ("The {short} in Plain Words", "Meet the {short}"),
}
_PRICE_HOOKS = ("What do you get for {price} with the {short}?", "{price}: what the {short} gives you for it.")
_COUNTERS = (
    ("First: ", "Second: ", "Third: ", "Fourth: ", "Fifth: "),
    ("Point one: ", "Point two: ", "Point three: ", "Point four: ", "Point five: "),
)
_LEADS = ("", "", "According to the maker: ", "Then this: ", "Also stated: ", "Also: ")
_FILLERS = (
    "Measure your space first.",
    "Compare it with what you already own.",
    "Those are the maker's own words.",
    "Read the full sheet at the shop.",
    "Check the size before you order.",
    "Think about where you would use it.",
    "Look at the shop's photos too.",
)
_CLOSINGS = (
    "See it at the shop through the link in the description.",
    "The link in the description leads to the shop.",
    "Find it through the link in the description.",
)
_NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six")
_COLOURS = re.compile(
    r"\b(black|white|grey|gray|charcoal|silver|gold(?:en)?|beige|khaki|brown|tan|walnut|oak|bamboo|red|orange|amber|"
    r"yellow|mustard|green|olive|sage|teal|turquoise|blue|navy|purple|lavender|mauve|pink|rose|copper|brass|steel|glass)\b",
    re.IGNORECASE,
)  # fmt: skip
_SHOTS = (
    "{Colour}{kind} seen whole on a round studio podium, soft light from the left",
    "Close-up of the {colour}{kind}, its texture and edge filling the frame",
    "{Colour}{kind} on a wooden table beside a window in the morning",
    "Flat lay from above: the {colour}{kind} among a few everyday objects",
    "{Colour}{kind} on a shelf in a calm room, evening lamp light",
    "{Colour}{kind} floating before a bold two-colour backdrop, strong shadow",
    "{Colour}{kind} outdoors on a stone ledge, hills out of focus behind it",
)
_INVENTIONS = (
    "We tested it for a month and it never let us down.",
    "I have used mine every day and I love it.",
    "Nine out of ten customers rate it five stars.",
    "It is the best {kind} on the market, guaranteed.",
    "Right now it costs only $4.99.",
)


class Writer:
    """Writes by prompt. Holds no state: the same prompt with the same generator gives the same text."""

    def __init__(self, temper: Temper | None = None) -> None:
        self.temper = temper or Temper()

    def write(self, prompt: str, schema: dict[str, Any] | None, rng: random.Random) -> Written:
        """Answer a prompt with a document that fits ``schema`` (a JSON schema), or with plain text if there is none."""
        luck, temper = rng.random(), self.temper
        if luck < temper.refusal:
            return Written(refusal="I'm sorry, but I can't help with that request.")
        luck -= temper.refusal
        brief = read_brief(prompt)
        wants_sections = "sections" in str((schema or {}).get("properties", {}).keys())
        piece = _compose_post(brief, rng) if wants_sections else _compose_script(brief, rng)
        if temper.truncated <= luck < temper.truncated + temper.invented_claim:
            victim = rng.choice(piece.parts)
            victim.narration = f"{victim.narration} {rng.choice(_INVENTIONS).format(kind=brief.kind)}"
        document = fill(schema, piece, rng) if schema is not None else " ".join(part.narration for part in piece.parts)
        return Written(document=document, rambling=luck < temper.truncated)


def _compose_script(brief: Brief, rng: random.Random) -> _Piece:
    fewest, most = brief.words
    scenes = max(1, brief.parts)
    claims = _claims(brief)
    hook, title, hook_facts = _opening(brief, min(len(claims) or 1, scenes - 1 or 1), rng)
    closing = rng.choice(_CLOSINGS)
    counters = rng.choice(_COUNTERS) if brief.counts_off else None
    leads = ["", *rng.sample(_LEADS, len(_LEADS))]
    budget = most - len(hook.split()) - len(closing.split())
    body: list[_Part] = []
    for number in range(scenes - 1):
        share = max(5, budget // max(1, scenes - 1 - number))
        lead = (counters or leads)[number % len(counters or leads)]
        claim = _take(claims, share - len(lead.split()))
        if claim is None:
            body.append(_Part(rng.choice(_FILLERS), []))
        else:
            text = f"{lead}{claim[1] if not lead else _lower_first(claim[1])}"
            body.append(_Part(_ends(text, brief, number), [claim[0]]))
        budget -= len(body[-1].narration.split())
    parts = [*body, _Part(closing, [])] if body else [_Part(closing, [])]
    _lengthen(parts, claims, fewest - len(hook.split()), most - len(hook.split()), rng)
    if hook_facts:
        parts[0].fact_ids = list(dict.fromkeys([*hook_facts, *parts[0].fact_ids]))
    shots = list(_SHOTS)
    rng.shuffle(shots)
    colour = next((match[1].lower() + " " for text in brief.facts.values() if (match := _COLOURS.search(text))), "")
    for number, part in enumerate(parts):
        shot = shots[number % len(shots)]
        part.visual = shot.format(kind=brief.kind, colour=colour, Colour=f"The {colour}")
    tags = [brief.kind, brief.niche, *brief.short.split()[:1], "shopping", "shorts"]
    return _Piece(
        title=title,
        hook=hook,
        parts=parts,
        description=f"The {brief.short} in the merchant's own facts. Details and today's price stand at the shop.",
        hashtags=[re.sub(r"\W", "", tag).lower() for tag in dict.fromkeys(tags) if re.sub(r"\W", "", tag)][:5],
    )


def _opening(brief: Brief, count: int, rng: random.Random) -> tuple[str, str, list[str]]:
    """Hook, title, and the facts that the hook states."""
    price = brief.price
    words = {
        "short": brief.short,
        "kind": brief.kind,
        "a_kind": brief.a_kind,
        "A_kind": brief.a_kind[0].upper() + brief.a_kind[1:],
        "niche": brief.niche,
        "count": _NUMBERS[min(count, 6)],
        "count_low": _NUMBERS[min(count, 6)].lower(),
        "price": price[1] if price else "",
    }
    if price and brief.price_in_hook:
        hook, cited = rng.choice(_PRICE_HOOKS).format(**words), [price[0]]
    else:
        hook, cited = rng.choice(_HOOKS[brief.hook]).format(**words), []
    if brief.exclaims and hook.endswith("."):
        hook = hook[:-1] + "!"
    title = rng.choice(_TITLES[brief.hook]).format(**words)
    return hook, title[:90], cited


def _claims(brief: Brief) -> list[tuple[str, str]]:
    """Sentences that the facts allow, each with its fact: descriptions by sentence, then the price."""
    claims: list[tuple[str, str]] = []
    for key, text in brief.facts.items():
        label, _, value = text.partition(": ")
        labelled = bool(value) and len(label.split()) <= 3
        body = value if labelled else text
        name = label.lower() if labelled else ""
        if _PRICE.search(text) or name in {
            "title",
            "name",
            "product",
            "availability",
            "url",
            "link",
            "category",
            "type",
        }:
            continue
        if body.strip().lower() == brief.product.lower():
            continue
        if name == "brand":
            claims.append((key, f"The brand is {body}."))
            continue
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9])", body):
            if len(sentence.split()) >= 2:
                claims.append((key, _neutral(sentence)))
    # The maker's sentences come first; the brand is worth a sentence only when little else is known.
    claims.sort(key=lambda claim: claim[1].startswith("The brand is"))
    if brief.price:
        claims.append((brief.price[0], f"The shop lists it at {brief.price[1]}."))
    return claims


_NEUTRAL = (
    (r"\bour\b", "the"),
    (r"\bOur\b", "The"),
    (r"\bwe\b", "the maker"),
    (r"\bWe\b", "The maker"),
    (r"\bus\b", "the maker"),
    (r"\b(?:a |the )?perfect blend\b", "a blend"),
    (r"\b(?:Perfect|Ideal) for\b", "Meant for"),
    (r"\b(?:perfect|ideal) for\b", "fit for"),
    (r"\bperfectly\b", "well"),
    (r"\b(?:a |the )?(?:perfect|best|ultimate|finest)\b", "a good"),
    (r"\bthese eye-catching\b", "these"),
    (r"\b(?:unparalleled|unmatched|unrivaled)\b", "notable"),
    (r"\bguarantee(?:s|d)?\b", "aims for"),
    (r"!", "."),
)


def _neutral(sentence: str) -> str:
    """A merchant's sentence without its 'our', its superlatives and its shouting."""
    for pattern, plain in _NEUTRAL:
        sentence = re.sub(pattern, plain, sentence)
    sentence = re.sub(r"\s+", " ", sentence).strip()
    return sentence if sentence.endswith((".", "?")) else f"{sentence.rstrip(',;:')}."


def _take(claims: list[tuple[str, str]], room: int) -> tuple[str, str] | None:
    """The next claim, cut at a clause when it is longer than the room."""
    if not claims:
        return None
    key, text = claims.pop(0)
    if len(text.split()) <= room:
        return key, text
    kept = ""
    for clause in re.split(r"(?<=[,;])\s+", text):
        if len(f"{kept} {clause}".split()) > room:
            break
        kept = f"{kept} {clause}".strip()
    if len(kept.split()) < 3:
        kept = " ".join(text.split()[: max(5, room)])
        # A cut must not leave the sentence hanging on a small word.
        kept = re.sub(r"(?:\s+(?:a|an|the|and|or|of|to|with|for|in|on|as|that|its|from|by|your|any|while))+$", "", kept)
    return key, kept.rstrip(",;:. ") + "."


def _lengthen(parts: list[_Part], claims: list[tuple[str, str]], fewest: int, most: int, rng: random.Random) -> None:
    """Bring the narrations between two word counts: spare claims first, then sentences that claim nothing."""
    fillers = list(_FILLERS)
    rng.shuffle(fillers)

    def total() -> int:
        return sum(len(part.narration.split()) for part in parts)

    body = parts[:-1] or parts
    turn = 0
    while total() < fewest and (claims or fillers):
        part = body[turn % len(body)]
        room = most - total()
        if claims and (taken := _take(claims, room)) and len(taken[1].split()) <= room:
            part.narration += f" {taken[1]}"
            part.fact_ids = list(dict.fromkeys([*part.fact_ids, taken[0]]))
        elif fillers and len(fillers[-1].split()) <= room:
            part.narration += f" {fillers.pop()}"
        elif fillers:
            fillers.pop()
        turn += 1
    while total() > most and any(len(part.narration.split()) > 6 for part in body):
        longest = max(body, key=lambda part: len(part.narration.split()))
        words = longest.narration.rstrip(".").split()[:-1]
        longest.narration = " ".join(words).rstrip(",;:") + "."


def _ends(text: str, brief: Brief, number: int) -> str:
    return text[:-1] + "!" if brief.exclaims and number == 0 and text.endswith(".") else text


def _lower_first(text: str) -> str:
    """Lower-case the first letter after a lead-in, unless the word is a name, a number or an abbreviation."""
    first = text.split(" ", 1)[0]
    return text if not first[:1].isupper() or not first[1:].islower() or len(first) < 2 else text[0].lower() + text[1:]


_ADVICE = (
    "Measure the place where it will stand or be kept, and compare that with the size the shop states.",
    "Read the return terms before you pay, so that a wrong choice costs you little.",
    "Look at every photo the shop shows, since a picture often answers what a sentence leaves out.",
    "Ask yourself how often you would use it in an ordinary week, not in an ideal one.",
    "Compare it with the one you already have and write down what it would do better for you.",
    "Check what is in the box, and what you would have to buy besides.",
    "Note the material, because it decides how the thing is cleaned and how it ages.",
    "See whether delivery to your address is included in the price or comes on top.",
    "If it is a present, make sure that it can be exchanged.",
    "Think about storage: a thing that is hard to reach is seldom used.",
    "Find out who answers when something breaks, and how you would reach them.",
    "Give yourself a night before you order; a good choice is still good in the morning.",
    "Set a budget first and look at the price second.",
    "Check the shop's current stock, because listings change from one day to the next.",
    "Write down the two points that matter most to you and judge by those alone.",
)


def _compose_post(brief: Brief, rng: random.Random) -> _Piece:
    fewest, most = brief.words
    count = max(3, brief.parts)
    claims = _claims(brief)
    hook, title, hook_facts = _opening(brief, min(max(1, len(claims)), 4), rng)
    if brief.hook == "plain":
        hook = f"The {brief.short} is {brief.a_kind} for people who care about {brief.niche}."
        title = rng.choice(("The {s}: A Plain Guide", "A Short Guide to the {s}", "The {s}, Explained Plainly"))
        title = title.format(s=brief.short)[:90]
    advice = list(_ADVICE)
    rng.shuffle(advice)
    headings = (
        ["What it is", "What the maker states", "Who it may suit", "What to check first", "In short"]
        if not brief.bullets
        else ["The question to ask", "What the maker states", "Check before you buy", "Your short list"]
    )
    headings = (
        [*headings, "One more thought", "Before you order"][:count] if count > len(headings) else headings[:count]
    )
    title_fact = next((key for key, text in brief.facts.items() if brief.product.lower() in text.lower()), None)
    lead = [hook_facts[0]] if hook_facts else [title_fact] if title_fact else []
    parts = [_Part("", [], heading=heading) for heading in headings]
    lines: list[list[str]] = [[] for _ in parts]
    lines[0] = [
        hook,
        "What follows uses only what the merchant publishes about it; nothing here comes from handling it.",
    ]
    parts[0].fact_ids = list(lead)
    lines[1].append(f"These are the points that the merchant gives for the {brief.short}.")
    for key, text in claims:
        lines[1].append(text)
        parts[1].fact_ids = list(dict.fromkeys([*parts[1].fact_ids, key]))
    if len(parts) > 2:
        lines[2].append(
            f"If {brief.niche} is your subject, ask whether these points answer a need that you already feel."
        )
    lines[-2 if len(parts) > 3 else -1].append(
        "The published facts leave some things open. These are worth a look at the shop."
    )
    turn = 0
    while sum(len(line.split()) for part in lines for line in part) < (fewest + most) // 2 and advice:
        lines[2 + turn % (len(parts) - 2)].append(advice.pop())
        turn += 1
    for part, texts in zip(parts, lines, strict=True):
        if brief.bullets and len(texts) > 2:
            part.narration = texts[0] + "\n\n" + "\n".join(f"- {text}" for text in texts[1:])
        else:
            half = (len(texts) + 1) // 2 if len(texts) > 4 else len(texts)
            part.narration = "\n\n".join(" ".join(chunk) for chunk in (texts[:half], texts[half:]) if chunk)
    return _Piece(
        title=title,
        hook=hook,
        parts=parts,
        description=f"What the merchant says about the {brief.short}, and what to check before buying it."[:160],
        hashtags=[brief.kind.replace(" ", ""), re.sub(r"\W", "", brief.niche)],
    )


# ---------------------------------------------------------------------------------------------- filling a schema
def fill(schema: dict[str, Any], piece: _Piece, rng: random.Random) -> Any:
    """Pour a composition into a JSON schema by field names; what it has no words for gets a plain value of its type."""
    return _Filler(schema, piece, rng).value(schema, "", None)


class _Filler:
    def __init__(self, root: dict[str, Any], piece: _Piece, rng: random.Random) -> None:
        self.root, self.piece, self.rng = root, piece, rng

    def value(self, schema: dict[str, Any], name: str, part: _Part | None) -> Any:
        if reference := schema.get("$ref"):
            node: Any = self.root
            for step in reference.lstrip("#/").split("/"):
                node = node[step]
            return self.value(node, name, part)
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self.value(schema[union][0], name, part)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.rng.choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((option for option in kind if option != "null"), "null")
        if kind == "object" or "properties" in schema:
            return {key: self.value(inner, key, part) for key, inner in schema.get("properties", {}).items()}
        if kind == "array":
            return self.items(schema, name, part)
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        if kind == "boolean":
            return False
        if kind == "null":
            return None
        return self.text(name, part)

    def items(self, schema: dict[str, Any], name: str, part: _Part | None) -> list[Any]:
        inner = schema.get("items", {"type": "string"})
        structured = "properties" in inner or "$ref" in inner
        if structured:
            return [self.value(inner, name, one) for one in self.piece.parts]
        lower = name.lower()
        if "fact" in lower or "citation" in lower or "source" in lower:
            if part is not None:
                return list(part.fact_ids)
            return list(dict.fromkeys(fact for one in self.piece.parts for fact in one.fact_ids))
        if "tag" in lower or "keyword" in lower:
            return list(self.piece.hashtags)
        if part is None and any(word in lower for word in ("scene", "narration", "paragraph", "section", "line")):
            return [one.narration for one in self.piece.parts]
        return [self.value(inner, name, part) for _ in range(max(1, int(schema.get("minItems", 1))))]

    def text(self, name: str, part: _Part | None) -> str:
        lower = name.lower()
        if part is not None:
            if any(word in lower for word in ("visual", "image", "shot", "picture", "still")):
                return part.visual
            if any(word in lower for word in ("heading", "title", "name")):
                return part.heading or self.piece.title
            return part.narration
        if any(word in lower for word in ("hook", "opening", "first")):
            return self.piece.hook
        if any(word in lower for word in ("description", "summary", "meta", "excerpt", "caption")):
            return self.piece.description
        if any(word in lower for word in ("title", "headline", "heading", "name")):
            return self.piece.title
        if any(word in lower for word in ("narration", "body", "script", "text", "markdown", "content")):
            return "\n\n".join(one.narration for one in self.piece.parts)
        return self.piece.description
