"""Files that are whole or not there, and a disk that is full: one error with one sentence, whatever is written.

What a file holds, and where it lies, is its writer's business.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affiliate_empire.kernel.errors import EmpireError

_FULL = (errno.ENOSPC, errno.EDQUOT)


class OutOfSpace(EmpireError):
    """The disk, or the owner's share of it, is full. What was there before is unchanged."""


@contextmanager
def on_disk(where: Path) -> Iterator[None]:
    """Turns a full disk into ``OutOfSpace``; every other error passes.

    Args:
        where: a file or folder on the disk; the sentence names it.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise out_of_space(where) from error


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room left."""
    return error.errno in _FULL


def out_of_space(where: Path | str) -> OutOfSpace:
    """The error of a full disk, for those who learn of it from another program."""
    return OutOfSpace(f"The disk of {where} is full and nothing half-written was kept: free some space and run again.")


def save_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, whenever the writer dies.

    Raises:
        OutOfSpace: an earlier file of the same name stands.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with on_disk(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
