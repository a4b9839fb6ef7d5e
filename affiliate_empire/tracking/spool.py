"""Clicks on local disk while the database is away: appended and synced before their 302s leave, replayed afterwards.

A file holds lines in COPY's text format. Its writer keeps a lock on it, so that several workers share one folder and
each replays only what nobody is writing any more, its own and what a killed process left behind. Replaying twice does
no harm: click ids are unique in the ledger.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from affiliate_empire.kernel.ids import new_link_code

_FIELDS = 7


class Segment:
    """A spool file nobody writes to; locked for as long as the ``with`` block lasts."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def __enter__(self) -> Segment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def read(self) -> list[str]:
        """The whole lines. A torn last one was never synced, so nobody was told that it is stored."""
        text = self._path.read_text("utf-8", errors="replace")
        lines = text.split("\n")[:-1]  # not splitlines(): it also cuts at characters a user agent may hold
        return [f"{line}\n" for line in lines if line.count("\t") == _FIELDS - 1]

    def delete(self) -> None:
        self._path.unlink()


class Spool:
    """The folder of spool files of one home. Methods block on the disk: call them off the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self._length = 0

    def append(self, rows: Sequence[str]) -> None:
        """Write rows and wait until the disk has them. Raises ``OSError`` when it cannot; then none of them counts."""
        if self._descriptor is None:
            self._descriptor = self._create()
            self._length = 0
        data = "".join(rows).encode("utf-8")
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._length)  # half a line must not swallow the next one
            raise
        self._length += len(data)

    def _create(self) -> int:
        """A new file that is locked before a replay can see it; synced with its folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{new_link_code()}"
        hidden, path = self._folder / f"{name}.new", self._folder / f"{name}.clicks"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return descriptor

    def sealed(self) -> Iterator[Segment]:
        """Every file that can be replayed, this process's own included (its next ``append`` begins a new one)."""
        self.close()
        for path in sorted(self._folder.glob("*.clicks")):
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:  # another worker has just replayed it
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another worker is writing or replaying it
                os.close(descriptor)
                continue
            if path.exists():
                yield Segment(path, descriptor)
            else:
                os.close(descriptor)

    def close(self) -> None:
        """End the file being written; it stays on disk until it is replayed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
