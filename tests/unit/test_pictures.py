"""Charts for the UI: always short enough to be shown at once, and true to their numbers."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import dagster as dg
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from assets.pictures import bar_plot, in_dollars
from resources.lake import SHOWN_AT_ONCE

LABELS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
VALUES = st.floats(-1e12, 1e12)


def _svg(plot: dg.MetadataValue) -> ElementTree.Element:
    data = re.search(r"base64,([\w+/=]+)", str(plot.value))
    assert data
    return ElementTree.fromstring(base64.b64decode(data[1]))  # noqa: S314 - our own


@given(st.lists(st.tuples(LABELS, VALUES), min_size=1, max_size=30))
@example([("next to nothing", 5e-324)])
def test_a_plot_is_shown_at_once_whatever_its_labels_are(rows: list[tuple[str, float]]) -> None:
    values = pd.Series([value for _, value in rows], index=[label for label, _ in rows])
    plot = bar_plot(values, title="Profit", text=in_dollars)
    assert len(str(plot.value)) < SHOWN_AT_ONCE
    texts = [node.text for node in _svg(plot).iter() if node.tag.endswith("text")]
    assert 0 < len(texts) <= len(rows)
    assert (f"the first {len(texts)} of {len(rows)}" in str(plot.value)) == (len(texts) < len(rows))


def test_a_loss_is_red_and_to_the_left_of_zero() -> None:
    svg = _svg(bar_plot(pd.Series({"blog": 3.0, "tiktok": -1.0}), title="Profit"))
    gain, loss = [node for node in svg.iter() if node.tag.endswith("path")]
    assert (gain.attrib["d"], loss.attrib["d"]) == ("M45 4h135v14h-135z", "M0 26h45v14h-45z")
    assert (gain.attrib["fill"], loss.attrib["fill"]) == ("#2563eb", "#dc2626")
    assert [node.text for node in svg.iter() if node.tag.endswith("text")] == ["3 · blog", "-1 · tiktok"]


def test_an_empty_plot_says_so() -> None:
    assert (
        bar_plot(pd.Series(dtype="float64"), title="Spent by vendor").value == "Spent by vendor: nothing to show yet."
    )
