"""Every sensor ticked twice: what it asks for, what it tells, and that it does neither again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import delete, select, update

from affiliate_empire.effects.model import PARKED, alert_of
from affiliate_empire.effects.switches import pause_scope, resume_scope
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Artifact, Base, Budget, Effect, Pause, Piece
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable
from assets.steps import failing_clearly
from tests.factories.business_day import BusinessDay
from tests.factories.catalog import DAY as BUSINESS_DAY
from tests.factories.inbox import Inbox
from tests.graph.ticking import DAY, Ticking, asked, ticking

# Dagster's own tags of a two-dimensional partition have keys that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")

NEXT = BUSINESS_DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, module_ledger: Ledger) -> Iterator[Ticking]:
    with ticking(tmp_path_factory.mktemp("home"), module_ledger) as house:
        yield house


@pytest.fixture
def house(built: Ticking, ledger: Ledger) -> Ticking:
    built.instance.wipe()
    built.addresses.clear()
    return built


@pytest.fixture
def business(ledger: Ledger, tmp_path: Path) -> BusinessDay:
    return BusinessDay(ledger, MediaStore(tmp_path / "media"))


def alerts(house: Ticking) -> list[str]:
    with house.ledger.begin() as session:
        return list(session.scalars(select(Alert.message).order_by(Alert.raised_at, Alert.message)))


# ---------------------------------------------------------------- stages_overdue
def overdue(house: Ticking, day: date, hour: float) -> dict[str, str | None]:
    """Job → partition of what a tick at an hour asks for."""
    house.clock.at = house.at(day, hour)
    return {request.job_name: request.partition_key for request in house.sensor("stages_overdue").run_requests or []}


def morning(house: Ticking) -> None:
    house.instance.add_dynamic_partitions("prompt_versions", ["v"])
    house.materialize("v", "prompt_versions")
    house.materialize("2026-11-16", "affiliate_programs", "trending_topics")
    house.materialize(str(DAY), "experiment_results")
    house.materialize(str(DAY), "platform_metrics", "clicks", "conversions", "costs")


def test_the_loop_goes_on_stage_by_stage_after_an_outage(house: Ticking) -> None:
    morning(house)
    today = str(DAY)
    assert overdue(house, DAY, 9) == {"fetch_products": today}
    house.materialize(today, "products", "exchange_rates")
    house.materialize(today, "trend_signals")
    assert overdue(house, DAY, 9) == {"rank_products": today}
    house.materialize(today, "rankings")
    assert overdue(house, DAY, 9) == {"plan_day": today}
    house.materialize(today, "content_plan")
    assert overdue(house, DAY, 9) == {"write_content": today}
    house.materialize(today, "scripts", "blog_posts")
    assert overdue(house, DAY, 9) == {"make_media": today}
    house.materialize(today, "voiceovers", "video_clips", "thumbnails", "videos")
    assert overdue(house, DAY, 9) == {}
    # The evening's books have their own time.
    assert overdue(house, DAY, 20.25) == {"compute_roi": today}


def test_a_tick_twice_asks_with_the_same_run_key_and_a_run_under_way_is_left_alone(house: Ticking) -> None:
    morning(house)
    house.clock.at = house.at(DAY, 9)
    first = asked(house.sensor("stages_overdue"))
    assert first == [(f"fetch_products:{DAY}", str(DAY))]
    assert asked(house.sensor("stages_overdue")) == first
    house.run("fetch_products", str(DAY), dg.DagsterRunStatus.STARTING)
    assert asked(house.sensor("stages_overdue")) == []


def test_a_stage_that_waits_for_half_an_hour_alerts_once(house: Ticking) -> None:
    morning(house)
    house.materialize(str(DAY), "products", "exchange_rates", "trend_signals")
    house.run("rank_products", str(DAY), dg.DagsterRunStatus.STARTED)
    assert overdue(house, DAY, 2.25) == {}
    assert alerts(house) == []
    for _ in range(2):
        assert overdue(house, DAY, 2.6) == {}
        (told,) = alerts(house)
    assert told.startswith(f"plan_day of {DAY} waits for rankings since 02:00: look at the runs")


def test_trends_are_waited_for_by_nobody(house: Ticking) -> None:
    morning(house)
    house.materialize(str(DAY), "products", "exchange_rates")
    assert overdue(house, DAY, 1.25)["rank_products"] == str(DAY)


def test_nothing_of_a_past_day_is_made_and_last_evenings_books_still_are(house: Ticking) -> None:
    morning(house)
    yesterday = str(DAY - timedelta(days=1))
    house.materialize(yesterday, "content_plan", "platform_metrics", "clicks", "conversions", "costs")
    house.materialize(yesterday, "scripts", "blog_posts", "voiceovers", "video_clips", "thumbnails")
    house.materialize(str(DAY), "products", "exchange_rates", "trend_signals", "rankings", "content_plan")
    house.materialize(str(DAY), "scripts", "blog_posts")
    house.materialize(str(DAY), "voiceovers", "video_clips", "thumbnails", "videos")
    assert overdue(house, DAY, 7) == {"compute_roi": yesterday}


def test_a_week_without_discovery_is_made_up_for_in_the_week_that_is(house: Ticking) -> None:
    house.materialize("2026-11-16", "trending_topics")
    assert overdue(house, DAY, 0.05) == {"discover_programs": "2026-11-16"}
    # What last Sunday observed is enough until the next.
    house.materialize("2026-11-09", "affiliate_programs")
    assert overdue(house, DAY, 0.05) == {}


def failed_run(house: Ticking, error: Exception) -> None:
    """A run of the first stage that failed as an asset does."""

    @dg.asset(name="products", partitions_def=dg.StaticPartitionsDefinition([str(DAY)]))
    def failing() -> None:
        with failing_clearly():
            raise error

    job = dg.Definitions([failing], jobs=[dg.define_asset_job("fetch_products", [failing])])
    result = job.resolve_job_def("fetch_products").execute_in_process(
        instance=house.instance, partition_key=str(DAY), raise_on_error=False
    )
    assert not result.success


def test_what_failed_in_an_outage_is_begun_again_and_what_failed_for_good_is_not(house: Ticking) -> None:
    morning(house)
    house.clock.at = house.at(DAY, 9)
    failed_run(house, VendorUnavailable("The shop does not answer.", vendor="impact", retry_after=0.01))
    assert asked(house.sensor("stages_overdue")) == [(f"fetch_products:{DAY}:1", str(DAY))]
    failed_run(house, VendorUnavailable("The shop does not answer.", vendor="impact", retry_after=0.01))
    assert asked(house.sensor("stages_overdue")) == [(f"fetch_products:{DAY}:2", str(DAY))]
    failed_run(house, VendorRefused("The key is wrong.", vendor="impact"))
    assert asked(house.sensor("stages_overdue")) == []


def made(house: Ticking, *pieces: tuple[str, str]) -> None:
    with house.ledger.begin() as session:
        for piece_id, step in pieces:
            session.add(Artifact(piece_id=piece_id, step=step, name="", inputs_sha256="i", content={"scenes": []}))


def begun_again(house: Ticking) -> dict[str, str | None]:
    """Job → run key of what a tick at nine begins."""
    house.clock.at = house.at(BUSINESS_DAY, 9)
    requests = house.sensor("stages_overdue").run_requests or []
    return {each.job_name: each.run_key for each in requests if each.job_name in ("write_content", "make_media")}


def test_held_pieces_go_on_when_there_is_room_or_their_owner_has_said(house: Ticking, business: BusinessDay) -> None:
    day = str(BUSINESS_DAY)
    business.prepared()
    with house.ledger.begin() as session:
        pieces = list(session.scalars(select(Piece).order_by(Piece.expected_profit_micros.desc())))
        videos = [piece.piece_id for piece in pieces if piece.kind == "video"]
    made(house, *((piece.piece_id, "post") for piece in pieces if piece.kind == "post"))
    made(house, *((video, step) for video in videos[1:] for step in ("script", "video")))
    house.materialize(day, "scripts", "blog_posts", "voiceovers", "video_clips", "thumbnails", "videos")

    # The best video was held at its script: no room, then some.
    with house.ledger.begin() as session:
        session.add(Budget(scope=f"day:{day}", cap_micros=14_000_000, spent_micros=14_000_000))
    assert begun_again(house) == {}
    with house.ledger.begin() as session:
        session.get_one(Budget, f"day:{day}").spent_micros = 0
    first = begun_again(house)
    assert set(first) == {"write_content"}
    assert begun_again(house) == first

    # Its account is held, which its owner ends.
    with house.ledger.begin() as session:
        scope = f"account:{session.get_one(Piece, videos[0]).account_id}"
    pause_scope(scope, "a holiday", ledger=house.ledger)
    assert begun_again(house) == {}
    resume_scope(scope, ledger=house.ledger)
    assert begun_again(house) == first

    # Its script is there now: its media go on, but while a job of it is parked.
    made(house, (videos[0], "script"))
    assert set(begun_again(house)) == {"make_media"}
    effect = business.spend(videos[0], "fal", "film", 0, state="unknown")
    with house.ledger.begin() as session:
        session.add(
            Alert(
                alert_id=alert_of(PARKED, effect), severity="high", subject="s", message="m", raised_at=house.clock.at
            )
        )
    assert begun_again(house) == {}
    with house.ledger.begin() as session:
        session.get_one(Alert, alert_of(PARKED, effect)).resolved_at = house.clock.at
    asked_again = begun_again(house)
    assert set(asked_again) == {"make_media"}

    made(house, (videos[0], "video"))
    assert begun_again(house) == {}


# ---------------------------------------------------------------- publications_due
def finished(business: BusinessDay, slot_at: datetime | None = None) -> list[Piece]:
    """The day's pieces with everything made for them, in the order of their slots; these have just come where given."""
    business.prepared()
    with business.ledger.begin() as session:
        pieces = list(session.scalars(select(Piece).order_by(Piece.slot_at, Piece.piece_id)))
        for number, piece in enumerate(pieces):
            if slot_at is not None:
                piece.slot_at = slot_at + timedelta(minutes=number - len(pieces))
            step = "video" if piece.kind == "video" else "post"
            session.add(Artifact(piece_id=piece.piece_id, step=step, name="", inputs_sha256="i" * 64, content={}))
    return pieces


