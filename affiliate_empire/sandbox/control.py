"""Control of the world over HTTP: health, clock, settings, accounts, consent, faults, weather.

For services and tests only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox.accounts import AccountRefused
from affiliate_empire.sandbox.clock import ClockRefused, instant, stamp
from affiliate_empire.sandbox.consent import ConsentRefused
from affiliate_empire.sandbox.faults import FaultRefused
from affiliate_empire.sandbox.weather import WeatherRefused

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

SETTINGS = ("impact_postback_url", "tracking_hosts")


def routes(world: World) -> list[BaseRoute]:
    """``/_world/health``, ``clock``, ``settings``, ``accounts``, ``consent``, ``faults`` and ``weather``."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "seed": world.seed, "now": stamp(world.now())})

    def clock_now() -> dict[str, Any]:
        return {"now": stamp(world.now()), "rate": world.clock.rate, "wall": stamp(world.clock.wall())}

    async def show_clock(request: Request) -> Response:
        return JSONResponse(clock_now())

    async def move_clock(request: Request) -> Response:
        try:
            wish = await _object(request)
            if set(wish) == {"to"}:
                await world.market.advance(instant(str(wish["to"])))
            elif set(wish) == {"rate"}:
                await world.market.set_rate(wish["rate"])
            else:
                return _refuse(400, 'say {"to": "2026-11-21T18:00:00Z"} or {"rate": 0} or {"rate": 1}')
        except ValueError as error:
            return _refuse(400, str(error))
        except ClockRefused as error:
            return _refuse(409, str(error))
        return JSONResponse(clock_now())

    async def settings(request: Request) -> Response:
        if request.method == "PUT":
            try:
                wish = await _object(request)
            except ValueError as error:
                return _refuse(400, str(error))
            unknown = set(wish) - set(SETTINGS)
            if unknown:
                return _refuse(400, f"unknown settings {sorted(unknown)}; known are {list(SETTINGS)}")
            with world.store.transaction():
                for name, value in wish.items():
                    world.store.save_fact(f"settings.{name}", json.dumps(value))
        return JSONResponse({name: json.loads(world.store.fact(f"settings.{name}") or "null") for name in SETTINGS})

    async def accounts(request: Request) -> Response:
        return JSONResponse(world.accounts.listing())

    async def account(request: Request) -> Response:
        platform, name = request.path_params["platform"], request.path_params["account"]
        if request.method == "GET":
            return JSONResponse(asdict(world.standing(platform, name)))
        try:
            return JSONResponse(asdict(world.accounts.put(platform, name, await _object(request))))
        except (ValueError, AccountRefused) as error:
            return _refuse(400, str(error))

    async def consent(request: Request) -> Response:
        if request.method == "PUT":
            try:
                world.consent.put(await _object(request))
            except (ValueError, ConsentRefused) as error:
                return _refuse(400, str(error))
        return JSONResponse(world.consent.listing())

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            world.faults.clear()
        elif request.method == "POST":
            try:
                fault_id = world.faults.add(await _object(request))
            except (ValueError, FaultRefused) as error:
                return _refuse(400, str(error))
            return JSONResponse({"id": fault_id}, status_code=201)
        return JSONResponse(world.faults.listing())

    async def weather(request: Request) -> Response:
        if request.method == "PUT":
            try:
                world.weather.put(await _object(request))
            except (ValueError, WeatherRefused) as error:
                return _refuse(400, str(error))
        return JSONResponse(world.weather.report())

    return [
        Route("/_world/health", health),
        Route("/_world/clock", show_clock, methods=["GET"]),
        Route("/_world/clock", move_clock, methods=["POST"]),
        Route("/_world/settings", settings, methods=["GET", "PUT"]),
        Route("/_world/accounts", accounts, methods=["GET"]),
        Route("/_world/accounts/{platform}/{account}", account, methods=["GET", "PUT"]),
        Route("/_world/consent", consent, methods=["GET", "PUT"]),
        Route("/_world/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/_world/weather", weather, methods=["GET", "PUT"]),
    ]


async def _object(request: Request) -> dict[str, Any]:
    body = json.loads(await request.body())
    if not isinstance(body, dict):
        raise ValueError("the body is a JSON object")
    return body


def _refuse(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status)
