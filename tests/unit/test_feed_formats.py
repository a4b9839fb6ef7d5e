"""Feeds in XML: one meaning in every format, rows rejected by number, nothing harmful unfolded."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.catalog.feed import ParsedFeed, parse_feed
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.sandbox.catalog import read_feed
from tests.unit.test_catalog import COLUMNS, REAL_FEED, feed, row

GOOGLE = 'xmlns:g="http://base.google.com/ns/1.0"'
ATOM = 'xmlns="http://www.w3.org/2005/Atom"'


def rss(*rows: dict[str, str], namespace: str = GOOGLE, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    """RSS 2.0, with title, link and description in the format's own words."""
    own = ("title", "link", "description")
    items = "".join(
        "<item>"
        + "".join(f"<{_tag(name, own)}>{escape(value)}</{_tag(name, own)}>" for name, value in each.items())
        + "</item>\n"
        for each in rows
    )
    channel = f"<channel><title>Shop</title><link>https://shop.example.com</link>{items}</channel>"
    return f'{head}<rss version="2.0" {namespace}>{channel}</rss>'.encode()


def _tag(name: str, own: tuple[str, ...]) -> str:
    return name if name in own else f"g:{name}"


def atom(*rows: dict[str, str]) -> bytes:
    """Atom, its links as attributes, its ids beside Google's."""
    entries = "".join(
        f"<entry><id>tag:shop.example.com,{number}</id><link href={quoteattr(each['link'])}/>"
        + "".join(f"<g:{name}>{escape(value)}</g:{name}>" for name, value in each.items() if name != "link")
        + "</entry>\n"
        for number, each in enumerate(rows)
    )
    return f'<?xml version="1.0"?><feed {ATOM} {GOOGLE}><title>Shop</title>{entries}</feed>'.encode()


def parsed(data: bytes) -> ParsedFeed:
    return parse_feed(data, source="product_feed")


# Text that XML can hold and leaves as it is; a carriage return becomes a line's end in every attribute.
cell = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn"]), max_size=15)
told = st.fixed_dictionaries({name: cell for name in COLUMNS})
sold = st.builds(
    row,
    id=st.integers(1, 6).map(str),
    title=cell,
    price=st.sampled_from(["4.00 USD", "12,90 EUR", "0.5 eur", "", "-1 USD"]),
    availability=st.sampled_from(["in stock", "preorder", "gone", ""]),
    product_type=cell,
    brand=cell,
)


@settings(deadline=None, max_examples=20)
@given(st.lists(told | sold, max_size=8))
def test_the_same_rows_mean_the_same_in_every_format(rows: list[dict[str, str]]) -> None:
    everything = [row(id="always"), *rows]
    first, *others = (
        parsed(data)
        for data in (
            feed(*everything, quoting=csv.QUOTE_ALL),
            feed(*everything, delimiter=",", quoting=csv.QUOTE_ALL),
            rss(*everything),
            atom(*everything),
        )
    )
    for other in others:
        assert other.products.equals(first.products)
        assert len(other.rejected) == len(first.rejected)


def test_the_real_feed_means_the_same_in_xml() -> None:
    data = REAL_FEED.read_bytes()
    rows = list(csv.DictReader(io.StringIO(data.decode()), delimiter="\t"))
    want = parsed(data).products
    for written in (rss(*rows), atom(*rows)):
        result = parsed(written)
        assert result.products.equals(want)
        assert result.rejected.empty


def test_items_that_cannot_be_used_are_numbered_by_their_place() -> None:
    result = parsed(rss(row(id="1"), row(id="2", price="12,90 EUR"), row(id="1"), row(id="4")))
    assert result.products["native_id"].tolist() == ["1", "4"]
    assert result.rejected["row_number"].tolist() == [2, 3]
    assert "comma" in result.rejected["reason"][0]
    assert "row 1" in result.rejected["reason"][1]


