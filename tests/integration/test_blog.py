"""The blog's client against real git: pages of one commit, and what main's history says of a page afterwards."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from affiliate_empire.kernel.fence import SleptTooLong, sending_within, this_instant
from affiliate_empire.vendors.blog import BlogClient, Page, Place, Rejected, content_hash
from affiliate_empire.vendors.errors import ContentRefused, CredentialsRejected, ReplyLost, VendorUnavailable

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote.git"
    git(path, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
    return path


@pytest.fixture
def blog(remote: Path, tmp_path: Path) -> BlogClient:
    return BlogClient(str(remote), tmp_path / "ours", "http://127.0.0.1:1/blog/")


@pytest.fixture
def owner(remote: Path, tmp_path: Path) -> Owner:
    return Owner(remote, tmp_path / "owner")


def git(repository: Path, *arguments: str) -> str:
    command = arguments if arguments[0] == "init" else ("--git-dir", str(repository), *arguments)
    return subprocess.run(["git", *command], check=True, capture_output=True, text=True).stdout.strip()


class Owner:
    """A person with a clone of the blog's repository."""

    def __init__(self, remote: Path, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", str(remote), str(folder)], check=True, capture_output=True)

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=Owner", "-c", "user.email=owner@example.com")
        subprocess.run(["git", "-C", str(self.folder), *who, *arguments], check=True, capture_output=True)

    def push(self, path: str, text: str | None, *how: str) -> None:
        """Write a file, or remove it, and push that."""
        self.git("pull", "--quiet", "origin", "main") if git(self.folder / ".git", "ls-remote", "origin") else None
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text) if text is not None else file.unlink()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Touch {path}")
        self.git("push", "--quiet", *how, "origin", "HEAD:main")


def page(name: str = "first", text: str = "Wörter\n", *, piece: str = "aaaa", since: str | None = None) -> Page:
    own = f"-{piece}.mdx"
    return Page(f"content/posts/{name}{own}", content_hash(text), own, since, text, f"Add {name}")


def files(remote: Path) -> list[str]:
    return git(remote, "ls-tree", "-r", "--name-only", "main").split()


def commits(remote: Path) -> int:
    return int(git(remote, "rev-list", "--count", "main"))


def test_pages_go_out_in_one_commit(blog: BlogClient, remote: Path) -> None:
    first, second = page("first"), page("second", "Second\n", piece="bbbb")
    assert blog.head() is None
    assert blog.look(first).place is Place.ABSENT

    came_to = blog.publish([first, second], at=AT)

    head = git(remote, "rev-parse", "main")
    assert came_to == [head, head]
    assert commits(remote) == 1
    assert files(remote) == [first.path, second.path]
    assert git(remote, "show", f"main:{first.path}") + "\n" == first.text
    assert git(remote, "rev-parse", f"main:{first.path}") == first.content
    assert git(remote, "log", "-1", "--format=%B", "main") == "Add 2 posts\n\nAdd first\n\nAdd second"
    assert blog.look(first) == blog.look(second)
    assert (blog.look(first).place, blog.look(first).commit) == (Place.PUBLISHED, head)
    assert blog.url("first") == "http://127.0.0.1:1/blog/posts/first"


def test_a_worker_that_slept_pushes_nothing(blog: BlogClient, remote: Path) -> None:
    monotonic, wall = this_instant()
    with sending_within(timedelta(minutes=1), (monotonic - 61, wall)), pytest.raises(SleptTooLong):
        blog.publish([page("first")], at=AT)
    assert git(remote, "branch", "--list") == ""


def test_author_and_time_are_fixed(blog: BlogClient, remote: Path) -> None:
    blog.publish([page()], at=AT)
    names = git(remote, "log", "-1", "--format=%an|%ae|%cn|%ce|%at|%ct|%s", "main")
    stamp = str(int(AT.timestamp()))
    who = ["AI Affiliate Empire", "publisher@ai-affiliate-empire.invalid"] * 2
    assert names == "|".join([*who, stamp, stamp, "Add first"])


