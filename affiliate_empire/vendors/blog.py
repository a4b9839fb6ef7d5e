"""The blog: a git repository whose ``main`` branch is what readers see; publishing is pushing one commit of pages.

A page is its path and its content's hash, and ``main``'s history says what became of it: whoever pushed it, and however
often the push was tried, a page that was there once was published. A push is refused when ``main`` is no longer the
commit's parent, so one that arrives late can neither double a page nor undo what others pushed. Commits are built
without a working tree. What a page says is made elsewhere (``affiliate_empire.content``). Credentials for the remote
are git's own (a key, a credential helper).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.kernel.files import out_of_space
from affiliate_empire.vendors.deploy_hook import DeployHook
from affiliate_empire.vendors.errors import (
    ContentRefused,
    CredentialsRejected,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)

_VENDOR = "blog"
_BRANCH = "main"
_AUTHOR = "AI Affiliate Empire"
_EMAIL = "publisher@ai-affiliate-empire.invalid"
# How often a commit is made anew because somebody pushed in between, before that is left to a later run.
_REBASES = 5

# A git hook or another repository's shell may have set these; ours must not act on that repository.
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
# Nobody is there to answer a prompt. Messages are read below, so they must not be translated.
_SETTINGS = ("GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=false", "SSH_ASKPASS=false", "LC_ALL=C", "TZ=UTC")

_USERINFO = re.compile(r"://\S*@")
_QUERY = re.compile(r"(://[^\s?#'\"]*)[?#][^\s'\"]*")


class NotFastForward(VendorRefused):
    """``main`` has moved on without the commit: it was not published and cannot be any more; it is made anew."""


class Rejected(VendorRefused):
    """The remote's own rules turned the commit down."""


class Place(StrEnum):
    """What ``main`` says of a page."""

    PUBLISHED = "published"  # it is there, or was there and somebody changed or removed it since
    ABSENT = "absent"  # it never was there
    TAKEN = "taken"  # another text, or the same post under another name, stands there, and this one never did
    UNKNOWN = "unknown"  # main's history was replaced since the page was prepared: it proves nothing


@dataclass(frozen=True)
class Standing:
    """Where a page stands. ``commit`` is the one that brought it, ``other`` the path that is in its way."""

    place: Place
    commit: str = ""
    other: str = ""


@dataclass(frozen=True)
class Page:
    """A page as it is to stand in the repository.

    Attributes:
        path: in the repository.
        content: the hash of its text (``content_hash``).
        own: how the names of all versions of this post end; two of them never stand side by side.
        since: ``main`` when the page was prepared (None: it was empty): only a history that holds it can prove absence.
        text: None where the page is only looked for.
        message: what the commit says of it.
    """

    path: str
    content: str
    own: str
    since: str | None
    text: str | None = None
    message: str = ""


