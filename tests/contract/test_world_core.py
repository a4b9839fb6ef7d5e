"""The world's core as others rely on it: clock, faults, witness, and that ``kill -9`` loses nothing accepted."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factories.market import DAY, Entry, Tracker, comparable, publish_video
from tests.factories.worlds import RunningWorld, WorldProcess

SKILLET, TENT, MAT = "HP-1005", "HP-1041", "HP-1073"
EVENING = DAY + timedelta(hours=18, minutes=5)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path, now=DAY)
    yield world
    world.stop()


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with Tracker() as one:
        yield one


def ask(world: RunningWorld, method: str, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(timeout=60, trust_env=False) as http:
        return http.request(method, f"{world.url}{path}", **options)


def clock(world: RunningWorld, **wish: Any) -> httpx.Response:
    return ask(world, "POST", "/_world/clock", json=wish)


# ---------------------------------------------------------------- the clock
def test_the_clock_stands_until_it_is_moved_and_never_goes_back(running: RunningWorld) -> None:
    assert running.now() == DAY == running.now()
    later = DAY + timedelta(hours=3, minutes=7)
    assert clock(running, to=later.isoformat()).json()["now"] == "2026-11-20T08:22:00.000000Z"
    refused = clock(running, to=(later - timedelta(seconds=1)).isoformat())
    assert refused.status_code == 409
    assert "never goes back" in refused.json()["error"]
    assert running.now() == later
    assert clock(running, to=later.isoformat()).status_code == 200, "where it stands already is no step back"


def test_the_clock_never_runs_ahead_of_the_wall(running: RunningWorld) -> None:
    ahead = datetime.now(UTC) + timedelta(minutes=1)
    assert clock(running, to=ahead.isoformat()).status_code == 409
    assert running.now() == DAY


@pytest.mark.parametrize(
    "wish", [{"to": "2026-11-21T10:00:00"}, {"to": "soon"}, {"rate": 2}, {}, {"to": "x", "rate": 0}]
)
def test_the_clock_understands_nothing_else(running: RunningWorld, wish: dict[str, Any]) -> None:
    assert clock(running, **wish).status_code in (400, 409)
    assert running.now() == DAY


def test_at_rate_one_the_clock_runs_with_the_wall_across_restarts(running: RunningWorld) -> None:
    begun = datetime.now(UTC)
    assert clock(running, rate=1).json()["rate"] == 1
    first = running.now()
    assert first > DAY
    running._server.should_exit = True
    running._thread.join(20)
    running._world.close()
    running._listener.close()
    running.start()
    passed = datetime.now(UTC) - begun
    assert first < running.now() <= DAY + passed + timedelta(seconds=5)
    stopped = clock(running, rate=0).json()["now"]
    assert datetime.fromisoformat(stopped) == running.now()


def test_at_rate_one_people_live_by_themselves(tmp_path: Path, tracker: Tracker) -> None:
    world = RunningWorld(tmp_path, now=EVENING + timedelta(minutes=9, seconds=59))
    publish_video(world._world, SKILLET, tracker=tracker, public_at=EVENING)
    assert world.witness("summary")["views"] == 0
    clock(world, rate=1)
    deadline = time.monotonic() + 20
    while world.witness("summary")["views"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    world.stop()


# ---------------------------------------------------------------- accounts
def test_an_account_stands_as_was_last_said_across_restarts(tmp_path: Path) -> None:
    world = WorldProcess(tmp_path, now=DAY)
    assert ask(world, "GET", "/_world/accounts/tiktok/gear").json() == {"standing": "ok", "posts_per_day": None}
    world.put_account("tiktok", posts_per_day=3)
    world.put_account("tiktok", "gear", standing="restricted")
    world.kill()
    world.start()
    assert ask(world, "GET", "/_world/accounts/tiktok/gear").json() == {"standing": "restricted", "posts_per_day": None}
    assert ask(world, "GET", "/_world/accounts/tiktok/home").json() == {"standing": "ok", "posts_per_day": 3}
    assert ask(world, "GET", "/_world/accounts/instagram/gear").json()["standing"] == "ok"
    assert [(row["account"], row["standing"]) for row in ask(world, "GET", "/_world/accounts").json()] == [
        ("*", "ok"),
        ("gear", "restricted"),
    ]
    wishes: tuple[Any, ...] = (
        {"standing": "banned"},
        {"posts_per_day": -1},
        {"posts_per_day": True},
        {"colour": "red"},
        [],
    )
    for wish in wishes:
        assert ask(world, "PUT", "/_world/accounts/tiktok/gear", json=wish).status_code == 400
    world.stop()


# ---------------------------------------------------------------- faults
def put_fault(world: RunningWorld, **rule: Any) -> None:
    assert ask(world, "POST", "/_world/faults", json=rule).status_code == 201


def click_path(number: int) -> str:
    return f"/impact_click/c/3101/2001/1001?subId1=click{number}"


def clicks_taken(world: RunningWorld) -> list[str]:
    """What the network's click server did: the act whose reply the faults spoil."""
    return [row["subid1"] for row in world._world.store.query("SELECT subid1 FROM impact_clicks ORDER BY subid1")]


