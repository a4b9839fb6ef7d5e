"""Whether what a text cites of a product still holds when it is about to go out.

A text is written hours before its post, and the merchant may change the price in between. Whether the product can
still be bought is the ledger's knowledge (``affiliate_empire.operations.check_offer``).
"""

from __future__ import annotations

from collections.abc import Mapping

from affiliate_empire.compliance.claims import states_price
from affiliate_empire.content.post import Post, post_texts
from affiliate_empire.content.script import Script, script_texts

_PRICE = "price: "


def check_price(document: Script | Post, facts: Mapping[str, str], price_now: str) -> list[str]:
    """Why a text's price would be wrong today, as sentences; empty when it cites none, or the one that holds.

    Args:
        document: what goes out.
        facts: the piece's numbered facts, ``F1`` → text, as they were when it was written.
        price_now: the price fact as it would be stated today, ``Price: 64.00 USD``.
    """
    stated = next(((key, text) for key, text in facts.items() if text.lower().startswith(_PRICE)), None)
    if stated is None or stated[1] == price_now:
        return []
    key, text = stated
    others = [fact for fact in facts.values() if fact != text]
    if isinstance(document, Script):
        texts, cited = script_texts(document), [fact for scene in document.scenes for fact in scene.fact_ids]
    else:
        texts, cited = post_texts(document), [fact for section in document.sections for fact in section.fact_ids]
    if key not in cited and not any(states_price(words, text, others) for words in texts):
        return []
    return [f"It cites the price {text[len(_PRICE) :]}, and the merchant asks {price_now[len(_PRICE) :]} now."]
