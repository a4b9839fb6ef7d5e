"""The blog: a git repository whose ``main`` branch is what readers see; publishing a post is pushing one commit.

The handle of a publication is the commit itself. It is built without a working tree, from fixed names and a given time,
so the same files on the same parent give the same SHA; pushing that SHA twice is pushing it once. What the post says is
made elsewhere (``affiliate_empire.content``). Credentials for the remote are git's own (a key, a credential helper).
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.kernel.files import out_of_space
from affiliate_empire.vendors.errors import CredentialsRejected, ReplyLost, VendorRefused, VendorUnavailable

_VENDOR = "blog"
_BRANCH = "main"
_AUTHOR = "AI Affiliate Empire"
_EMAIL = "publisher@ai-affiliate-empire.invalid"

# A git hook or another repository's shell may have set these; ours must not act on that repository.
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
# Nobody is there to answer a prompt. Messages are read below, so they must not be translated.
_SETTINGS = ("GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=false", "SSH_ASKPASS=false", "LC_ALL=C", "TZ=UTC")

_USERINFO = re.compile(r"://\S*@")
_QUERY = re.compile(r"(://[^\s?#'\"]*)[?#][^\s'\"]*")


class NotFastForward(VendorRefused):
    """``main`` has moved on without the commit: it was not published and cannot be any more; prepare anew."""


class BlogClient:
    """The blog's repository.

    Safe to use from several threads of one process; several processes meet at the remote, which takes only one of two
    commits with the same parent.

    Args:
        remote: a git remote (a path, ``https://``, ``ssh://``).
        workdir: where our bare clone lives; made on first use.
        base_url: where the blog is read; a post is at ``{base_url}/posts/{slug}``.
        timeout: seconds one git command may take.
    """

    def __init__(self, remote: str, workdir: Path, base_url: str, *, timeout: float = 60.0) -> None:
        self._remote = remote
        self._clone = workdir / "blog.git"
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._lock = threading.Lock()

    def url(self, slug: str) -> str:
        """Where readers find a post."""
        return f"{self._base_url}/posts/{slug}"

    def prepare(self, files: Mapping[str, str], message: str, *, at: datetime) -> tuple[str, str | None]:
        """Build a commit on the remote's newest ``main``, in our clone only; returns its SHA and its parent's.

        Args:
            files: text by path in the repository; existing files are replaced, others are kept.
            message: the commit's message.
            at: the commit's time.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            self._fetch()
            parent = self._head()
            index = self._clone / f"index-{uuid.uuid4().hex}"
            try:
                if parent is not None:
                    self._local("read-tree", parent, index=index)
                for path, text in files.items():
                    blob = self._local("hash-object", "-w", "--stdin", stdin=text)
                    self._local("update-index", "--add", "--cacheinfo", f"100644,{blob},{_checked(path)}", index=index)
                tree = self._local("write-tree", index=index)
            finally:
                index.unlink(missing_ok=True)
            lineage = ("-p", parent) if parent is not None else ()
            sha = self._local("commit-tree", tree, *lineage, stdin=message, at=at)
            # A ref of its own keeps the commit from git's housekeeping until it is published.
            self._local("update-ref", f"refs/prepared/{sha}", sha)
            return sha, parent

    def push(self, sha: str) -> None:
        """Make the commit the head of the remote's ``main``: the visible act. Pushing a published one again is no act.

        Raises:
            NotFastForward: ``main`` is not the commit's parent any more and does not contain it.
            ReplyLost: the remote's answer was lost; ``contains`` tells.
            VendorUnavailable: the remote could not be reached.
            VendorRefused: the remote does not let us write.
        """
        with self._lock:
            self._open()
            outcome = self._git("push", "--porcelain", "origin", f"{sha}:refs/heads/{_BRANCH}", lost_reply=True)
            if outcome.returncode == 0:
                return
            said = f"{outcome.stdout}\n{outcome.stderr}"
            if "[rejected]" in said or "[remote rejected]" in said:
                # Another process may have published this very commit in between: only its absence is a refusal.
                self._fetch()
                if self._is_ancestor(sha):
                    return
                if (
                    "non-fast-forward" in said
                    or "fetch first" in said
                    or "stale info" in said
                    or "cannot lock ref" in said
                ):
                    raise NotFastForward(
                        "The blog's main branch moved on before the post was pushed: run again to prepare it anew.",
                        vendor=_VENDOR,
                        code="non_fast_forward",
                    )
                raise VendorRefused(
                    f"The blog's remote rejected the push: {_last_line(said)}", vendor=_VENDOR, code="rejected"
                )
            raise self._failure(outcome, lost_reply=True)

    def contains(self, sha: str) -> bool:
        """Whether the remote's ``main`` contains the commit now.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            self._fetch()
            return self._is_ancestor(sha)

    def standing(self, sha: str, parent: str | None) -> Literal["published", "open", "overtaken"]:
        """What became of a prepared commit, from one look at the remote.

        ``open``: ``main`` still is its parent, so pushing it is safe. ``overtaken``: it is not in ``main`` and can
        never get there, because a push of it expects the parent as the head; or nobody has the commit any more.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            self._fetch()
            if self._is_ancestor(sha):
                return "published"
            return "open" if self._exists(sha) and self._head() == parent else "overtaken"

    def commit_of(self, path: str) -> str | None:
        """The commit in which the remote's ``main`` got a file as it is now; None when it has no such file.

        Raises:
            VendorUnavailable: the remote does not answer.
        """
        with self._lock:
            self._fetch()
            if self._git("cat-file", "-e", f"refs/published:{_checked(path)}").returncode != 0:
                return None
            return self._local("log", "-1", "--format=%H", "refs/published", "--", _checked(path))

    # ------------------------------------------------------------------ git
    def _open(self) -> None:
        if not (self._clone / "HEAD").exists():
            self._clone.parent.mkdir(parents=True, exist_ok=True)
            self._check(self._run("init", "--quiet", "--bare", str(self._clone)))
        # The world's repository may lie elsewhere after a move of the home, so the address is set every time.
        self._local("config", "remote.origin.url", self._remote)

    def _fetch(self) -> None:
        self._open()
        outcome = self._git(
            "fetch", "--quiet", "--no-tags", "--prune", "origin", f"+refs/heads/{_BRANCH}:refs/published"
        )
        if outcome.returncode == 0:
            return
        if "couldn't find remote ref" in outcome.stderr:
            self._local("update-ref", "-d", "refs/published")
            return
        raise self._failure(outcome, lost_reply=False)

    def _head(self) -> str | None:
        outcome = self._git("rev-parse", "--verify", "--quiet", "refs/published")
        return outcome.stdout.strip() or None

    def _is_ancestor(self, sha: str) -> bool:
        if self._head() is None:
            return False
        if not self._exists(sha):
            return False  # all of main is here after the fetch: a commit that is not, is not in main
        outcome = self._git("merge-base", "--is-ancestor", sha, "refs/published")
        if outcome.returncode not in (0, 1):
            raise self._failure(outcome, lost_reply=False)
        return outcome.returncode == 0

    def _exists(self, sha: str) -> bool:
        return self._git("cat-file", "-e", f"{sha}^{{commit}}").returncode == 0

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
