"""The Location of a click: the stored URL with exactly one sub-id, whatever the URL holds."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.publishing.links import parse_destination

CLICK = "01m8285yjh4jat8yb5v0kfz4vn"
HOSTS = st.sampled_from(
    ["shop.example.com", "goto.example.co.uk:8443", "203.0.113.7", "[2001:db8::1]:8080", "SHOP.Example"]
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
PAIRS = st.lists(st.tuples(st.one_of(st.sampled_from(["u", "subId1", "sub Id", "a;b"]), WORDS), WORDS), max_size=6)


@given(HOSTS, st.lists(WORDS, max_size=4), PAIRS, WORDS)
def test_location_is_the_stored_url_plus_exactly_one_sub_id(
    host: str, path: list[str], pairs: list[tuple[str, str]], fragment: str
) -> None:
    stored = f"https://{host}/" + "/".join(quote(part, safe="") for part in path)
    if pairs:
        stored += "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    if fragment:
        stored += "#" + quote(fragment, safe="")
    location = parse_destination(stored, "subId1").with_click(CLICK)

    before, after = urlsplit(stored), urlsplit(location)
    others = [pair for pair in parse_qsl(before.query, keep_blank_values=True) if pair[0] != "subId1"]
    assert parse_qsl(after.query, keep_blank_values=True) == [*others, ("subId1", CLICK)]
    assert (after.scheme, after.hostname, after.port) == (before.scheme, before.hostname, before.port)
    assert (after.path, after.fragment) == (before.path, before.fragment)


@given(st.text())
def test_what_is_accepted_never_breaks_a_header_or_leaves_its_host(text: str) -> None:
    try:
        location = parse_destination(f"https://shop.example.com/{text}", "subId1").with_click(CLICK)
    except BadInput:
        return
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    assert urlsplit(location).hostname == "shop.example.com"
    assert location.count(CLICK) == 1


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.example",
        "/relative",
        "ftp://shop.example/x",
        "https://",
        "https:///path",
        "https://shop.example@evil.example/",
        "https://evil.example\\@shop.example/",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\0",
        "https://shop.example/a b",
        "https://shop.example/\u2028",
        "https://shop.example:port/",
        "https://[::1/",
        "https://-.example/",
    ],
)
def test_a_url_that_could_lead_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"^The link .*\.$"):
        parse_destination(url, "subId1")


def test_a_parameter_that_is_no_plain_name_is_refused() -> None:
    with pytest.raises(BadInput, match="sub-id parameter"):
        parse_destination("https://shop.example/", "a=b&c")


def test_international_hosts_and_paths_leave_as_ascii() -> None:
    location = parse_destination("https://bücher.example/größe?q=é#ü", "sid").with_click(CLICK)
    assert location == f"https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe?q=%C3%A9&sid={CLICK}#%C3%BC"
