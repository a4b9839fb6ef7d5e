"""The merchants: a Google Merchant product feed, and the shop pages behind the affiliate links."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} | {shop}</title></head>
<body><p>SIMULATED SHOP</p><h1>{title}</h1><p>{description}</p><p><strong>{price} {currency}</strong></p></body></html>
"""
_IMAGE = """<svg xmlns="http://www.w3.org/2000/svg" width="800" height="800">
<rect width="800" height="800" fill="#e8e4da"/>
<text x="400" y="410" font-family="sans-serif" font-size="36" text-anchor="middle" fill="#333">{title}</text></svg>
"""


def routes(world: World) -> list[BaseRoute]:
    """``/merchant/feed.tsv`` and ``/merchant/products/{id}``."""

    async def feed(request: Request) -> Response:
        return Response(world.catalog.feed, media_type="text/tab-separated-values; charset=utf-8")

    async def product(request: Request) -> Response:
        item = world.catalog.items.get(request.path_params["item_id"])
        if item is None:
            return PlainTextResponse("No such product.", status_code=404)
        return HTMLResponse(
            _PAGE.format(
                title=html.escape(item.title),
                shop=html.escape(world.catalog.programs[item.program_id].name),
                description=html.escape(item.description),
                price=f"{item.price:.2f}",
                currency=html.escape(item.currency),
            )
        )

    async def image(request: Request) -> Response:
        item = world.catalog.items.get(request.path_params["item_id"])
        if item is None:
            return PlainTextResponse("No such product.", status_code=404)
        return Response(_IMAGE.format(title=html.escape(item.title)), media_type="image/svg+xml")

    return [
        Route("/merchant/feed.tsv", feed),
        Route("/merchant/products/{item_id}", product),
        Route("/merchant/products/{item_id}/image.svg", image),
    ]
