"""The blog: a git repository whose ``main`` branch is what readers see; publishing is pushing one commit of pages.

A page is its path and its content's hash, and ``main``'s history says what became of it: whoever pushed it, and however
often the push was tried, a page that was there once was published. A push is refused when ``main`` is no longer the
commit's parent, so one that arrives late can neither double a page nor undo what others pushed. Commits are built
without a working tree. What a page says is made elsewhere (``affiliate_empire.content``). Credentials for the remote
are git's own (a key, a credential helper); those in its address reach git by the environment, which no list of
processes shows. Our clone holds nothing that the remote does not: what is broken in it is thrown away.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.kernel.fence import still_in_time
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
_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "LC_ALL": "C",
    "TZ": "UTC",
}
_ORIGIN = "blog"  # not git's usual name: older clones have an address under that one in their file
_PASSWORD = "BLOG_REMOTE_PASSWORD"  # noqa: S105 - the name of a variable
_HELPER = f'!f() {{ test "$1" = get && printf \'password=%s\\n\' "${_PASSWORD}"; }}; f'
_GRACE = 5.0  # seconds a git that took too long has to take its locks away with it

_USERINFO = re.compile(r"://\S*@")
_QUERY = re.compile(r"(://[^\s?#'\"]*)[?#][^\s'\"]*")

# What git says when it meets somebody else's push; from 2.51 on in the last words.
_RACES = (
    "non-fast-forward",
    "fetch first",
    "stale info",
    "cannot lock ref",
    "incorrect old value provided",
    "reference already exists",
)
# A rule's no. Whatever else a server says (a full disk, a push too large, its own database gone) is for now.
_DECLINED = ("declined", "protected branch")
_OUT_OF_ORDER = re.compile(
    r"internal (server |api )?error|api unreachable|(service|temporarily) unavailable|\btimed out\b|gateway timeout"
    r"|try again later",
    re.IGNORECASE,
)
_NOT_LET_IN = re.compile(
    r"Authentication failed|Permission denied \(|could not read (Username|Password)|returned error: 40[13]\b"
    r"|HTTP 40[13]\b|marked as read only"
)
_DAMAGED = re.compile(r"not a git repository|bad config|is empty|corrupt")
# Lines in which git says what followed, or what to try, and not why.
_NO_REASON = re.compile(
    r"^(to |from |done$|hint:|warning:|\*\*|!|another git process|an editor opened|are terminated|may have crashed"
    r"|remove the file|please make sure|and the repository exists"
    r"|error: failed to push|error: remote unpack failed|fatal: could not read from remote"
    r"|fatal: the remote end hung up|send-pack: unexpected|fetch-pack: unexpected)"
    r"|^(remote: )?[\w ]+:\s+(\d+% \(|\d+, done)",
    re.IGNORECASE,
)
_LONGEST_REASON = 300


class NotFastForward(VendorRefused):
    """``main`` has moved on without the commit: it was not published and cannot be any more; it is made anew."""


class Rejected(CredentialsRejected):
    """A rule of the remote (a hook, a ruleset) turned the commit down: its owner looks, and may have it pushed then."""


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
        self._remote, self._user, self._password = _address(remote)
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
            CredentialsRejected: the remote does not let us write to ``main``.
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
        still_in_time()
        outcome = self._git("push", "--porcelain", _ORIGIN, f"{sha}:refs/heads/{_BRANCH}", lost_reply=True)
        if outcome.returncode == 0:
            return
        said = f"{outcome.stdout}\n{outcome.stderr}"
        if "[rejected]" in said or "[remote rejected]" in said:
            raise _turned_down(said)
        raise self._failure(outcome, lost_reply=True)

    # ------------------------------------------------------------------ git
    def _open(self) -> None:
        if not (self._clone / "HEAD").exists():
            self._clone.parent.mkdir(parents=True, exist_ok=True)
            self._check(self._run("init", "--quiet", "--bare", "--object-format=sha1", str(self._clone)))
        self._remove_stale_locks()
        config = self._clone / "config"
        if config.exists() and '[remote "origin"]' in config.read_text():  # of a former version, its password with it
            self._local("config", "--remove-section", "remote.origin")

    def _remove_stale_locks(self) -> None:
        """Take away the locks of a git that was killed: none that works holds one longer than its time-out."""
        before = time.time() - self._timeout  # a file's time is the wall's
        folders = (self._clone, self._clone / "objects", self._clone / "objects" / "info")
        locks = [lock for folder in folders for lock in folder.glob("*.lock")]
        for lock in [*locks, *(self._clone / "refs").rglob("*.lock"), *self._clone.glob("index-*")]:
            with suppress(FileNotFoundError):
                if lock.stat().st_mtime < before:
                    lock.unlink()

    def _fetch(self) -> str | None:
        """The remote's ``main``, with all of its history in our clone; None while it is empty."""
        self._open()
        outcome = self._git(
            "fetch", "--quiet", "--no-tags", "--prune", _ORIGIN, f"+refs/heads/{_BRANCH}:refs/published"
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
        extra = {}
        if index is not None:
            extra["GIT_INDEX_FILE"] = str(index)
        if at is not None:
            stamp = f"{int(at.timestamp())} +0000"
            for role in ("AUTHOR", "COMMITTER"):
                extra |= {f"GIT_{role}_NAME": _AUTHOR, f"GIT_{role}_EMAIL": _EMAIL, f"GIT_{role}_DATE": stamp}
        return self._check(self._git(*arguments, stdin=stdin, extra=extra)).stdout.strip()

    def _git(
        self, *arguments: str, stdin: str = "", extra: Mapping[str, str] | None = None, lost_reply: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return self._run("--git-dir", str(self._clone), *arguments, stdin=stdin, extra=extra, lost_reply=lost_reply)

    def _run(
        self, *arguments: str, stdin: str = "", extra: Mapping[str, str] | None = None, lost_reply: bool = False
    ) -> subprocess.CompletedProcess[str]:
        command = ["git", "-c", "i18n.commitEncoding=UTF-8", *arguments]
        try:
            git = subprocess.Popen(
                command,
                env={**self._environment(), **(extra or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise Misconfigured("git is not installed: install it, the blog is published with it.") from None
        with git:
            try:
                out, err = git.communicate(stdin, timeout=self._timeout)
            except subprocess.TimeoutExpired:
                _end(git)
                kind = ReplyLost if lost_reply else VendorUnavailable
                raise kind(
                    f"The blog's remote did not answer git within {self._timeout:.0f} s; try again later.",
                    vendor=_VENDOR,
                    code="timeout",
                ) from None
            except BaseException:  # even an interrupt: nothing of it may go on behind our back
                _end(git)
                raise
        return subprocess.CompletedProcess(command, git.returncode, out, err)

    def _environment(self) -> dict[str, str]:
        """Ours for git, with the remote's address and what its userinfo said."""
        environment = {name: value for name, value in os.environ.items() if name not in _INHERITED} | _SETTINGS
        settings = [(f"remote.{_ORIGIN}.url", self._remote)]
        if self._user is not None:
            parts = urlsplit(self._remote)
            place = f"credential.{parts.scheme}://{parts.netloc}"
            settings.append((f"{place}.username", self._user))
            if self._password:
                settings.append((f"{place}.helper", ""))  # nobody else is asked, nor told to keep it
            settings.append((f"{place}.helper", _HELPER))
            environment[_PASSWORD] = self._password
        said = environment.get("GIT_CONFIG_COUNT", "")
        first = int(said) if said.isdigit() else 0
        for number, (key, value) in enumerate(settings, first):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return environment | {"GIT_CONFIG_COUNT": str(first + len(settings))}

    def _check(self, outcome: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
        if outcome.returncode != 0:
            raise self._failure(outcome, lost_reply=False)
        return outcome

    def _failure(self, outcome: subprocess.CompletedProcess[str], *, lost_reply: bool) -> EmpireError:
        said = outcome.stderr
        if os.strerror(errno.ENOSPC) in said:
            return out_of_space(self._clone)
        if _NOT_LET_IN.search(said):
            return CredentialsRejected(
                f"The blog's remote does not accept our credentials ({_why(said)}): set up git access to it.",
                vendor=_VENDOR,
                code="credentials",
            )
        if _never_connected(said):
            return VendorUnavailable(
                f"The blog's repository could not be reached ({_why(said)}); check the network and run again.",
                vendor=_VENDOR,
                code="git",
            )
        broken = [line for line in said.splitlines() if str(self._clone) in line and _DAMAGED.search(line)]
        if broken or "reference broken" in said or "bad object refs/" in said:
            shutil.rmtree(self._clone, ignore_errors=True)
            said = f"our copy of it was damaged and is fetched anew: {_why(said)}"
        kind = ReplyLost if lost_reply else VendorUnavailable
        return kind(f"The blog's repository failed ({_why(said)}); try again later.", vendor=_VENDOR, code="git")


def _turned_down(said: str) -> VendorError:
    """What a rejected push means; in every case nothing happened."""
    if any(sign in said for sign in _RACES):
        return NotFastForward(
            "The blog's main branch moved on before the page was pushed.", vendor=_VENDOR, code="non_fast_forward"
        )
    line = next(line for line in said.splitlines() if "rejected]" in line)
    reason = re.search(r"rejected\].*?\((.+)\)\s*$", line)
    told = ": ".join(filter(None, (reason[1] if reason else _shown(line), _reasons(said))))
    if not any(sign in said.lower() for sign in _DECLINED) or _OUT_OF_ORDER.search(said):
        return VendorUnavailable(
            f"The blog's remote could not take the push ({told}); try again later.", vendor=_VENDOR, code="rejected"
        )
    if "protected branch" in said.lower():
        return CredentialsRejected(
            f"The blog's remote protects its main branch ({told}): let our access push to it.",
            vendor=_VENDOR,
            code="protected_branch",
        )
    return Rejected(
        f"A rule of the blog's remote turned the push down ({told}): change the rule or what it asks for.",
        vendor=_VENDOR,
        code="rejected",
    )


def _address(remote: str) -> tuple[str, str | None, str]:
    """A remote's address without its userinfo, and that; where it is not http's it names a user, which is no secret."""
    if not remote.startswith(("http://", "https://")):
        return remote, None, ""
    parts = urlsplit(remote)
    if parts.username is None:
        return remote, None, ""
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, unquote(parts.username), unquote(parts.password or "")


def _end(git: subprocess.Popen[str]) -> None:
    """End a git with all that it began; asked first, for it takes its locks away then."""
    with suppress(ProcessLookupError):
        os.killpg(git.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            git.wait(_GRACE)
        os.killpg(git.pid, signal.SIGKILL)


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


def _why(said: str) -> str:
    """Why git failed; the last it said where that tells nothing."""
    lines = said.strip().splitlines()
    return _reasons(said) or (_shown(lines[-1].strip()) if lines else "no message")


def _reasons(said: str) -> str:
    """What the remote told us, or else the first line in which git says more than what followed; may be empty."""
    reasons = [line.strip() for line in said.splitlines() if not _NO_REASON.search(line.strip())]
    told = [line.removeprefix("remote:").strip().removeprefix("error: ") for line in reasons if line[:7] == "remote:"]
    return _shown(" ".join(filter(re.compile(r"\w").search, told)) or next(filter(None, reasons), "")).rstrip(".")


def _shown(said: str) -> str:
    """What git said, its addresses without userinfo and query: a remote's address may carry credentials."""
    shown = _QUERY.sub(r"\1", _USERINFO.sub("://", said))
    return shown if len(shown) <= _LONGEST_REASON else f"{shown[:_LONGEST_REASON]}…"


def _checked(path: str) -> str:
    """A repository path that cannot leave the repository."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or ".git" in pure.parts or not pure.parts or "," in path:
        raise ValueError(f"not a path inside the blog's repository: {path!r}")
    return str(pure)
