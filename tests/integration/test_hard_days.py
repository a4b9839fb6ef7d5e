"""Hard days: a full disk, a clock that jumps, a key that is revoked, an account that is restricted, a changed offer.

Each ends with what the world's witness and the ledger hold, and with the sentence that the owner reads. What a client
makes of a bad network is in ``tests/contract/test_bad_networks``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import select, text

from affiliate_empire.effects import Caps, EffectInProgress, Effects, Paused, State, WindowClosed
from affiliate_empire.effects.report import imbalances, open_effects
from affiliate_empire.effects.switches import pause_scope, paused_scopes, pauses_in_words, resume_scope
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.kernel.files import OutOfSpace
from affiliate_empire.lake import Lake
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    Alert,
    ApprovalRequest,
    Artifact,
    Base,
    Effect,
    Piece,
    Product,
    Program,
    Publication,
    QuotaUse,
)
from affiliate_empire.media import ffmpeg
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.approvals import approve
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.make_script import make_script
from affiliate_empire.operations.make_stills import make_stills
from affiliate_empire.operations.make_voiceover import make_voiceover
from affiliate_empire.operations.publish_piece import NotDue
from affiliate_empire.operations.report_day import save_page
from affiliate_empire.operations.sync_programs import sync_programs
from affiliate_empire.operations.work_pieces import pieces_of, work_pieces
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Settings
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.errors import AccountRestricted, CredentialsRejected, ReplyLost, VendorUnavailable
from affiliate_empire.vendors.openai import OpenAIClient
from assets.failures import reason_of
from definitions import build_defs
from resources.lake import LakeIOManager
from tests.factories.disks import MEGABYTE, fill, small_disk
from tests.factories.effects import NOON, Platform, open_account, post_intent, workers
from tests.factories.pieces import DAY as MAKING_DAY
from tests.factories.pieces import plan_piece
from tests.factories.publishing import DAY, SLOT, TRACKING, Business, add_post, add_video, after, always, open_business
from tests.factories.worlds import RunningWorld, write_video

POLICY = load_policy()
CLOSES = BusinessCalendar().posting_window(DAY)[1]
BYTES = "PUT /youtube/upload/youtube/v3/videos"
SESSION = "POST /youtube/upload/youtube/v3/videos"
PAGE = "<!doctype html><html><body>Log in to the hotel's network.</body></html>"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


@pytest.fixture(scope="module")
def reels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two videos that every platform takes."""
    folder = tmp_path_factory.mktemp("reels")
    size = (360, 640)
    return [write_video(folder / f"{n}.mp4", seed=n, size=size, rate=24, seconds=3, index_first=True) for n in range(2)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 48) as disk:
        yield disk


def rows(ledger: Ledger, table: type[Base]) -> list[Any]:
    with ledger.begin() as session:
        assert imbalances(session) == []
        return list(session.scalars(select(table)))


def is_one_sentence(said: object) -> bool:
    return len(str(said).splitlines()) == 1 and str(said).endswith(".") and "Traceback" not in str(said)


class Workshop:
    """The making verbs in a world, with the media on a disk of the test's choice."""

    def __init__(self, ledger: Ledger, world: RunningWorld, media: Path) -> None:
        self.ledger, self.world, self.media = ledger, world, MediaStore(media)
        caps = Caps(day_micros=10**9, month_micros=10**9, run_micros=10**9)
        self.effects = Effects(ledger, FixedClock(NOON), caps=caps)
        self.openai = OpenAIClient(f"{world.url}/openai/v1", lambda: SANDBOX_KEYS["openai"], timeout=20)
        self.elevenlabs = ElevenLabsClient(f"{world.url}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"], timeout=20)
        self._common = {"ledger": ledger, "effects": self.effects, "policy": POLICY}

    def script(self, piece_id: str) -> Artifact:
        return make_script(piece_id, writers={"openai": self.openai}, moderator=self.openai, **self._common)

    def stills(self, piece_id: str) -> list[Artifact]:
        return make_stills(piece_id, openai=self.openai, media=self.media, **self._common)

    def voiceover(self, piece_id: str) -> Artifact:
        return make_voiceover(piece_id, elevenlabs=self.elevenlabs, media=self.media, **self._common)

    def close(self) -> None:
        self.openai.close()
        self.elevenlabs.close()


