"""Handing a video to a person who posts it: a folder with file, cover, caption, and what must be switched on.

A folder is handed over by one rename, after it was made whole out of sight; what was handed over is never touched
again. From then on only the person knows whether it was posted: the effect stays open, holding its place in the
account's window, until ``settle_hand_over`` brings their word, or a day has passed since it was too late for its slot.
Their word is taken after that, too.
"""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import select

from affiliate_empire.effects import RESTORED, Caps, Gone, NotDone, State, StillUnknown, Verdict
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.files import on_disk
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Effect
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.posting import Material
from affiliate_empire.publishing.flags import DRAFT_DISCLOSURES
from affiliate_empire.vendors.errors import ReplyLost

# How long after its slot's end a person may still say that they posted it in time.
_WORD_FOR = timedelta(days=1)

# A video's own address, whoever's it is; short links say nothing of the post's id.
_VIDEO = re.compile(r"https?://[^\s/]+(?:/[^\s/@]+)*/@[^\s/]*/video/(\d{5,20})(?:[/?#]\S*)?")

_CHECKLIST = """# Post this on TikTok as {account}, from {slot:%Y-%m-%d %H:%M} UTC on

- [ ] Upload `video.mp4` as it is: no watermark, sticker, link or logo on top.
- [ ] Cover: {cover}.
- [ ] Paste the whole of `caption.txt`; its first line is the disclosure and stays first.
- [ ] More options: switch on **AI-generated content**.
- [ ] More options: switch on **Disclose post content**, then **Branded content** (it shows "Paid partnership").
- [ ] Who can watch: **Everyone**. Branded content cannot be private.
- [ ] Post it **before {closes:%Y-%m-%d %H:%M} UTC**. Later it must not be posted any more.
- [ ] Then say so: `empire handoff done {piece} --url https://www.tiktok.com/@…/video/…`
      or, if it was not posted and shall not be: `empire handoff done {piece} --skipped`
"""


@dataclass(frozen=True)
class Package:
    """What is handed over. ``cover`` is the thumbnail's place in the media store, None where there is none."""

    piece_id: str
    account_id: str
    day: str
    title: str
    caption: str
    video: str
    cover: str | None
    slot_at: datetime
    closes_at: datetime

    @classmethod
    def of(cls, material: Material, title: str, caption: str, video: str) -> Package:
        """The package of a piece whose texts are ready."""
        piece, thumbnail = material.piece, material.artifacts.get("thumbnail")
        return cls(
            piece_id=piece.piece_id,
            account_id=piece.account_id,
            day=piece.day.isoformat(),
            title=title,
            caption=caption,
            video=video,
            cover=None if thumbnail is None else thumbnail.sha256,
            slot_at=piece.slot_at,
            closes_at=material.closes_at,
        )

    def looks(self) -> dict[str, Any]:
        """What the post looks like: what may not change once it may have happened."""
        return {
            "route": "package",
            "caption": self.caption,
            "video": self.video,
            "cover": self.cover,
            "slot_at": self.slot_at.isoformat(),
        }

    def trace(self) -> dict[str, Any]:
        """What is known of the post without its folder."""
        return {
            "title": self.title,
            "description": self.caption,
            "disclosures": DRAFT_DISCLOSURES,
            "prepared_at": self.slot_at.isoformat(),
        }


class HandOver:
    """The act. Its handle is the folder in the making and the place it goes to.

    While the folder in the making is there, it was not handed over. That it is gone proves nothing else: a person may
    move or delete what they were given.
    """

    def __init__(self, root: Path, clock: Clock, media: MediaStore, package: Package) -> None:
        self._root = root
        self._clock = clock
        self._media = media
        self._package = package

    def prepare(self) -> dict[str, Any]:
        package, root = self._package, self._root
        staged = root / ".making" / f"{package.piece_id}-{secrets.token_hex(4)}"
        cover = "the frame you like" if package.cover is None else "`cover.jpg`"
        checklist = _CHECKLIST.format(
            account=package.account_id.partition(":")[2],
            piece=package.piece_id,
            slot=package.slot_at,
            closes=package.closes_at,
            cover=cover,
        )
        root.mkdir(parents=True, exist_ok=True)
        with on_disk(root):
            staged.mkdir(parents=True)
            shutil.copyfile(self._media.path(package.video), staged / "video.mp4")
            if package.cover is not None:
                shutil.copyfile(self._media.path(package.cover), staged / "cover.jpg")
            (staged / "caption.txt").write_text(package.caption + "\n", "utf-8")
            (staged / "checklist.md").write_text(checklist, "utf-8")
        return {
            "package": str(self._place()),
            "staged": str(staged),
            "piece_id": package.piece_id,
            "account_id": package.account_id,
            "title": package.title,
            "description": package.caption,
            "disclosures": DRAFT_DISCLOSURES,
            "slot_at": package.slot_at.isoformat(),
            "closes_at": package.closes_at.isoformat(),
            "prepared_at": self._clock.now().isoformat(),
        }

    def commit(self, handle: dict[str, Any]) -> NoReturn:
        place = Path(handle["package"])
        place.parent.mkdir(parents=True, exist_ok=True)
        Path(handle["staged"]).rename(place)
        raise ReplyLost(f"{handle['piece_id']} was handed over; only its person can say more.", vendor="tiktok")

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if RESTORED in handle:
            return StillUnknown(f"TikTok Studio, for a video named {handle['title']!r}")
        return package_standing(handle, self._clock.now())

    def _place(self) -> Path:
        """Where it goes: what was handed over before stays where it is."""
        folder = self._root / self._package.day
        taken = {path.name for path in folder.glob(f"{self._package.piece_id}*")} if folder.exists() else set()
        name = self._package.piece_id
        return folder / (name if name not in taken else f"{name}-{len(taken) + 1}")