def test_a_status_before_keeps_the_vendor_from_acting(running: RunningWorld) -> None:
    put_fault(
        running, match="GET /impact_click/*", status=429, headers={"Retry-After": "7"}, body={"error": "slow"}, times=2
    )
    for number in (1, 2):
        spoiled = ask(running, "GET", click_path(number))
        assert (spoiled.status_code, spoiled.headers["retry-after"]) == (429, "7")
        assert spoiled.json() == {"error": "slow"}
        assert spoiled.headers["content-type"] == "application/json"
    assert ask(running, "GET", click_path(3)).status_code == 302
    assert clicks_taken(running) == ["click3"]


def test_a_status_after_replaces_the_reply_of_what_was_done(running: RunningWorld) -> None:
    put_fault(running, match="* /impact_click/*", when="after", status=503, body="<html>busy</html>")
    spoiled = ask(running, "GET", click_path(1))
    assert (spoiled.status_code, spoiled.text) == (503, "<html>busy</html>")
    assert clicks_taken(running) == ["click1"]


@pytest.mark.parametrize(("when", "taken"), [("before", []), ("after", ["click1"])])
def test_a_dropped_reply_hangs_up(running: RunningWorld, when: str, taken: list[str]) -> None:
    put_fault(running, match="GET /impact_click/*", when=when, drop=True)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(running, "GET", click_path(1))
    assert clicks_taken(running) == taken
    assert ask(running, "GET", click_path(2)).status_code == 302, "only the one connection was cut"


@pytest.mark.parametrize(("when", "taken"), [("before", []), ("after", ["click1"])])
def test_a_hold_is_seen_while_it_lasts(running: RunningWorld, when: str, taken: list[str]) -> None:
    put_fault(running, match="GET /impact_click/*", when=when, delay=1.0)
    replies: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: replies.append(ask(running, "GET", click_path(1))))
    began = time.monotonic()
    caller.start()
    while running.fault_hits() == 0:
        assert time.monotonic() - began < 20
    assert not replies
    assert clicks_taken(running) == taken
    caller.join(20)
    assert [reply.status_code for reply in replies] == [302], "a hold alone spoils nothing"
    assert time.monotonic() - began >= 1.0
    assert clicks_taken(running) == ["click1"]


def test_a_fault_can_let_some_pass_first_and_is_gone_when_cleared(running: RunningWorld) -> None:
    put_fault(running, match="GET /impact_click/*", status=500, skip=1, times=5)
    assert [ask(running, "GET", click_path(n)).status_code for n in (1, 2)] == [302, 500]
    assert [fault["hits"] for fault in ask(running, "GET", "/_world/faults").json()] == [1]
    running.clear_faults()
    assert ask(running, "GET", click_path(3)).status_code == 302
    assert ask(running, "GET", "/_world/faults").json() == []


@pytest.mark.parametrize(
    "rule",
    [
        {"match": "GET /x"},
        {"match": "/x", "status": 500},
        {"match": "GET /x", "status": 500, "when": "during"},
        {"match": "GET /x", "status": 500, "colour": "red"},
        {"match": "GET /x", "delay": 1, "times": 0},
    ],
)
def test_a_fault_that_would_do_nothing_is_refused(running: RunningWorld, rule: dict[str, Any]) -> None:
    assert ask(running, "POST", "/_world/faults", json=rule).status_code == 400
    assert ask(running, "GET", "/_world/faults").json() == []


