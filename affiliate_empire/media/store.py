"""The media store: files kept under the hash of what they hold.

A file is visible under its final name only when all of it is on the disk: it is written beside the others, synced, and
renamed. So whatever can be found may be trusted, whenever the writer was killed; half files lie in ``incoming/`` and
are cleared by the next process. It does not know what a file is for (the ledger's ``artifacts`` do).
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affiliate_empire.kernel.files import on_disk
from affiliate_empire.media.errors import BadMedia

_EXTENSIONS = {
    "video/mp4": ".mp4",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "text/html": ".html",
    "application/json": ".json",
}
_CHUNK = 1 << 20


class MediaStore:
    """Content-addressed files in one local folder: ``<root>/<first two>/<sha256>.<extension>``."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().resolve()
        self._incoming = self.root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._clear_abandoned()

    def save(self, data: bytes | Path, media_type: str, *, room: Path | None = None) -> str:
        """Keep bytes, or a copy of a file, and return the SHA-256 (hex) they are found under.

        Saving the same content again changes nothing.

        Args:
            room: of ``room``: the space that was taken for the file beforehand.

        Raises:
            OutOfSpace: nothing was kept.
        """
        with self.workshop() as folder:
            incoming = room or folder / "file"
            digest = _write(incoming, _chunks(data))
            target = self._folder(digest) / (digest + _extension(media_type))
            if self._find(digest) is None:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(incoming, target)
                _sync_folder(target.parent)
        return digest

    @contextmanager
    def room(self, size: int) -> Iterator[Path]:
        """Space on the disk for one file of up to ``size`` bytes, taken before it is known what the file holds.

        For what must not fail to be kept once it is there: what was paid for.

        Raises:
            OutOfSpace: there is not that much.
        """
        with self.workshop() as folder:
            path = folder / "room"
            with path.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            yield path

    def path(self, sha256: str) -> Path:
        """Where a kept file lies.

        Raises:
            BadMedia: the store does not hold it.
        """
        found = self._find(sha256)
        if found is None:
            raise BadMedia(f"The media store has no file {sha256[:12]}…: run the step that makes it again.")
        return found

    def exists(self, sha256: str) -> bool:
        """Whether a file is kept, all of it."""
        return self._find(sha256) is not None

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A folder to make a file in, on the same disk; gone afterwards, also after the next start if we are killed.

        Raises:
            OutOfSpace: the disk is full, now or while the file is made.
        """
        folder = self._incoming / f"{_host()}.{os.getpid()}.{secrets.token_hex(6)}"
        with on_disk(self.root):
            try:
                folder.mkdir(parents=True)
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, sha256: str) -> Path:
        return self.root / sha256[:2]

    def _find(self, sha256: str) -> Path | None:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise BadMedia(f"{sha256[:80]!r} is not the SHA-256 of a file.")
        # The extension serves people; the hash alone identifies.
        return next(iter(sorted(self._folder(sha256).glob(f"{sha256}.*"))), None)

    def _clear_abandoned(self) -> None:
        for folder in self._incoming.iterdir():
            host, _, rest = folder.name.rpartition(".")[0].rpartition(".")
            if host == _host() and rest.isdigit() and not _alive(int(rest)):
                shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    with data.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _write(path: Path, chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    with path.open("r+b" if path.exists() else "xb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _extension(media_type: str) -> str:
    plain = media_type.split(";")[0].strip().lower()
    return _EXTENSIONS.get(plain) or mimetypes.guess_extension(plain) or ".bin"
