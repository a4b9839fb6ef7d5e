"""The Dagster UI as the owner meets it: real pages in a real browser, and a backfill from its own dialog.

``EMPIRE_TESTS_SCREENSHOTS=docs/images`` keeps a picture of each page there.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.end_to_end.homes import Home, wait_until

CHROMIUM = Path("/usr/bin/chromium")
GROUPS = ("discovery", "intelligence", "content", "publishing", "analytics", "optimization", "reports")
WIDTH = 1600
# The UI polls and the machine may be busy.
PATIENCE = 60_000  # milliseconds

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(os.environ.get("CI")), reason="the UI is looked at on a developer's machine, not in CI"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is missing (apt-get install chromium)"),
]


class UI:
    """A running Dagster UI of a home that has lived one day."""

    def __init__(self, home: Home, day: str, port: int, browser: Browser) -> None:
        self.home, self.day, self._url = home, day, f"http://127.0.0.1:{port}"
        self._browser = browser
        self._pictures = os.environ.get("EMPIRE_TESTS_SCREENSHOTS")

    def open(self, path: str, *, height: int = 1000) -> Page:
        page = self._browser.new_page(viewport={"width": WIDTH, "height": height})
        page.set_default_timeout(PATIENCE)
        page.goto(f"{self._url}{path}")
        return page

    def keep(self, page: Page, name: str) -> None:
        """A picture for the manual, when pictures are asked for; closes the page."""
        if self._pictures:
            page.mouse.move(0, 0)
            page.wait_for_timeout(1500)  # for transitions to end
            page.screenshot(path=f"{self._pictures}/{name}.png")
        page.close()

    def ask(self, query: str, **variables: Any) -> Any:
        """GraphQL, for what a picture does not tell."""
        answer = httpx.post(f"{self._url}/graphql", json={"query": query, "variables": variables}, timeout=60)
        return answer.raise_for_status().json()["data"]

    def answers(self) -> bool:
        """Whether the UI serves, and the code location has loaded."""
        try:
            found = self.ask("{repositoriesOrError{... on RepositoryConnection{nodes{assetNodes{id}}}}}")
        except httpx.TransportError:
            return False
        return any(node["assetNodes"] for node in found["repositoriesOrError"].get("nodes", []))


@pytest.fixture(scope="module")
def ui(home: Home) -> Iterator[UI]:
    day = home.demo()["day"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = home.start("dev", "--port", str(port))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            ui = UI(home, day, port, browser)
            wait_until(ui.answers, "the Dagster UI")
            yield ui
            browser.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def picture(place: Page | Locator, kind: str) -> Locator:
    """The first picture that an asset put into its metadata."""
    return place.locator(f"img[src^='data:image/{kind}']").first


def witnessed(home: Home) -> tuple[list[tuple[str, str]], int]:
    """What the world saw: its posts by their ids (their views go on growing), and the number of its charges."""
    posts = sorted((post["platform"], post["remote_id"]) for post in home.witness("posts"))
    assert posts
    return posts, len(home.witness("charges"))


def is_drawn(image: Locator) -> bool:
    return bool(image.evaluate("image => image.complete && image.naturalWidth > 100"))


def test_the_graph_reads_from_left_to_right(ui: UI) -> None:
    page = ui.open("/asset-groups", height=520)
    page.get_by_text("Hide navigation").click()
    page.reload()  # drawn anew, in the room that there is now
    nodes = {name: page.locator("foreignObject").filter(has_text=re.compile(f"^{name}")) for name in GROUPS}
    places = {}
    for name, node in nodes.items():
        expect(node.first).to_be_visible()
        box = node.first.bounding_box()
        assert box is not None
        places[name] = box["x"]
    assert sorted(GROUPS, key=lambda name: places[name]) == list(GROUPS)
    ui.keep(page, "ui_graph")


def test_a_group_shows_its_assets_with_their_checks(ui: UI) -> None:
    page = ui.open("/locations/empire/asset-groups/content", height=1150)
    for said in ("prompt_versions", "scripts", "video_clips", "videos", "2 / 2 Passed"):
        expect(page.get_by_text(said).first).to_be_visible()
    ui.keep(page, "ui_group")


def test_an_asset_says_what_it_is(ui: UI) -> None:
    page = ui.open("/assets/roi?view=overview")
    for said in ("One row per cohort day", "world: SIMULATED", "growth", "revenue_micros", "BIGINT", "DuckDB"):
        expect(page.get_by_text(said).first).to_be_visible()
    ui.keep(page, "ui_asset")


def test_a_partition_shows_dollars_a_preview_and_a_plot(ui: UI) -> None:
    page = ui.open(f"/assets/roi?view=partitions&partition={ui.day}")
    for said in ("Materialized", "profit_usd", "SIMULATED", "preview"):
        expect(page.get_by_text(said).first).to_be_visible()
    plot = picture(page, "svg")
    expect(plot).to_be_visible()
    assert is_drawn(plot)
    plot.scroll_into_view_if_needed()
    ui.keep(page, "ui_partition")


def test_a_video_is_seen_in_the_ui(ui: UI) -> None:
    page = ui.open(f"/assets/videos?view=partitions&partition={ui.day}")
    page.get_by_role("row").filter(has_text="a_frame_of_each").get_by_text("Show Markdown").click()
    frame = picture(page, "jpeg")
    expect(frame).to_be_visible()
    assert is_drawn(frame)
    ui.keep(page, "ui_videos")


def test_a_check_says_what_it_looked_at(ui: UI) -> None:
    page = ui.open("/assets/publications?view=checks&checkDetail=every_piece_discloses")
    expect(page.get_by_text("Every post discloses").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"It holds of \d post")).first).to_be_visible()
    expect(page.get_by_text("Passed").first).to_be_visible()
    ui.keep(page, "ui_check")


def test_a_run_shows_its_steps(ui: UI) -> None:
    query = '{runsOrError(filter: {pipelineName: "prepare_day"}){... on Runs{results{id}}}}'
    (run, *_) = ui.ask(query)["runsOrError"]["results"]
    page = ui.open(f"/runs/{run['id']}")
    for said in ("Success", "prepare_day", "content_plan", "videos"):
        expect(page.get_by_text(said).first).to_be_visible()
    ui.keep(page, "ui_run")


def test_every_schedule_and_sensor_is_listed(ui: UI) -> None:
    page = ui.open("/automation", height=1650)
    query = "{repositoriesOrError{... on RepositoryConnection{nodes{schedules{name} sensors{name}}}}}"
    (repository,) = ui.ask(query)["repositoriesOrError"]["nodes"]
    names = [each["name"] for each in repository["schedules"] + repository["sensors"]]
    assert "publications_due" in names
    for name in names:
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    ui.keep(page, "ui_automation")


def test_a_backfill_of_seven_days_from_the_ui_posts_nothing(ui: UI) -> None:
    before = witnessed(ui.home)
    first = date.fromisoformat(ui.day) - timedelta(days=6)
    page = ui.open("/assets/publications?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog").filter(has_text="Launch runs to materialize publications")
    days = dialog.get_by_placeholder("ex: ")
    days.fill(f"[{first}...{ui.day}]")
    days.press("Enter")
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem", name="youtube").click()
    page.keyboard.press("Escape")
    expect(dialog.get_by_text("7 partitions").first).to_be_visible()
    dialog.get_by_role("button", name="Launch backfill").click()
    expect(dialog).to_be_hidden()
    page.close()

    def ended() -> bool:
        query = "{partitionBackfillsOrError{... on PartitionBackfills{results{status numPartitions}}}}"
        return [
            each["numPartitions"]
            for each in ui.ask(query)["partitionBackfillsOrError"]["results"]
            if each["status"] == "COMPLETED_SUCCESS"
        ] == [7]

    wait_until(ended, "the backfill", seconds=400)
    assert witnessed(ui.home) == before
    assert ui.home.network_violations() == ""