@pytest.fixture
def workshop(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(ledger, world, tmp_path / "media")
    yield shop
    shop.close()


# ---------------------------------------------------------------- a full disk
def test_nothing_is_paid_for_that_the_disk_has_no_room_for(ledger: Ledger, world: RunningWorld, disk: Path) -> None:
    shop = Workshop(ledger, world, disk / "media")
    piece = plan_piece(ledger)
    script = shop.script(piece)
    paid = world.witness("charges")
    ballast = fill(disk, leaving=MEGABYTE)

    for make in (shop.stills, shop.voiceover):
        with pytest.raises(OutOfSpace) as full:
            make(piece)
        assert is_one_sentence(full.value)
        assert "free some space and run again" in str(full.value)
    assert world.witness("charges") == paid
    assert len(rows(ledger, Effect)) == len(paid)

    ballast.unlink()
    made = [*shop.stills(piece), shop.voiceover(piece)]
    assert all(shop.media.exists(str(each.sha256)) for each in made)
    assert len(world.witness("charges")) == len(paid) + len(script.content["scenes"]) + 1
    assert {effect.state for effect in rows(ledger, Effect)} == {State.SETTLED}
    shop.close()


def test_a_file_that_does_not_fit_is_not_there(disk: Path) -> None:
    media = MediaStore(disk)
    kept = media.save(b"before", "image/png")
    fill(disk, leaving=MEGABYTE)

    with pytest.raises(OutOfSpace, match="is full"):
        media.save(b"1" * 2 * MEGABYTE, "video/mp4")
    assert [path.name for path in disk.rglob("*.*")] == [f"{kept}.png"]
    assert list((disk / "incoming").iterdir()) == []


def test_a_render_on_a_full_disk_is_no_fault_of_the_piece(disk: Path) -> None:
    fill(disk, leaving=MEGABYTE)
    noise = ["-f", "lavfi", "-i", "nullsrc=s=540x960:d=4,geq=random(1)*255:128:128", "-c:v", "rawvideo", "big.avi"]
    with pytest.raises(OutOfSpace, match="is full"):
        ffmpeg.run(noise, disk)


def test_a_partition_and_a_report_that_do_not_fit_leave_the_old_ones(disk: Path) -> None:
    lake = Lake(disk / "lake")
    lake.write("clicks", str(DAY), pd.DataFrame({"n": [1]}))
    save_page("yesterday", disk / "reports" / "day.html")
    fill(disk)

    large = pd.DataFrame({"n": pd.Series(range(200_000)).sample(frac=1, random_state=7)})
    with pytest.raises(OutOfSpace):
        lake.write("clicks", str(DAY), large)
    with pytest.raises(OutOfSpace):
        save_page("today" * MEGABYTE, disk / "reports" / "day.html")

    assert list(lake.read("clicks", str(DAY))["n"]) == [1]
    assert lake.partitions("clicks") == [str(DAY)]
    assert (disk / "reports" / "day.html").read_text() == "yesterday"
    assert sorted(path.name for path in disk.rglob("*.*")) == [f"{DAY}.parquet", "day.html"]


def test_a_run_says_that_the_disk_is_full(disk: Path) -> None:
    @dg.asset(io_manager_key="lake")
    def clicks() -> pd.DataFrame:
        return pd.DataFrame({"n": pd.Series(range(200_000)).sample(frac=1, random_state=7)})

    (disk / "lake").mkdir()
    fill(disk)
    with dg.DagsterInstance.ephemeral(tempdir=str(disk.parent / "dagster")) as instance:
        result = dg.materialize(
            [clicks],
            resources={"lake": LakeIOManager(root=str(disk / "lake"), label="SIMULATED")},
            instance=instance,
            raise_on_error=False,
        )
    said = reason_of(result.all_events)
    assert said.startswith(f"The disk of {disk}/lake/clicks is full")
    assert is_one_sentence(said)


def test_a_full_disk_of_the_database(ledger: Ledger) -> None:
    with pytest.raises(OutOfSpace, match="The disk of the ledger's database is full"), ledger.begin() as session:
        # The server's own word for it, as it says it when it cannot extend a file.
        session.execute(text("DO $$ BEGIN RAISE disk_full; END $$"))


# ---------------------------------------------------------------- a clock that jumps
def test_a_window_that_closes_between_preparing_and_posting(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    """The business clock jumps a day while a session is being opened."""
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    start_upload = business.youtube.start_upload

    def jump(*arguments: Any) -> str:
        url = start_upload(*arguments)
        world.move_to(CLOSES + timedelta(hours=18))
        return url

    business.youtube.start_upload = jump  # type: ignore[method-assign]
    with pytest.raises(WindowClosed) as late:
        business.publish(video)
    assert is_one_sentence(late.value)
    assert world.witness("posts") == []
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.EXPIRED]
    assert rows(business.ledger, QuotaUse) == []
    with pytest.raises(WindowClosed):
        business.publish(video)
    assert business.reconcile() == []


def with_standing(business: Business, at: datetime) -> None:
    """Hand the business another clock, which stands."""
    business.effects.clock = FixedClock(at)
    business.clock.now = business.effects.clock.now  # type: ignore[method-assign]


def test_a_clock_that_is_set_back_doubles_nothing(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = add_video(business, write_video(tmp_path / "two.mp4", seed=1), piece_id="pc_2", slot_at=after(10))
    business.publish(first)
    with_standing(business, SLOT)
    for back in (timedelta(hours=1), timedelta(days=1), timedelta(days=400)):
        with_standing(business, SLOT - back)
        business.publish(first)
        business.reconcile()
        with pytest.raises(NotDue):
            business.publish(second)
    assert len(world.witness("posts")) == 1

    with_standing(business, after(5))
    business.publish(second)
    assert len(world.witness("posts")) == len(rows(business.ledger, Publication)) == 2


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)])
def test_a_lease_does_not_care_for_the_business_clock(ledger: Ledger, tmp_path: Path, jump: timedelta) -> None:
    open_account(ledger)
    clock, platform = FixedClock(NOON), Platform(tmp_path / "platform")
    refusals = []

    def another_worker() -> None:
        clock.at = NOON + jump
        with pytest.raises(EffectInProgress) as busy:
            workers(ledger, clock=clock).perform(post_intent(), platform.act())
        refusals.append(busy.value)

    platform.at["before_commit"] = another_worker
    workers(ledger, clock=clock).perform(post_intent(), platform.act())
    assert len(refusals) == len(platform.posts) == 1