def content_hash(text: str) -> str:
    """The name by which git knows a text."""
    data = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class BlogClient:
    """The blog's repository.

    Safe to use from several threads of one process; several processes meet at the remote, which takes only one of two
    commits with the same parent.

    Args:
        remote: a git remote (a path, ``https://``, ``ssh://``).
        workdir: where our bare clone lives; made on first use.
        base_url: where the blog is read; a post is at ``{base_url}/posts/{slug}``.
        timeout: seconds one git command may take.
        deploy_hook: what has the site built, where its host does not see the pushes by itself; never called here.
    """

    def __init__(
        self,
        remote: str,
        workdir: Path,
        base_url: str,
        *,
        timeout: float = 60.0,
        deploy_hook: DeployHook | None = None,
    ) -> None:
        self.deploy_hook = deploy_hook
        self._remote = remote
        self._clone = workdir / "blog.git"
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._lock = threading.Lock()

    def url(self, slug: str) -> str:
        """Where readers find a post."""
        return f"{self._base_url}/posts/{slug}"

    def head(self) -> str | None:
        """The remote's newest ``main``; None while it is empty.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            return self._fetch()

    def look(self, page: Page) -> Standing:
        """What the remote's ``main`` says of a page now.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            return self._look(self._fetch(), page)

    def publish(self, pages: Sequence[Page], *, at: datetime) -> list[str | VendorError]:
        """Bring pages to ``main`` in one commit: the visible act. What is there already is not brought again.

        When somebody pushes in between, the commit is made anew on theirs; when the remote's rules reject the pages
        together, each is tried alone, so that one does not take the others with it. Nothing else is replaced or lost.

        Args:
            pages: with their texts.
            at: the commit's time.

        Returns:
            For each page the commit that brought it, or why it is not there: ``ContentRefused`` where something else
            stands in its place, ``Rejected`` by the remote's rules, ``ReplyLost`` where ``look`` cannot say.

        Raises:
            ReplyLost: the remote's answer to the push was lost; ``look`` tells.
            VendorUnavailable: the remote could not be reached, or ``main`` moves faster than we do.
            CredentialsRejected: the remote does not let us write.
        """
        with self._lock:
            try:
                return self._publish(pages, at)
            except Rejected as refusal:
                if len(pages) == 1:
                    return [refusal]
        return [outcome for page in pages for outcome in self.publish([page], at=at)]

    def stands(self, path: str) -> bool:
        """Whether a file of this name is in the remote's ``main`` now, whatever it says.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            return self._stands(self._fetch(), path)

    def remove(self, path: str, *, message: str, at: datetime) -> str | None:
        """Take a page out of ``main`` in a commit of its own, whoever edited it since; its history stays.

        A push that arrives late undoes nothing: ``main`` has moved on by then. Sitemap and feed follow by the build.

        Returns:
            The commit that took it out; None where it was not there any more.

        Raises:
            ReplyLost: the remote's answer to the push was lost; ``stands`` tells.
            VendorUnavailable: the remote could not be reached, or ``main`` moves faster than we do.
            Rejected, CredentialsRejected: the remote does not take the commit.
        """
        with self._lock:
            for _ in range(_REBASES):
                head = self._fetch()
                if head is None or not self._stands(head, path):
                    return None
                sha = self._commit_of_tree(head, {path: None}, message, at)
                with suppress(NotFastForward):
                    self._push(sha)
                    return sha
        raise _busy()

    def commit_of(self, path: str) -> str | None:
        """The commit that brought a file of this name to the remote's ``main``, whatever became of it; None: never.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            head = self._fetch()
            found = self._local("log", "--full-history", "--format=%H", head, "--", _checked(path)) if head else ""
            return found.splitlines()[-1] if found else None

    # ------------------------------------------------------------------ pages
    def _publish(self, pages: Sequence[Page], at: datetime) -> list[str | VendorError]:
        for _ in range(_REBASES):
            head = self._fetch()
            came_to: dict[str, str | VendorError] = {}
            absent: list[Page] = []
            for page in pages:
                standing = self._look(head, page)
                if standing.place is Place.ABSENT:
                    absent.append(page)
                else:
                    came_to[page.path] = _came_to(page, standing)
            try:
                if absent:
                    sha = self._commit(head, absent, at)
                    self._push(sha)
                    came_to |= {page.path: sha for page in absent}
                return [came_to[page.path] for page in pages]
            except NotFastForward:
                continue
        raise _busy()

    def _stands(self, head: str | None, path: str) -> bool:
        return head is not None and bool(self._local("ls-tree", "--name-only", "-z", head, "--", _checked(path)))

    def _look(self, head: str | None, page: Page) -> Standing:
        if head is not None and (commit := self._brought(head, page)):
            return Standing(Place.PUBLISHED, commit=commit)
        if page.since is not None and (head is None or not self._is_ancestor(page.since, head)):
            return Standing(Place.UNKNOWN)
        if head is not None:
            folder = str(PurePosixPath(_checked(page.path)).parent)
            for path in self._local("ls-tree", "--name-only", "-z", head, f"{folder}/").split("\0"):
                if path == page.path or (page.own and path.endswith(page.own)):
                    return Standing(Place.TAKEN, other=path)
        return Standing(Place.ABSENT)

    def _brought(self, head: str, page: Page) -> str | None:
        """The commit of ``main``'s history that brought exactly this text to exactly this path."""
        if not self._exists(page.content, "blob"):
            return None  # all of main is here after the fetch: a text that is not, is not in it
        found = self._local(
            "log", "--full-history", "-m", "--format=%H", f"--find-object={page.content}", head, "--", page.path
        )
        return found.splitlines()[-1] if found else None

    def _commit(self, parent: str | None, pages: Sequence[Page], at: datetime) -> str:
        """A commit of the pages on ``parent``, in our clone only."""
        for page in pages:
            if self._local("hash-object", "-w", "--stdin", stdin=page.text or "") != page.content:
                raise ValueError(f"{page.path} is not the text that was prepared")
        changes = {page.path: page.content for page in pages}
        messages = [page.message for page in pages]
        message = messages[0] if len(pages) == 1 else "\n\n".join([f"Add {len(pages)} posts", *messages])
        return self._commit_of_tree(parent, changes, message, at)

    def _commit_of_tree(self, parent: str | None, changes: Mapping[str, str | None], message: str, at: datetime) -> str:
        """A commit on ``parent`` in our clone only: by path, the text that is to stand there; None for none."""
        entries = [
            f"0 {'0' * 40}\t{_checked(path)}\0" if blob is None else f"100644 {blob}\t{_checked(path)}\0"
            for path, blob in changes.items()
        ]
        index = self._clone / f"index-{uuid.uuid4().hex}"
        try:
            if parent is not None:
                self._local("read-tree", parent, index=index)
            self._local("update-index", "-z", "--index-info", stdin="".join(entries), index=index)
            tree = self._local("write-tree", index=index)
        finally:
            index.unlink(missing_ok=True)
        lineage = ("-p", parent) if parent is not None else ()
        return self._local("commit-tree", tree, *lineage, stdin=message, at=at)

    def _push(self, sha: str) -> None:
        """Make the commit the head of the remote's ``main``."""
        outcome = self._git("push", "--porcelain", "origin", f"{sha}:refs/heads/{_BRANCH}", lost_reply=True)
        if outcome.returncode == 0:
            return
        said = f"{outcome.stdout}\n{outcome.stderr}"
        if "[rejected]" in said or "[remote rejected]" in said:
            if any(sign in said for sign in ("non-fast-forward", "fetch first", "stale info", "cannot lock ref")):
                raise NotFastForward(
                    "The blog's main branch moved on before the page was pushed.",
                    vendor=_VENDOR,
                    code="non_fast_forward",
                )
            raise Rejected(f"The blog's remote rejected the push: {_last_line(said)}", vendor=_VENDOR, code="rejected")
        raise self._failure(outcome, lost_reply=True)

    # ------------------------------------------------------------------ git
    def _open(self) -> None:
        if not (self._clone / "HEAD").exists():
            self._clone.parent.mkdir(parents=True, exist_ok=True)
            self._check(self._run("init", "--quiet", "--bare", "--object-format=sha1", str(self._clone)))
        # The world's repository may lie elsewhere after a move of the home, so the address is set every time.
        self._local("config", "remote.origin.url", self._remote)

    def _fetch(self) -> str | None:
        """The remote's ``main``, with all of its history in our clone; None while it is empty."""
        self._open()
        outcome = self._git(
            "fetch", "--quiet", "--no-tags", "--prune", "origin", f"+refs/heads/{_BRANCH}:refs/published"
        )
        if outcome.returncode == 0:
            return self._local("rev-parse", "--verify", "refs/published")
        if "couldn't find remote ref" in outcome.stderr:
            self._local("update-ref", "-d", "refs/published")
            return None
        raise self._failure(outcome, lost_reply=False)

    def _is_ancestor(self, sha: str, head: str) -> bool:
        if not self._exists(sha, "commit"):
            return False  # all of main is here after the fetch: a commit that is not, is not in main
        outcome = self._git("merge-base", "--is-ancestor", sha, head)
        if outcome.returncode not in (0, 1):
            raise self._failure(outcome, lost_reply=False)
        return outcome.returncode == 0

    def _exists(self, sha: str, kind: str) -> bool:
        return self._git("cat-file", "-e", f"{sha}^{{{kind}}}").returncode == 0

    def _local(self, *arguments: str, stdin: str = "", index: Path | None = None, at: datetime | None = None) -> str:
        extra = []
        if index is not None:
            extra.append(f"GIT_INDEX_FILE={index}")
        if at is not None:
            stamp = f"{int(at.timestamp())} +0000"
            for role in ("AUTHOR", "COMMITTER"):
                extra += [f"GIT_{role}_NAME={_AUTHOR}", f"GIT_{role}_EMAIL={_EMAIL}", f"GIT_{role}_DATE={stamp}"]
        return self._check(self._git(*arguments, stdin=stdin, extra=tuple(extra))).stdout.strip()

    def _git(
        self, *arguments: str, stdin: str = "", extra: tuple[str, ...] = (), lost_reply: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return self._run("--git-dir", str(self._clone), *arguments, stdin=stdin, extra=extra, lost_reply=lost_reply)

    def _run(
        self, *arguments: str, stdin: str = "", extra: tuple[str, ...] = (), lost_reply: bool = False
    ) -> subprocess.CompletedProcess[str]:
        # `env` sets the variables for git alone: this process's environment is neither read nor changed.
        unset = [part for name in _INHERITED for part in ("-u", name)]
        command = ["env", *unset, *_SETTINGS, *extra, "git", "-c", "i18n.commitEncoding=UTF-8", *arguments]
        try:
            return subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            kind = ReplyLost if lost_reply else VendorUnavailable
            raise kind(
                f"The blog's remote did not answer git within {self._timeout:.0f} s; try again later.",
                vendor=_VENDOR,
                code="timeout",
            ) from None  # the cause quotes the whole command, and with it the remote

    def _check(self, outcome: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
        if outcome.returncode == 127:
            raise Misconfigured("git is not installed: install it, the blog is published with it.")
        if outcome.returncode != 0:
            raise self._failure(outcome, lost_reply=False)
        return outcome

    def _failure(self, outcome: subprocess.CompletedProcess[str], *, lost_reply: bool) -> EmpireError:
        said = outcome.stderr
        if os.strerror(errno.ENOSPC) in said:
            return out_of_space(self._clone)
        if any(
            sign in said for sign in ("Authentication failed", "Permission denied", "could not read Username", "403")
        ):
            return CredentialsRejected(
                f"The blog's remote does not accept our credentials ({_last_line(said)}): set up git access to it.",
                vendor=_VENDOR,
                code="credentials",
            )
        if _never_connected(said):
            return VendorUnavailable(
                f"The blog's repository could not be reached ({_last_line(said)}); check the network and run again.",
                vendor=_VENDOR,
                code="git",
            )
        kind = ReplyLost if lost_reply else VendorUnavailable
        return kind(f"The blog's repository failed ({_last_line(said)}); try again later.", vendor=_VENDOR, code="git")


def _busy() -> VendorUnavailable:
    return VendorUnavailable(
        f"The blog's main branch moved on {_REBASES} times while we pushed: run again when it is quiet.",
        vendor=_VENDOR,
        code="busy",
    )


def _came_to(page: Page, standing: Standing) -> str | VendorError:
    if standing.place is Place.PUBLISHED:
        return standing.commit
    if standing.place is Place.TAKEN:
        return ContentRefused(
            f"{page.path} was not published: {taken(page, standing)}", vendor=_VENDOR, code="page_taken"
        )
    return ReplyLost(
        f"The history of the blog's main branch was replaced since {page.path} was prepared.",
        vendor=_VENDOR,
        code="history_replaced",
    )


def taken(page: Page, standing: Standing) -> str:
    """What is in a page's way, and what its owner can do."""
    if standing.other == page.path:
        return "the blog has another text there already, which is not ours to replace; remove it or leave it."
    return f"the blog has this post as {standing.other} already; remove that one first if this one is wanted."


def _never_connected(said: str) -> bool:
    return any(
        sign in said
        for sign in (
            "Could not resolve host",
            "Failed to connect",
            "does not appear to be a git repository",
            "Connection refused",
        )
    )


def _last_line(said: str) -> str:
    """The last thing git said, its addresses without userinfo and query: a remote's address may carry credentials."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return _QUERY.sub(r"\1", _USERINFO.sub("://", lines[-1])) if lines else "no message"


def _checked(path: str) -> str:
    """A repository path that cannot leave the repository."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or ".git" in pure.parts or not pure.parts or "," in path:
        raise ValueError(f"not a path inside the blog's repository: {path!r}")
    return str(pure)
