"""Which hits are people: programs known and unknown, real phones, floods and repeats, in whatever order they come."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import crawleruseragents
import device_detector
import pytest

from affiliate_empire.analytics.traffic import Hit, is_bot, is_human, is_in_app, judge

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROID = "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/129.0 Mobile Safari/537.36"
HUMANS = [
    f"{_IPHONE} Version/18.1 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} Mobile/15E148 Instagram 352.1.0 (iPhone15,2; iOS 18_0; en_US; scale=3.00; 1179x2556)",
    f"{_IPHONE} Mobile/15E148 [Pinterest/iOS]",
    f"{_IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/480.0]",
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) {_ANDROID} Instagram 350.0 Android (34/14; Google/google; Pixel 8)",
    f"Mozilla/5.0 (Linux; Android 13; SM-A536B; wv) {_ANDROID} trill_350302 AppName/musical_ly BytedanceWebview",
    f"Mozilla/5.0 (Linux; Android 9; CUBOT X19 Build/PPR1) {_ANDROID}",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
]
BOTS = [
    "",
    "  ",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "TelegramBot (like TwitterBot)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "WhatsApp/2.23.20.0 A",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0",
    "Go-http-client/2.0",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0)",
]


@pytest.mark.parametrize("user_agent", HUMANS)
def test_phones_and_in_app_browsers_are_people(user_agent: str) -> None:
    assert not is_bot(user_agent)
    assert is_in_app(user_agent) is any(app in user_agent for app in ("Instagram", "Pinterest", "FBAN", "musical_ly"))


@pytest.mark.parametrize("user_agent", BOTS)
def test_programs_that_name_themselves_are_bots(user_agent: str) -> None:
    assert is_bot(user_agent)


def test_nearly_every_known_program_is_a_bot() -> None:
    known = [one for each in crawleruseragents.CRAWLER_USER_AGENTS_DATA for one in each.get("instances", [])]
    assert len(known) > 2000
    assert sum(map(is_bot, known)) / len(known) >= 0.99


def test_hardly_a_real_phone_or_browser_in_an_app_is_one() -> None:
    """By the agents that device-detector has seen of phones and tablets, apps included: 30,000, of which 4,000 here."""
    folder = Path(device_detector.__file__).parent / "tests" / "fixtures" / "upstream"
    seen = {
        agent
        for path in folder.glob("*.yml")
        if re.match("smartphone|phablet|tablet|mobile_apps", path.name)
        for agent in re.findall(r"^ *-? *user_agent: \"?(Mozilla/5\.0 .*?)\"?$", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(seen) > 25_000
    sample = random.Random(11).sample(sorted(seen), 4000)
    wrong = [agent for agent in sample if is_bot(agent)]
    assert len(wrong) / len(sample) <= 0.001, wrong
    assert sum(map(is_in_app, sample)) > 100


def hit(number: int, *, at: float = 0.0, code: str = "k1", agent: str = HUMANS[0], flags: tuple[str, ...] = ()) -> Hit:
    """A hit so many seconds after noon."""
    return Hit(f"c{number:04}", code, NOON + timedelta(seconds=at), agent, flags)


def test_a_second_click_within_the_hour_is_a_duplicate_and_of_another_link_is_not() -> None:
    hits = [hit(1), hit(2, at=60), hit(3, at=120, code="k2"), hit(4, at=3599), hit(5, at=3600), hit(6, at=7100)]
    judged = judge(hits)
    assert [judged[one.click_id] for one in hits] == [(), ("duplicate",), (), ("duplicate",), (), ("duplicate",)]


def test_a_preview_makes_nobodys_click_a_duplicate() -> None:
    judged = judge([hit(1, flags=("head",)), hit(2, at=1, flags=("prefetch",)), hit(3, at=2)])
    assert judged == {"c0001": ("head",), "c0002": ("prefetch",), "c0003": ()}


def test_what_no_person_can_click_is_a_flood_and_the_first_thirty_are_not() -> None:
    judged = judge([hit(number, at=number / 10, code=f"k{number}") for number in range(100)])
    assert [is_human(flags) for flags in judged.values()] == [True] * 30 + [False] * 70
    assert is_human(judge([hit(number, at=2.1 * number) for number in range(100)])["c0099"])


def test_the_order_of_arrival_changes_nothing_and_neither_does_judging_again() -> None:
    rng = random.Random(3)
    hits = [
        hit(n, at=rng.uniform(0, 9000), code=rng.choice("ab"), agent=rng.choice([HUMANS[0], BOTS[2]]))
        for n in range(200)
    ]
    judged = judge(hits)
    again = [Hit(one.click_id, one.code, one.clicked_at, one.user_agent, judged[one.click_id]) for one in hits]
    rng.shuffle(again)
    assert judge(again) == judged
    assert {flag for flags in judged.values() for flag in flags} == {"bot", "duplicate"}