def test_publishing_again_is_no_second_act(blog: BlogClient, remote: Path, tmp_path: Path) -> None:
    first, second = page(), page("second", "Second\n", piece="bbbb")
    (sha,) = blog.publish([first], at=AT)
    other = BlogClient(str(remote), tmp_path / "another", "http://127.0.0.1:1")
    came_to = other.publish([first, second], at=AT)
    assert came_to[0] == sha != came_to[1]
    assert blog.publish([first, second], at=AT) == came_to
    assert commits(remote) == 2
    assert git(remote, "rev-parse", "main^") == sha


def test_an_edit_of_the_owner_stays_and_the_page_counts_as_published(
    blog: BlogClient, remote: Path, owner: Owner
) -> None:
    first = page(since=None)
    (sha,) = blog.publish([first], at=AT)
    owner.push(first.path, "Better words\n")
    assert blog.look(first).commit == sha
    assert blog.publish([first], at=AT) == [sha]
    assert git(remote, "show", f"main:{first.path}") == "Better words"
    owner.push(first.path, None)
    assert blog.look(first).commit == sha  # taken down by its owner: it is not published anew
    assert blog.publish([first], at=AT) == [sha]
    assert files(remote) == []


def test_whoever_pushed_it_it_is_published(blog: BlogClient, remote: Path, owner: Owner) -> None:
    first = page()
    owner.push(first.path, first.text)
    assert blog.look(first).place is Place.PUBLISHED
    assert blog.publish([first], at=AT) == [git(remote, "rev-parse", "main")]
    assert commits(remote) == 1


def test_a_page_of_somebody_else_is_never_overwritten(blog: BlogClient, remote: Path, owner: Owner) -> None:
    taken, free = page(), page("second", piece="bbbb")
    owner.push(taken.path, "The owner's own\n")
    assert blog.look(taken).place is Place.TAKEN

    refusal, sha = blog.publish([taken, free], at=AT)

    assert isinstance(refusal, ContentRefused)
    assert "not ours to replace" in str(refusal)
    assert sha == git(remote, "rev-parse", "main")
    assert git(remote, "show", f"main:{taken.path}") == "The owner's own"


def test_two_versions_of_a_post_never_stand_side_by_side(blog: BlogClient, remote: Path) -> None:
    first, retitled = page("first"), page("a-new-title")
    blog.publish([first], at=AT)
    assert blog.look(retitled).other == first.path
    (refusal,) = blog.publish([retitled], at=AT)
    assert isinstance(refusal, ContentRefused)
    assert files(remote) == [first.path]


def test_a_replaced_history_proves_nothing(blog: BlogClient, owner: Owner) -> None:
    owner.push("README.md", "The blog\n")
    first = page(since=blog.head())
    assert blog.look(first).place is Place.ABSENT
    blog.publish([first], at=AT)
    owner.git("checkout", "--quiet", "--orphan", "anew")
    owner.git("commit", "--quiet", "--message", "Squashed")
    owner.git("push", "--quiet", "--force", "origin", "HEAD:main")
    again = BlogClient(blog._remote, owner.folder.parent / "fresh", "http://127.0.0.1:1")
    assert again.look(first).place is Place.UNKNOWN
    (lost,) = again.publish([first], at=AT)
    assert isinstance(lost, ReplyLost)


