"""The European Central Bank's euro reference rates: fetched as XML and read strictly. Free, without a key.

A fixing stands for each working day and is published at about 16:00 Frankfurt time; weekends and TARGET holidays have
none. What rate a business day goes by is ``affiliate_empire.operations.sync_rates``'s business.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import httpx

from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable
from affiliate_empire.vendors.http import open_http, retry_after

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_VENDOR = "ecb"
_FOLDER = "/stats/eurofxref/"
_ENVELOPE = "{http://www.gesmes.org/xml/2002-08-01}Envelope"
_CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
_CURRENCY = re.compile(r"[A-Z]{3}")
# Far above the 90 days' 100 kB; a page that is larger is none of theirs.
_MOST_BYTES = 4_000_000


@dataclass(frozen=True)
class Fixing:
    """The rates of one day: units of each currency for one euro."""

    day: date
    per_euro: Mapping[str, Decimal]


class ECBClient:
    """Reads the reference rates. Safe to share between threads.

    Args:
        base_url: the web site's.
        timeout: seconds.
    """

    def __init__(self, base_url: str, timeout: float = 30.0) -> None:
        self._http = open_http(base_url, base_url=base_url, timeout=timeout)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def fetch_latest(self) -> Fixing:
        """The newest fixing.

        Raises:
            VendorUnavailable: the bank does not answer, or answers with something that is no XML.
            VendorRefused: the file is not of the form that the bank has published for twenty years.
        """
        return self._fetch("eurofxref-daily.xml")[0]

    def fetch_history(self) -> list[Fixing]:
        """The fixings of the last 90 days, newest first. Raises as ``fetch_latest``."""
        return self._fetch("eurofxref-hist-90d.xml")

    def _fetch(self, name: str) -> list[Fixing]:
        try:
            response = self._http.get(_FOLDER + name)
        except httpx.TransportError as error:
            # Reading changes nothing at the bank, so it does not matter whether the request left.
            raise VendorUnavailable(
                f"The ECB could not be reached ({type(error).__name__}); check the network and run again.",
                vendor=_VENDOR,
                code=type(error).__name__,
            ) from error
        status = response.status_code
        if status == 429 or status >= 500:
            raise VendorUnavailable(
                f"The ECB answered {status} for {name}; run again later.",
                vendor=_VENDOR,
                code=str(status),
                retry_after=retry_after(response),
            )
        if status != 200:
            raise VendorRefused(
                f"The ECB answered {status} for {name}: see where it publishes its reference rates now.",
                vendor=_VENDOR,
                code=str(status),
            )
        return _fixings(_parsed(response.content, name), name)


def _parsed(data: bytes, name: str) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    page = data.lstrip()[:64].lower().startswith((b"<!doctype html", b"<html"))
    try:
        if not page and len(data) <= _MOST_BYTES:
            root: Element = fromstring(data, forbid_dtd=True)
            return root
    except DefusedXmlException as error:
        raise _strange(name, "it defines entities") from error
    except (ParseError, ValueError) as error:
        raise _no_xml(name, "something that is no XML") from error
    raise _no_xml(name, "a web page" if page else f"{len(data)} bytes")


def _fixings(root: Element, name: str) -> list[Fixing]:
    days = root.findall(f"{_CUBE}/{_CUBE}")
    if root.tag != _ENVELOPE or not days:
        raise _strange(name, "it holds no rates")
    fixings = [_fixing(day, name) for day in days]
    if any(older.day >= newer.day for newer, older in itertools.pairwise(fixings)):
        raise _strange(name, "its days are not in order, newest first")
    return fixings


def _fixing(node: Element, name: str) -> Fixing:
    try:
        day = date.fromisoformat(node.attrib["time"])
        per_euro: dict[str, Decimal] = {}
        for line in node:
            currency, rate = line.attrib["currency"], Decimal(line.attrib["rate"])
            if line.tag != _CUBE or not _CURRENCY.fullmatch(currency) or not rate.is_finite() or rate <= 0:
                raise ValueError(f"{currency} at {rate}")
            if per_euro.setdefault(currency, rate) != rate:
                raise ValueError(f"{currency} twice")
    except (KeyError, ValueError, InvalidOperation) as error:
        raise _strange(name, f"a line of it cannot be read ({error})") from error
    if "USD" not in per_euro:
        raise _strange(name, f"it has no dollar on {day}")
    return Fixing(day, per_euro)


def _no_xml(name: str, what: str) -> VendorUnavailable:
    return VendorUnavailable(
        f"The ECB answered {what} instead of {name}; run again later, or see whether something between here and there "
        "answers in its place.",
        vendor=_VENDOR,
        code="not_xml",
    )


def _strange(name: str, why: str) -> VendorRefused:
    return VendorRefused(
        f"The ECB's {name} is not as it always was ({why}): look at it, and adapt affiliate_empire/vendors/ecb.py.",
        vendor=_VENDOR,
        code="format",
    )
