"""The commands of an owner's day, as they are typed: what they print, how they end, what they leave behind."""

from __future__ import annotations

import gc
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select, update

from affiliate_empire.cli.main import main
from affiliate_empire.effects import EffectParked, NotApproved, State
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.installation import bump_epoch
from affiliate_empire.ledger.tables import Account, Alert, Effect, Installation, Piece, Publication
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.approvals import set_approval
from affiliate_empire.vendors.errors import VendorUnavailable
from tests.factories.publishing import DAY, SLOT, Business, add_post, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

# A command leaves its connections to the end of its process, which here is the test's.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    world.move_to(SLOT)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


@pytest.fixture
def empire(
    business: Business, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Types a command in the business's home: its exit code, and all that it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPIRE_HOME", str(tmp_path))
    monkeypatch.setenv("EMPIRE_WORLD_PORT", str(urlsplit(business.world_url).port))
    monkeypatch.setenv("DATABASE_URL", business.ledger_url)

    def typed(*arguments: str, answer: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["empire", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), f"{said.out}{said.err}"

    yield typed
    gc.collect()


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def public(world: RunningWorld) -> list[bool]:
    return [post["public"] for post in world.witness("posts")]


# ---------------------------------------------------------------- takedown
def test_takedown_shows_the_post_and_waits_for_a_yes(
    world: RunningWorld, business: Business, empire: Command, tmp_path: Path
) -> None:
    short = business.publish(add_video(business, write_video(tmp_path / "short.mp4")))
    assert empire("takedown", short.url) == (1, "Say why with --reason: it is kept with the post.\n")

    code, said = empire("takedown", short.url, "--reason", "wrong price", answer="n\n")
    assert code == 1
    for shown in (short.title, short.publication_id, "youtube:gearlab", short.url, "SIMULATED", "Delete it for good?"):
        assert shown in said
    assert public(world) == [True]
    assert rows(business.ledger, Publication)[0].takedown_reason is None

    code, said = empire("takedown", short.piece_id, "--reason", "wrong price", "--unlist", "--yes", "--json")
    assert (code, json.loads(said)["way"]) == (0, "unlist")
    code, said = empire("takedown", "--reason", "wrong price", short.url, answer="y\n")
    assert (code, f"{short.url} is gone, and its link leads nowhere." in said) == (0, True)
    assert public(world) == [False]
    code, said = empire("takedown", short.url, "--reason", "again", "--yes")
    assert (code, "was taken down on 2026-11-20 at 14:20 UTC already (wrong price)" in said) == (1, True)


def test_takedown_of_reel_and_page_through_their_platforms(
    world: RunningWorld, business: Business, empire: Command, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "reel.mp4", seconds=4, index_first=True)
    reel = business.publish(add_video(business, path, platform="instagram"))
    page = business.publish(add_post(business))
    assert public(world) == [True, True]
    for post in (reel, page):
        assert empire("takedown", post.url, "--reason", "x", "--yes")[0] == 0
    assert public(world) == [False, False]


def test_takedown_by_hand_is_told_when_it_is_done(business: Business, empire: Command, tmp_path: Path) -> None:
    video = business.publish(add_video(business, write_video(tmp_path / "short.mp4"), platform="tiktok"))
    code, said = empire("takedown", video.publication_id, "--reason", "wrong price", "--yes")
    assert (code, f"empire takedown done {video.publication_id}" in said) == (1, True)
    code, said = empire("takedown")
    assert (code, "wrong price" in said, video.publication_id in said) == (0, True, True)
    assert empire("takedown", "done") == (1, "Say which post is gone: empire takedown done POST.\n")
    assert empire("takedown", "done", video.publication_id)[0] == 0
    assert empire("takedown") == (0, "Nothing waits to be taken down.\n")
    assert rows(business.ledger, Publication)[0].taken_down_at == SLOT


# ---------------------------------------------------------------- accounts route and handoff
def test_a_route_is_chosen_and_what_is_handed_over_is_settled(
    business: Business, empire: Command, tmp_path: Path
) -> None:
    assert empire("accounts", "route", "tiktok:gearlab", "package") == (
        0, "tiktok:gearlab posts by the route package from now on.\n"
    )  # fmt: skip
    for wrong in (("tiktok:gearlab", "browser"), ("youtube:gearlab", "package")):
        assert empire("accounts", "route", *wrong)[0] == 1
    routes = {account.account_id: account.route for account in rows(business.ledger, Account)}
    assert routes == dict.fromkeys(routes, "direct") | {"tiktok:gearlab": "package"}

    listed = empire("accounts", "list")[1]
    assert "as files" in listed

    piece = add_video(business, write_video(tmp_path / "short.mp4"), platform="tiktok")
    with pytest.raises(EffectParked):
        business.publish(piece)
    code, said = empire("handoff")
    assert (code, said.split()[:3]) == (0, [piece, "tiktok:gearlab", "2026-11-20T14:20"])
    assert (Path(said.split()[3]) / "checklist.md").exists()

    assert empire("handoff", "done", piece) == (
        1, "Say one of --url ADDRESS (with --at TIME) or --skipped.\n"
    )  # fmt: skip
    code, said = empire("handoff", "done", piece, "--url", "https://vm.tiktok.com/x")
    assert (code, "is not a video's full address" in said) == (1, True)
    address = "https://www.tiktok.com/@gearlab/video/7412345678901234567"
    assert empire("handoff", "done", piece, "--url", address) == (0, f"The post of {piece} is settled now.\n")
    assert empire("handoff") == (0, "Nothing waits to be posted by hand.\n")
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.SETTLED]


def test_what_stays_paused_is_said_and_so_is_what_waits_for_a_word(business: Business, empire: Command) -> None:
    empire("pause", "all")
    empire("pause", "account:youtube:gearlab", "--reason", "a strike")
    said = empire("resume", "all")[1]
    assert "Resumed all." in said
    assert "Still paused: account:youtube:gearlab (a strike)" in said
    assert "Say account:youtube:gearlab" in empire("resume", "youtube:gearlab")[1]

    assert "empire effects confirm" not in empire("effects")[1]
    with business.ledger.begin() as session:
        bump_epoch(session, "copied")
    assert "nothing new is spent or posted" in " ".join(empire("effects")[1].split())


def test_what_is_to_be_copied_stands_whole_on_a_narrow_terminal(
    world: RunningWorld, business: Business, empire: Command, tmp_path: Path
) -> None:
    piece = add_video(business, write_video(tmp_path / "short.mp4"))
    world.fault("PUT /youtube/*", kind="down", times=50)
    with pytest.raises(VendorUnavailable):
        business.publish(piece)
    (effect,) = rows(business.ledger, Effect)
    said = empire("effects")[1]
    assert f"{effect.key} is {effect.state} since" in said
    code, said = empire("effects", "resolve", effect.effect_id, "--happened", "--did-not-happen")
    assert (code, "Say one of --happened and --did-not-happen" in said) == (1, True)
    assert empire("effects", "resolve", effect.effect_id)[0] == 1
    assert empire("dev", "--port", "99999")[0] == 2


def test_a_restore_asks_first(business: Business, empire: Command, tmp_path: Path) -> None:
    add_post(business)
    assert empire("backup", str(tmp_path / "kept"))[0] == 0
    code, said = empire("restore", str(tmp_path / "kept"), answer="n\n")
    assert (code, "in the place of this home's ledger" in said) == (1, True)
    with business.ledger.begin() as session:
        assert session.scalars(select(Installation.epoch)).one() == 1


# ---------------------------------------------------------------- alerts
def test_alerts_stand_whole_and_newest_first_on_a_narrow_terminal(business: Business, empire: Command) -> None:
    assert empire("alerts") == (0, "No alert is open.\n")
    assert empire("alerts", "--all") == (0, "No alert was raised.\n")
    message = f"run `empire takedown {'x' * 60} --reason [why] and look at {'y' * 60}"
    for number, hours in enumerate((0, 2, 1)):
        at = SLOT + timedelta(hours=hours)
        words = {"severity": "high", "subject": f"s{number}", "message": f"{message} {number}"}
        raise_alert(number, **words, at=at, ledger=business.ledger)
    with business.ledger.begin() as session:
        session.execute(update(Alert).where(Alert.subject == "s2").values(resolved_at=SLOT + timedelta(hours=3)))

    code, said = empire("alerts")
    head = "high · 2026-11-20 {} UTC · s{}"
    assert (code, said.splitlines()) == (
        0,
        [head.format("16:20", 1), f"  {message} 1", head.format("14:20", 0), f"  {message} 0"],
    )
    said = empire("alerts", "--all")[1]
    assert said.splitlines()[2] == f"{head.format('15:20', 2)}, over since 2026-11-20 17:20 UTC"
    assert [row["subject"] for row in json.loads(empire("alerts", "--json")[1])] == ["s1", "s0"]
    every = json.loads(empire("alerts", "--all", "--json")[1])
    assert [(row["subject"], row["message"][-1], bool(row["resolved_at"])) for row in every] == [
        ("s1", "1", False),
        ("s2", "2", True),
        ("s0", "0", False),
    ]


# ---------------------------------------------------------------- approvals
def test_what_nobody_was_asked_about_yet_is_named(business: Business, empire: Command) -> None:
    set_approval("blog:gearlab", "required", ledger=business.ledger)
    piece = add_post(business)
    said = empire("approvals")[1]
    assert f"{piece}  blog:gearlab  slot" in said
    assert "The next run of publish_pieces asks" in said


def test_what_waits_is_shown_and_decided(
    world: RunningWorld, business: Business, empire: Command, tmp_path: Path
) -> None:
    assert empire("accounts", "approval", "youtube:gearlab", "required")[0] == 0
    set_approval("blog:gearlab", "required", ledger=business.ledger)
    short = add_video(business, write_video(tmp_path / "short.mp4"))
    other = add_video(business, write_video(tmp_path / "b.mp4", seed=3), piece_id="pc_other", slot_at=after(1))
    page = add_post(business)
    world.move_to(after(1))
    for piece in (short, other, page):
        with pytest.raises(NotApproved):
            business.publish(piece)

    code, said = empire("approvals")
    assert code == 0
    assert all(piece in said for piece in (short, other, page))
    assert "Say yes with `empire approvals approve PIECE" in said
    waits = json.loads(empire("approvals", "--json")[1])
    assert {row["piece_id"] for row in waits} == {short, other, page}

    look = next(row["look"] for row in waits if row["piece_id"] == short)
    assert empire("approvals", "approve", f"{short}@{look}", "--by", "me") == (0, f"Approved: {short}.\n")
    assert empire("approvals", "reject", other)[0] != 0  # a reason is asked for
    assert empire("approvals", "reject", other, "--reason", "dull") == (0, f"Rejected: {other}.\n")
    assert empire("approvals", "approve", "--all-of", str(DAY)) == (0, f"Approved: {page}.\n")
    assert empire("approvals", "approve", "pc_nobody")[0] == 1
    assert empire("approvals") == (0, "Nothing waits for your approval.\n")

    business.publish(short)
    assert len(world.witness("posts")) == 1
    code, said = empire("approvals", "reject", short, "--reason", "late")
    assert (code, f"empire takedown {short} --reason" in said) == (1, True)
    with business.ledger.begin() as session:
        assert session.get_one(Piece, other).status == "quarantined"