def test_google_s_words_go_before_the_format_s_own_and_the_first_counts() -> None:
    data = rss(row()).replace(b"</item>", b"<g:title>Google&#8217;s</g:title><g:title>Second</g:title></item>")
    assert parsed(data).products["title"].tolist() == ["Google’s"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + rss(row()),
        b"\n\n  " + rss(row()),
        rss(row(), head='<?xml version="1.0" encoding="utf-16"?>').decode().encode("utf-16"),
        rss(row(), head='<?xml version="1.0" encoding="iso-8859-1"?>'),
        rss(row()).replace(b"<title>Canvas Daypack</title>", b"<title><![CDATA[Canvas Daypack]]></title>"),
        rss(row()).replace(b"Canvas Daypack", b"Canvas <!-- a comment -->Daypack"),
        rss(row()).replace(b"g:", b"base:").replace(b"xmlns:g", b"xmlns:base"),
        rss(row()).replace(b"<g:id>", b"<g:shipping><g:country>US</g:country></g:shipping><g:id>"),
    ],
)
def test_what_says_one_thing_only_is_read(data: bytes) -> None:
    result = parsed(data)
    assert result.products["title"].tolist() == ["Canvas Daypack"]
    assert result.products["native_id"].tolist() == ["17"]


BOMB = '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (rss(row(), head=BOMB).replace(b"Canvas", b"&b;"), "entities"),
        (rss(row(), head='<!DOCTYPE rss SYSTEM "file:///etc/passwd">'), "entities"),
        (rss(row(), row(id="2"))[:-40], "broken or cut off at line 2"),
        (rss(row()) + b"<rss/>", "broken or cut off"),
        (rss(row()).replace(b"Canvas", b"Caf\xe9"), "broken"),
        (rss(row()).replace(b"Canvas", b"Tom & Jerry"), "broken"),
        (rss(row(), namespace=""), "broken"),  # a prefix that is declared nowhere
        (rss(row(), namespace='xmlns:g="http://example.com/mine"'), "namespace 'http://example.com/mine'"),
        (atom(row()).replace(ATOM.encode(), b""), "not in Atom's namespace"),
        (rss(row()).replace(b"g:price", b"g:cost"), "lacks the column price"),
        (rss(), "no rows"),
        (b"<rss/>", "no rows"),
        (rss(row(price="N/A")), "its one row cannot be used"),
        (b'<?xml version="1.0"?><urlset><url/></urlset>', "neither RSS 2.0 nor Atom .*<urlset>"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body/></html>', "HTML page"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0" "x.dtd"><html/>', "HTML page"),
        (b"<rss>" + b"<a>" * 100_000, "nested deeper"),
        (rss(row()).replace(b"<g:id>", b"<g:x/>" * 3_000 + b"<g:id>"), "nested deeper or has larger items"),
        (rss(row(), head='<?xml version="1.0" encoding="shift_jis"?>'), "encoding"),
        (rss(row(), head='<?xml version="1.0" encoding="none-such"?>'), "broken|encoding"),
    ],
)
def test_xml_that_is_no_feed_is_one_clear_sentence(data: bytes, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        parsed(data)
    assert "\n" not in str(caught.value)
    assert "passwd" not in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for cut in (rss(row()).replace(b"Canvas", data), b"<" + data, atom(row())[:-9] + data):
        try:
            result = parsed(cut)
        except BadInput:
            continue
        assert len(result.products) + len(result.rejected) > 0


def test_memory_does_not_grow_with_what_is_read_over() -> None:
    peaks = []
    for number in (1_000, 50_000):
        data = rss(row()).replace(b"</channel>", b"<thing>of another kind</thing>" * number + b"</channel>")
        tracemalloc.start()
        parsed(data)
        peaks.append(tracemalloc.get_traced_memory()[1] - 2 * len(data))
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000


def test_the_sandbox_s_shoppers_know_the_products_of_every_format() -> None:
    rows = [row(id="1"), row(id="2", title="Trail Lamp"), row(id="3", price="12,90 EUR")]
    for data in (
        feed(*rows),
        feed(*rows, delimiter=";"),
        rss(*rows),
        atom(*rows),
        feed(*rows).decode().encode("utf-16"),
    ):
        for said in (data, gzip.compress(data)):
            assert [(item.item_id, item.title) for item in read_feed(said, "1001")] == [
                ("1", "Canvas Daypack"),
                ("2", "Trail Lamp"),
            ]
