"""What each platform's error codes ask for: the same again, a window's end, a person, or nothing ever again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.remedies import Remedy, remedy_of
from affiliate_empire.vendors.errors import VendorError
from tests.factories.publishing import Business, open_business
from tests.factories.worlds import RunningWorld

RETRY, WAIT, PERSON, REJECT = Remedy.RETRY, Remedy.WAIT, Remedy.PERSON, Remedy.REJECT
YOUTUBE = {
    (403, "quotaExceeded"): WAIT, (403, "dailyLimitExceeded"): WAIT, (400, "uploadLimitExceeded"): WAIT,
    (403, "uploadLimitExceeded"): WAIT, (403, "rateLimitExceeded"): RETRY, (403, "userRateLimitExceeded"): RETRY,
    (500, "backendError"): RETRY, (503, "backendError"): RETRY, (403, "forbidden"): PERSON,
    (401, "youtubeSignupRequired"): PERSON, (403, "authenticatedUserAccountSuspended"): PERSON,
    (403, "authenticatedUserAccountClosed"): PERSON, (400, "missingRequiredParameter"): REJECT,
    (400, "unexpectedParameter"): REJECT, (400, "incompatibleParameters"): REJECT, (400, "invalidTitle"): REJECT,
    (400, "invalidDescription"): REJECT, (400, "invalidTags"): REJECT, (400, "invalidCategoryId"): REJECT,
    (400, "invalidPublishAt"): REJECT, (400, "mediaBodyRequired"): REJECT,
}  # fmt: skip
TIKTOK = {
    (200, "spam_risk_too_many_posts"): WAIT, (403, "spam_risk_too_many_pending_share"): WAIT,
    (403, "reached_active_user_cap"): WAIT, (429, "rate_limit_exceeded"): RETRY, (500, "internal_error"): RETRY,
    (403, "spam_risk_user_banned_from_posting"): PERSON, (401, "access_token_invalid"): PERSON,
    (403, "unaudited_client_can_only_post_to_private_accounts"): PERSON, (403, "url_ownership_unverified"): PERSON,
    (403, "privacy_level_option_mismatch"): PERSON, (401, "scope_not_authorized"): PERSON,
    (400, "invalid_params"): REJECT,
}  # fmt: skip
TIKTOK_FAILED = {
    "spam_risk_too_many_posts": WAIT, "spam_risk_user_banned_from_posting": PERSON, "file_format_check_failed": REJECT,
    "internal": RETRY,
    "duration_check_failed": REJECT, "frame_rate_check_failed": REJECT, "picture_size_check_failed": REJECT,
}  # fmt: skip
INSTAGRAM = {
    (9, 2207042): WAIT, (4, None): RETRY, (17, None): RETRY, (32, None): RETRY, (613, None): RETRY, (2, None): RETRY,
    (1, None): RETRY, (190, None): PERSON, (190, 463): PERSON, (10, None): PERSON, (200, None): PERSON,
    (25, 2207050): PERSON, (1, 2207051): PERSON, (100, None): REJECT, (36004, 2207010): REJECT, (352, 2207026): REJECT,
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


def answered(world: RunningWorld, match: str, status: int, body: dict[str, Any], ask: Any) -> Remedy:
    world.fault(match, status=status, body=body, times=9)
    with pytest.raises(VendorError) as refused:
        ask()
    world.clear_faults()
    return remedy_of(refused.value)


def test_youtubes_reasons(world: RunningWorld, business: Business) -> None:
    said = {}
    for status, reason in YOUTUBE:
        body = {"error": {"code": status, "message": "m", "errors": [{"reason": reason}]}}
        ask = lambda: business.youtube.fetch_status(["abc"])  # noqa: E731
        said[status, reason] = answered(world, "* /youtube/*", status, body, ask)
    assert said == YOUTUBE


def test_tiktoks_codes_and_reasons_of_failure(world: RunningWorld, business: Business) -> None:
    said = {}
    for status, code in TIKTOK:
        body = {"data": {}, "error": {"code": code, "message": "m", "log_id": "1"}}
        said[status, code] = answered(world, "* /tiktok/v2/post/*", status, body, business.tiktok.fetch_creator_info)
    assert said == TIKTOK
    assert {reason: remedy_of(business.tiktok.failure(reason)) for reason in TIKTOK_FAILED} == TIKTOK_FAILED


def test_instagrams_codes(world: RunningWorld, business: Business) -> None:
    said = {}
    for code, subcode in INSTAGRAM:
        error = {"code": code, "message": "m"} | ({} if subcode is None else {"error_subcode": subcode})
        ask = business.instagram.publishing_limit
        said[code, subcode] = answered(world, "* /instagram/*", 400, {"error": error}, ask)
    assert said == INSTAGRAM