# ---------------------------------------------------------------- a web page instead of an answer
@pytest.mark.parametrize(
    ("match", "step", "status"),
    [
        ("POST /openai/v1/responses", "script", 200),
        ("POST /openai/v1/images/generations", "stills", 502),
        ("POST /elevenlabs/v1/text-to-speech/*", "voiceover", 200),
    ],
)
def test_a_paid_answer_that_is_a_web_page_is_booked_as_lost(
    workshop: Workshop, match: str, step: str, status: int
) -> None:
    piece = plan_piece(workshop.ledger)
    if step != "script":
        workshop.script(piece)
    workshop.world.fault(match, when="after", status=status, headers={"content-type": "text/html"}, body=PAGE)
    getattr(workshop, step)(piece)

    (lost,) = [effect for effect in rows(workshop.ledger, Effect) if effect.state == State.LOST]
    assert lost.cost_micros == lost.max_cost_micros > 0
    assert is_one_sentence(lost.error)
    booked = [effect.cost_micros for effect in rows(workshop.ledger, Effect)]
    assert len(booked) == len(workshop.world.witness("charges"))


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize(
    ("platform", "match", "skip"),
    [
        ("youtube", BYTES, 1),
        ("tiktok", "PUT /tiktok/upload/video/", 0),
        ("instagram", "POST /instagram/*/media_publish", 0),
    ],
)
def test_a_post_that_is_answered_by_a_web_page_is_there_once(
    world: RunningWorld, business: Business, reels: list[Path], platform: str, match: str, skip: int, status: int
) -> None:
    video = add_video(business, reels[0], platform=platform)
    world.move_to(SLOT)
    world.fault(
        match, when="after", status=status, headers={"content-type": "text/html"}, body=PAGE, skip=skip, times=1
    )
    try:
        business.publish(video)
    except ReplyLost:
        business.publish(video)
    assert world.fault_hits() == 1
    assert len(world.witness("posts")) == len(rows(business.ledger, Publication)) == 1


