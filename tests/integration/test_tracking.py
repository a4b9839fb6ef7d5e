"""The tracking service over HTTP, on a real PostgreSQL, as the process that `empire track` starts."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update
from standardwebhooks import Webhook

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, Click, ConversionEvent, Link, Postback, Product, Program
from affiliate_empire.operations.judge_clicks import judge_clicks
from affiliate_empire.settings import SANDBOX_KEYS
from tests.factories.tracking import PUBLISHED_AT, ClockServer, TrackingProcess, publish_link

CODE = "k7Qm2RtX9b"
NOW = PUBLISHED_AT + timedelta(hours=5)
PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148"}
TOKEN = SANDBOX_KEYS["impact_postback_token"]
PUSH = "ActionId=1001.4000.77&Status=PENDING&Payout=2.40&Amount=60.00&Currency=USD&CampaignId=1001"


@pytest.fixture(scope="module")
def clock() -> Iterator[ClockServer]:
    server = ClockServer(NOW)
    yield server
    server.close()


@pytest.fixture(scope="module")
def service(
    module_ledger: Ledger, clock: ClockServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingProcess]:
    process = TrackingProcess(tmp_path_factory.mktemp("home"), module_ledger.url, clock.url)
    yield process
    process.close()


@pytest.fixture
def http(service: TrackingProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, headers=PHONE, trust_env=False) as client:
        yield client


def clicks(ledger: Ledger) -> list[Click]:
    with ledger.begin() as session:
        return list(session.scalars(select(Click).order_by(Click.click_id)))


def sub_id(reply: httpx.Response) -> str:
    assert reply.status_code == 302, reply
    (value,) = parse_qs(urlsplit(reply.headers["location"]).query)["subId1"]
    return value


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something announced by the database (a matter of milliseconds) comes true within two seconds."""
    deadline = time.monotonic() + 2
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


# ---------------------------------------------------------------- clicks
def test_a_click_is_in_the_ledger_when_its_302_arrives(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    reply = http.get(f"/r/{CODE}?url=https://evil.example&subId1=mine", headers={"referer": "https://youtube.com/x"})
    (click,) = clicks(ledger)
    assert reply.headers["location"] == (
        "https://shop.example.net/c/77/88/1001?u=https%3A%2F%2Fshop.example.net%2Fp%2F1"
        f"&subId1={click.click_id}#reviews"
    )
    assert reply.headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-hjkmnp-tv-z]{26}", click.click_id)
    assert (click.code, click.clicked_at, click.flags) == (CODE, NOW, [])
    assert (click.user_agent, click.referrer) == (PHONE["user-agent"], "https://youtube.com/x")