def due(house: Ticking, cursor: str | None = None) -> tuple[list[str], str | None]:
    tick = house.sensor("publications_due", cursor)
    return [str(request.partition_key) for request in tick.run_requests or []], tick.cursor


def everything_due(pieces: list[Piece]) -> set[str]:
    return {f"{BUSINESS_DAY}|{piece.platform}" for piece in pieces}


def test_what_is_due_is_asked_for_once_per_platform(house: Ticking, business: BusinessDay) -> None:
    pieces = finished(business, house.at(NEXT, 5.75))
    house.clock.at = house.at(BUSINESS_DAY, 5.5)  # before the window
    assert due(house)[0] == []
    house.clock.at = house.at(NEXT, 5.75)  # yesterday's window closes at six
    asked_for, cursor = due(house)
    assert set(asked_for) == everything_due(pieces)
    assert len(asked_for) == len(set(asked_for))
    assert due(house, cursor)[0] == []
    house.clock.at = house.at(NEXT, 6)
    assert due(house, cursor)[0] == []


def test_a_pause_is_named_where_nothing_is_asked_for(house: Ticking, business: BusinessDay) -> None:
    finished(business, house.at(NEXT, 4))
    house.clock.at = house.at(NEXT, 4)
    pause_scope("all", "a complaint", ledger=house.ledger)
    tick = house.sensor("publications_due")
    assert not tick.run_requests
    assert tick.skip_message == (
        "Nothing new is due at 09:00 UTC. Paused: all (a complaint). Lift it with: empire resume all"
    )