# ---------------------------------------------------------------- a key that is revoked at noon
def test_a_key_revoked_in_the_middle_of_a_stage(workshop: Workshop) -> None:
    names = [f"pc_{number}" for number in range(6)]
    for number, name in enumerate(names):
        plan_piece(workshop.ledger, name, slot_at=datetime(2026, 11, 20, 12 + number, tzinfo=UTC))
    workshop.script(names[0])
    done = world_charges(workshop)
    body = {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key", "type": "invalid_request"}}
    workshop.world.fault("POST /openai/*", status=401, body=body, times=1000)

    def write_all() -> Any:
        pieces = pieces_of(MAKING_DAY, ledger=workshop.ledger)
        return work_pieces("scripts", pieces, workshop.script, ledger=workshop.ledger, at_once=2)

    with pytest.raises(CredentialsRejected, match="EMPIRE_OPENAI_API_KEY") as refused:
        write_all()
    assert is_one_sentence(refused.value)
    assert workshop.world.fault_hits() <= 2  # those under way; nobody asks again
    assert world_charges(workshop) == done
    assert {piece.status for piece in rows(workshop.ledger, Piece)} == {"planned"}

    workshop.world.clear_faults()
    assert write_all().made == names
    charges = world_charges(workshop)
    assert charges[: len(done)] == done
    effects = rows(workshop.ledger, Effect)
    assert sorted(effect.remote_id for effect in effects if effect.cost_micros) == sorted(
        charge["request_id"] for charge in charges
    )


def world_charges(workshop: Workshop) -> list[dict[str, Any]]:
    return list(workshop.world.witness("charges"))


def revoke_youtube(world: RunningWorld) -> None:
    """The owner's grant is revoked: uploads say 401, and no new token is given."""
    world.fault(BYTES, status=401, times=1000)
    world.fault(SESSION, status=401, times=1000)
    world.fault("POST /google_oauth/token", status=400, body={"error": "invalid_grant"}, times=1000)


def test_a_grant_revoked_between_two_posts(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = add_video(business, write_video(tmp_path / "two.mp4", seed=1), piece_id="pc_2", slot_at=after(10))
    business.publish(first)
    revoke_youtube(world)

    with pytest.raises(CredentialsRejected, match="empire connect youtube"):
        business.publish(second)
    asked = world.fault_hits()
    for _ in range(3):
        with pytest.raises(Paused, match="empire resume account:youtube:gearlab") as paused:
            business.publish(second)
    assert world.fault_hits() == asked  # the platform is not asked again
    assert is_one_sentence(paused.value)
    (alert,) = rows(business.ledger, Alert)
    assert alert.severity == "high"
    assert is_one_sentence(alert.message)
    assert due(business) == []
    assert [account.status for account in rows(business.ledger, Account)] == ["active"] * 4
    (open_post,) = open_effects(ledger=business.ledger)
    assert "empire connect youtube" in open_post["error"]

    world.clear_faults()
    resume_scope("account:youtube:gearlab", ledger=business.ledger)
    assert due(business) == [second]
    business.publish(first)
    business.publish(second)
    assert len(world.witness("posts")) == len(rows(business.ledger, Publication)) == 2


def test_a_grant_revoked_after_the_last_bytes_left(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    """Whether they arrived is not known, and may not be asked any more: it is not sent again."""
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    world.fault(BYTES, when="after", drop=True, skip=1)
    world.fault(BYTES, status=401, skip=1, times=1000)
    world.fault("POST /google_oauth/token", status=400, body={"error": "invalid_grant"}, skip=1, times=1000)

    with pytest.raises(CredentialsRejected):
        business.publish(video)
    assert len(world.witness("posts")) == 1
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.UNKNOWN]
    assert due(business) == []  # nobody there can be asked

    world.clear_faults()
    resume_scope("account:youtube:gearlab", ledger=business.ledger)
    business.publish(video)
    assert len(world.witness("posts")) == len(rows(business.ledger, Publication)) == 1


@pytest.mark.parametrize("stop", ["account:youtube:gearlab", "vendor:youtube", "all", "06:00"])
def test_what_may_be_out_is_asked_about_whatever_has_stopped(
    world: RunningWorld, business: Business, tmp_path: Path, graph_of: Callable[..., Graph], stop: str
) -> None:
    sent = add_video(business, write_video(tmp_path / "sent.mp4"))
    never_sent = add_video(business, write_video(tmp_path / "never.mp4", seed=1), piece_id="pc_2", slot_at=after(10))
    world.fault(BYTES, when="after", drop=True, skip=1)
    world.fault(BYTES, status=503, skip=1, times=1000)
    with pytest.raises(VendorUnavailable):
        business.publish(sent)
    if stop == "06:00":
        world.move_to(BusinessCalendar().posting_window(DAY)[1])
    else:
        pause_scope(stop, "the owner looks", ledger=business.ledger)
    assert due(business) == [sent]
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.UNKNOWN]

    world.clear_faults()
    graph_of(business).publish("youtube")
    assert [publication.piece_id for publication in rows(business.ledger, Publication)] == [sent]
    assert len(world.witness("posts")) == 1
    assert due(business) == []
    assert never_sent not in {effect.piece_id for effect in rows(business.ledger, Effect)}


# ---------------------------------------------------------------- an account that is restricted at 14:00
def due(business: Business) -> list[str]:
    found = find_due_posts(ledger=business.ledger, clock=business.clock, policy=POLICY, calendar=BusinessCalendar())
    return [piece for posts in found for piece in posts.pieces]


@pytest.fixture
def graph_of(tmp_path: Path) -> Iterator[Callable[..., Graph]]:
    """Opens the graph on a business, with other resources where given, and disposes of its instance."""
    opened: list[Graph] = []

    def open_graph(business: Business, **resources: Any) -> Graph:
        opened.append(Graph(business, tmp_path, **resources))
        return opened[-1]

    yield open_graph
    for graph in opened:
        graph.instance.dispose()


class Graph:
    """The publishing step of the real graph, on a business's clients."""

    def __init__(self, business: Business, home: Path, **resources: Any) -> None:
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(home / "dagster"))
        settings = Settings(_env_file=None, home=home, public_url=TRACKING)  # type: ignore[call-arg]
        names = ("ledger", "clock", "effects", "media", "youtube", "tiktok", "instagram", "blog", "impact")
        stand_ins = {name: getattr(business, name) for name in names}
        stand_ins |= {name: always(stand_ins[name]) for name in ("youtube", "tiktok", "instagram")}
        self.definitions = build_defs(settings, stand_ins | resources)

    def publish(self, platform: str) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def("publish_pieces").execute_in_process(
            instance=self.instance,
            partition_key=dg.MultiPartitionKey({"day": str(DAY), "platform": platform}),
            raise_on_error=False,
        )


def told(result: dg.ExecuteInProcessResult, name: str) -> Any:
    (event,) = [event for event in result.all_events if event.is_step_materialization]
    found = event.materialization.metadata.get(name)
    return None if found is None else found.value


pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")