def test_hits_that_are_no_people_are_kept_and_flagged(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    http.get(f"/r/{CODE}")
    http.head(f"/r/{CODE}")
    http.get(f"/r/{CODE}", headers={"sec-purpose": "prefetch;prerender"})
    http.get(f"/r/{CODE}", headers={"user-agent": "Twitterbot/1.0"})
    http.head(f"/r/{CODE}", headers={"user-agent": ""})
    assert sorted(click.flags for click in clicks(ledger)) == [[], [], ["head"], ["head"], ["prefetch"]]
    judge_clicks(ledger=ledger)  # which program it is takes longer to say than the redirect may take
    assert sorted(click.flags for click in clicks(ledger)) == [[], ["bot"], ["bot", "head"], ["head"], ["prefetch"]]


def test_what_a_browser_calls_itself_is_stored_as_it_said_it(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    said = ["\\N", "\\.", "back\\slash\ttab", "caf\xe9 \x85", "x" * 4000]
    for user_agent in said:
        http.get(f"/r/{CODE}", headers={"user-agent": user_agent.encode("latin-1")})
    assert sorted(click.user_agent for click in clicks(ledger)) == sorted(agent[:512] for agent in said)


def test_only_get_and_head_are_clicks(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    reply = http.post(f"/r/{CODE}")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")
    assert clicks(ledger) == []


def test_unknown_and_retired_links_answer_alike_and_changes_are_followed(ledger: Ledger, http: httpx.Client) -> None:
    unknown = http.get(f"/r/{CODE}")
    assert unknown.status_code == 404
    publish_link(ledger, CODE)
    assert http.get(f"/r/{CODE}").status_code == 302, "a new link works from its commit on"
    with ledger.begin() as session:
        session.execute(update(Link).values(target_url="https://elsewhere.example/"))
    assert eventually(lambda: "elsewhere.example" in http.get(f"/r/{CODE}").headers["location"])
    with ledger.begin() as session:
        session.execute(update(Link).values(status="retired"))
    assert eventually(lambda: http.get(f"/r/{CODE}").status_code == 404)
    retired = http.get(f"/r/{CODE}")
    drop_date = {"date": ""}
    assert (retired.content, {**retired.headers, **drop_date}) == (unknown.content, {**unknown.headers, **drop_date})


def test_a_stored_link_that_could_break_a_header_is_not_followed(
    ledger: Ledger, http: httpx.Client, service: TrackingProcess
) -> None:
    publish_link(ledger, CODE, target_url="https://shop.example.net/\r\nSet-Cookie: a=b")
    assert http.get(f"/r/{CODE}").status_code == 404
    assert "link_unusable" in service.log


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.one_of(st.text(max_size=20), st.sampled_from(["//evil.example", "\\\\evil", "@evil", "/../h/x", "\0"])))
def test_no_request_chooses_where_it_is_sent(module_ledger: Ledger, http: httpx.Client, tail: str) -> None:
    publish_link(module_ledger, CODE)
    escaped = quote(tail.encode("utf-8", "surrogatepass"), safe="")
    for path in (f"/r/{CODE}{escaped}", f"/r/{escaped}", f"/r/{CODE}?u={escaped}&{escaped}"):
        reply = http.get(path, headers={"x-forwarded-for": "198.51.100.7"})  # its misses are nobody else's
        assert reply.status_code in (302, 404, 429)
        if reply.status_code == 302:
            assert urlsplit(reply.headers["location"]).hostname == "shop.example.net"


@pytest.mark.parametrize(
    ("path", "status", "burst"),
    [("/r/{}", 404, 60), ("/wp-admin/{}", 404, 60), ("/healthz?{}", 200, 60), ("/h/nobody?{}", 404, 300)],
)
def test_who_asks_too_often_is_told_when_to_come_again(
    ledger: Ledger, http: httpx.Client, path: str, status: int, burst: int
) -> None:
    publish_link(ledger, CODE)
    mine = {"x-forwarded-for": f"203.0.{len(path)}.9"}
    seen: list[httpx.Response] = []
    while (not seen or seen[-1].status_code == status) and len(seen) < 20 * burst:  # a slow machine gives some back
        seen.append(http.get(path.format(len(seen)), headers=mine))
    assert len(seen) > burst
    assert seen[-1].status_code == 429
    assert int(seen[-1].headers["retry-after"]) >= 1
    assert http.get(f"/r/{CODE}", headers=mine).status_code == 302  # a known link is never limited
    assert http.get(path.format(0), headers={"x-forwarded-for": "192.0.2.1"}).status_code == status


def test_no_header_can_be_injected_through_the_path(ledger: Ledger, service: TrackingProcess) -> None:
    publish_link(ledger, CODE)
    for path in (f"/r/{CODE}%0d%0aSet-Cookie:a=b", f"/r/%0d%0aSet-Cookie:a=b{CODE}", f"/r/{CODE}?%0d%0aSet-Cookie:a=b"):
        with socket.create_connection(("127.0.0.1", service.port)) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(4096), b""))
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert re.match(rb"http/1.1 (302|404) ", head)
        assert b"set-cookie" not in head.replace(b"%0d%0aset-cookie", b"")