def test_what_could_not_be_posted_is_tried_again_half_an_hour_later_and_not_while_it_runs(
    house: Ticking, business: BusinessDay
) -> None:
    finished(business, house.at(NEXT, 4))
    house.clock.at = house.at(NEXT, 4)
    asked_for, cursor = due(house)
    house.clock.at = house.at(NEXT, 4.5)
    house.run("publish_pieces", asked_for[0], dg.DagsterRunStatus.STARTED)
    assert due(house, cursor)[0] == asked_for[1:]


def test_what_must_not_go_out_is_not_due(house: Ticking, business: BusinessDay) -> None:
    piece = next(piece for piece in finished(business, house.at(NEXT, 5)) if piece.kind == "post")
    house.clock.at = house.at(NEXT, 5)
    with house.ledger.begin() as session:
        others = update(Piece).where(Piece.piece_id != piece.piece_id)
        session.execute(others.values(status="quarantined", reason="other"))
    nothing_yet = [f"{BUSINESS_DAY}|{piece.platform}"]

    def kept_back(table: type[Base], **row: Any) -> None:
        """Add a row, see that nothing is due, and take it away."""
        with house.ledger.begin() as session:
            session.add(table(**row))
        assert due(house)[0] == [], row
        with house.ledger.begin() as session:
            session.execute(delete(table))
        assert due(house)[0] == nothing_yet

    kept_back(Pause, scope="all", reason="holiday", paused_at=house.clock.at)
    kept_back(Pause, scope=f"account:{piece.account_id}", reason="holiday", paused_at=house.clock.at)
    kept_back(Effect, **_post(piece, "refused"))
    with house.ledger.begin() as session:
        session.add(Effect(**_post(piece, "unknown")))
    assert due(house)[0] == nothing_yet  # its handle can be asked again
    parked = {"severity": "high", "subject": "blog: parked", "message": "look", "raised_at": house.clock.at}
    kept_back(Alert, alert_id=alert_of(PARKED, "ef_1"), **parked)
    with house.ledger.begin() as session:
        session.execute(delete(Effect))
    for status in ("restricted", "active"):
        with house.ledger.begin() as session:
            session.get_one(Account, piece.account_id).status = status
        assert due(house)[0] == ([] if status == "restricted" else nothing_yet)
    for status in ("quarantined", "planned"):
        with house.ledger.begin() as session:
            session.get_one(Piece, piece.piece_id).status = status
        assert due(house)[0] == ([] if status == "quarantined" else nothing_yet)
    with house.ledger.begin() as session:
        session.get_one(Artifact, (piece.piece_id, "post", "")).step = "thumbnail"
    assert due(house)[0] == []
    with house.ledger.begin() as session:
        session.get_one(Artifact, (piece.piece_id, "thumbnail", "")).step = "post"
    assert due(house)[0] == nothing_yet
    with house.ledger.begin() as session:
        session.execute(delete(Artifact))
    business.publish(piece.piece_id)  # makes the post's artifact anew
    assert due(house)[0] == []


