"""Money: ``Decimal`` in code, integer micros (millionths of a currency unit) at rest.

Why micros and not cents: a script costs about a quarter of a cent, one token a millionth of a dollar; rounding each
call to a cent would book scripts at nothing (ADR 0004). Never a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal

MICROS = 1_000_000
USD = "USD"


def to_micros(amount: Decimal) -> int:
    """Whole micros of an amount in currency units, rounded half to even."""
    return int((amount * MICROS).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def to_micros_up(amount: Decimal) -> int:
    """Whole micros, rounded up: for upper bounds such as a reservation's ``max_cost``."""
    return int((amount * MICROS).quantize(Decimal(1), rounding=ROUND_UP))


def from_micros(micros: int) -> Decimal:
    """Currency units of an amount at rest."""
    return Decimal(micros) / MICROS


def to_usd_micros(micros: int, currency: str, rates: Mapping[str, Decimal]) -> int | None:
    """Dollar micros of an amount, rounded half to even; dollars stay as they are.

    Args:
        micros: the amount, in millionths of ``currency``.
        currency: ISO 4217.
        rates: dollars for one unit of each currency.

    Returns:
        None where there is no rate: nobody may take it for nothing, nor for as many dollars.
    """
    if currency == USD:
        return micros
    return to_micros(from_micros(micros) * rates[currency]) if currency in rates else None


def to_cents(micros: int) -> int:
    """Whole cents, rounded half to even; for totals a person reads, never for single charges."""
    return int((Decimal(micros) / 10_000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def money(micros: int, currency: str) -> str:
    """An amount in its own currency, for a sentence: ``$1,234.56``, ``1,234.56 EUR``."""
    return dollars(micros) if currency == USD else f"{from_micros(micros):,.2f} {currency}"


def dollars(micros: int) -> str:
    """``-$1,234.56`` for a table or a sentence; four decimals below one dollar's cent resolution (``$0.0095``)."""
    amount = from_micros(micros)
    places = 4 if amount != 0 and abs(amount) < Decimal("0.10") else 2
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"