def test_requests_that_follow_one_another_unasked_are_answered_in_their_order(
    ledger: Ledger, service: TrackingProcess
) -> None:
    publish_link(ledger, CODE)
    paths = [f"/r/{CODE}", "/r/nothing000", f"/r/{CODE}?utm_source=x", "/h/nobody", f"/r/{CODE}"]
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        requests = [f"GET {path} HTTP/1.1\r\nHost: t\r\n" for path in paths]
        raw.sendall("\r\n".join([*requests[:-1], f"{requests[-1]}Connection: close\r\n\r\n"]).encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"302", b"404", b"302", b"404", b"302"]
    assert answer.count(b"connection: close") == 1
    assert len(clicks(ledger)) == 3


def test_a_visitor_who_leaves_before_the_answer_is_a_click_all_the_same(
    ledger: Ledger, service: TrackingProcess, http: httpx.Client
) -> None:
    publish_link(ledger, CODE)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port)) as raw:
            raw.sendall(f"GET /r/{CODE} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    assert http.get(f"/r/{CODE}").status_code == 302
    until = time.monotonic() + 10
    while len(clicks(ledger)) < 6 and time.monotonic() < until:
        time.sleep(0.05)  # the server may come to the last of them after the one that waited
    assert len(clicks(ledger)) == 6


def test_no_address_is_kept(ledger: Ledger, http: httpx.Client, service: TrackingProcess) -> None:
    publish_link(ledger, CODE)
    address = {"x-forwarded-for": "203.0.113.77", "x-real-ip": "203.0.113.77"}
    addresses = ("203.0.113.77", "203.0.113.99", "198.51.100.1")
    ids = [sub_id(http.get(f"/r/{CODE}", headers={"x-forwarded-for": told})) for told in addresses]
    http.get("/h/gearlab", headers=address)
    http.get(f"/postbacks/impact/{TOKEN}?{PUSH}", headers=address)
    with ledger.begin() as session:
        kept = session.execute(
            text("SELECT row_to_json(c)::text FROM clicks c UNION ALL SELECT row_to_json(p)::text FROM postbacks p")
        ).scalars()
        everything = "\n".join(kept) + service.log
    assert "203.0.113" not in everything
    assert "127.0.0.1" not in everything
    visitors = {click.click_id: click.visitor_hash for click in clicks(ledger)}
    first, second, third = (visitors[click_id] for click_id in ids)
    assert first == second != third, "one network is one visitor, another one is not"


def test_who_opted_out_is_flagged_and_no_page_is_kept(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    for told in ("1", "0"):
        http.get(f"/r/{CODE}", headers={"sec-gpc": told, "referer": "https://example.org/page"})
    kept = sorted((click.flags, click.referrer) for click in clicks(ledger))
    assert kept == [([], "https://example.org/page"), (["gpc"], "")]


def test_who_signs_is_known_by_it_and_who_does_not_is_not(
    module_ledger: Ledger, ledger: Ledger, clock: ClockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    monkeypatch.setenv("EMPIRE_WEBHOOK_SECRETS", json.dumps({"acme": secret}))
    monkeypatch.setenv("EMPIRE_AWIN_POSTBACK_TOKEN", f"{'a' * 24} {'b' * 24}")
    service = TrackingProcess(tmp_path, module_ledger.url, clock.url)
    try:
        with httpx.Client(base_url=service.url, trust_env=False) as client:
            body = '{"type": "conversion.approved", "data": {"transaction_id": "A-7", "commission": "3.12"}}'
            at = datetime.now(UTC)
            headers = {
                "webhook-id": "msg_1",
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": Webhook(secret).sign("msg_1", at, body),
            }
            assert client.post("/postbacks/acme/signed", content=body, headers=headers).status_code == 200
            assert client.post("/postbacks/acme/signed", content=body + " ", headers=headers).status_code == 401
            for token in ("a" * 24, "b" * 24):
                pushed = {"transactionId": 7, "transactionCurrency": "GBP", "commission": 5.59}
                reply = client.post(f"/postbacks/awin/{token}", data={"AwinTransactionPush": json.dumps(pushed)})
                assert reply.status_code == 200
            assert client.post(f"/postbacks/awin/{'c' * 24}", data={}).status_code == 401
    finally:
        service.close()
    with ledger.begin() as session:
        told = session.execute(
            select(ConversionEvent.network, ConversionEvent.kind, ConversionEvent.commission_micros).order_by(
                ConversionEvent.network
            )
        ).all()
    assert told == [("acme", "approved", 3_120_000), ("awin", "pending", 5_590_000)]


def test_the_visitor_is_somebody_else_tomorrow(ledger: Ledger, http: httpx.Client, clock: ClockServer) -> None:
    publish_link(ledger, CODE)
    http.get(f"/r/{CODE}")
    clock.now = NOW + timedelta(days=1)
    time.sleep(0.03)  # the service's reading of the clock is 20 ms old at most
    http.get(f"/r/{CODE}")
    clock.now = NOW
    today, tomorrow = clicks(ledger)
    assert tomorrow.clicked_at - today.clicked_at == timedelta(days=1)
    assert today.visitor_hash != tomorrow.visitor_hash


# ---------------------------------------------------------------- postbacks
def test_a_hundred_equal_postbacks_at_once_are_one_event(ledger: Ledger, service: TrackingProcess) -> None:
    address = f"{service.url}/postbacks/impact/{TOKEN}?{PUSH}&SubId1=01m8285yjh4jat8yb5v0kfz4vn"
    with httpx.Client(timeout=30, trust_env=False) as client, ThreadPoolExecutor(25) as pool:
        replies = list(pool.map(lambda _: client.get(address), range(100)))
    assert {reply.status_code for reply in replies} == {200}
    with ledger.begin() as session:
        (event,) = session.scalars(select(ConversionEvent)).all()
        assert session.scalar(select(func.count()).select_from(Postback)) == 100
    assert (event.transaction_id, event.commission_micros, event.source) == ("1001.4000.77", 2_400_000, "push")
    assert (event.click_id, event.observed_at) == ("01m8285yjh4jat8yb5v0kfz4vn", NOW)


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_postback_may_come_in_the_body(ledger: Ledger, http: httpx.Client, kind: str) -> None:
    body = (
        '{"ActionId": "7", "Status": "APPROVED", "Payout": 1.10}'
        if "json" in kind
        else "ActionId=7&Status=APPROVED&Payout=1.10"
    )
    reply = http.post(f"/postbacks/impact/{TOKEN}", content=body, headers={"content-type": kind})
    assert (reply.status_code, reply.json()["events"]) == (200, 1)
    with ledger.begin() as session:
        assert session.scalars(select(ConversionEvent.commission_micros)).all() == [1_100_000]
        assert session.scalars(select(Postback.body)).all() == [body]


def test_a_wrong_token_learns_nothing_and_stores_nothing(ledger: Ledger, http: httpx.Client) -> None:
    wrong = [
        f"impact/{TOKEN[:-1]}",
        f"impact/{TOKEN}x",
        "impact/%C3%A9%ff",
        f"impact/{TOKEN.upper()}",
        f"awin/{TOKEN}",
        "awin/x",
    ]
    replies = [http.get(f"/postbacks/{path}?{PUSH}") for path in wrong]
    assert {(reply.status_code, reply.content) for reply in replies} == {
        (401, b'{"error":"This postback address is not known."}')
    }
    with ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Postback)) == 0


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "names no action"),
        ("ActionId=7&Status=PENDING&Payout=lots", "no amount"),
        ("ActionId=7&Status=PENDING&Payout=1&Payout=100", "twice"),
        ("ActionId=7%00&Status=PENDING&Payout=1", "NUL"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(
    ledger: Ledger, http: httpx.Client, query: str, problem: str
) -> None:
    reply = http.get(f"/postbacks/impact/{TOKEN}?{query}")
    assert reply.status_code == 200
    with ledger.begin() as session:
        (stored,) = session.scalars(select(Postback)).all()
        (alert,) = session.scalars(select(Alert)).all()
        assert session.scalars(select(ConversionEvent)).all() == []
    assert stored.query == query
    assert problem in (stored.problem or "")
    assert stored.postback_id in alert.message


def test_the_same_event_with_other_amounts_is_a_conflict_not_an_overwrite(ledger: Ledger, http: httpx.Client) -> None:
    first, second = (
        http.get(f"/postbacks/impact/{TOKEN}?{PUSH.replace('2.40', payout)}") for payout in ("2.40", "9.99")
    )
    assert first.status_code == second.status_code == 200
    with ledger.begin() as session:
        assert session.scalars(select(ConversionEvent.commission_micros)).all() == [2_400_000]
        problems = session.scalars(select(Postback.problem).order_by(Postback.postback_id)).all()
    assert problems.count(None) == 1
    assert any("2400000 then 9990000" in problem for problem in problems if problem)


def test_a_postback_that_is_too_large_is_refused(ledger: Ledger, http: httpx.Client) -> None:
    assert http.post(f"/postbacks/impact/{TOKEN}", content=b"x" * 70_000).status_code == 413
    with ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Postback)) == 0