def test_an_account_that_is_restricted(
    world: RunningWorld, business: Business, reels: list[Path], graph_of: Callable[..., Graph]
) -> None:
    videos = [
        add_video(business, reel, piece_id=f"pc_{number}", slot_at=after(number)) for number, reel in enumerate(reels)
    ]
    post = add_post(business)
    world.put_account("youtube", standing="restricted")
    world.move_to(after(10))
    graph, account = graph_of(business), "youtube:gearlab"

    result = graph.publish("youtube")
    assert result.success, reason_of(result.all_events)
    held = told(result, "held")
    assert set(held) == set(videos)
    assert all(is_one_sentence(reason) for reason in held.values())
    (check,) = [check for check in result.get_asset_check_evaluations() if check.check_name == "pieces_made"]
    assert (check.description or "").startswith(
        "0 of 0 pieces were made. 2 held: needs a person: YouTube has restricted"
    )
    assert check.metadata["held"].value == 2
    assert f"empire resume account:{account}" in held[videos[1]]
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.INTENDED]  # the other never left
    assert {a.account_id: a.status for a in rows(business.ledger, Account)}[account] == "restricted"
    assert list(paused_scopes(ledger=business.ledger)) == [f"account:{account}"]

    again = graph.publish("youtube")
    assert again.success
    (alert,) = rows(business.ledger, Alert)
    assert (alert.severity, alert.subject) == ("high", f"{account}: restricted")
    assert is_one_sentence(alert.message)
    assert due(business) == [post]  # the other accounts go on
    assert graph.publish("blog").success
    assert [p.account_id for p in rows(business.ledger, Publication)] == ["blog:gearlab"]
    assert {piece.account_id for piece in rows(business.ledger, Piece)} == {account, "blog:gearlab"}

    world.put_account("youtube", standing="ok")
    with pytest.raises(BadInput, match=f"restricted by its platform .* with `empire resume account:{account} --rest"):
        resume_scope(f"account:{account}", ledger=business.ledger)
    assert due(business) == []
    resume_scope(f"account:{account}", ledger=business.ledger, restricted=True)
    assert {a.status for a in rows(business.ledger, Account)} == {"active"}
    assert due(business) == videos
    assert told(graph.publish("youtube"), "held") is None
    assert len(world.witness("posts")) == 3
    with pytest.raises(Exception, match="is not paused"):
        resume_scope(f"account:{account}", ledger=business.ledger)


def test_a_strike_while_its_owner_has_paused_the_account_is_told_and_outlives_his_pause(business: Business) -> None:
    account = "youtube:gearlab"
    pause_scope(f"account:{account}", "a holiday", ledger=business.ledger)
    strike = AccountRestricted("YouTube has suspended the channel.", vendor="youtube")
    for _ in range(2):
        hold_account(account, strike, ledger=business.ledger, at=SLOT)
    (alert,) = rows(business.ledger, Alert)
    assert alert.subject == f"{account}: restricted"
    assert f"`empire resume account:{account} --restricted`" in alert.message
    both = "a holiday; YouTube has suspended the channel"
    assert paused_scopes(ledger=business.ledger) == {f"account:{account}": both}
    (said,) = pauses_in_words(ledger=business.ledger)
    assert said == f"Paused: account:{account} ({both}). Lift it with: empire resume account:{account} --restricted"

    pause_scope(f"account:{account}", "another holiday", ledger=business.ledger)
    assert paused_scopes(ledger=business.ledger) == {f"account:{account}": f"{both}; another holiday"}
    with pytest.raises(BadInput, match="a holiday; YouTube has suspended the channel") as refused:
        resume_scope(f"account:{account}", ledger=business.ledger)
    assert is_one_sentence(refused.value)
    assert list(paused_scopes(ledger=business.ledger)) == [f"account:{account}"]
    resume_scope(f"account:{account}", ledger=business.ledger, restricted=True)
    assert paused_scopes(ledger=business.ledger) == {}
    assert {each.status for each in rows(business.ledger, Account)} == {"active"}


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
def test_every_platform_says_it_in_its_own_words(
    world: RunningWorld, business: Business, reels: list[Path], platform: str
) -> None:
    video = add_video(business, reels[0], platform=platform)
    world.put_account(platform, standing="restricted")
    world.move_to(SLOT)
    with pytest.raises(AccountRestricted) as restricted:
        business.publish(video)
    assert is_one_sentence(restricted.value)
    with pytest.raises(Paused, match=f"empire resume account:{platform}:gearlab"):
        business.publish(video)
    assert len(rows(business.ledger, Alert)) == 1
    assert world.witness("posts") == []


def test_one_parked_post_does_not_stop_the_others(
    world: RunningWorld, business: Business, tmp_path: Path, graph_of: Callable[..., Graph]
) -> None:
    """Nobody can say whether the first was posted: it waits for its owner, the second goes out."""
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = add_video(business, write_video(tmp_path / "two.mp4", seed=1), piece_id="pc_2", slot_at=after(1))
    world.move_to(SLOT)
    world.fault(BYTES, when="after", drop=True, skip=1)
    world.fault(BYTES, status=404, skip=1, times=2)

    result = graph_of(business).publish("youtube")
    assert list(told(result, "held")) == [first]
    assert "YouTube Studio" in told(result, "held")[first]
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [second]


def test_a_piece_that_is_not_finished_is_held_and_the_others_go_out(
    world: RunningWorld, business: Business, tmp_path: Path, graph_of: Callable[..., Graph]
) -> None:
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = add_video(business, write_video(tmp_path / "two.mp4", seed=1), piece_id="pc_2", slot_at=after(1))
    with business.ledger.begin() as session:
        session.delete(session.get_one(Artifact, (first, "video", "")))
    world.move_to(after(1))

    result = graph_of(business).publish("youtube")
    assert told(result, "held") == {first: "tried again: There is no finished video to publish yet."}
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [second]
    assert {piece.status for piece in rows(business.ledger, Piece)} == {"planned"}