def test_what_missed_its_slot_is_due_at_another_one_and_not_before(house: Ticking, business: BusinessDay) -> None:
    piece = next(piece for piece in finished(business, house.at(BUSINESS_DAY, 9)) if piece.kind == "post")
    partition = f"{BUSINESS_DAY}|{piece.platform}"
    house.clock.at = house.at(BUSINESS_DAY, 12.75)
    assert due(house)[0] == []
    house.clock.at = house.at(BUSINESS_DAY, 13.5)
    assert partition in due(house)[0]
    with house.ledger.begin() as session:
        assert session.get_one(Piece, piece.piece_id).slot_at == house.at(BUSINESS_DAY, 13.5)


def _post(piece: Piece, state: str) -> dict[str, Any]:
    return {
        "effect_id": "ef_1",
        "key": f"post:{piece.piece_id}:{piece.account_id}",
        "kind": "at_most_once",
        "vendor": piece.platform,
        "operation": "publish",
        "fingerprint": "f",
        "state": state,
        "day": piece.day,
        "piece_id": piece.piece_id,
        "account_id": piece.account_id,
        "epoch": 1,
    }


# ---------------------------------------------------------------- late_conversions
def restated(house: Ticking, cursor: str | None) -> tuple[list[tuple[str, str]], str]:
    tick = house.sensor("late_conversions", cursor)
    spans = [
        (request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"])
        for request in tick.run_requests or []
    ]
    return spans, tick.cursor


def test_money_that_moves_later_restates_its_cohort_once(house: Ticking, business: BusinessDay) -> None:
    plan = business.prepared()
    codes = [business.publish(piece) for piece in plan["piece_id"]]
    clicks = [business.click(codes[0], number) for number in range(3)]
    business.sell("1001.1", clicks[0], "4.21", hour=22)
    house.clock.at = house.at(BUSINESS_DAY, 23)
    begun, cursor = restated(house, None)
    assert begun == []
    business.sell("1001.2", clicks[1], "3.00", hour=22.9)
    house.clock.at = house.at(BUSINESS_DAY, 23.1)
    assert restated(house, cursor)[0] == []  # still today's own cohort
    _, cursor = restated(house, cursor)
    business.sell("1001.1", clicks[0], "0", hour=33, Status="REVERSED")
    business.sell("1001.9", None, "1.00", hour=33)
    house.clock.at = house.at(NEXT, 9.5)
    spans, cursor = restated(house, cursor)
    assert spans == [(str(BUSINESS_DAY), str(NEXT))]
    assert restated(house, cursor)[0] == []
    # An event that was dated before the last tick and committed after it is not lost.
    business.sell("1001.2", clicks[1], "0", hour=32.5, Status="REVERSED")
    assert restated(house, cursor)[0] == [(str(BUSINESS_DAY), str(NEXT))]


def test_clicks_that_come_later_restate_their_cohort_once_a_day(house: Ticking, business: BusinessDay) -> None:
    plan = business.prepared()
    code = business.publish(plan["piece_id"].iloc[0])
    house.clock.at = house.at(BUSINESS_DAY, 23)
    _, cursor = restated(house, None)
    house.clock.at = house.at(NEXT, 1)
    spans, cursor = restated(house, cursor)
    assert spans == []  # nothing is new
    business.click(code, 1, hour=30)
    house.clock.at = house.at(NEXT, 9)
    spans, cursor = restated(house, cursor)
    assert spans == []
    after = NEXT + timedelta(days=1)
    house.clock.at = house.at(after, 1)
    spans, cursor = restated(house, cursor)
    assert spans == [(str(BUSINESS_DAY), str(after))]
    house.clock.at = house.at(after, 9)
    assert restated(house, cursor)[0] == []


def test_a_cohort_that_is_closed_is_not_restated(house: Ticking, business: BusinessDay) -> None:
    plan = business.prepared()
    code = business.publish(plan["piece_id"].iloc[0])
    click = business.click(code, 1)
    house.clock.at = house.at(BUSINESS_DAY, 23)
    _, cursor = restated(house, None)
    later = BUSINESS_DAY + timedelta(days=61)
    business.sell("1001.1", click, "4.21", hour=61 * 24)
    house.clock.at = house.at(later, 9)
    assert restated(house, cursor)[0] == []


# ---------------------------------------------------------------- emergency_reoptimization
def test_a_restricted_account_is_told_once_and_the_rest_of_its_day_is_planned_anew(
    house: Ticking, business: BusinessDay
) -> None:
    pieces = finished(business)
    account = pieces[0].account_id
    house.clock.at = house.at(BUSINESS_DAY, 6)
    assert asked(house.sensor("emergency_reoptimization")) == []
    with house.ledger.begin() as session:
        session.get_one(Account, account).status = "restricted"
    (request,) = house.sensor("emergency_reoptimization").run_requests
    cause = f"restricted:{account}:{BUSINESS_DAY}"
    assert (request.run_key, request.job_name, request.partition_key) == (cause, "replan_day", str(BUSINESS_DAY))
    # The config is one that the job takes.
    job = house.definitions.resolve_job_def(request.job_name)
    assert dg.validate_run_config(job, request.run_config)["ops"]["content_plan"]["config"] == {
        "cause": cause,
        "account_id": account,
    }
    (told,) = alerts(house)
    assert told.startswith(f"{account} is restricted by its platform")
    # Had the tick been killed before its run was begun, the next one asks by the same key.
    assert asked(house.sensor("emergency_reoptimization")) == [(cause, str(BUSINESS_DAY))]
    assert len(alerts(house)) == 1


def test_a_restricted_account_with_nothing_open_is_only_told(house: Ticking, business: BusinessDay) -> None:
    account = finished(business)[0].account_id
    house.clock.at = house.at(NEXT, 3)
    with house.ledger.begin() as session:
        session.get_one(Account, account).status = "restricted"
    assert asked(house.sensor("emergency_reoptimization")) == []
    assert len(alerts(house)) == 1


def test_sales_that_collapse_beyond_chance_are_told_and_few_sales_are_not(
    house: Ticking, business: BusinessDay
) -> None:
    plan = business.prepared()
    code = business.publish(plan["piece_id"].iloc[0])
    for number in range(60):
        click = business.click(code, number, hour=-40)
        if number < 24:
            business.sell(f"1001.{number}", click, "4.00", hour=-36)
    for number in range(60, 160):
        business.click(code, number, hour=6)
    house.clock.at = house.at(BUSINESS_DAY, 14)  # the later clicks are eight hours old
    asked_for = asked(house.sensor("emergency_reoptimization"))
    assert [partition for _, partition in asked_for] == ["2026-11-16"]
    (told,) = alerts(house)
    assert told.startswith("0 sales came of the clicks of the last 24 hours, where about 1")
    assert asked(house.sensor("emergency_reoptimization")) == asked_for
    assert len(alerts(house)) == 1
    # With sales at the old rate nothing is said.
    with house.ledger.begin() as session:
        session.execute(delete(Alert))
    for number in range(60, 68):
        business.sell(f"1001.{number}", business.click(code, 2000 + number, hour=6), "4.00", hour=12)
    assert asked(house.sensor("emergency_reoptimization")) == []
    assert alerts(house) == []


# ---------------------------------------------------------------- alerts_untold
def test_an_alert_is_told_once_and_without_an_address_it_is_said_that_none_is(house: Ticking) -> None:
    raise_alert("a", severity="high", subject="budget", message="m", at=house.clock.now(), ledger=house.ledger)
    assert house.sensor("alerts_untold").skip_message.startswith("EMPIRE_ALERT_URLS is not set: alerts stand in")
    with Inbox() as inbox:
        house.addresses[:] = [inbox.address]
        assert house.sensor("alerts_untold").skip_message == "Told of budget."
        assert house.sensor("alerts_untold").skip_message == "Nothing was told."
        assert inbox.titles == ["SIMULATED · high: budget"]
    raise_alert("b", severity="high", subject="budget", message="m", at=house.clock.now(), ledger=house.ledger)
    said = house.sensor("alerts_untold").skip_message  # nobody listens there any more
    assert said.startswith("Nothing was told. Address 1 of EMPIRE_ALERT_URLS (JSON) did not take a message")


# ---------------------------------------------------------------- budget_exceeded, prompts, run_failed
def test_a_budget_that_is_used_up_or_overrun_is_told_once(house: Ticking) -> None:
    house.clock.at = house.at(BUSINESS_DAY, 9)
    day, month = f"day:{BUSINESS_DAY}", f"month:{BUSINESS_DAY:%Y-%m}"
    with house.ledger.begin() as session:
        session.add_all(
            [
                Budget(scope=day, cap_micros=14_000_000, reserved_micros=1_000_000, spent_micros=12_000_000),
                Budget(scope=month, cap_micros=412_000_000, spent_micros=20_000_000),
            ]
        )
    house.sensor("budget_exceeded")
    assert alerts(house) == []
    with house.ledger.begin() as session:
        session.get_one(Budget, day).reserved_micros = 1_900_000
    for _ in range(2):
        house.sensor("budget_exceeded")
        assert [message.split(":")[0] for message in alerts(house)] == ["day"]
    with house.ledger.begin() as session:
        session.get_one(Budget, month).spent_micros = 413_000_000
    for _ in range(2):
        assert house.sensor("budget_exceeded").run_requests == []
        assert len(alerts(house)) == 2
    assert any("holds $413.00, above its cap of $412.00" in message for message in alerts(house))


def test_a_new_prompt_version_becomes_a_partition_and_is_recorded(house: Ticking) -> None:
    tick = house.sensor("prompt_version_added")
    names = [partition for _, partition in asked(tick)]
    (added,) = tick.dynamic_partitions_requests
    assert added.partition_keys == names
    assert "video/question-hook@1" in names
    house.instance.add_dynamic_partitions("prompt_versions", names)
    assert asked(house.sensor("prompt_version_added")) == []


def tell_failure(house: Ticking, **tags: str) -> None:
    """Evaluate ``run_failed`` for the newest failed run."""
    (run, *_) = house.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    house.instance.add_run_tags(run.run_id, tags)
    event: Any = next(
        entry.dagster_event
        for entry in house.instance.all_logs(run.run_id)
        if entry.dagster_event and entry.dagster_event.is_failure and not entry.dagster_event.is_step_failure
    )
    context = dg.build_run_status_sensor_context(
        "run_failed",
        event,
        house.instance,
        house.instance.get_run_by_id(run.run_id),  # type: ignore[arg-type]
        resources={"ledger": house.ledger, "clock": house.clock},
    ).for_run_failure()
    house.repository.get_sensor_def("run_failed")(context)


def test_a_failed_run_is_told_in_its_own_sentence_once_and_not_before_it_is_given_up(house: Ticking) -> None:
    failed_run(house, VendorRefused("The key is wrong: renew it.", vendor="impact"))
    tell_failure(house, **{"dagster/will_retry": "true"})
    assert alerts(house) == []
    for _ in range(2):
        tell_failure(house, **{"dagster/will_retry": "false"})
        assert alerts(house) == [f"fetch_products of {DAY} failed: The key is wrong: renew it."]
