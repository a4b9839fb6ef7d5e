"""impact.com as a media partner meets it: the partner API (Mediapartners v16), and the click server behind its links.

Every number is a string, every list is paged, every refusal names its rule. Programmes and catalogues are the world's
(``catalog``); actions come about in the market, which also sends the Event Notifications. A click is recorded before
its 302 leaves, with the ``subId1`` it carried.
"""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox import keys
from affiliate_empire.sandbox.catalog import Item, Program
from affiliate_empire.sandbox.clock import instant, stamp

if TYPE_CHECKING:
    import sqlite3

    from affiliate_empire.sandbox.world import World

PARTNER = "3101"  # the account's media partner id, first in every tracking link
CALLS_PER_HOUR = 1_000
CATALOG_CALLS_PER_HOUR = 3_600
MOST_ITEMS = 20_000
MOST_PER_PAGE = 1_000
LONGEST_WINDOW = timedelta(days=45)
OLDEST = timedelta(days=3 * 365)
SUB_ID_LENGTH = 255

_PAGING = frozenset({"Page", "PageSize"})
_SUB_IDS = ("subId1", "subId2", "subId3", "sharedId")


class Refused(Exception):
    """An error as the partner API words it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def routes(world: World) -> list[BaseRoute]:
    """``/impact/Mediapartners/{SID}/…`` and ``/impact_click/c/{partner}/{ad}/{program}``."""
    impact = _Impact(world)
    account = "/impact/Mediapartners/{sid}"
    return [
        Route(f"{account}/Campaigns", impact.guarded(impact.campaigns)),
        Route(f"{account}/Campaigns/{{campaign_id}}/PublicTerms", impact.guarded(impact.public_terms)),
        Route(f"{account}/Catalogs", impact.guarded(impact.catalogs, CATALOG_CALLS_PER_HOUR)),
        Route(f"{account}/Catalogs/{{catalog_id}}/Items", impact.guarded(impact.items, CATALOG_CALLS_PER_HOUR)),
        Route(f"{account}/Programs/{{campaign_id}}/TrackingLinks", impact.guarded(impact.link), methods=["POST"]),
        Route(f"{account}/Actions", impact.guarded(impact.actions)),
        Route(f"{account}/Actions/{{action_id}}", impact.guarded(impact.action)),
        Route("/impact_click/c/{partner}/{ad}/{program}", impact.click),
    ]


class _Impact:
    def __init__(self, world: World) -> None:
        self.world = world
        # Calls per limit and hour of the world. In memory only: a restart that forgets a rate limit harms nobody.
        self._calls: dict[tuple[int, str], int] = {}

    def guarded(self, answer: Callable[[Request], Any], limit: int = CALLS_PER_HOUR) -> Callable[[Request], Any]:
        """Credentials, the account in the path, the rate limit; refusals as JSON."""

        async def endpoint(request: Request) -> Response:
            headers: dict[str, str] = {}
            try:
                self._authorize(request)
                headers = self._count(limit)
                response: Response = JSONResponse(await answer(request))
            except Refused as refusal:
                body = {"Status": "ERROR", "Message": refusal.message}
                response = JSONResponse(body, status_code=refusal.status)
                if refusal.status == 401:
                    response.headers["WWW-Authenticate"] = 'Basic realm="impact"'
                if refusal.status == 429:
                    headers = self._rate_headers(limit, 0)
            response.headers.update(headers)
            return response

        return endpoint

    def _authorize(self, request: Request) -> None:
        kind, _, coded = request.headers.get("authorization", "").partition(" ")
        try:
            sid, _, token = base64.b64decode(coded, validate=True).decode().partition(":")
        except ValueError:
            sid = token = ""
        if kind != "Basic" or (sid, token) != (keys.IMPACT_ACCOUNT_SID, keys.IMPACT_AUTH_TOKEN):
            raise Refused(401, "Authentication failed: the account SID or the auth token is not valid.")
        if request.path_params["sid"] != sid:
            raise Refused(403, "Access denied: the account in the path is not yours.")
        if "application/json" not in request.headers.get("accept", ""):
            raise Refused(406, "This world answers in JSON: send Accept: application/json.")

    def _count(self, limit: int) -> dict[str, str]:
        hour = stamp(self.world.now())[:13]
        used = self._calls.get((limit, hour), 0)
        if used >= limit:
            raise Refused(429, "Rate limit exceeded.")
        self._calls = {key: count for key, count in self._calls.items() if key[1] == hour}
        self._calls[limit, hour] = used + 1
        return self._rate_headers(limit, limit - used - 1)

    def _rate_headers(self, limit: int, remaining: int) -> dict[str, str]:
        now = self.world.now()
        reset = 3600 - now.minute * 60 - now.second
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }

    # ------------------------------------------------------------------ programmes and catalogues
    async def campaigns(self, request: Request) -> dict[str, Any]:
        """The joined programmes; ``InsertionOrderStatus=Expired`` has none in this world."""
        _check(request.query_params, _PAGING | {"InsertionOrderStatus"})
        status = request.query_params.get("InsertionOrderStatus", "Active")
        if status not in ("Active", "Expired"):
            raise Refused(400, "InsertionOrderStatus must be Active or Expired.")
        programs = list(self.world.catalog.programs.values()) if status == "Active" else []
        return self._page(request, "Campaigns", [self._campaign(program) for program in programs])

    def _campaign(self, program: Program) -> dict[str, Any]:
        root = f"/Mediapartners/{keys.IMPACT_ACCOUNT_SID}/Campaigns/{program.program_id}"
        return {
            "AdvertiserId": f"9{program.program_id}",
            "AdvertiserName": program.name,
            "AdvertiserUrl": f"http://{program.domains[0]}/" if program.domains else "",
            "CampaignId": program.program_id,
            "CampaignName": program.name,
            "CampaignUrl": f"http://{program.domains[0]}/" if program.domains else "",
            "CampaignDescription": f"{program.name} (SIMULATED programme)",
            "ShippingRegions": ["US"],
            "AllowsDeeplinking": "true",
            "DeeplinkDomains": list(program.domains),
            "ContractStatus": "Active",
            "ContractUri": f"{root}/Contracts/Active",
            "PublicTermsUri": f"{root}/PublicTerms",
            "HasStandDownPolicy": "false",
            "Currency": program.currency,
            "TrackingLink": self._tracking_url(program),
        }

    async def public_terms(self, request: Request) -> dict[str, Any]:
        """What a programme pays: percentage of the sale, window, locking."""
        _check(request.query_params, frozenset())
        program = self._program(request.path_params["campaign_id"])
        return {
            "CampaignId": program.program_id,
            "CampaignName": program.name,
            "Currency": program.currency,
            "PayoutTermsList": [
                {
                    "TrackerId": f"8{program.program_id}",
                    "TrackerName": "Online Sale",
                    "TrackerType": "SALE",
                    "PayoutType": "PCT_OF_SALEAMOUNT",
                    "PayoutAmount": "",
                    "PayoutCurrency": program.currency,
                    "PayoutPercentage": f"{program.commission_rate * 100:f}".rstrip("0").rstrip("."),
                    "ReferralPeriod": str(program.cookie_days),
                    "ReferralPeriodUnit": "DAY",
                    "CreditPolicy": "LAST_CLICK",
                    "LockingPeriod": str(program.locking_days),
                    "LockingPeriodUnit": "DAY",
                }
            ],
        }

    async def catalogs(self, request: Request) -> dict[str, Any]:
        """Catalogues of joined programmes; as at impact.com, with the FTP password in clear."""
        _check(request.query_params, _PAGING)
        rows = []
        for program in self.world.catalog.programs.values():
            if program.catalog_id is None:
                continue
            path = f"/Mediapartners/{keys.IMPACT_ACCOUNT_SID}/Catalogs/{program.catalog_id}"
            rows.append(
                {
                    "Id": program.catalog_id,
                    "Name": f"{program.name} catalogue",
                    "AdvertiserId": f"9{program.program_id}",
                    "AdvertiserName": program.name,
                    "CampaignId": program.program_id,
                    "CampaignName": program.name,
                    "Status": "ACTIVE",
                    "Currency": program.currency,
                    "Language": "en",
                    "ServiceAreas": ["US"],
                    "NumberOfItems": str(len(self.world.catalog.of(program.program_id))),
                    "DateLastUpdated": _when(self.world.now().replace(hour=0, minute=0, second=0)),
                    "ItemsUri": f"{path}/Items",
                    "Locations": [],
                    "FTPLocations": [f"ftp://partner:not-for-logs@products.impact.invalid/{program.catalog_id}.txt.gz"],
                }
            )
        return self._page(request, "Catalogs", rows)

    async def items(self, request: Request) -> dict[str, Any]:
        """Items of a catalogue, in the order of its file."""
        _check(request.query_params, _PAGING)
        catalog_id = request.path_params["catalog_id"]
        program = next((p for p in self.world.catalog.programs.values() if p.catalog_id == catalog_id), None)
        if program is None:
            raise Refused(404, f"Catalog {catalog_id} does not exist.")
        rows = [self._item(program, item) for item in self.world.catalog.of(program.program_id)]
        return self._page(request, "Items", rows, most=MOST_ITEMS)

    def _item(self, program: Program, item: Item) -> dict[str, Any]:
        price = f"{item.price:.2f}"
        return {
            "Id": f"product_{program.catalog_id}_{item.item_id}",
            "CatalogId": program.catalog_id,
            "CampaignId": program.program_id,
            "CampaignName": program.name,
            "CatalogItemId": item.item_id,
            "Name": item.title,
            "Description": item.description,
            "Manufacturer": item.brand,
            "Url": self._tracking_url(program, item.link),
            "ImageUrl": item.image_link,
            "CurrentPrice": price,
            "OriginalPrice": price,
            "DiscountPercentage": "0",
            "Currency": item.currency,
            "StockAvailability": "".join(word.capitalize() for word in item.availability.split("_")),
            "Condition": "New",
            "Gtin": "",
            "OriginalFormatCategory": item.product_type,
            "Category": item.product_type.split(">")[0].strip(),
            "Promotions": [],
        }

    def _program(self, campaign_id: str) -> Program:
        program = self.world.catalog.programs.get(campaign_id)
        if program is None:
            raise Refused(404, f"Campaign {campaign_id} does not exist, or you have not joined it.")
        return program

    # ------------------------------------------------------------------ links and clicks
    def _tracking_url(self, program: Program, page: str | None = None) -> str:
        address = f"{self.world.base_url}/impact_click/c/{PARTNER}/{program.ad_id}/{program.program_id}"
        return f"{address}?{urlencode({'u': page})}" if page else address

    async def link(self, request: Request) -> dict[str, Any]:
        """A tracking link, deep if asked; only to the programme's own domains."""
        query = request.query_params
        _check(query, frozenset({"DeepLink", "Type", "AdId", "MediaPartnerPropertyId", "CustomPath", *_SUB_IDS}))
        program = self._program(request.path_params["campaign_id"])
        page = query.get("DeepLink")
        if page is not None and not _belongs(page, program):
            raise Refused(400, "The DeepLink's domain is not one of the campaign's DeeplinkDomains.")
        if query.get("Type", "regular") not in ("regular", "vanity"):
            raise Refused(400, "Type must be regular or vanity.")
        url = self._tracking_url(program, page)
        sub_ids = [(name, query[name]) for name in _SUB_IDS if query.get(name)]
        if any(len(value) > SUB_ID_LENGTH for _, value in sub_ids):
            raise Refused(400, f"A sub-id has at most {SUB_ID_LENGTH} characters.")
        if sub_ids:
            url += ("&" if page else "?") + urlencode(sub_ids)
        return {"TrackingURL": url}

    async def click(self, request: Request) -> Response:
        """Record the click, then send the visitor to the shop, which gets the click's id as ``irclickid``."""
        path = request.path_params
        program = self.world.catalog.programs.get(path["program"])
        if program is None or path["ad"] != program.ad_id or path["partner"] != PARTNER:
            return PlainTextResponse("This link is not active.", status_code=404)
        page = request.query_params.get("u", "")
        destination = page if page and _belongs(page, program) else f"http://{program.domains[0]}/"
        click_id = uuid.uuid4().hex
        self.world.store.execute(
            "INSERT INTO impact_clicks VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                click_id,
                stamp(self.world.now()),
                path["partner"],
                path["ad"],
                path["program"],
                request.query_params.get("subId1", "")[:SUB_ID_LENGTH],
                destination,
            ),
        )
        return RedirectResponse(_with_parameter(destination, "irclickid", click_id), status_code=302)

    # ------------------------------------------------------------------ actions
    async def actions(self, request: Request) -> dict[str, Any]:
        """Actions last updated in a window of at most 45 days, oldest update first."""
        query = request.query_params
        _check(query, _PAGING | {"StartDate", "EndDate", "CampaignId", "State"})
        start, end = self._window(query)
        state = query.get("State")
        if state is not None and state not in ("PENDING", "APPROVED", "REVERSED"):
            raise Refused(400, "State must be PENDING, APPROVED or REVERSED.")
        rows = self.world.store.query(
            "SELECT * FROM actions WHERE updated_at >= ? AND updated_at <= ? ORDER BY updated_at, id",
            (stamp(start), stamp(end)),
        )
        wanted = [
            self._action(row)
            for row in rows
            if query.get("CampaignId") in (None, row["campaign_id"]) and state in (None, row["state"])
        ]
        return self._page(request, "Actions", wanted)

    async def action(self, request: Request) -> dict[str, Any]:
        """One action as it is now."""
        _check(request.query_params, frozenset())
        row = self.world.store.one("SELECT * FROM actions WHERE id = ?", (request.path_params["action_id"],))
        if row is None:
            raise Refused(404, "The action does not exist.")
        return self._action(row)

    def _window(self, query: QueryParams) -> tuple[datetime, datetime]:
        now = self.world.now()
        if "StartDate" not in query and "EndDate" not in query:
            return now - timedelta(days=7), now
        if "StartDate" not in query or "EndDate" not in query:
            raise Refused(400, "StartDate and EndDate are needed together.")
        try:
            start, end = instant(query["StartDate"]), instant(query["EndDate"])
        except ValueError:
            raise Refused(400, "StartDate and EndDate must be ISO 8601 with an offset.") from None
        if end < start:
            raise Refused(400, "EndDate is before StartDate.")
        if end - start > LONGEST_WINDOW:
            raise Refused(400, "StartDate and EndDate must be at most 45 days apart.")
        if start < now - OLDEST:
            raise Refused(400, "StartDate must be within the last 3 years.")
        return start, end

    def _action(self, row: sqlite3.Row) -> dict[str, Any]:
        program = self.world.catalog.programs.get(row["campaign_id"])
        return {
            "Id": row["id"],
            "CampaignId": row["campaign_id"],
            "CampaignName": program.name if program else "",
            "ActionTrackerId": f"8{row['campaign_id']}",
            "ActionTrackerName": "Online Sale",
            "AdId": program.ad_id if program else "",
            "State": row["state"],
            "StateDetail": row["reason"],
            "Payout": row["payout"],
            "DeltaPayout": _difference(row["payout"], row["intended_payout"]),
            "IntendedPayout": row["intended_payout"],
            "Amount": row["amount"],
            "DeltaAmount": _difference(row["amount"], row["intended_amount"]),
            "IntendedAmount": row["intended_amount"],
            "Currency": row["currency"],
            "ReferringDate": row["referring_at"],
            "ReferringType": "CLICK_COOKIE",
            "EventDate": row["event_at"],
            "CreationDate": row["creation_at"],
            "LockingDate": row["locking_at"],
            "ClearedDate": "",
            "Oid": row["oid"],
            "SubId1": row["subid1"],
            "SubId2": "",
            "SubId3": "",
            "SharedId": "",
        }

    # ------------------------------------------------------------------ paging
    def _page(
        self, request: Request, field: str, rows: Sequence[dict[str, Any]], *, most: int | None = None
    ) -> dict[str, Any]:
        page = _number(request.query_params.get("Page", "1"), "Page")
        size = min(_number(request.query_params.get("PageSize", "100"), "PageSize"), MOST_PER_PAGE)
        if most is not None and (page - 1) * size >= most:
            raise Refused(400, f"At most {most} items can be reached: download the catalogue's file.")
        pages = max(1, math.ceil(len(rows) / size))
        path = f"{request.url.path.removeprefix('/impact')}?PageSize={size}"
        begin = (page - 1) * size
        return {
            "@page": str(page),
            "@numpages": str(pages),
            "@pagesize": str(size),
            "@total": str(len(rows)),
            "@start": str(begin),
            "@end": str(min(begin + size, len(rows)) - 1),
            "@uri": f"{path}&Page={page}",
            "@firstpageuri": f"{path}&Page=1",
            "@previouspageuri": f"{path}&Page={page - 1}" if page > 1 else "",
            "@nextpageuri": f"{path}&Page={page + 1}" if page < pages else "",
            "@lastpageuri": f"{path}&Page={pages}",
            field: list(rows[begin : begin + size]),
        }


def _check(query: QueryParams, known: frozenset[str]) -> None:
    for name in query:
        if name not in known:
            raise Refused(400, f"Unknown parameter: {name}.")


def _number(text: str, name: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise Refused(400, f"{name} must be a number from 1.")
    return int(text)


def _belongs(page: str, program: Program) -> bool:
    """Whether a page is on one of the programme's domains or below one; ports count only where the domain names one."""
    parts = urlsplit(page)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    for domain in program.domains:
        host = (parts.netloc if ":" in domain else parts.hostname).lower()
        if host == domain.lower() or host.endswith(f".{domain.lower()}"):
            return True
    return False


def _with_parameter(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), (name, value)]
    return urlunsplit((parts.scheme, parts.netloc, quote(parts.path, safe="/%:@!$&'()*+,;=~-._"), urlencode(query), ""))


def _difference(now: str, intended: str) -> str:
    return f"{Decimal(now) - Decimal(intended):.2f}"


def _when(at: datetime) -> str:
    return stamp(at)[:19] + "Z"
