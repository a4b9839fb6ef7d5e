"""The European Central Bank: its euro reference rates as XML, daily and of the last 90 days.

A fixing stands for every working day of the TARGET calendar and is published at 16:00 Frankfurt time. Rates are a pure
function of the world's seed, the currency and the day: waves of different lengths around today's usual rate and a small
daily jitter, so they move by fractions of a per cent from one day to the next. Free and without a key, as in life.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

_FRANKFURT = ZoneInfo("Europe/Berlin")
_PUBLISHED = time(16)
_HISTORY = timedelta(days=90)
# Units of the currency for one euro, as they usually stand.
_USUAL = {
    "USD": 1.12, "JPY": 171.0, "CZK": 24.6, "DKK": 7.46, "GBP": 0.872, "HUF": 392.0, "PLN": 4.27, "RON": 5.08,
    "SEK": 11.0, "CHF": 0.936, "ISK": 143.0, "NOK": 11.7, "TRY": 52.0, "AUD": 1.74, "BRL": 6.2, "CAD": 1.57,
    "CNY": 8.0, "HKD": 8.72, "IDR": 18_700.0, "ILS": 3.85, "INR": 98.0, "KRW": 1_610.0, "MXN": 20.9, "MYR": 4.75,
    "NZD": 1.97, "PHP": 65.0, "SGD": 1.46, "THB": 36.5, "ZAR": 19.9,
}  # fmt: skip
_WAVES = ((0.03, 611), (0.012, 97), (0.004, 23))  # depth, length in days
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" \
xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
\t<gesmes:subject>Reference rates</gesmes:subject>
\t<gesmes:Sender>
\t\t<gesmes:name>European Central Bank</gesmes:name>
\t</gesmes:Sender>
\t<Cube>
"""
_TAIL = "\t</Cube>\n</gesmes:Envelope>\n"


def routes(world: World) -> list[BaseRoute]:
    """The two files; everything else is the web site's page for what is not there."""
    bank = _Bank(world)
    return [
        Route("/ecb/stats/eurofxref/eurofxref-daily.xml", bank.daily, methods=["GET"]),
        Route("/ecb/stats/eurofxref/eurofxref-hist-90d.xml", bank.history, methods=["GET"]),
        Route("/ecb/{path:path}", _not_found, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


class _Bank:
    def __init__(self, world: World) -> None:
        self._world = world

    async def daily(self, request: Request) -> Response:
        return self._file(self._fixings()[:1])

    async def history(self, request: Request) -> Response:
        return self._file(self._fixings())

    def _fixings(self) -> list[date]:
        """The days whose rates are published, newest first."""
        now = self._world.now().astimezone(_FRANKFURT)
        days = (now.date() - timedelta(days=back) for back in range(_HISTORY.days + 1))
        return [day for day in days if is_fixing_day(day) and datetime.combine(day, _PUBLISHED, _FRANKFURT) <= now]

    def _file(self, days: list[date]) -> Response:
        cubes = []
        for day in days:
            rates = "".join(
                f"\t\t\t<Cube currency='{currency}' rate='{self._rate(currency, day)}'/>\n" for currency in _USUAL
            )
            cubes.append(f"\t\t<Cube time='{day.isoformat()}'>\n{rates}\t\t</Cube>\n")
        return Response(_HEAD + "".join(cubes) + _TAIL, media_type="text/xml")

    def _rate(self, currency: str, day: date) -> str:
        phases = self._world.rng("ecb", currency)
        number = day.toordinal()
        drift = sum(depth * math.sin(2 * math.pi * (number / days + phases.random())) for depth, days in _WAVES)
        jitter = self._world.rng("ecb", currency, day).gauss(0, 0.001)
        rate = _USUAL[currency] * (1 + drift + jitter)
        return f"{rate:.5g}" if rate < 10_000 else f"{rate:.2f}"


def is_fixing_day(day: date) -> bool:
    """Whether the ECB fixes rates: no weekend and no closing day of TARGET."""
    easter = _easter(day.year)
    closed = {easter - timedelta(days=2), easter + timedelta(days=1)}
    closed |= {date(day.year, month, number) for month, number in ((1, 1), (5, 1), (12, 25), (12, 26))}
    return day.weekday() < 5 and day not in closed


def _easter(year: int) -> date:
    """Easter Sunday by the anonymous Gregorian algorithm (Nature, 1876)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


async def _not_found(request: Request) -> Response:
    return Response("<!DOCTYPE html><html><body>Page not found</body></html>", 404, media_type="text/html")
