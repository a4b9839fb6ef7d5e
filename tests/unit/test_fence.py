"""The fence: what was decided too long ago is not sent, by any client that ``open_http`` gave."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from affiliate_empire.kernel.fence import SleptTooLong, sending_within, still_in_time, this_instant
from affiliate_empire.vendors.http import open_http

MINUTE = timedelta(minutes=1)


def test_every_request_of_a_client_is_held_to_the_fence() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(200)

    monotonic, wall = this_instant()
    with open_http("https://vendor.example", transport=httpx.MockTransport(answer)) as http:
        http.get("https://vendor.example/outside")
        with sending_within(MINUTE, (monotonic - 50, wall - 50)):
            http.get("https://vendor.example/inside")
        for slept in ((monotonic - 61, wall), (monotonic, wall - 61)):
            with sending_within(MINUTE, slept), pytest.raises(SleptTooLong, match="slept for 1 minutes"):
                http.get("https://vendor.example/late")
    still_in_time()
    assert sent == ["/outside", "/inside"]
