"""Turns a template and its context into one self-contained HTML page; the words every report shares."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from affiliate_empire.kernel.money import dollars


def render_page(template: str, context: Mapping[str, Any], zone: ZoneInfo) -> str:
    """A page of ``templates/``; whatever came from outside is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("affiliate_empire.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["dollars"] = lambda micros: dollars(int(micros))
    environment.filters["count"] = lambda number: f"{int(number):,}"
    environment.filters["percent"] = percent
    # What a platform does not count is unknown, not nought.
    environment.filters["views"] = lambda views, of: (
        "–" if of == "blog" or of.startswith("post/") else f"{int(views):,}"
    )
    environment.filters["clock"] = lambda instant: f"{_local(instant, zone):%H:%M}"
    environment.filters["moment"] = lambda instant: f"{_local(instant, zone):%a %-d %b, %H:%M}"
    return environment.get_template(template).render(context)


def percent(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:+,.0f} %"


def as_of_text(as_of: datetime, zone: ZoneInfo) -> str:
    return f"{as_of.astimezone(zone):%-d %B %Y, %H:%M} ({zone.key})"


def clicks_in_words(outcomes: pd.DataFrame) -> str:
    """What stands beside the clicks of people: their first ones, and all hits."""
    first, hits = (int(outcomes[name].sum()) for name in ("unique_clicks", "hits"))
    return f"by people, {first:,} of them their first in an hour; {hits:,} hits in all"


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows with None for what is absent."""
    return [
        {str(name): None if pd.api.types.is_scalar(value) and pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _local(instant: Any, zone: ZoneInfo) -> datetime:
    return pd.Timestamp(instant).to_pydatetime().astimezone(zone)
