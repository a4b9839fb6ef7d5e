"""Money: ``Decimal`` in code, integer micros (millionths of a currency unit) at rest.

Why micros and not cents: a script costs about a quarter of a cent, one token a millionth of a dollar; rounding each
call to a cent would book scripts at nothing (ADR 0004). Never a float.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal

MICROS = 1_000_000


def to_micros(amount: Decimal) -> int:
    """Whole micros of an amount in currency units, rounded half to even."""
    return int((amount * MICROS).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def to_micros_up(amount: Decimal) -> int:
    """Whole micros, rounded up: for upper bounds such as a reservation's ``max_cost``."""
    return int((amount * MICROS).quantize(Decimal(1), rounding=ROUND_UP))


def from_micros(micros: int) -> Decimal:
    """Currency units of an amount at rest."""
    return Decimal(micros) / MICROS


def to_cents(micros: int) -> int:
    """Whole cents, rounded half to even; for totals a person reads, never for single charges."""
    return int((Decimal(micros) / 10_000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def dollars(micros: int) -> str:
    """``-$1,234.56`` for a table or a sentence; four decimals below one dollar's cent resolution (``$0.0095``)."""
    amount = from_micros(micros)
    places = 4 if amount != 0 and abs(amount) < Decimal("0.10") else 2
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"