def package_standing(handle: dict[str, Any], now: datetime) -> Verdict:
    """What a package's handle says at an instant."""
    if Path(handle["staged"]).exists():
        return NotDone()
    if now >= datetime.fromisoformat(handle["closes_at"]) + _WORD_FOR:
        return Gone()  # nobody said that it was posted
    return StillUnknown(request=_request(handle))


def waiting_packages(*, ledger: Ledger) -> list[dict[str, Any]]:
    """The handles of what was handed over and not heard of since, in the order of their slots."""
    with ledger.begin() as session:
        open_ = session.scalars(select(Effect).where(Effect.state == State.UNKNOWN, Effect.handle.has_key("package")))
        handles = [effect.handle for effect in open_ if effect.handle is not None]
    return sorted(handles, key=lambda handle: (handle["slot_at"], handle["piece_id"]))


def settle_hand_over(
    piece_id: str,
    url: str | None,
    *,
    ledger: Ledger,
    clock: Clock,
    caps: Caps,
    posted_at: datetime | None = None,
) -> State:
    """Record a person's word on what they were handed; returns the state of the post's effect.

    Args:
        url: the video's address, where it was posted; None when it was not, and shall not be.
        posted_at: when it was posted; None: now.

    Raises:
        BadInput: nothing of this piece waits for a person, the address is not that of a video, or it was posted before
            it was handed over or is to be posted yet.
    """
    handle = _handed_over(piece_id, posted=url is not None, ledger=ledger)
    if handle is None:
        raise BadInput(f"Nothing of {piece_id} waits to be posted by hand: list what does with `empire handoff`.")
    key = f"post:{piece_id}:{handle['account_id']}"
    if url is None:
        return resolve_effect(key, Finding.GIVEN_UP, ledger=ledger, clock=clock, caps=caps)
    video = _VIDEO.fullmatch(url.strip())
    if video is None:
        raise BadInput(f"{url} is not a video's full address: give https://www.tiktok.com/@NAME/video/NUMBER.")
    posted_at = posted_at or clock.now()
    if not datetime.fromisoformat(handle["prepared_at"]) <= posted_at <= clock.now():
        raise BadInput(f"{piece_id} was handed over at {handle['prepared_at'][:16]} UTC: say when after it was posted.")
    result = {name: handle[name] for name in ("title", "description", "disclosures")}
    result |= {"url": url.strip(), "published_at": posted_at.isoformat()}
    return resolve_effect(
        key, Finding.HAPPENED, ledger=ledger, clock=clock, caps=caps, remote_id=video[1], result=result
    )


def _handed_over(piece_id: str, *, posted: bool, ledger: Ledger) -> dict[str, Any] | None:
    """The handle of a piece's package that waits for a word; that it was posted may be said of an expired one, too."""
    states = (State.UNKNOWN, State.EXPIRED) if posted else (State.UNKNOWN,)
    with ledger.begin() as session:
        found = select(Effect.handle).where(
            Effect.piece_id == piece_id, Effect.state.in_(states), Effect.handle.has_key("package")
        )
        return session.scalars(found.order_by(Effect.created_at.desc())).first()


def _request(handle: dict[str, Any]) -> str:
    closes, slot = (datetime.fromisoformat(handle[name]) for name in ("closes_at", "slot_at"))
    return (
        f"Post the video in {handle['package']} on TikTok from {slot:%Y-%m-%d %H:%M} UTC on and before "
        f"{closes:%Y-%m-%d %H:%M} UTC as its checklist.md says, then tell with `empire handoff done "
        f"{handle['piece_id']} --url ADDRESS` or `--skipped`."
    )