def test_a_main_that_moves_on_is_followed(
    blog: BlogClient, remote: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The owner pushes between our look and our push, twice."""
    _git_that_first(
        tmp_path,
        monkeypatch,
        f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0)\n"
        f'if [ $n -lt 2 ]; then echo $((n+1)) > {tmp_path}/n; cd {owner.folder}; echo "$n" > "mine-$n"; '
        '"$real" add -A; "$real" -c user.name=O -c user.email=o@e commit -qm mine; '
        f'"$real" pull -q --rebase {remote} main 2>/dev/null; "$real" push -q {remote} HEAD:main; fi\n',
    )
    first, second = page(), page("second", piece="bbbb")
    came_to = blog.publish([first, second], at=AT)
    monkeypatch.undo()
    assert came_to == [git(remote, "rev-parse", "main")] * 2
    assert commits(remote) == 3
    assert files(remote) == [first.path, second.path, "mine-0", "mine-1"]


def test_a_main_that_never_rests_is_left_to_a_later_run(
    blog: BlogClient, remote: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    owner.push("README.md", "The blog\n")
    _git_that_first(
        tmp_path,
        monkeypatch,
        f'cd {owner.folder}; date +%N >> busy; "$real" add -A; "$real" -c user.name=O -c user.email=o@e commit -qm b; '
        f'"$real" push -q {remote} HEAD:main\n',
    )
    with pytest.raises(VendorUnavailable, match="moved on 5 times") as error:
        blog.publish([page()], at=AT)
    monkeypatch.undo()
    assert not isinstance(error.value, ReplyLost)
    assert files(remote) == ["README.md", "busy"]


def _git_that_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A ``git`` that does something else before each push."""
    _git_that_in(tmp_path, monkeypatch, "push", f"(\n{script}) >/dev/null 2>&1")


def _git_that_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, script: str) -> None:
    """A ``git`` that does something before, or instead of, one of its commands."""
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nreal={real}\ncase "$*" in *" {command} -"*) {script}\n;; esac\nexec "$real" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_two_workers_publish_a_page_once(remote: Path, tmp_path: Path) -> None:
    pages = [page(f"page-{number}", piece=f"p{number:03}") for number in range(4)]
    came_to: dict[int, list[object]] = {}

    def work(number: int) -> None:
        client = BlogClient(str(remote), tmp_path / f"worker-{number}", "http://127.0.0.1:1")
        came_to[number] = list(client.publish(pages, at=AT.replace(minute=number)))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert commits(remote) == 1
    assert list(came_to.values()) == [[git(remote, "rev-parse", "main")] * 4] * 3


def test_a_shell_of_another_repository_is_not_touched(
    blog: BlogClient, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.git"
    git(other, "init", "--quiet", "--bare", str(other))
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other-index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")

    (sha,) = blog.publish([page()], at=AT)

    monkeypatch.undo()
    assert git(remote, "log", "-1", "--format=%H %an", "main") == f"{sha} AI Affiliate Empire"
    assert git(other, "for-each-ref") == ""
    assert not (tmp_path / "other-index").exists()


def test_a_remote_that_is_not_there(tmp_path: Path) -> None:
    blog = BlogClient(str(tmp_path / "nowhere.git"), tmp_path / "ours", "http://127.0.0.1:1")
    with pytest.raises(VendorUnavailable):
        blog.publish([page()], at=AT)


def test_a_page_that_the_remote_rejects_does_not_take_the_others_with_it(blog: BlogClient, remote: Path) -> None:
    _hook(
        remote,
        'read old new ref\n[ -z "$(git ls-tree -r --name-only $new | grep bad)" ] && exit 0\n'
        "echo no bad posts here, such as timeout.mdx >&2\nexit 1\n",
    )
    good, bad = page("good"), page("bad", piece="bbbb")

    sha, refusal = blog.publish([good, bad], at=AT)

    assert sha == git(remote, "rev-parse", "main")
    assert isinstance(refusal, Rejected)
    assert "pre-receive hook declined: no bad posts here" in str(refusal)
    assert files(remote) == [good.path]
    assert blog.look(bad).place is Place.ABSENT


def _hook(remote: Path, script: str) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}")
    hook.chmod(0o755)


def test_a_remote_that_is_out_of_order_is_asked_again(blog: BlogClient, remote: Path) -> None:
    git(remote, "config", "receive.maxInputSize", "1")
    with pytest.raises(VendorUnavailable, match=r"unpacker error: .*exceeds maximum allowed size"):
        blog.publish([page()], at=AT)
    git(remote, "config", "--unset", "receive.maxInputSize")
    _hook(remote, "echo 'GH500: Internal Server Error' >&2\nexit 1\n")
    with pytest.raises(VendorUnavailable, match=r"declined: GH500: Internal Server Error\); try again") as error:
        blog.publish([page(), page("second", piece="bbbb")], at=AT)
    assert not isinstance(error.value, ReplyLost)
    (remote / "hooks" / "pre-receive").unlink()
    assert blog.publish([page()], at=AT) == [git(remote, "rev-parse", "main")]


