"""Publish requests as they arrived, kept for the witness: what a publisher said in its own words, and what it left out.

Credentials are taken out; everything else stays as it was sent, so that a forgotten flag is missing here whatever the
platform made of it.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

_SECRET_HEADERS = frozenset({"authorization", "cookie"})
_SECRET_PARAMETERS = frozenset({"access_token", "appsecret_proof", "key", "oauth_token"})


async def raw_request(request: Request) -> dict[str, Any]:
    """Method, path, query, headers and body of a request; a body in JSON or form fields is given as an object."""
    return {
        "method": request.method,
        "path": request.url.path,
        "query": _open(dict(request.query_params)),
        "headers": {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS},
        "body": _body(request.headers.get("content-type", ""), await request.body()),
    }


def _body(kind: str, body: bytes) -> Any:
    text = body.decode("utf-8", "replace")
    if kind.startswith("application/json"):
        try:
            document = json.loads(text or "{}")
        except ValueError:
            return text
        return _open(document) if isinstance(document, dict) else document
    if kind.startswith("application/x-www-form-urlencoded"):
        return _open(dict(QueryParams(text)))
    return text


def _open(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in _SECRET_PARAMETERS}