# ---------------------------------------------------------------- what fails for one piece or one account
@pytest.fixture
def two(business: Business, tmp_path: Path) -> tuple[str, str]:
    """A video of each of two channels; the first one's slot comes first."""
    with business.ledger.begin() as session:
        session.add(
            Account(account_id="youtube:2", platform="youtube", handle="two", display_name="2", approval="auto")
        )
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = write_video(tmp_path / "two.mp4", seed=1)
    return first, add_video(business, second, piece_id="pc_2", slot_at=after(1), account_id="youtube:2")


def test_a_file_that_is_gone_holds_up_its_own_post_only(
    world: RunningWorld, business: Business, two: tuple[str, str], graph_of: Callable[..., Graph]
) -> None:
    first, second = two
    with business.ledger.begin() as session:
        video = business.media.path(str(session.get_one(Artifact, (first, "video", "")).sha256))
    kept = video.read_bytes()
    video.unlink()
    world.move_to(after(2))
    graph = graph_of(business)
    for _ in range(2):
        result = graph.publish("youtube")
        assert list(told(result, "held")) == [first]
        assert told(result, "posts") == 1
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [second]
    (alert,) = rows(business.ledger, Alert)
    assert (alert.severity, alert.subject) == ("high", "youtube:gearlab: posts are held up")
    assert is_one_sentence(alert.message)
    assert due(business) == [first]  # and with its file it goes out

    video.write_bytes(kept)
    assert told(graph.publish("youtube"), "held") is None
    assert len(world.witness("posts")) == len(rows(business.ledger, Publication)) == 2


def test_a_credential_that_cannot_be_read_holds_up_its_own_account_only(
    world: RunningWorld, business: Business, two: tuple[str, str], graph_of: Callable[..., Graph]
) -> None:
    def client(account_id: str) -> Any:
        if account_id == "youtube:gearlab":
            raise Misconfigured("The stored credential youtube:gearlab was changed: connect the account again.")
        return business.youtube

    world.move_to(after(2))
    graph = graph_of(business, youtube=PerAccount(client))
    result = graph.publish("youtube")
    assert list(told(result, "held")) == [two[0]]
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [two[1]]
    assert [alert.subject for alert in rows(business.ledger, Alert)] == ["youtube:gearlab: posts are held up"]


def test_an_account_that_cannot_be_asked_about_its_post_leaves_that_open_only(
    world: RunningWorld, business: Business, two: tuple[str, str], graph_of: Callable[..., Graph]
) -> None:
    world.move_to(after(2))
    world.fault(BYTES, when="after", drop=True, skip=1)
    world.fault(BYTES, status=503, skip=1, times=1000)
    with pytest.raises(VendorUnavailable):
        business.publish(two[0])
    world.clear_faults()
    unreadable = PerAccount(lambda name: _Unreadable() if name == "youtube:gearlab" else business.youtube)
    result = graph_of(business, youtube=unreadable).publish("youtube")
    assert list(told(result, "held")) == [two[0]]
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [two[1]]

    graph_of(business).publish("youtube")
    assert len(rows(business.ledger, Publication)) == len(world.witness("posts")) == 2


class _Unreadable:
    """A client whose account's credential was changed."""

    def __getattr__(self, name: str) -> Any:
        raise Misconfigured("The stored credential youtube:gearlab was changed: connect the account again.")


@pytest.mark.parametrize("ends", [True, False])
def test_an_outage_at_one_post_is_tried_again_when_the_others_are_out(
    world: RunningWorld, business: Business, two: tuple[str, str], graph_of: Callable[..., Graph], ends: bool
) -> None:
    """It answers the first one's four attempts with 503, or one channel's without end."""
    first, second = two
    down = PerAccount(lambda name: _Down() if not ends and name == "youtube:gearlab" else business.youtube)
    if ends:
        world.fault(SESSION, status=503, times=4)
    world.move_to(after(2))
    result = graph_of(business, youtube=down).publish("youtube")
    assert told(result, "posts") == (2 if ends else 1)
    published = [p.piece_id for p in rows(business.ledger, Publication)]
    if ends:
        assert sorted(published) == sorted(two)
        assert rows(business.ledger, Alert) == []
    else:
        assert published == [second]
        assert told(result, "held") == {first: "tried again: YouTube is out of order (503)."}
        (alert,) = rows(business.ledger, Alert)
        assert alert.message.endswith("YouTube is out of order (503).")
        assert due(business) == [first]  # the sensor's next half hour
    assert len(world.witness("posts")) == len(published)


class _Down:
    """A client of a vendor that is out of order."""

    def __getattr__(self, name: str) -> Any:
        raise VendorUnavailable("YouTube is out of order (503).", vendor="youtube", retry_after=0.01)