def test_nobody_can_break_the_world_s_own_controls(running: RunningWorld) -> None:
    put_fault(running, match="* /_world/*", status=500, times=9)
    assert ask(running, "GET", "/_world/health").json()["status"] == "ok"


# ---------------------------------------------------------------- people and the witness
def live(running: RunningWorld, tracker: Tracker, *hours: float) -> None:
    """Publish two videos for the evening and live on to the given hours after midnight."""
    ask(running, "PUT", "/_world/settings", json=tracker.settings).raise_for_status()
    publish_video(running._world, SKILLET, tracker=tracker, public_at=EVENING)
    publish_video(running._world, TENT, tracker=tracker, public_at=EVENING + timedelta(minutes=47))
    for hour in hours:
        running.move_to(DAY + timedelta(hours=hour))


def test_people_click_and_buy_and_the_witness_saw_exactly_that(running: RunningWorld, tracker: Tracker) -> None:
    tracker.postback_status = 500
    live(running, tracker, 26)
    waiting = running.witness("summary")["notifications_waiting"]
    assert waiting == len(running.witness("payouts")) > 0
    tracker.postbacks.clear()
    tracker.postback_status = 204
    running.move_to(running.now())
    assert len(tracker.postbacks) == waiting, "a notification is kept until it is accepted"
    running.move_to(running.now())
    assert len(tracker.postbacks) == waiting, "and sent no more"

    clicks, payouts = running.witness("clicks"), running.witness("payouts")
    assert len(clicks) > 50
    assert {(c["click_id"], c["code"]) for c in clicks} == {(click_id, code) for click_id, code, _ in tracker.clicks}
    assert {click["remote_id"] for click in clicks if click["code"] == f"code{TENT}"} == {f"video-{TENT}"}
    assert len({agent for *_, agent in tracker.clicks}) > len(clicks) / 2
    assert payouts
    assert {paid["sub_id1"] for paid in payouts} <= {click["click_id"] for click in clicks if not click["bot"]}
    assert [(note["ActionId"], note["SubId1"], note["Status"]) for note in tracker.postbacks] == [
        (paid["action_id"], paid["sub_id1"], "PENDING")
        for paid in sorted(payouts, key=lambda p: (p["updated_at"], p["at"]))
    ]
    for paid, note in zip(sorted(payouts, key=lambda p: p["at"]), sorted(tracker.postbacks, key=_date), strict=True):
        assert int(float(note["Payout"]) * 100) == pytest.approx(paid["payout_micros"] / 10_000, abs=1)
        assert paid["payout_micros"] == pytest.approx(paid["sale_micros"] * 0.05, abs=5_000)
    summary = running.witness("summary")
    assert summary["clicks"] == len(clicks)
    assert summary["clicks_uncertain"] == summary["visits_failed"] == summary["notifications_waiting"] == 0
    assert summary["views"] == sum(post["views"] for post in running.witness("posts"))
    assert len(running.witness("truth")["posts"]) == 2


def _date(note: dict[str, str]) -> str:
    return note["EventDate"]


def test_the_same_seed_gives_the_same_evening_however_time_is_cut(running: RunningWorld, tmp_path: Path) -> None:
    with Tracker() as one, Tracker() as two:
        live(running, one, 20)
        other = RunningWorld(tmp_path / "other", now=DAY)
        live(other, two, 18.2, 18.21, 19.3, 20)
        mine, theirs = comparable(running), comparable(other)
        other.stop()
    assert mine["clicks"]
    assert mine == theirs


def test_people_open_nothing_that_they_were_not_told_of(running: RunningWorld, tracker: Tracker) -> None:
    publish_video(running._world, SKILLET, tracker=tracker, public_at=EVENING)
    running.move_to(EVENING + timedelta(minutes=50))
    assert tracker.clicks == []
    summary = running.witness("summary")
    assert summary["views"] > 0
    assert summary["visits_failed"] > 0


