"""``/postbacks/{network}/{token}``: what networks push to us.

In this order, because a network may never repeat itself: check who sends, store the request as it came and commit, read
events from it and commit those, answer 200. A request that cannot be read is kept with its ``problem``, raises an alert
and is answered 200 as well: sending the same again would not help. 503 while the database is away, so that the network
retries; 401 for whoever is not known, without saying why. An event that comes again changes nothing; one that comes
again with other amounts is kept with its ``problem``.

A network is known by the secret in its address, and by its servers' networks where they are given; a merchant who pays
directly by the signature of what is sent (standardwebhooks.com), which is at most five minutes old.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import structlog
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from affiliate_empire.analytics import awin, direct, impact, rakuten
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.ids import derived_id, new_ulid
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.conversions import save_conversion_events
from affiliate_empire.ledger.tables import Alert, Postback
from affiliate_empire.tracking.outages import DATABASE_OUTAGE

MAX_BODY_BYTES = 65_536
SIGNED = "signed"  # in place of the secret, in the address of who signs
# Who sent it from where is personal or useless; credentials must not be kept.
_KEPT_HEADERS = ("content-type", "content-length", "user-agent", "date", "webhook-id", "webhook-timestamp")

# What makes events of a network's parameters.
READERS: dict[str, Callable[[Mapping[str, str], datetime], Sequence[dict[str, Any]]]] = {
    impact.NETWORK: impact.events_from_push,
    awin.NETWORK: awin.events_from_push,
    rakuten.NETWORK: rakuten.events_from_push,
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Sender:
    """How one sender is known. Of secrets two may hold at a time, while one takes the other's place.

    Attributes:
        tokens: secrets in the address.
        signatures: secrets of signatures (``whsec_…``); who has one signs, and no token is asked for.
        networks: where it sends from (CIDR); empty for anywhere.
    """

    tokens: Sequence[str] = ()
    signatures: Sequence[str] = ()
    networks: Sequence[str] = ()

    def sent(self, request: Request, token: str, body: bytes) -> bool:
        """Whether a request is this sender's; every secret is compared, whichever matches."""
        if self.signatures:
            matches = [token == SIGNED and _is_signed(secret, request, body) for secret in self.signatures]
        else:
            # Bytes, because compare_digest refuses non-ASCII text.
            given = token.encode("utf-8", "surrogateescape")
            matches = [hmac.compare_digest(given, secret.encode()) for secret in self.tokens]
        return any(matches) and self._is_from_there(request)

    def _is_from_there(self, request: Request) -> bool:
        if not self.networks:
            return True
        try:
            address = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in ipaddress.ip_network(network) for network in self.networks)


def _is_signed(secret: str, request: Request, body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # a signature or a body that is not even written as one
        return False
    return True


_NOBODY = Sender(tokens=("",))


class Postbacks:
    """The endpoint. ``senders``: who may send, by network."""

    def __init__(self, ledger: Ledger, clock: Clock, senders: Mapping[str, Sender]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._senders = senders

    async def __call__(self, request: Request) -> Response:
        network, token = request.path_params["network"], request.path_params["token"]
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return JSONResponse({"error": f"A postback holds at most {MAX_BODY_BYTES} bytes."}, status_code=413)
        known = self._senders.get(network, _NOBODY).sent(request, token, bytes(body))
        if not known or network not in self._senders:
            return JSONResponse({"error": "This postback address is not known."}, status_code=401)
        try:
            answer = await run_in_threadpool(self._receive, network, request, bytes(body))
        except DATABASE_OUTAGE as error:
            log.error("postback_not_stored", network=network, error=str(error).strip())
            return JSONResponse({"error": "Not stored: please send it again."}, 503, headers={"retry-after": "30"})
        return JSONResponse(answer)

    def _receive(self, network: str, request: Request, body: bytes) -> dict[str, Any]:
        received_at = self._clock.now()
        postback_id = new_ulid(received_at)
        query = request.scope["query_string"].decode("latin-1")
        text = body.decode("utf-8", "replace").replace("\0", "\ufffd")
        with self._ledger.begin() as session:
            session.add(
                Postback(
                    postback_id=postback_id,
                    network=network,
                    method=request.method,
                    query=query,
                    body=text,
                    headers={name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers},
                    received_at=received_at,
                )
            )
        try:
            if network in READERS:
                said = _parameters(query, text, request.headers.get("content-type", ""))
                events = READERS[network](said, received_at)
            else:
                events = direct.events_from_notice(network, text, received_at)
        except BadInput as error:
            self._keep_problem(postback_id, network, str(error), received_at)
            return {"stored": postback_id, "events": 0, "problem": str(error)}
        with self._ledger.begin() as session:
            new, conflicts = save_conversion_events(session, events)
        if conflicts:
            self._keep_problem(postback_id, network, "; ".join(conflicts), received_at)
        return {"stored": postback_id, "events": new}

    def _keep_problem(self, postback_id: str, network: str, problem: str, at: datetime) -> None:
        log.error("postback_problem", network=network, postback_id=postback_id, problem=problem)
        alert = {
            "alert_id": derived_id("al", "postback", network, problem),
            "severity": "high",
            "subject": f"A postback of {network} needs a look",
            "message": f"{problem} (kept as postback {postback_id})",
            "raised_at": at,
        }
        with self._ledger.begin() as session:
            session.execute(update(Postback).where(Postback.postback_id == postback_id).values(problem=problem))
            session.execute(insert(Alert).values(alert).on_conflict_do_nothing())


def _parameters(query: str, body: str, content_type: str) -> dict[str, str]:
    """The parameters of query and body (form or JSON object). ``BadInput`` when one is given twice, differently."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if body.strip():
        pairs += _json_pairs(body) if "json" in content_type else parse_qsl(body, keep_blank_values=True)
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if parameters.setdefault(name, value) != value:
            raise BadInput(f"The postback gives {name!r} twice with different values.")
        if "\0" in name or "\0" in value:
            raise BadInput(f"The postback's {name!r} holds a NUL character.")
    return parameters


def _json_pairs(body: str) -> list[tuple[str, str]]:
    try:
        pairs = json.loads(body, object_pairs_hook=list, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The postback's body is not JSON: {error}.") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise BadInput("The postback's body is not a JSON object.")
    return [(name, "" if value is None else str(value)) for name, value in pairs]
