"""A piece is published exactly once, whatever dies and whatever reply is lost: the world's witness says so."""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from affiliate_empire.content.post import slug
from affiliate_empire.effects import EffectParked, ReadOnly, State, WindowClosed
from affiliate_empire.effects.switches import resume_scope
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, Artifact, Effect, Link, Pause, Piece, Publication, QuotaUse
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.patience import Patience
from affiliate_empire.operations.post_to_blog import BlogPoster
from affiliate_empire.operations.publish_piece import HOLDING, NotDue
from affiliate_empire.operations.work_pieces import PiecesWorked, work_pieces
from affiliate_empire.policy import load_policy
from affiliate_empire.vendors.deploy_hook import DeployHook
from affiliate_empire.vendors.errors import ReplyLost, VendorUnavailable
from tests.factories.hosts import Host
from tests.factories.publishing import SLOT, TRACKING, Business, add_post, add_video, after, open_business
from tests.factories.worlds import START, RunningWorld, write_video

BYTES = "PUT /youtube/upload/youtube/v3/videos"
SESSION = "POST /youtube/upload/youtube/v3/videos"
CHUNKED = 9_000_000  # more than the client's 8 MiB chunk
CLOSES = datetime.fromisoformat("2026-11-21T11:00:00+00:00")


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


@pytest.fixture
def video(business: Business, tmp_path: Path) -> str:
    return add_video(business, write_video(tmp_path / "short.mp4"))


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def published_once(world: RunningWorld, business: Business, publication: Publication) -> None:
    """The witness saw one post, the ledger holds that one, and nothing is left open."""
    (post,) = world.witness("posts")
    assert post["remote_id"] == publication.remote_id
    assert post["title"] == publication.title
    (stored,) = rows(business.ledger, Publication)
    assert stored.publication_id == publication.publication_id
    effects = rows(business.ledger, Effect)
    assert [effect.state for effect in effects] == [State.SETTLED]
    assert stored.effect_id == effects[0].effect_id
    assert len(rows(business.ledger, QuotaUse)) == 1
    assert len(rows(business.ledger, Link)) == 1


