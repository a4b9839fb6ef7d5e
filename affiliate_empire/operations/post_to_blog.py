"""Posting on the blog: a commit of one page on the repository's ``main``.

The handle is the commit: ``main`` contains it, or can never contain it, or is its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from affiliate_empire.compliance import check_page
from affiliate_empire.content.post import Post, render_mdx
from affiliate_empire.effects import RESTORED, Act, Gone, NotDone, Receipt, Verdict
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.posting import Composed, Material, refuse_undisclosed
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.texts import PostText, post_text
from affiliate_empire.vendors.blog import BlogClient, NotFastForward
from affiliate_empire.vendors.errors import ReplyLost


class BlogPoster:
    """Posts in the repository of one client."""

    def __init__(self, blog: BlogClient, *, clock: Clock, policy: Policy) -> None:
        self._blog = blog
        self._clock = clock
        self._policy = policy

    def compose(self, material: Material) -> Composed:
        post, piece, policy = material.artifacts.get("post"), material.piece, self._policy
        if post is None:
            raise PieceRejected("There is no post to publish.")
        document = Post.model_validate({name: post.content[name] for name in Post.model_fields})
        mdx = render_mdx(
            document,
            piece_id=piece.piece_id,
            published_on=piece.day,
            product=material.product.title,
            link_url=material.link_url,
            disclosure=policy.disclosure("post"),
            ai_statement=policy.disclosure("ai"),
            tags=[piece.niche],
        )
        refuse_undisclosed(check_page(mdx, policy))
        page = _Page(post_text(document, piece_id=piece.piece_id, policy=policy), mdx, piece.slot_at)
        return Composed(PostAct(self._blog, self._clock, page), page.looks(), page.trace())

    def asking(self, account_id: str) -> Act:
        return PostAct(self._blog, self._clock, None)

    def url(self, remote_id: str, account_id: str) -> str:
        return self._blog.url(remote_id)


@dataclass(frozen=True)
class _Page:
    """A post as it goes out."""

    text: PostText
    mdx: str
    slot_at: datetime

    def looks(self) -> dict[str, Any]:
        """What the post looks like: what may not change once it may have happened."""
        return {"path": self.text.path, "mdx": self.mdx, "slot_at": self.slot_at.isoformat()}

    def trace(self) -> dict[str, Any]:
        """By what the post is known again."""
        return {
            "path": self.text.path,
            "slug": self.text.slug,
            "title": self.text.title,
            "description": self.text.description,
            "disclosures": {"banner": True, "sponsoredLinks": True},
            "prepared_at": self.slot_at.isoformat(),
        }


class PostAct:
    """A post on the blog. The handle is the commit; ``main`` contains it, or can never contain it, or is its parent.

    ``page`` is None where the act is only asked (``reconcile``).
    """

    def __init__(self, blog: BlogClient, clock: Clock, page: _Page | None) -> None:
        self._blog = blog
        self._clock = clock
        self._page = page

    def prepare(self) -> dict[str, Any]:
        assert self._page is not None  # noqa: S101 - asked acts do not prepare
        now = self._clock.now().replace(microsecond=0)  # git keeps whole seconds
        text = self._page.text
        sha, parent = self._blog.prepare({text.path: self._page.mdx}, text.message, at=now)
        return {**self._page.trace(), "sha": sha, "parent": parent, "prepared_at": now.isoformat()}

    def commit(self, handle: dict[str, Any]) -> Receipt:
        try:
            self._blog.push(handle["sha"])
        except NotFastForward as error:
            # Refused for this commit for good; ``reconcile`` reads that off the branch and a new one is prepared.
            raise ReplyLost(str(error), vendor=error.vendor, code=error.code) from error
        return self._receipt(handle)

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if RESTORED in handle:  # the path names the piece, and the branch is all that there is: git can prove absence
            sha = self._blog.commit_of(handle["path"])
            return Gone() if sha is None else self._receipt(handle | {"sha": sha})
        standing = self._blog.standing(handle["sha"], handle["parent"])
        if standing == "published":
            return self._receipt(handle)
        return NotDone() if standing == "open" else Gone()

    def _receipt(self, handle: dict[str, Any]) -> Receipt:
        return Receipt(
            remote_id=handle["slug"],
            result={
                "url": self._blog.url(handle["slug"]),
                "title": handle["title"],
                "description": handle["description"],
                "disclosures": handle["disclosures"],
                "published_at": handle["prepared_at"],
                "commit": handle["sha"],
            },
        )
