"""The facts of a product that a writer may cite: numbered, one statement each, nothing that may not be said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from affiliate_empire.kernel.money import from_micros

FACTS = 12
_SENTENCE_CHARACTERS = 300
# After . ! or ?, before a capital, digit or quotation mark: "2.5 L" and "e.g. this" stay whole.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'“‘(]?[A-Z0-9])")
_ADDRESS = re.compile(r"https?://|www\.", re.IGNORECASE)


def product_facts(
    *,
    title: str,
    brand: str,
    category: str,
    price_micros: int,
    currency: str,
    description: str,
    price_may_be_shown: bool,
    objections: Callable[[str], Sequence[str]],
) -> dict[str, str]:
    """Numbered facts, ``F1`` → text: name, category, brand, price, then the merchant's sentences.

    Args:
        title, brand, category, description: as the catalogue has them.
        price_micros: the price in millionths of ``currency``.
        currency: ISO 4217.
        price_may_be_shown: whether the network allows a price in content.
        objections: says what may never be said in a sentence (``compliance.forbidden_claims``); such a sentence of the
            merchant's is left out, because a writer would repeat it.
    """
    statements = [f"Name: {title}"]
    if category:
        statements.append(f"Category: {category}")
    if brand:
        statements.append(f"Brand: {brand}")
    if price_may_be_shown:
        statements.append(price_fact(price_micros, currency))
    for sentence in _SENTENCE_END.split(description.strip()):
        text = sentence.strip()
        if text and len(text) <= _SENTENCE_CHARACTERS and not _ADDRESS.search(text) and not objections(text):
            statements.append(text)
    return {f"F{number}": text for number, text in enumerate(dict.fromkeys(statements[:FACTS]), start=1)}


def price_fact(price_micros: int, currency: str) -> str:
    """The fact that states a price: ``Price: 64.00 USD``."""
    return f"Price: {_amount(from_micros(price_micros))} {currency}"


def _amount(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount == amount.quantize(Decimal("0.01")) else f"{amount.normalize():f}"