def test_charges_are_booked_as_told(running: RunningWorld) -> None:
    running._world.charge("openai", "responses", 1234, "req_1", {"model": "m"})
    assert running.witness("charges") == [
        {
            "vendor": "openai", "operation": "responses", "micros": 1234, "request_id": "req_1",
            "at": "2026-11-20T05:15:00.000000Z", "detail": {"model": "m"},
        }
    ]  # fmt: skip
    assert running.witness("summary")["charges_micros"] == 1234


def test_settings_that_nobody_knows_are_refused(running: RunningWorld) -> None:
    assert ask(running, "PUT", "/_world/settings", json={"postback": "x"}).status_code == 400
    stored = ask(running, "PUT", "/_world/settings", json={"tracking_hosts": ["a:1"]}).json()
    assert stored == {"impact_postback_url": None, "tracking_hosts": ["a:1"]}


# ---------------------------------------------------------------- the blog
def push(home: Path, workdir: Path, files: dict[str, str]) -> None:
    """Commit files to the blog's repository, as a publisher does."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(workdir)]
    if not workdir.exists():
        subprocess.run(
            ["git", "clone", "--quiet", str(home / "world" / "blog.git"), str(workdir)], check=True, capture_output=True
        )
        subprocess.run([*git, "checkout", "--quiet", "-B", "main"], check=True)
    for name, text in files.items():
        path = workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "post"], check=True)
    subprocess.run([*git, "push", "--quiet", "origin", "main"], check=True)


def mdx(title: str, link: str) -> str:
    words = "Cork on natural rubber grips better when damp. " * 40
    return (
        f'---\ntitle: "{title}"\ndescription: "A mat."\ndate: "2026-11-20"\nslug: "cork-mat"\ntags: ["yoga"]\n'
        'disclosure: "This article contains affiliate links."\n---\n\n'
        "<Disclosure>This article contains affiliate links.</Disclosure>\n\n## What it is\n\n"
        f'{words.strip()}\n\n<AffiliateLink href="{link}">See the mat</AffiliateLink>\n\n'
        "<AiStatement>Written with AI.</AiStatement>\n"
    )


def test_a_pushed_post_is_public_and_its_readers_click(running: RunningWorld, tracker: Tracker, tmp_path: Path) -> None:
    ask(running, "PUT", "/_world/settings", json=tracker.settings).raise_for_status()
    target = f"{running.url}/impact_click/c/3101/2001/1001?u={running.url}/merchant/products/{MAT}"
    tracker.entries["mat"] = Entry("Cork Yoga Mat 5 mm", "", target)
    link = f"http://{tracker.host}/r/mat"
    work = tmp_path / "work"
    push(
        running.home,
        work,
        {"content/posts/cork-mat.mdx": mdx("Cork Yoga Mat 5 mm", link), "content/notes.mdx": "no post"},
    )
    (post,) = running.witness("posts")
    assert (post["platform"], post["remote_id"], post["title"], post["public"]) == (
        "blog",
        "cork-mat",
        "Cork Yoga Mat 5 mm",
        True,
    )
    assert link in post["text"]
    page = ask(running, "GET", "/blog/posts/cork-mat").text
    assert f'<a href="{link}" rel="sponsored nofollow"' in page
    for listing in ("sitemap.xml", "feed.xml"):
        assert f"{running.url}/blog/posts/cork-mat<" in ask(running, "GET", f"/blog/{listing}").text
    running.move_to(DAY + timedelta(hours=9))
    clicks = running.witness("clicks")
    assert clicks
    assert {click["code"] for click in clicks} == {"mat"}
    assert len(clicks) == len(tracker.clicks)

    push(running.home, work, {"content/posts/cork-mat.mdx": mdx("A Better Title", link)})
    (edited,) = running.witness("posts")
    assert (edited["title"], edited["public_at"]) == ("A Better Title", post["public_at"])
    for broken in ("{process.env.KEY}", "<script>alert(1)</script>", "export const x = 1", "<Unknown />"):
        push(running.home, work, {"content/posts/cork-mat.mdx": mdx("Broken", link) + f"\n{broken}\n"})
        assert running.witness("posts") == [edited]  # the build failed: what was deployed stays
    (work / "content/posts/cork-mat.mdx").unlink()
    push(running.home, work, {})
    assert ask(running, "GET", "/blog/posts/cork-mat").status_code == 404
    assert running.witness("posts")[0]["removed_at"] is not None