def test_a_protected_branch_is_for_a_person_and_no_posts_fault(blog: BlogClient, remote: Path) -> None:
    asked = remote / "asked"
    said = "error: GH006: Protected branch update failed for refs/heads/main."
    _hook(remote, f"echo x >> {asked}\necho '{said}' >&2\nexit 1\n")
    with pytest.raises(CredentialsRejected, match="GH006: Protected branch update failed") as error:
        blog.publish([page(), page("second", piece="bbbb")], at=AT)
    assert not isinstance(error.value, Rejected)
    assert asked.read_text() == "x\n"


@pytest.mark.parametrize("said", ["incorrect old value provided", "reference already exists"])
def test_a_race_in_the_words_of_newer_gits(
    blog: BlogClient, remote: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    once = tmp_path / "once"
    line = f"!\\tabc:refs/heads/main\\t[remote rejected] ({said})"
    _git_that_in(tmp_path, monkeypatch, "push", f"[ -e {once} ] || {{ touch {once}; printf '{line}\\n'; exit 1; }}\n")
    assert blog.publish([page()], at=AT) == [git(remote, "rev-parse", "main")]
    assert once.exists()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: unable to access 'https://g.example/b.git/': Failed to connect to g.example port 443 after 14035 ms",
         VendorUnavailable),
        ("fatal: unable to access 'https://g.example/blog403.git/': The requested URL returned error: 502",
         VendorUnavailable),
        ("fatal: could not open '/blog.git/FETCH_HEAD' for writing: Permission denied", VendorUnavailable),
        ("remote: Write access not granted.\nfatal: unable to access 'https://g.example/b.git/': The requested URL "
         "returned error: 403", CredentialsRejected),
        ("fatal: Authentication failed for 'https://g.example/b.git/'", CredentialsRejected),
        ("git@g.example: Permission denied (publickey).\nfatal: Could not read from remote repository.",
         CredentialsRejected),
    ],
)  # fmt: skip
def test_only_a_refused_sign_in_is_one(
    blog: BlogClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, kind: type[Exception]
) -> None:
    _git_that_in(tmp_path, monkeypatch, "fetch", f"cat >&2 <<'SAID'\n{said}\nSAID\nexit 128\n")
    with pytest.raises((VendorUnavailable, CredentialsRejected)) as error:
        blog.head()
    assert type(error.value) is kind
    assert said.splitlines()[0].removeprefix("remote: ").rstrip(".") in str(error.value)


@pytest.mark.parametrize(
    "name", ["config.lock", "HEAD.lock", "packed-refs.lock", "refs/published.lock", "index-a.lock"]
)
def test_what_a_killed_git_leaves_behind_holds_nobody_up_for_good(
    blog: BlogClient, remote: Path, owner: Owner, tmp_path: Path, name: str
) -> None:
    blog.publish([page()], at=AT)
    owner.push("README.md", "The blog\n")
    lock = tmp_path / "ours" / "blog.git" / name
    lock.touch()
    if name == "refs/published.lock":  # somebody may be at it
        with pytest.raises(VendorUnavailable, match=r"cannot lock ref 'refs/published'"):
            blog.head()
    assert lock.exists()
    long_ago = time.time() - 61
    os.utime(lock, (long_ago, long_ago))
    assert blog.head() == git(remote, "rev-parse", "main")
    assert not lock.exists()


@pytest.mark.parametrize("name", ["HEAD", "config", "refs/published", "objects"])
def test_a_copy_that_lost_power_is_fetched_anew(blog: BlogClient, remote: Path, tmp_path: Path, name: str) -> None:
    blog.publish([page()], at=AT)
    blog.head()
    hurt = tmp_path / "ours" / "blog.git" / name
    for file in [hurt, *hurt.rglob("*")]:
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(b"[" if name == "config" else b"")
    with pytest.raises(VendorUnavailable, match="damaged and is fetched anew"):
        blog.head()
    assert blog.head() == git(remote, "rev-parse", "main")
    assert blog.look(page()).place is Place.PUBLISHED


