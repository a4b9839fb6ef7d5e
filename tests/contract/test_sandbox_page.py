"""The page about the sandbox world: each command on it is asked of a running world, and its tables name what exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import httpx

from affiliate_empire.sandbox.faults import Fault
from affiliate_empire.sandbox.market.audiences import PLATFORMS
from affiliate_empire.sandbox.market.taste import DECLARATIONS
from affiliate_empire.sandbox.refusals import KINDS
from affiliate_empire.sandbox.weather import LEVELS
from tests.factories.worlds import RunningWorld

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sandbox.md").read_text("utf-8")


def commands() -> list[list[str]]:
    return [shlex.split(line)[1:] for line in re.findall(r"^\$ (curl .*)$", PAGE, flags=re.MULTILINE)]


def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    world = RunningWorld(tmp_path)
    with httpx.Client(timeout=60, trust_env=False) as http:
        asked = commands()
        assert len(asked) >= 20
        for words in asked:
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            body = words[words.index("-d") + 1] if "-d" in words else None
            (address,) = (word for word in words if word.startswith("localhost:8900"))
            reply = http.request(method, address.replace("localhost:8900", world.url), content=body)
            assert reply.is_success, f"{shlex.join(words)}: {reply.text}"
        for path in set(re.findall(r"/_world/[a-z]+", PAGE)):
            assert http.get(f"{world.url}{path}").is_success, path
    world.stop()


def test_the_page_names_what_there_is() -> None:
    assert all(f"`{field}`" in PAGE for field in Fault.__dataclass_fields__ if field != "match")
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
    assert all(f"`{flag}`" in PAGE for flags in DECLARATIONS.values() for flag in flags)
    assert all(level in PAGE for level in LEVELS)


def test_the_page_s_table_of_platforms_says_what_the_market_does() -> None:
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in PAGE.splitlines()
            if line.count("|") == 6}  # fmt: skip
    places = [PLATFORMS[name] for name in ("youtube", "tiktok", "instagram", "blog")]

    def row(begins: str) -> list[str]:
        return next(cells for name, cells in rows.items() if name.startswith(begins))

    assert row("people a typical post") == [f"{place.size:,.0f}" for place in places]
    assert row("patience") == [f"{place.patience:.0f}; {place.fading:.2f}" for place in places]
    assert row("spread of luck") == [f"{place.spread:.2f}" for place in places]
    assert row("catches on") == [
        f"{place.catches:.0%}".replace("%", " %") + f"; {place.ceiling:.0f}" for place in places
    ]
    assert [float(cell.removesuffix(" %")) for cell in row("viewers who set out")] == [
        round(place.follows * 100, 2) for place in places
    ]
    assert [float(cell.split(";")[1]) for cell in row("buyers")] == [place.thrift for place in places]
    assert [float(cell.split(";")[0].replace("−", "-")) for cell in row("buyers")] == [place.buys for place in places]