def kill_while_held(world: RunningWorld, command: list[str], held: Any) -> None:
    """Start a process, wait until the world holds it, and ``kill -9`` it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not held():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "the hold was never reached"
        time.sleep(0.02)
    process.kill()
    process.communicate()


# ---------------------------------------------------------------- as planned
def test_a_video_goes_up_before_its_slot_and_is_public_at_it(
    world: RunningWorld, business: Business, video: str
) -> None:
    publication = business.publish(video)

    published_once(world, business, publication)
    (post,) = world.witness("posts")
    (link,) = rows(business.ledger, Link)
    assert datetime.fromisoformat(post["public_at"]) == SLOT == publication.published_at
    assert post["text"] == publication.description
    assert post["text"].splitlines()[0] == load_policy().disclosure("text")
    assert f"{TRACKING}/r/{link.code}" in post["text"]
    assert post["flags"]["containsSyntheticMedia"] is True
    assert post["flags"]["hasPaidProductPlacement"] is True
    assert post["flags"]["selfDeclaredMadeForKids"] is False
    assert post["flags"]["notifySubscribers"] is False
    assert publication.disclosures == {"containsSyntheticMedia": True, "hasPaidProductPlacement": True}
    assert link.target_url.startswith(f"{world.url}/impact_click/c/")
    assert "subId1" not in link.target_url


def test_a_video_after_its_slot_is_public_at_once(world: RunningWorld, business: Business, video: str) -> None:
    world.move_to(after(40))
    publication = business.publish(video)

    published_once(world, business, publication)
    (post,) = world.witness("posts")
    assert post["flags"]["privacyStatus"] == "private"  # until publishAt, which is now
    assert post["public"]
    assert datetime.fromisoformat(post["public_at"]) == after(40) == publication.published_at


def test_a_post_is_one_commit_on_main(world: RunningWorld, business: Business) -> None:
    piece = add_post(business)
    world.move_to(SLOT)
    publication = business.publish(piece)

    published_once(world, business, publication)
    (post,) = world.witness("posts")
    assert load_policy().disclosure("post") in post["text"]
    assert publication.url.endswith(f"/blog/posts/{publication.remote_id}")
    assert publication.published_at == SLOT


def test_publishing_again_touches_nothing(world: RunningWorld, business: Business, video: str) -> None:
    first = business.publish(video)
    world.fault("* /*", status=500, times=1000)

    assert business.publish(video).publication_id == first.publication_id
    assert world.fault_hits() == 0
    published_once(world, business, first)


def test_killed_after_settling_and_before_recording(world: RunningWorld, business: Business, video: str) -> None:
    business.publish(video)
    with business.ledger.begin() as session:
        session.execute(delete(Publication))
    world.fault("* /*", status=500, times=1000)

    published_once(world, business, business.publish(video))
    with business.ledger.begin() as session:
        session.execute(delete(Publication))
    (publication,) = business.reconcile()
    published_once(world, business, publication)


# ---------------------------------------------------------------- killed
@pytest.mark.parametrize(
    ("match", "fault", "padding"),
    [
        (SESSION, {"when": "before"}, 0),
        (SESSION, {"when": "after"}, 0),
        (BYTES, {"when": "before", "skip": 1}, 0),  # the status question passes, no byte is taken
        (BYTES, {"when": "after", "skip": 1}, CHUNKED),  # in the middle of the bytes
        (BYTES, {"when": "after", "skip": 1}, 0),  # accepted: between acceptance and our commit
    ],
    ids=["asking-for-a-session", "session-opened", "before-the-bytes", "mid-bytes", "after-acceptance"],
)
def test_killed_while_uploading(
    world: RunningWorld, business: Business, tmp_path: Path, match: str, fault: dict[str, Any], padding: int
) -> None:
    piece = add_video(business, write_video(tmp_path / "short.mp4", padding=padding))
    world.fault(match, delay=60, drop=True, **fault)
    kill_while_held(world, business.command(piece), lambda: world.fault_hits() == 1)
    world.clear_faults()

    published_once(world, business, business.publish(piece))


@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
def test_killed_while_pushing(world: RunningWorld, business: Business, hook: str) -> None:
    """The push of the killed process may still arrive; it is the same commit."""
    piece = add_post(business)
    world.move_to(SLOT)
    repository = Path(business.home) / "world" / "blog.git"
    held, released = repository / "held", repository / "released"
    script = repository / "hooks" / hook
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        f"#!/bin/sh\n[ -e {held} ] && exit 0\ntouch {held}\nn=0\n"
        f"while [ ! -e {released} ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n+1)); done\nexit 0\n"
    )
    script.chmod(0o755)
    kill_while_held(world, business.command(piece), held.exists)

    publication = business.publish(piece)
    released.touch()

    published_once(world, business, publication)
    count = subprocess.run(
        ["git", "--git-dir", str(repository), "rev-list", "--count", "main"], capture_output=True, text=True, check=True
    )
    assert count.stdout.strip() == "1"


# ---------------------------------------------------------------- lost replies
def test_a_lost_session_is_replaced_by_a_new_one(world: RunningWorld, business: Business, video: str) -> None:
    world.fault(SESSION, when="after", drop=True)
    with pytest.raises(ReplyLost):
        business.publish(video)
    assert world.witness("posts") == []

    published_once(world, business, business.publish(video))


def test_a_lost_reply_after_acceptance_is_settled_in_the_same_call(
    world: RunningWorld, business: Business, video: str
) -> None:
    world.fault(BYTES, when="after", drop=True, skip=1)
    published_once(world, business, business.publish(video))


def test_replies_that_stay_lost_are_settled_by_the_next_run(
    world: RunningWorld, business: Business, video: str
) -> None:
    world.fault(BYTES, when="after", drop=True, skip=1, times=100)
    with pytest.raises(VendorUnavailable):
        business.publish(video)
    world.clear_faults()
    assert len(world.witness("posts")) == 1

    published_once(world, business, business.publish(video))


def test_a_session_that_dies_before_the_last_byte_is_replaced(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    piece = add_video(business, write_video(tmp_path / "large.mp4", padding=CHUNKED))
    world.fault(BYTES, status=404, skip=2)  # the question and the first chunk pass
    published_once(world, business, business.publish(piece))


def test_a_main_that_moved_on_gets_a_new_commit(world: RunningWorld, business: Business) -> None:
    """Another process pushes another post between our look at main and our push."""
    world.move_to(after(40))
    first, second = add_post(business), add_post(business, piece_id="pc_post_0002", slot_at=after(30))
    hook = Path(business.home) / "blog" / "blog.git" / "hooks" / "pre-push"
    business.blog.head()  # makes the clone
    pushed = hook.with_name("pushed")
    hook.parent.mkdir(exist_ok=True)
    command = shlex.join(business.command(second))
    hook.write_text(
        f"#!/bin/sh\n[ -e {pushed} ] && exit 0\ntouch {pushed}\ncd {Path.cwd()} && {command} >{pushed} 2>&1\n"
    )
    hook.chmod(0o755)
    business.publish(first)

    assert pushed.read_text() == ""
    assert sorted(post["remote_id"][-4:] for post in world.witness("posts")) == ["0001", "0002"]
    assert {effect.state for effect in rows(business.ledger, Effect)} == {State.SETTLED}
    assert len(set(commits_of(business))) == 2


def commits_of(business: Business) -> list[str]:
    """The commits that main consists of, newest first."""
    repository = str(Path(business.home) / "world" / "blog.git")
    log = subprocess.run(["git", "--git-dir", repository, "log", "--format=%H", "main"], capture_output=True, text=True)
    return log.stdout.split()


# ---------------------------------------------------------------- several posts, one commit
def publish_together(business: Business, pieces: list[str]) -> PiecesWorked:
    """As a run of the asset works what is due."""
    with business.ledger.begin() as session:
        due = [session.get_one(Piece, piece) for piece in pieces]
    poster = business.posters["blog"]
    assert isinstance(poster, BlogPoster)
    patience = Patience(first_wait=0.01)
    return work_pieces(
        "publications",
        due,
        business.publish,
        ledger=business.ledger,
        at_once=1,
        patience=patience,
        holding=HOLDING,
        together=poster.together,
    )


def three_posts(world: RunningWorld, business: Business) -> list[str]:
    world.move_to(after(10))
    return [add_post(business, piece_id=f"pc_post_000{number}", slot_at=after(number)) for number in (1, 2, 3)]


def all_once(world: RunningWorld, business: Business, pieces: list[str]) -> None:
    """Each piece is one post that the world saw and the ledger settled, and no page was pushed twice."""
    assert sorted(post["remote_id"][-4:] for post in world.witness("posts")) == [piece[-4:] for piece in pieces]
    assert sorted(row.piece_id for row in rows(business.ledger, Publication)) == pieces
    effects = rows(business.ledger, Effect)
    assert {effect.state for effect in effects} == {State.SETTLED}
    assert {effect.result["commit"] for effect in effects} == set(commits_of(business))
    assert {effect.result["path"][-8:-4] for effect in effects} == {piece[-4:] for piece in pieces}


def test_due_posts_go_out_in_one_commit(world: RunningWorld, business: Business) -> None:
    pieces = three_posts(world, business)
    assert publish_together(business, pieces).made == pieces
    all_once(world, business, pieces)
    assert len(commits_of(business)) == 1


def test_the_host_is_told_once_of_all_posts_of_a_run(world: RunningWorld, business: Business) -> None:
    pieces = three_posts(world, business)
    poster = business.posters["blog"]
    assert isinstance(poster, BlogPoster)
    with Host(201) as host:
        business.blog.deploy_hook = DeployHook(host.address)
        assert poster.tell_host(read_only=False) is None
        assert host.calls == 0  # nothing was pushed
        publish_together(business, pieces)
        assert host.calls == 0  # no post waits for it
        assert poster.tell_host(read_only=False) is None
        assert host.calls == 1
        publish_together(business, pieces)
        assert poster.tell_host(read_only=False) is None
        assert host.calls == 1


def test_a_host_that_cannot_be_told_is_a_warning_and_no_posts_failure(
    world: RunningWorld, business: Business, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pieces = three_posts(world, business)
    poster = business.posters["blog"]
    assert isinstance(poster, BlogPoster)
    with Host(500) as host:
        business.blog.deploy_hook = DeployHook(host.address)
        publish_together(business, pieces[:1])
        refused = poster.tell_host(read_only=False)
        publish_together(business, pieces[1:2])
        forbidden = poster.tell_host(read_only=True)
        assert host.calls == 1
    publish_together(business, pieces[2:])
    unheard = poster.tell_host(read_only=False)

    assert "The posts are committed, and the site was not told to build. The deploy hook answered 500" in str(refused)
    assert "live-readonly" in str(forbidden)
    assert "gave no answer (ConnectError)" in str(unheard)
    assert {effect.state for effect in rows(business.ledger, Effect)} == {State.SETTLED}
    assert len(commits_of(business)) == 3
    everything = f"{caplog.text} {refused} {unheard} {business.blog.deploy_hook!r}"
    assert host.secret not in everything


def test_a_post_that_is_not_finished_is_held_and_does_not_hold_up_the_others(
    world: RunningWorld, business: Business
) -> None:
    pieces = three_posts(world, business)
    with business.ledger.begin() as session:
        session.execute(delete(Artifact).where(Artifact.piece_id == pieces[1]))
    worked = publish_together(business, pieces)
    assert (worked.made, worked.quarantined) == ([pieces[0], pieces[2]], {})
    assert worked.held == {pieces[1]: "tried again: There is no finished post to publish yet."}
    all_once(world, business, [pieces[0], pieces[2]])
    assert len(commits_of(business)) == 1


def test_a_push_whose_reply_is_lost_is_found_by_each_post(world: RunningWorld, business: Business) -> None:
    pieces = three_posts(world, business)
    hooks = Path(business.home) / "world" / "blog.git" / "hooks"
    hooks.mkdir(exist_ok=True)
    # The host dies after it took the commit and before it said so; then it is well again.
    (hooks / "post-receive").write_text('#!/bin/sh\nrm "$0"\nkill -9 $PPID\n')
    (hooks / "post-receive").chmod(0o755)
    assert publish_together(business, pieces).made == pieces
    assert not (hooks / "post-receive").exists()
    all_once(world, business, pieces)
    assert len(commits_of(business)) == 1


def test_a_protected_branch_pauses_the_account_and_puts_no_post_aside(world: RunningWorld, business: Business) -> None:
    pieces = three_posts(world, business)
    hook = Path(business.home) / "world" / "blog.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed for refs/heads/main.' >&2\nexit 1\n")
    hook.chmod(0o755)

    worked = publish_together(business, pieces)

    assert (worked.made, worked.quarantined) == ([], {})
    assert {said.split(":")[0] for said in worked.held.values()} == {"needs a person"}
    with business.ledger.begin() as session:
        assert "GH006: Protected branch" in session.get_one(Pause, "account:blog:gearlab").reason
    hook.unlink()
    resume_scope("account:blog:gearlab", ledger=business.ledger)
    assert publish_together(business, pieces).made == pieces
    all_once(world, business, pieces)


def test_killed_between_the_posts_of_one_commit(world: RunningWorld, business: Business) -> None:
    """Pushed together; one is settled, then the process ends. Its next run finds the others by path and content."""
    pieces = three_posts(world, business)
    publish_together(business, pieces)
    with business.ledger.begin() as session:
        for effect in session.scalars(select(Effect).where(Effect.piece_id.in_(pieces[1:]))):
            effect.state, effect.result, effect.remote_id, effect.settled_at = State.COMMITTING, None, None, None
        session.execute(delete(Publication).where(Publication.piece_id.in_(pieces[1:])))

    assert len(business.reconcile()) == 3
    all_once(world, business, pieces)
    assert len(commits_of(business)) == 1


def test_what_somebody_wrote_in_a_posts_place_is_refused_before_and_parks_after(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    pieces = three_posts(world, business)
    path = f"content/posts/{slug('What a burr grinder does', pieces[0])}.mdx"
    repository, clone = Path(business.home) / "world" / "blog.git", tmp_path / "owner"
    for command in (
        ["git", "clone", "--quiet", str(repository), str(clone)],
        ["mkdir", "-p", str((clone / path).parent)],
        ["cp", "/etc/hostname", str(clone / path)],
        ["git", "-C", str(clone), "add", "--all"],
        ["git", "-C", str(clone), "-c", "user.name=O", "-c", "user.email=o@e", "commit", "--quiet", "-m", "Mine"],
        ["git", "-C", str(clone), "push", "--quiet", "origin", "HEAD:main"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(PieceRejected, match="not ours to replace"):
        business.publish(pieces[0])
    publish_together(business, pieces[1:])
    assert len(commits_of(business)) == 2

    with business.ledger.begin() as session:  # as if an earlier attempt on it had been killed inside its push
        effect = session.scalars(select(Effect).where(Effect.piece_id == pieces[0])).one()
        sent = session.scalars(select(Effect.handle).where(Effect.piece_id == pieces[1])).one()
        effect.state = State.COMMITTING
        effect.handle = {**sent, "path": path, "content": "0" * 40, "own": "-no.mdx", "slug": "mine"}
    business.reconcile()
    (alert,) = rows(business.ledger, Alert)
    assert path in alert.message
    assert len(commits_of(business)) == 2


# ---------------------------------------------------------------- when the session is forgotten
def crash_after_acceptance(world: RunningWorld, business: Business, piece: str) -> None:
    """Accepted, never answered, and now YouTube has forgotten the session."""
    world.fault(BYTES, when="after", drop=True, skip=1)
    world.fault(BYTES, status=503, skip=1, times=8)
    with pytest.raises(VendorUnavailable):
        business.publish(piece)
    world.clear_faults()
    assert len(world.witness("posts")) == 1
    world.fault(BYTES, status=404, times=100)


def test_a_listing_proves_presence(world: RunningWorld, business: Business, video: str) -> None:
    crash_after_acceptance(world, business, video)
    world.move_to(START + timedelta(minutes=3))  # by now the channel's listing shows it

    published_once(world, business, business.publish(video))


def test_a_listing_never_proves_absence(world: RunningWorld, business: Business, video: str) -> None:
    crash_after_acceptance(world, business, video)  # not listed yet

    for _ in range(2):
        with pytest.raises(EffectParked, match="YouTube Studio"):
            business.publish(video)
    assert len(world.witness("posts")) == 1
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.UNKNOWN]
    assert len(rows(business.ledger, Alert)) == 1


# ---------------------------------------------------------------- early, late, not at all
def test_too_early_is_not_due(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    video = add_video(business, write_video(tmp_path / "short.mp4"), slot_at=START + timedelta(minutes=31))
    post = add_post(business, slot_at=START + timedelta(minutes=1))
    for piece in (video, post):
        with pytest.raises(NotDue):
            business.publish(piece)
    assert rows(business.ledger, Effect) == []


def test_a_closed_day_never_posts(world: RunningWorld, business: Business, video: str) -> None:
    world.move_to(CLOSES)
    for piece in (video, add_post(business)):
        with pytest.raises(WindowClosed):
            business.publish(piece)
    assert business.reconcile() == []
    assert world.witness("posts") == []
    assert rows(business.ledger, Link) == []


def test_a_closed_day_keeps_what_was_accepted(world: RunningWorld, business: Business, video: str) -> None:
    world.fault(BYTES, when="after", drop=True, skip=1, times=100)
    with pytest.raises(VendorUnavailable):
        business.publish(video)
    world.clear_faults()
    world.move_to(CLOSES)

    (publication,) = business.reconcile()
    published_once(world, business, publication)


def test_a_closed_day_does_not_complete_what_was_begun(world: RunningWorld, business: Business, video: str) -> None:
    world.fault(BYTES, status=503, times=100)
    with pytest.raises(VendorUnavailable):
        business.publish(video)
    world.clear_faults()
    world.move_to(CLOSES)

    assert business.reconcile() == []
    with pytest.raises(WindowClosed):
        business.publish(video)
    assert world.witness("posts") == []
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.EXPIRED]
    assert rows(business.ledger, QuotaUse) == []


def test_read_only_asks_for_nothing_that_leaves_a_trace(world: RunningWorld, business: Business, video: str) -> None:
    business.effects.read_only = True
    world.fault("POST /*", status=500, times=100)
    with pytest.raises(ReadOnly):
        business.publish(video)
    assert world.fault_hits() == 0
    assert rows(business.ledger, Link) == rows(business.ledger, Effect) == []


def test_a_refusal_is_final_and_says_why(world: RunningWorld, business: Business, video: str) -> None:
    """Also for a second run that finds the piece still planned: what quarantines it may have been killed."""
    body = {"error": {"code": 400, "message": "no", "errors": [{"reason": "invalidTags"}]}}
    world.fault(SESSION, status=400, body=body)
    for _ in range(2):
        with pytest.raises(PieceRejected, match="invalidTags"):
            business.publish(video)
    assert world.fault_hits() == 1
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.REFUSED]
    assert world.witness("posts") == []


def test_a_quarantined_piece_is_not_published(world: RunningWorld, business: Business, video: str) -> None:
    with business.ledger.begin() as session:
        piece = session.get_one(Piece, video)
        piece.status, piece.reason = "quarantined", "the video is silent"
    with pytest.raises(PieceRejected, match="silent"):
        business.publish(video)
    with business.ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Effect)) == 0
