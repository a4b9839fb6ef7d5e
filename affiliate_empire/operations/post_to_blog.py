"""Posting on the blog: the pages of a run in one commit on the repository's ``main``, each an effect of its own.

The handle is the page's path and its content's hash: ``main``'s history holds it, or never held it. The commit is found
again by them, so it need not be known before it is pushed, and only pages whose effect is in its commit are in it.
That the host builds the site is no part of a post: it is told once, after all of a run (``tell_host``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from affiliate_empire.compliance import check_page
from affiliate_empire.content.mdx import mdx_problems
from affiliate_empire.content.post import Post, render_mdx
from affiliate_empire.effects import RESTORED, Act, Gone, NotDone, Receipt, StillUnknown, Verdict
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger.tables import Account
from affiliate_empire.operations.account_limits import SeenLimit
from affiliate_empire.operations.build_site import build_site
from affiliate_empire.operations.posting import Composed, Material, refuse_undisclosed
from affiliate_empire.operations.together import Together
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.texts import PostText, post_text
from affiliate_empire.vendors.blog import BlogClient, Page, Place, content_hash, taken
from affiliate_empire.vendors.errors import ContentRefused, VendorError


class BlogPoster:
    """Posts in the repository of one client. Pieces that are worked ``together`` go out in one commit."""

    def __init__(self, blog: BlogClient, *, clock: Clock, policy: Policy) -> None:
        self._blog = blog
        self._clock = clock
        self._policy = policy
        self._changed = False
        self.together: Together[Page, str] = Together(self._publish)

    def compose(self, material: Material) -> Composed:
        piece, policy = material.piece, self._policy
        content = material.made("post").content
        document = Post.model_validate({name: content[name] for name in Post.model_fields})
        mdx = render_mdx(
            document,
            piece_id=piece.piece_id,
            published_on=piece.day,
            product=material.product.title,
            link_url=material.link_url,
            disclosure=policy.disclosure("post"),
            ai_statement=policy.disclosure("ai"),
            facts=piece.facts,
            tags=[piece.niche],
        )
        refuse_undisclosed(mdx_problems(mdx) + check_page(mdx, policy))
        page = _Page(post_text(document, piece_id=piece.piece_id, policy=policy), mdx, piece.slot_at)
        return Composed(self._act(page), page.looks(), page.trace())

    def asking(self, account_id: str) -> Act:
        return self._act(None)

    def url(self, remote_id: str, account_id: str) -> str:
        return self._blog.url(remote_id)

    def _publish(self, pages: Sequence[Page]) -> Sequence[str | VendorError]:
        return self._blog.publish(pages, at=self._clock.now().replace(microsecond=0))  # git keeps whole seconds

    def seen_limit(self, account: Account) -> SeenLimit | None:
        return None  # nobody counts but we

    def tell_host(self, *, read_only: bool) -> str | None:
        """Have the site built, once for all pages that came to ``main`` since it was told last, or were found there.

        Returns what the owner should know when that failed; no post hangs on it.
        """
        changed, self._changed = self._changed, False
        return build_site(self._blog.deploy_hook, read_only=read_only) if changed else None

    def _act(self, page: _Page | None) -> PostAct:
        return PostAct(self._blog, self.together, self._clock, page, arrived=self._arrived)

    def _arrived(self) -> None:
        self._changed = True


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

    def file(self, since: str | None) -> Page:
        """As it is to stand in the repository."""
        text = self.text
        return Page(text.path, content_hash(self.mdx), text.own, since, self.mdx, text.message)


class PostAct:
    """A post on the blog. The handle is its path and content hash, with ``main`` as it was before.

    ``page`` is None where the act is only asked (``reconcile``). ``arrived`` is called for a page found on ``main``.
    """

    def __init__(
        self,
        blog: BlogClient,
        together: Together[Page, str],
        clock: Clock,
        page: _Page | None,
        *,
        arrived: Callable[[], None],
    ) -> None:
        self._blog = blog
        self._together = together
        self._clock = clock
        self._page = page
        self._arrived = arrived

    def prepare(self) -> dict[str, Any]:
        assert self._page is not None  # noqa: S101 - asked acts do not prepare
        file = self._page.file(self._blog.head())
        standing = self._blog.look(file)
        if standing.place is Place.TAKEN:
            raise ContentRefused(f"{file.path} was not published: {taken(file, standing)}", vendor="blog")
        prepared_at = self._clock.now().replace(microsecond=0).isoformat()
        page = {"content": file.content, "own": file.own, "since": file.since}
        return {**self._page.trace(), **page, "prepared_at": prepared_at}

    def commit(self, handle: dict[str, Any]) -> Receipt:
        assert self._page is not None  # noqa: S101 - asked acts do not commit
        file = self._page.file(handle["since"])
        if (file.path, file.content) != (handle["path"], handle["content"]):
            raise ValueError(f"{handle['path']} is another page than the one that was prepared")
        return self._receipt(handle, self._together.do(file))

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if (
            RESTORED in handle
        ):  # the path names the piece, and main's history is all that there is: it can prove absence
            commit = self._blog.commit_of(handle["path"])
            return Gone() if commit is None else self._receipt(handle, commit)
        page = Page(handle["path"], handle["content"], handle["own"], handle["since"])
        standing = self._blog.look(page)
        if standing.place is Place.PUBLISHED:
            return self._receipt(handle, standing.commit)
        if standing.place is Place.ABSENT:
            # For good, until it is pushed again: a push that still is under way expects the main of its time.
            return NotDone()
        if standing.place is Place.TAKEN:
            return StillUnknown(f"{standing.other} in the blog's repository: {taken(page, standing)}")
        return StillUnknown(f"{page.path} in the blog's repository, whose history was replaced")

    def _receipt(self, handle: dict[str, Any], commit: str) -> Receipt:
        self._arrived()
        return Receipt(
            remote_id=handle["slug"],
            result={
                "url": self._blog.url(handle["slug"]),
                "title": handle["title"],
                "description": handle["description"],
                "disclosures": handle["disclosures"],
                "published_at": handle["prepared_at"],
                "commit": commit,
                "path": handle["path"],
            },
        )
