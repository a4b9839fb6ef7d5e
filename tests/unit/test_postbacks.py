"""Who may push conversions, and what Awin, Rakuten and a merchant who pays directly say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from starlette.requests import Request

from affiliate_empire.analytics import awin, direct, rakuten
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.settings import Settings
from affiliate_empire.tracking.postbacks import SIGNED, Sender

AT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
SECRET, NEXT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"type": "conversion.pending", "data": {"transaction_id": "A-7", "commission": "3.12"}}'


def request(headers: dict[str, str] | None = None, *, host: str = "203.0.113.5") -> Request:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": lines, "client": (host, 1)})


def signed(body: bytes = BODY, *, secret: str = SECRET, at: datetime | None = None, **changed: str) -> Request:
    at = at or datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode()),
    }
    return request(headers | {name.replace("_", "-"): value for name, value in changed.items()})


# ---------------------------------------------------------------- secrets in the address
def test_either_of_two_secrets_holds_while_one_replaces_the_other() -> None:
    sender = Sender(tokens=("old" * 8, "new" * 8))
    assert [sender.sent(request(), token, b"") for token in ("old" * 8, "new" * 8, "old" * 7, "", "é")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_who_has_no_secret_is_nobody() -> None:
    assert not Sender().sent(request(), "", b"")


@pytest.mark.parametrize(
    ("host", "known"),
    [("203.0.113.5", True), ("::ffff:203.0.113.5", True), ("2001:db8::1", True), ("203.0.114.5", False), ("", False)],
)
def test_a_network_may_be_known_by_its_servers_too(host: str, known: bool) -> None:
    sender = Sender(tokens=("t" * 24,), networks=("203.0.113.0/24", "2001:db8::/32"))
    assert sender.sent(request(host=host), "t" * 24, b"") is known
    assert not sender.sent(request(host=host), "x" * 24, b"")


# ---------------------------------------------------------------- signatures
def test_a_signature_is_what_the_standard_says() -> None:
    # The published example: secret, id, time, payload and what they come to.
    said = Webhook(SECRET).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


CASES: list[tuple[str, Request, bytes, bool]] = [
    ("valid", signed(), BODY, True),
    ("valid under the secret that takes its place", signed(secret=NEXT_SECRET), BODY, True),
    ("no id", signed(webhook_id=""), BODY, False),
    ("no time", signed(webhook_timestamp=""), BODY, False),
    ("no signature", signed(webhook_signature=""), BODY, False),
    ("a time that is none", signed(webhook_timestamp="hello"), BODY, False),
    ("too old", signed(at=datetime.now(UTC) - timedelta(minutes=6)), BODY, False),
    ("too new", signed(at=datetime.now(UTC) + timedelta(minutes=6)), BODY, False),
    (
        "another time than was signed",
        signed(webhook_timestamp=str(int(datetime.now(UTC).timestamp()) + 60)),
        BODY,
        False,
    ),
    ("another secret", signed(secret="whsec_" + "A" * 32), BODY, False),
    ("another body", signed(), BODY.replace(b"3.12", b"9.12"), False),
    ("the same JSON, spelt otherwise", signed(), json.dumps(json.loads(BODY), indent=1).encode(), False),
    ("half a signature", signed(webhook_signature="v1,g0hM9SsE+OTPJTGt"), BODY, False),
    ("no version", signed(webhook_signature="g0hM9SsE+OTPJTGt/tmKtSyYyE+uFJELVlNIOLJ1OE="), BODY, False),
    ("a signature that is not ASCII", signed(webhook_signature="v1,é"), BODY, False),
    ("a body that is no text", signed(), b"\xff", False),
]


@pytest.mark.parametrize(("sent", "body", "known"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_merchant_is_known_by_the_signature(sent: Request, body: bytes, known: bool) -> None:
    assert Sender(signatures=(SECRET, NEXT_SECRET)).sent(sent, SIGNED, body) is known


def test_one_of_several_signatures_is_enough() -> None:
    good = signed().headers["webhook-signature"]
    several = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= " + good
    assert Sender(signatures=(SECRET,)).sent(signed(webhook_signature=several), SIGNED, BODY)


def test_every_bit_of_a_signed_body_counts() -> None:
    sender, sent = Sender(signatures=(SECRET,)), signed()
    for place in range(len(BODY)):
        changed = bytes([*BODY[:place], BODY[place] ^ 1, *BODY[place + 1 :]])
        assert not sender.sent(sent, SIGNED, changed), place


def test_who_signs_has_no_secret_in_the_address() -> None:
    assert not Sender(signatures=(SECRET,)).sent(signed(), SECRET, BODY)


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"impact_postback_token": "short"}, "24 letters and digits"),
        ({"awin_postback_token": "a" * 24 + " short"}, "24 letters and digits"),
        ({"webhook_secrets": '{"impact": "whsec_' + "A" * 32 + '"}'}, "none of the networks"),
        ({"webhook_secrets": '{"acme": "hello"}'}, "whsec_ and base64"),
        ({"webhook_secrets": '{"acme": ""}'}, "whsec_ and base64"),
        ({"webhook_secrets": "acme"}, "JSON map of secrets by merchant"),
        ({"postback_networks": '{"impact": ["everywhere"]}'}, "CIDR"),
    ],
)
def test_secrets_that_would_let_anybody_in_are_refused(said: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as problem:
        Settings(_env_file=None, **said)  # type: ignore[call-arg]
    assert "hello" not in str(problem.value)


def test_settings_hold_the_secrets_by_network() -> None:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, mode="live", awin_postback_token=f"{'a' * 24} {'b' * 24}", webhook_secrets={"acme": SECRET}
    )
    assert settings.postback_tokens("awin") == ("a" * 24, "b" * 24)
    assert settings.postback_tokens("impact") == ()
    assert "whsec" not in repr(settings)


# ---------------------------------------------------------------- Awin
_AWIN = {
    "transactionId": 259630312, "transactionDate": "2026-11-20 17:30:05", "transactionCurrency": "GBP",
    "transactionAmount": 44.56, "trackedCurrency": "EUR", "trackedAmount": 52.10, "merchantId": 7439,
    "clickRef": "01m8285yjh4jat8yb5v0kfz4vn", "clickRef2": "", "commission": 5.59, "products": [{"name": "x"}],
}  # fmt: skip


def test_awin_pushes_json_in_a_form() -> None:
    [event] = awin.events_from_push({"AwinTransactionPush": json.dumps(_AWIN)}, AT)
    assert (event["network"], event["transaction_id"], event["kind"], event["version"]) == (
        "awin", "259630312", "pending", "",
    )  # fmt: skip
    assert (event["sale_micros"], event["commission_micros"], event["currency"]) == (44_560_000, 5_590_000, "GBP")
    assert (event["click_id"], event["program_id"]) == ("01m8285yjh4jat8yb5v0kfz4vn", "awin:7439")
    assert event["occurred_at"] == datetime(2026, 11, 20, 17, 30, 5, tzinfo=UTC)


def test_awin_pushes_a_query_that_was_templated() -> None:
    names = [pair.partition("=")[0] for pair in awin.PUSH_QUERY.split("&")]
    query = {name: str(_AWIN[name]) for name in names}
    [event] = awin.events_from_push(query, AT)
    [posted] = awin.events_from_push({"AwinTransactionPush": json.dumps(_AWIN)}, AT)
    assert {name: event[name] for name in event if name != "raw"} == {
        name: posted[name] for name in event if name != "raw"
    }
    with pytest.raises(BadInput, match="names no transaction"):  # as the template itself would arrive
        awin.events_from_push(dict(pair.split("=") for pair in awin.PUSH_QUERY.split("&")), AT)


# ---------------------------------------------------------------- Rakuten
_RAKUTEN = {
    "is_event": "N", "etransaction_id": "e1", "order_id": "o1", "advertiser_id": "2149", "sku_number": "S",
    "sale_amount": "39.00", "commissions": "3.12", "currency": "USD", "u1": "01m8285yjh4jat8yb5v0kfz4vn",
    "transaction_date": "Fri Nov 20 2026 10:11:12 GMT-0500 (EST)",
}  # fmt: skip


def test_rakuten_pushes_a_row_per_line_and_returns_are_rows_of_their_own() -> None:
    [sold] = rakuten.events_from_push(_RAKUTEN, AT)
    [returned] = rakuten.events_from_push(
        _RAKUTEN | {"etransaction_id": "e2", "sale_amount": "-39.00", "commissions": "-3.12"}, AT
    )
    assert (sold["transaction_id"], sold["line_id"], sold["commission_micros"]) == ("o1", "e1", 3_120_000)
    assert (returned["line_id"], returned["commission_micros"]) == ("e2", -3_120_000)
    assert sold["occurred_at"] == datetime(2026, 11, 20, 15, 11, 12, tzinfo=UTC)
    assert (sold["click_id"], sold["program_id"]) == ("01m8285yjh4jat8yb5v0kfz4vn", "rakuten:2149")


def test_rakutens_signals_pay_nothing() -> None:
    assert rakuten.events_from_push(_RAKUTEN | {"is_event": "Y"}, AT) == []


def test_rakutens_template_names_what_is_read() -> None:
    assert {pair.partition("=")[0] for pair in rakuten.PUSH_QUERY.split("&")} == set(_RAKUTEN)


# ---------------------------------------------------------------- a merchant
def notice(**changed: Any) -> str:
    data = {"transaction_id": "A-7", "click_id": "01m8", "sale": "39.00", "commission": 3.12, "program": "spring"}
    type_ = changed.pop("type", "conversion.approved")
    return json.dumps({"type": type_, "data": data | changed})


@pytest.mark.parametrize(
    ("kind", "version", "micros"),
    [("pending", "", 3_120_000), ("approved", "", 3_120_000), ("paid", "", 3_120_000),
     ("adjusted", "39000000:3120000", 3_120_000), ("reversed", "", 0)],
)  # fmt: skip
def test_a_merchant_says_how_far_a_sale_has_come(kind: str, version: str, micros: int) -> None:
    [event] = direct.events_from_notice("acme", notice(type=f"conversion.{kind}"), AT)
    assert (event["kind"], event["version"], event["commission_micros"]) == (kind, version, micros)
    assert (event["network"], event["program_id"], event["click_id"]) == ("acme", "acme:spring", "01m8")


def test_other_notices_of_a_merchant_are_no_sales() -> None:
    assert direct.events_from_notice("acme", notice(type="invoice.paid"), AT) == []


def _broken() -> Iterator[tuple[str, str]]:
    yield "{", "not JSON"
    yield "[]", "no JSON object"
    yield "[" * 50_000, "not JSON"
    yield '{"type": "conversion.pending", "type": "conversion.paid", "data": {}}', "given twice"
    yield notice(type="conversion.won"), "the types are"
    yield notice(transaction_id=""), "transaction_id"
    yield notice(commission="lots"), "no amount"
    yield notice(commission="1e400"), "no amount"
    yield notice(commission=None), "no amount"
    yield notice(occurred_at="yesterday"), "no ISO 8601 time"


@pytest.mark.parametrize(("body", "complaint"), list(_broken()))
def test_what_a_merchant_says_badly_is_a_sentence(body: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        direct.events_from_notice("acme", body, AT)
