"""The media store: by content, whole or not at all, also when the writer is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from affiliate_empire.media.errors import BadMedia
from affiliate_empire.media.store import MediaStore


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_file_is_found_by_what_it_holds(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "media")
    digest = store.save(b"voice", "audio/mpeg")
    assert digest == hashlib.sha256(b"voice").hexdigest()
    assert store.exists(digest)
    assert store.path(digest).read_bytes() == b"voice"
    assert store.path(digest).suffix == ".mp3"


def test_saving_again_keeps_the_first_file(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "media")
    source = tmp_path / "source"
    source.write_bytes(b"picture")
    digest = store.save(b"picture", "image/png")
    kept = store.path(digest).stat()
    assert store.save(source, "application/octet-stream") == digest
    assert store.path(digest).stat().st_ino == kept.st_ino
    assert len(_files(store.root)) == 1
    assert source.exists()


@pytest.mark.parametrize("sha256", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_hashes_are_looked_up(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(BadMedia, match="not the SHA-256"):
        MediaStore(tmp_path).path(sha256)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    store = MediaStore(tmp_path)
    assert not store.exists("0" * 64)
    with pytest.raises(BadMedia, match="again"):
        store.path("0" * 64)


def test_a_killed_writer_leaves_nothing_that_is_trusted(tmp_path: Path) -> None:
    root = tmp_path / "media"
    code = (
        "import sys, time\n"
        "from affiliate_empire.media.store import MediaStore\n"
        "store = MediaStore(sys.argv[1])\n"
        "with store.workshop() as folder:\n"
        "    (folder / 'video.mp4').write_bytes(b'half')\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        # A second process must not take the files of one that is alive.
        MediaStore(root)
        assert len(_files(root)) == 1
        os.kill(writer.pid, signal.SIGKILL)
    store = MediaStore(root)
    assert _files(root) == []
    assert not store.exists(hashlib.sha256(b"half").hexdigest())