def test_a_network_that_is_down_keeps_no_linked_and_approved_post_back(
    world: RunningWorld, business: Business, two: tuple[str, str], graph_of: Callable[..., Graph]
) -> None:
    first, second = two
    with business.ledger.begin() as session:
        for account in session.scalars(select(Account)):
            account.approval = "required"
        session.get_one(Piece, second).status = "superseded"
    world.move_to(after(2))
    graph = graph_of(business)
    graph.publish("youtube")
    approve([first], by="the owner", ledger=business.ledger)
    with business.ledger.begin() as session:
        session.get_one(Piece, second).status = "planned"
        session.get_one(Piece, second).slot_at = after(200)
    world.fault("* /impact/*", status=503, headers={"retry-after": "0.01"}, times=1000)

    result = graph.publish("youtube")
    assert told(result, "posts") == 1
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [first]
    assert "youtube:2: posts are held up" in {alert.subject for alert in rows(business.ledger, Alert)}
    world.clear_faults()
    graph.publish("youtube")
    assert {request.piece_id for request in rows(business.ledger, ApprovalRequest)} == set(two)


def test_one_refused_post_does_not_stop_the_others_and_is_not_sent_again(
    world: RunningWorld, business: Business, tmp_path: Path, graph_of: Callable[..., Graph]
) -> None:
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = add_video(business, write_video(tmp_path / "two.mp4", seed=1), piece_id="pc_2", slot_at=after(1))
    world.move_to(after(1))
    body = {"error": {"code": 400, "message": "no", "errors": [{"reason": "invalidVideoMetadata"}]}}
    world.fault(SESSION, status=400, body=body)
    graph = graph_of(business)

    result = graph.publish("youtube")
    assert list(told(result, "quarantine_reasons")) == [first]
    assert "invalidVideoMetadata" in told(result, "quarantine_reasons")[first]
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [second]
    assert due(business) == []

    world.clear_faults()
    world.fault("* /youtube/*", status=500, times=9)
    assert list(told(graph.publish("youtube"), "quarantine_reasons")) == [first]
    assert world.fault_hits() == 0
    assert len(world.witness("posts")) == 1