# ---------------------------------------------------------------- the hub page
class _Page(HTMLParser):
    """What a reader meets, in order: text and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.anchors: list[str] = []
        self.before_links = ""
        self._inside = False
        self.feed(page.partition("<main>")[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs))
            self.anchors.append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.anchors[-1] += data
        elif not self.links:
            self.before_links += data


def test_the_hub_discloses_first_and_leads_through_tracking_links(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    publish_link(ledger, "m3Wn8YpZ4c", product_title='Stove <b>"X"</b> & Co', minute=1, title="Boil?")
    publish_link(ledger, "tomorrow11", minute=2, published_at=NOW + timedelta(hours=1))
    publish_link(ledger, "another111", handle="kitchen", minute=3)
    reply = http.get("/h/gearlab")
    page = _Page(reply.text)
    assert reply.status_code == 200
    assert "#ad" in page.before_links
    assert "commission" in page.before_links
    assert "SIMULATED" in page.before_links
    assert page.anchors == ["Trail Lamp 400", 'Stove <b>"X"</b> & Co']
    assert [link["href"] for link in page.links] == [f"/r/{CODE}", "/r/m3Wn8YpZ4c"]
    assert all("sponsored" in (link["rel"] or "") and "nofollow" in (link["rel"] or "") for link in page.links)
    assert '<html lang="en">' in reply.text
    assert http.get(page.links[0]["href"] or "").status_code == 302


def test_the_hub_shows_what_still_sells(ledger: Ledger, http: httpx.Client) -> None:
    publish_link(ledger, CODE)
    publish_link(ledger, "m3Wn8YpZ4c", minute=1, product_title="Stove")
    with ledger.begin() as session:
        session.get_one(Product, f"impact:1001:{CODE}").availability = "out_of_stock"
    assert _Page(http.get("/h/gearlab").text).anchors == ["Stove"]
    assert http.get(f"/r/{CODE}").status_code == 302  # what is out there leads on
    with ledger.begin() as session:
        session.get_one(Program, "impact:1001").status = "closed"
    assert _Page(http.get("/h/gearlab").text).anchors == []


def test_an_unknown_hub_is_not_found(ledger: Ledger, http: httpx.Client) -> None:
    assert http.get("/h/nobody").status_code == 404


# ---------------------------------------------------------------- starting
def test_health_tells_what_a_person_needs(ledger: Ledger, http: httpx.Client) -> None:
    told = http.get("/healthz").json()
    assert (told["status"], told["database"], told["unrecorded"]) == ("ok", True, 0)