def test_a_git_that_hangs_is_ended_with_all_that_it_began(
    remote: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    _git_that_in(tmp_path, monkeypatch, "fetch", f"sleep 60 & echo $! > {child}; wait\n")
    blog = BlogClient(str(remote), tmp_path / "ours", "http://127.0.0.1:1", timeout=0.5)
    with pytest.raises(VendorUnavailable, match="did not answer"):
        blog.head()
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    until = time.monotonic() + 10
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("userinfo", ["publisher:t0ken%2Fpart", "t0ken%2Fpart"])
def test_a_token_in_the_address_reaches_the_remote_and_no_list_of_processes(tmp_path: Path, userinfo: str) -> None:
    """The remote looks at all commands that run while it is asked."""
    shown: list[str] = []
    credentials: list[str] = []

    class Remote(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            for command in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    shown.append(command.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            given = self.headers.get("Authorization", "")
            credentials.append(base64.b64decode(given.removeprefix("Basic ")).decode())
            self.send_response(502 if given else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Remote)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    where = f"127.0.0.1:{server.server_port}/blog.git"
    blog = BlogClient(f"http://{userinfo}@{where}", tmp_path / "ours", "http://127.0.0.1:1")
    try:
        with pytest.raises(VendorUnavailable, match="502") as error:
            blog.head()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    user, _, password = userinfo.replace("%2F", "/").partition(":")
    assert credentials[-1] == f"{user}:{password}"
    assert [command for command in shown if where in command]  # git was among them
    kept = [file.read_text(errors="replace") for file in (tmp_path / "ours").rglob("*") if file.is_file()]
    assert not [text for text in [*shown, *kept, str(error.value)] if "t0ken" in text]


def test_an_address_that_a_former_version_kept_is_forgotten(blog: BlogClient, tmp_path: Path) -> None:
    blog.head()
    clone = tmp_path / "ours" / "blog.git"
    git(clone, "config", "remote.origin.url", "https://me:t0ken@127.0.0.1:1/blog.git")
    assert blog.head() is None
    assert "t0ken" not in (clone / "config").read_text()


@pytest.mark.parametrize("path", ["../outside.mdx", "/etc/passwd", ".git/hooks/pre-commit", ""])
def test_a_path_that_would_leave_the_repository(blog: BlogClient, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        blog.publish([Page(path, content_hash("x"), "", None, "x")], at=AT)


def test_a_text_that_is_not_the_prepared_one(blog: BlogClient) -> None:
    with pytest.raises(ValueError, match="not the text that was prepared"):
        blog.publish([Page("a.mdx", content_hash("x"), "", None, "y")], at=AT)


def test_a_removed_page_stays_in_the_history_and_never_comes_back(blog: BlogClient, remote: Path, owner: Owner) -> None:
    first, second = page(), page("second", "Second\n", piece="bbbb")
    (sha, _) = blog.publish([first, second], at=AT)
    owner.push(first.path, "Edited by its owner.\n")
    assert blog.stands(first.path)

    removal = blog.remove(first.path, message="Take it down", at=AT)

    assert removal == git(remote, "rev-parse", "main")
    assert git(remote, "log", "-1", "--format=%B", "main") == "Take it down"
    assert files(remote) == [second.path]
    assert not blog.stands(first.path)
    assert blog.remove(first.path, message="Again", at=AT) is None
    assert (blog.look(first).place, blog.look(first).commit) == (Place.PUBLISHED, sha)
    assert blog.publish([first], at=AT) == [sha]
    assert files(remote) == [second.path]


def test_two_who_remove_the_same_page_push_one_commit(blog: BlogClient, remote: Path, tmp_path: Path) -> None:
    blog.publish([page(), page("second", "Second\n", piece="bbbb")], at=AT)

    def remove(number: int) -> None:
        client = BlogClient(str(remote), tmp_path / f"other-{number}", "http://127.0.0.1:1")
        client.remove(page().path, message="Down", at=AT)

    threads = [threading.Thread(target=remove, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert commits(remote) == 2
    assert files(remote) == [page("second", piece="bbbb").path]


def test_the_last_page_can_be_removed(blog: BlogClient, remote: Path) -> None:
    blog.publish([page()], at=AT)
    assert blog.remove(page().path, message="Down", at=AT) is not None
    assert files(remote) == []
