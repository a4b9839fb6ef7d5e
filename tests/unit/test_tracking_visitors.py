"""What a hit says about who made it: shortened addresses, day-bound hashes, flags; and clicks on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from affiliate_empire.tracking.flags import is_bot
from affiliate_empire.tracking.spool import Spool
from affiliate_empire.tracking.visitors import truncate_address, visitor_hash

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


@pytest.mark.parametrize("user_agent", BOTS)
def test_programs_that_name_themselves_are_bots(user_agent: str) -> None:
    assert is_bot(user_agent)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113"),
        ("::ffff:203.0.113.77", "203.0.113"),
        ("2001:db8:42:17::9", "2001:0db8:0042"),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, network: str) -> None:
    assert truncate_address(address) == network


def test_a_visitor_is_the_same_within_a_network_and_day_and_nobody_afterwards() -> None:
    today, tomorrow = b"a" * 32, b"b" * 32
    one = visitor_hash(today, truncate_address("203.0.113.77"), "Safari")
    assert one == visitor_hash(today, truncate_address("203.0.113.4"), "Safari")
    assert one != visitor_hash(today, truncate_address("203.0.114.77"), "Safari")
    assert one != visitor_hash(today, truncate_address("203.0.113.77"), "Firefox")
    assert one != visitor_hash(tomorrow, truncate_address("203.0.113.77"), "Safari")


def _row(number: int) -> str:
    return (
        "\t".join([f"click{number:021}", "code", "2026-11-20T00:00:00+00:00", "agent\x85\u2028", "", "hash", "[]"])
        + "\n"
    )


def test_spooled_clicks_come_back_without_a_torn_line(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([_row(1), _row(2)])
    spool.append([_row(3)])
    spool.close()
    (file,) = tmp_path.glob("*.clicks")
    with file.open("a") as torn:
        torn.write(_row(4)[:40])
    rows = []
    for segment in Spool(tmp_path).sealed():
        with segment:
            rows += segment.read()
            segment.delete()
    assert rows == [_row(1), _row(2), _row(3)]
    assert list(Spool(tmp_path).sealed()) == []


def test_a_file_that_another_worker_writes_is_left_alone(tmp_path: Path) -> None:
    writing, other = Spool(tmp_path), Spool(tmp_path)
    writing.append([_row(1)])
    assert list(other.sealed()) == []
    writing.close()
    assert len([segment.__exit__(None, None, None) for segment in other.sealed()]) == 1
