"""Addresses with credentials: what a person or Dagster's event log reads never shows them."""

from __future__ import annotations

import gzip
import os
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.vendors import clips
from affiliate_empire.vendors.blog import BlogClient, Page, content_hash
from affiliate_empire.vendors.product_feed import ProductFeedClient, shown_address

SECRET = "marked-secret"
ADDRESS = f"https://user:{SECRET}@feeds.example.com:8443/shop/feed.tsv?token={SECRET}#{SECRET}"
SHOWN = "https://feeds.example.com:8443/shop/feed.tsv"

Answer = Callable[[httpx.Request], httpx.Response]


def everything_said(error: BaseException) -> str:
    """The error's message and those of its causes, as Dagster's event log shows them."""
    seen: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        seen.append("".join(traceback.format_exception_only(cause)))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "".join(seen)


def _status(code: int, **headers: str) -> Answer:
    return lambda request: httpx.Response(code, headers=headers)


def _fails(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def _offline(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = httpx.Client

    def offline(**options: Any) -> httpx.Client:
        return client(transport=httpx.MockTransport(answer), follow_redirects=options.get("follow_redirects", False))

    monkeypatch.setattr(httpx, "Client", offline)


@pytest.mark.parametrize(
    "answer",
    [
        _status(401),
        _status(404),
        _status(429),
        _status(503),
        _status(302, location=ADDRESS),
        _status(302, location=f"https://user:{SECRET}/x@host/"),
        _fails(httpx.ConnectError(f"no route to {ADDRESS}")),
        _fails(httpx.ReadTimeout(f"{ADDRESS} is slow")),
        _fails(httpx.DecodingError(f"{ADDRESS} is not gzip")),
        lambda request: httpx.Response(200, content=b"x" * 2000),
        lambda request: httpx.Response(200, content=gzip.compress(b"x" * 2000)),
        lambda request: httpx.Response(200, content=gzip.compress(b"x" * 500)[:-9]),
        lambda request: httpx.Response(200, content=b"\x1f\x8b" + b"\xff" * 50),
    ],
)
def test_a_feed_that_fails_shows_where_it_is_and_no_credential(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    _offline(answer, monkeypatch)
    with pytest.raises(EmpireError) as problem:
        ProductFeedClient(ADDRESS, max_bytes=1000).fetch()
    assert SHOWN in str(problem.value)
    assert SECRET not in everything_said(problem.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_status(403), "403"),
        (_status(404), "404"),
        (_status(503), "503"),
        (_status(302, location=ADDRESS), "302"),
        (_fails(httpx.ConnectError(f"no route to {ADDRESS}")), "ConnectError"),
        (_fails(httpx.ReadTimeout(f"{ADDRESS} is slow")), "ReadTimeout"),
        (_fails(httpx.DecodingError(f"{ADDRESS} is not gzip")), "DecodingError"),
        (_fails(httpx.InvalidURL(f"{ADDRESS} is none")), "InvalidURL"),
        (lambda request: httpx.Response(200, content=b"x" * 500), "not a video"),
    ],
)
def test_a_clip_that_cannot_be_fetched_shows_nothing_of_its_signed_address(
    answer: Answer, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offline(answer, monkeypatch)
    with pytest.raises(EmpireError, match=said) as problem:
        clips.fetch_file(ADDRESS, cost_micros=0, timeout=1.0, vendor="fal", name="fal")
    assert "\n" not in str(problem.value)
    assert SECRET not in everything_said(problem.value)
    assert "feeds.example.com" not in everything_said(problem.value)


@pytest.mark.parametrize(
    "address",
    [
        f"https://user:{SECRET}/x@host/feed.tsv",
        f"http://[{SECRET}/feed.tsv",
        f"ftp://user:{SECRET}@host/feed.tsv",
        f" HTTPS://user:{SECRET}@127.0.0.1:99999/feed.tsv",
        f"https://user:{SECRET}@host:port/feed.tsv",
    ],
)
def test_an_address_that_is_none_shows_no_credential(address: str) -> None:
    with pytest.raises(EmpireError, match=r"cannot be used|could not be reached") as problem:
        ProductFeedClient(address).fetch()
    assert SECRET not in everything_said(problem.value)


def test_what_is_shown_of_a_location() -> None:
    assert shown_address(ADDRESS) == SHOWN
    assert shown_address("feeds/gear.tsv") == "feeds/gear.tsv"
    assert shown_address("file:///srv/gear.tsv") == "file:///srv/gear.tsv"


@pytest.mark.parametrize(
    "said",
    [
        f"fatal: unable to access 'https://user:{SECRET}@git.example.com/blog.git/': Failed to connect",
        f"fatal: Authentication failed for 'https://{SECRET}@git.example.com/blog.git?token={SECRET}'",
        f"error: failed to push some refs to https://user:p@{SECRET}@git.example.com/blog.git",
        f"! [remote rejected] main (hook declined) https://{SECRET}@git.example.com/blog.git",
    ],
)
@pytest.mark.parametrize("act", ["push", "prepare"])
def test_a_remote_that_fails_shows_no_credential(
    said: str, act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blog = _blog_whose_git_does(f"cat >&2 <<'SAID'\n{said}\nSAID\nexit 1", tmp_path, monkeypatch)
    with pytest.raises(EmpireError) as problem:
        _act(blog, act)
    assert "git.example.com/blog.git" in str(problem.value)
    assert SECRET not in everything_said(problem.value)


def test_a_git_that_hangs_shows_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blog = _blog_whose_git_does("sleep 60", tmp_path, monkeypatch, timeout=0.2)
    with pytest.raises(EmpireError, match="did not answer") as problem:
        _act(blog, "push")
    assert SECRET not in everything_said(problem.value)


def _act(blog: BlogClient, act: str) -> None:
    if act == "push":
        with blog._lock:
            blog._open()
            blog._push("0" * 40)
    else:
        blog.publish([Page("post.md", content_hash("text"), "", None, "text")], at=datetime(2026, 1, 1, tzinfo=UTC))


def _blog_whose_git_does(
    script: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    timeout: float = 60.0,
) -> BlogClient:
    """A blog with a `git` that does what it is told to in some of its commands and nothing in the others."""
    git = folder / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\nfor word; do case $word in fetch|push)\n{script};;\nesac; done\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(git.parent), prepend=os.pathsep)
    remote = f"https://user:{SECRET}@git.example.com/blog.git"
    return BlogClient(remote, folder / "clone", "https://blog.example.com", timeout=timeout)