def test_what_became_of_a_retired_post_does_not_keep_its_successor_open(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    """Superseded by another video, which YouTube refuses: it is not due again."""
    video = add_video(business, write_video(tmp_path / "one.mp4"))
    world.move_to(SLOT)
    world.fault(BYTES, status=503, times=9)
    with pytest.raises(VendorUnavailable):
        business.publish(video)
    world.clear_faults()
    assert due(business) == [video]
    say(business, video, title="Another title")  # no byte was taken: it need not wait
    body = {"error": {"code": 400, "message": "no", "errors": [{"reason": "invalidVideoMetadata"}]}}
    world.fault(SESSION, status=400, body=body)
    with pytest.raises(PieceRejected):
        business.publish(video)
    states = sorted(effect.state for effect in rows(business.ledger, Effect))
    assert states == [State.REFUSED, State.SUPERSEDED]
    assert due(business) == []


def test_one_post_that_changed_after_it_may_have_happened_is_held(
    world: RunningWorld, business: Business, tmp_path: Path, graph_of: Callable[..., Graph]
) -> None:
    first = add_video(business, write_video(tmp_path / "one.mp4"))
    second = add_video(business, write_video(tmp_path / "two.mp4", seed=1), piece_id="pc_2", slot_at=after(1))
    world.move_to(after(1))
    world.fault(BYTES, when="after", drop=True, skip=1)
    world.fault(BYTES, status=404, skip=1, times=2)
    graph = graph_of(business)
    assert list(told(graph.publish("youtube"), "held")) == [first]
    say(business, first, title="Another title")
    world.fault(BYTES, status=404, times=9)  # as forgotten by YouTube as before

    assert "other content" in told(graph.publish("youtube"), "held")[first]
    assert [p.piece_id for p in rows(business.ledger, Publication)] == [second]


# ---------------------------------------------------------------- an offer that changes after the script
def offer(business: Business, **changes: Any) -> None:
    """The product as the next reading of the catalogue finds it."""
    with business.ledger.begin() as session:
        product = session.get_one(Product, "pd_grinder")
        for name, value in changes.items():
            setattr(product, name, value)


def say(business: Business, piece_id: str, **changes: Any) -> None:
    """Change what a written piece says; its facts hold the price."""
    with business.ledger.begin() as session:
        piece = session.get_one(Piece, piece_id)
        piece.facts = {"F1": "It has eighteen settings.", "F2": "Price: 64.00 USD", "F3": "Hopper holds 240 g."}
        step = "script" if piece.kind == "video" else "post"
        written = session.get_one(Artifact, (piece_id, step, ""))
        written.content = json.loads(json.dumps(written.content)) | changes


def scenes(narration: str, *facts: str) -> list[dict[str, Any]]:
    plain = {"narration": "It has eighteen settings.", "visual": "a grinder", "fact_ids": ["F1"]}
    return [{"narration": narration, "visual": "a tag", "fact_ids": list(facts)}, plain, plain, plain]


CITING: dict[str, dict[str, Any]] = {
    "by its fact": {"scenes": scenes("It costs sixty-four dollars.", "F2")},
    "as a price": {"scenes": scenes("Yours under $70.", "F1")},
    "as a number": {"title": "A grinder for 64"},
    "in the description": {"description": "A burr grinder for 64 USD."},
}


PRICES = "It cites the price 64.00 USD, and the merchant asks 71.50 USD now."


@pytest.mark.parametrize("changes", CITING.values(), ids=list(CITING))
def test_a_price_that_is_none_any_more_is_not_posted(
    world: RunningWorld, business: Business, tmp_path: Path, changes: dict[str, Any]
) -> None:
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    say(business, video, **changes)
    offer(business, price_micros=71_500_000)
    with pytest.raises(PieceRejected) as rejected:
        business.publish(video)
    assert str(rejected.value) == PRICES
    assert world.witness("posts") == []
    assert rows(business.ledger, Effect) == []


def test_the_step_counts_what_it_does_not_post(
    business: Business, tmp_path: Path, graph_of: Callable[..., Graph]
) -> None:
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    say(business, video, **CITING["as a price"])
    offer(business, price_micros=71_500_000)
    result = graph_of(business).publish("youtube")
    assert result.success, reason_of(result.all_events)
    assert told(result, "quarantined") == 1
    (piece,) = rows(business.ledger, Piece)
    assert (piece.status, piece.reason) == ("quarantined", f"publications: {PRICES}")


def test_a_price_that_nobody_cites_stops_nothing(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    video, post = add_video(business, write_video(tmp_path / "short.mp4")), add_post(business)
    for piece in (video, post):
        say(business, piece)
    offer(business, price_micros=71_500_000)
    world.move_to(SLOT)
    business.publish(video)
    business.publish(post)
    assert len(world.witness("posts")) == 2


def test_a_price_that_still_holds_is_posted(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    say(business, video, **CITING["by its fact"])
    business.publish(video)
    assert len(world.witness("posts")) == 1


def test_a_post_cites_like_a_video(world: RunningWorld, business: Business) -> None:
    post = add_post(business)
    say(business, post, meta_description="What 64.00 dollars buy.")
    offer(business, price_micros=71_500_000)
    world.move_to(SLOT)
    with pytest.raises(PieceRejected, match=r"64\.00 USD.*71\.50 USD"):
        business.publish(post)
    assert world.witness("posts") == []


def leave_programme(business: Business) -> None:
    with business.ledger.begin() as session:
        session.get_one(Program, "impact:1001").status = "not_joined"


def read_without(business: Business) -> None:
    """The catalogue is read again, and has another product only."""
    with business.ledger.begin() as session:
        gone = session.get_one(Product, "pd_grinder")
        names = [column.name for column in Product.__table__.columns]
        values = {name: getattr(gone, name) for name in names}
        other = {"product_id": "pd_other", "native_id": "HP-2", "observed_at": gone.observed_at + timedelta(hours=9)}
        session.add(Product(**(values | other)))


GONE: dict[str, tuple[Callable[[Business], None], str]] = {
    "out of stock": (
        lambda business: offer(business, availability="out_of_stock"),
        "Burr Coffee Grinder, 18 Settings was in stock when the piece was planned and is out of stock now.",
    ),
    "gone from the feed": (
        read_without,
        "Burr Coffee Grinder, 18 Settings is offered no more: it was last seen on 2026-11-20 14:20 UTC, and the "
        "catalogue of 2026-11-20 23:20 UTC is without it.",
    ),
    "programme left": (
        leave_programme,
        "The programme Harbor & Pine was joined when the piece was planned and is not joined now: Burr Coffee "
        "Grinder, 18 Settings pays nothing.",
    ),
}


@pytest.mark.parametrize(("vanish", "sentence"), GONE.values(), ids=list(GONE))
def test_a_product_that_cannot_be_bought_is_not_posted(
    world: RunningWorld, business: Business, tmp_path: Path, vanish: Callable[[Business], None], sentence: str
) -> None:
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    vanish(business)
    with pytest.raises(PieceRejected) as rejected:
        business.publish(video)
    assert str(rejected.value) == sentence
    assert world.witness("posts") == []
    assert rows(business.ledger, Effect) == []


def test_a_begun_upload_is_not_completed_when_its_price_has_changed(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    video = add_video(business, write_video(tmp_path / "short.mp4"))
    say(business, video, **CITING["as a price"])
    world.fault(BYTES, status=503, times=100)
    with pytest.raises(Exception, match="busy"):
        business.publish(video)
    world.clear_faults()
    offer(business, price_micros=80_000_000)
    with pytest.raises(PieceRejected):
        business.publish(video)
    assert world.witness("posts") == []
    world.move_to(CLOSES)
    assert business.reconcile() == []
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.EXPIRED]


def test_a_programme_that_the_network_names_no_more_is_not_joined(business: Business) -> None:
    with business.ledger.begin() as session:
        left = session.get_one(Program, "impact:1001")
        session.add(
            Program(
                **{c.name: getattr(left, c.name) for c in Program.__table__.columns}
                | {"program_id": "impact:9", "native_id": "9", "name": "Gone Ltd"}
            )
        )
    sync_programs(ledger=business.ledger, impact=business.impact, clock=business.clock, policy=POLICY)
    standing = {program.program_id: program.status for program in rows(business.ledger, Program)}
    assert standing.pop("impact:9") == "not_joined"
    assert set(standing.values()) == {"joined"}
