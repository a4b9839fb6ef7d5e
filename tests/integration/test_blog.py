"""The blog's client against real git: deterministic commits, one push, and what becomes of a commit."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from affiliate_empire.vendors.blog import BlogClient, NotFastForward
from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
FIRST = {"content/posts/first.mdx": "---\ntitle: First\n---\n\nWörter\n"}
SECOND = {"content/posts/second.mdx": "Second\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote.git"
    git(path, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
    return path


@pytest.fixture
def blog(remote: Path, tmp_path: Path) -> BlogClient:
    return BlogClient(str(remote), tmp_path / "ours", "http://127.0.0.1:1/blog/")


def git(repository: Path, *arguments: str) -> str:
    command = arguments if arguments[0] == "init" else ("--git-dir", str(repository), *arguments)
    return subprocess.run(["git", *command], check=True, capture_output=True, text=True).stdout.strip()


def publish(blog: BlogClient, files: dict[str, str], message: str = "Add a post") -> str:
    sha, _ = blog.prepare(files, message, at=AT)
    blog.push(sha)
    return sha


def test_a_prepared_commit_is_seen_by_nobody_until_it_is_pushed(blog: BlogClient, remote: Path) -> None:
    sha, parent = blog.prepare(FIRST, "Add the first post", at=AT)

    assert parent is None
    assert git(remote, "for-each-ref") == ""
    assert not blog.contains(sha)
    assert blog.standing(sha, parent) == "open"
    blog.push(sha)
    assert git(remote, "rev-parse", "main") == sha
    assert git(remote, "show", "main:content/posts/first.mdx") + "\n" == FIRST["content/posts/first.mdx"]
    assert blog.contains(sha)
    assert blog.standing(sha, parent) == "published"
    assert blog.url("first") == "http://127.0.0.1:1/blog/posts/first"


def test_the_same_content_on_the_same_parent_is_the_same_commit(remote: Path, tmp_path: Path) -> None:
    commits = [
        BlogClient(str(remote), tmp_path / name, "http://127.0.0.1:1").prepare(FIRST, "Add a post", at=AT)
        for name in ("one", "two")
    ]
    assert commits[0] == commits[1]
    later = AT.replace(minute=1)
    other = BlogClient(str(remote), tmp_path / "one", "http://127.0.0.1:1").prepare(FIRST, "Add a post", at=later)
    assert other != commits[0]


def test_author_and_time_are_fixed(blog: BlogClient, remote: Path) -> None:
    publish(blog, FIRST)
    names = git(remote, "log", "-1", "--format=%an|%ae|%cn|%ce|%at|%ct", "main")
    stamp = str(int(AT.timestamp()))
    assert names == "|".join(["AI Affiliate Empire", "publisher@ai-affiliate-empire.invalid"] * 2 + [stamp, stamp])


def test_a_second_post_keeps_the_first(blog: BlogClient, remote: Path) -> None:
    first = publish(blog, FIRST)
    second = publish(blog, SECOND)

    assert git(remote, "rev-parse", "main^") == first
    assert git(remote, "ls-tree", "-r", "--name-only", "main").split() == [*FIRST, *SECOND]
    assert blog.contains(first)
    assert blog.contains(second)


def test_pushing_again_is_no_second_act(blog: BlogClient, remote: Path) -> None:
    sha = publish(blog, FIRST)
    publish(blog, SECOND)
    blog.push(sha)  # published long since, and main has moved on
    assert git(remote, "rev-list", "--count", "main") == "2"


def test_a_commit_that_was_overtaken_can_never_be_published(blog: BlogClient, remote: Path, tmp_path: Path) -> None:
    publish(blog, {"README.md": "The blog\n"})
    sha, parent = blog.prepare(FIRST, "Add a post", at=AT)
    publish(BlogClient(str(remote), tmp_path / "another", "http://127.0.0.1:1"), SECOND)

    assert blog.standing(sha, parent) == "overtaken"
    with pytest.raises(NotFastForward):
        blog.push(sha)
    assert not blog.contains(sha)
    anew = publish(blog, FIRST)
    assert anew != sha
    assert git(remote, "ls-tree", "-r", "--name-only", "main").split() == ["README.md", *FIRST, *SECOND]


def test_a_commit_that_only_a_lost_clone_had_is_overtaken(blog: BlogClient, remote: Path, tmp_path: Path) -> None:
    sha, parent = blog.prepare(FIRST, "Add a post", at=AT)
    without = BlogClient(str(remote), tmp_path / "fresh", "http://127.0.0.1:1")
    assert without.standing(sha, parent) == "overtaken"


def test_a_shell_of_another_repository_is_not_touched(
    blog: BlogClient, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.git"
    git(other, "init", "--quiet", "--bare", str(other))
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other-index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")

    sha = publish(blog, FIRST)

    monkeypatch.undo()
    assert git(remote, "log", "-1", "--format=%H %an", "main") == f"{sha} AI Affiliate Empire"
    assert git(other, "for-each-ref") == ""
    assert not (tmp_path / "other-index").exists()


def test_a_remote_that_is_not_there(tmp_path: Path) -> None:
    blog = BlogClient(str(tmp_path / "nowhere.git"), tmp_path / "ours", "http://127.0.0.1:1")
    with pytest.raises(VendorUnavailable):
        blog.prepare(FIRST, "Add a post", at=AT)


def test_a_remote_that_rejects_the_push_says_why(blog: BlogClient, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho posts need a review >&2\nexit 1\n")
    hook.chmod(0o755)
    sha, parent = blog.prepare(FIRST, "Add a post", at=AT)

    with pytest.raises(VendorRefused) as refusal:
        blog.push(sha)
    assert not isinstance(refusal.value, NotFastForward)
    assert blog.standing(sha, parent) == "open"


@pytest.mark.parametrize("path", ["../outside.mdx", "/etc/passwd", ".git/hooks/pre-commit", ""])
def test_a_path_that_would_leave_the_repository(blog: BlogClient, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        blog.prepare({path: "x"}, "Add a post", at=AT)
