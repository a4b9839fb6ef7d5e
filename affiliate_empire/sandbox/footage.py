"""The world's video models: clips filmed from a still, and the jobs that make them.

A clip is a real mp4 in which a camera goes slowly round the picture; the same picture and prompt give the same file,
filmed once and kept under ``<home>/world/footage/``. A job takes a few looks of its client and is charged once, when it
ends; looked at or not, it has ended when the witness is asked. The vendors' wire forms are in ``servers``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import random
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from affiliate_empire.sandbox.clock import instant, stamp

if TYPE_CHECKING:
    from datetime import datetime

    from affiliate_empire.sandbox.world import World

LOOKS = 3  # the look at which a job has ended
FPS = 24
UNSAFE = r"nude|nudity|gore|beheading|swastika"

_DATA = re.compile(r"^data:image/(?:png|jpeg|webp);base64,")
_DOWNLOAD_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS footage_jobs (
    job_id TEXT PRIMARY KEY, vendor TEXT NOT NULL, model TEXT NOT NULL, asked TEXT NOT NULL, picture TEXT NOT NULL,
    failure TEXT, micros INTEGER NOT NULL, looks INTEGER NOT NULL, state TEXT NOT NULL, created_at TEXT NOT NULL);
"""

_filming = threading.Lock()


class NoPicture(Exception):
    """What was given as the first frame is no picture that can be read."""


@dataclass(frozen=True)
class Job:
    """One job. ``state`` is ``open``, ``done``, ``failed`` or ``cancelled``; ``ahead`` are open jobs before it."""

    job_id: str
    model: str
    asked: dict[str, Any]
    picture: str
    failure: dict[str, Any] | None
    micros: int
    looks: int
    state: str
    created_at: datetime
    ahead: int


def picture_from(address: str) -> bytes:
    """The bytes of a picture given as a data URI or as the URL of a file that anybody may fetch.

    Raises:
        NoPicture: it cannot be fetched or is no picture.
    """
    from PIL import Image

    try:
        if match := _DATA.match(address):
            data = base64.b64decode(address[match.end() :], validate=True)
        else:
            data = httpx.get(address, timeout=_DOWNLOAD_SECONDS, trust_env=False).raise_for_status().content
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except (binascii.Error, httpx.HTTPError, httpx.InvalidURL, OSError, SyntaxError, ValueError) as error:
        raise NoPicture(str(error)) from error
    return data


class Footage:
    """The jobs of one vendor."""

    def __init__(self, world: World, vendor: str) -> None:
        self.world, self.vendor = world, vendor
        self.folder = world.folder / "footage"
        world.store.script(_SCHEMA)

    def take(
        self, job_id: str, model: str, asked: dict[str, Any], picture: bytes, micros: int, failure: Any = None
    ) -> None:
        """Accept a job; ``micros`` is what it is charged at its end, ``failure`` what it will end with, if it fails."""
        name = _keep(self.folder, picture, ".picture")
        self.world.store.execute(
            "INSERT INTO footage_jobs VALUES (?, ?, ?, ?, ?, ?, ?, 0, 'open', ?)",
            (
                job_id,
                self.vendor,
                model,
                json.dumps(asked),
                name,
                None if failure is None else json.dumps(failure),
                micros,
                stamp(self.world.now()),
            ),
        )

    def look(self, job_id: str) -> Job | None:
        """A job as its client sees it, which brings it on; None when there is none of that id."""
        with self.world.store.transaction():
            self.world.store.execute(
                "UPDATE footage_jobs SET looks = looks + 1 WHERE job_id = ? AND vendor = ?", (job_id, self.vendor)
            )
            _end(self.world, self.vendor, f"looks >= {LOOKS} AND job_id = ?", job_id)
            return self.find(job_id)

    def find(self, job_id: str) -> Job | None:
        """A job as it stands."""
        row = self.world.store.one(
            "SELECT *, (SELECT count(*) FROM footage_jobs o WHERE o.vendor = j.vendor AND o.state = 'open'"
            " AND o.rowid < j.rowid) AS ahead FROM footage_jobs j WHERE job_id = ? AND vendor = ?",
            (job_id, self.vendor),
        )
        if row is None:
            return None
        failure = None if row["failure"] is None else json.loads(row["failure"])
        told = {name: row[name] for name in ("job_id", "model", "picture", "micros", "looks", "state", "ahead")}
        return Job(**told, asked=json.loads(row["asked"]), failure=failure, created_at=instant(row["created_at"]))

    def cancel(self, job_id: str) -> bool:
        """Whether a job was still open and is cancelled now, uncharged."""
        ended = "UPDATE footage_jobs SET state = 'cancelled' WHERE job_id = ? AND vendor = ? AND state = 'open'"
        return self.world.store.execute(ended, (job_id, self.vendor)) > 0

    def clip(self, job: Job, *, seconds: int, short_side: int) -> bytes:
        """The file of a job that is done."""
        source = (self.folder / job.picture).read_bytes()
        named = hashlib.sha256(json.dumps([job.picture, job.asked.get("prompt"), seconds, short_side]).encode())
        path = self.folder / f"{named.hexdigest()}.mp4"
        with _filming:
            if not path.exists():
                rng = self.world.rng("footage", path.stem)
                part = path.with_suffix(".part")
                film(source, part, seconds=seconds, short_side=short_side, rng=rng)
                part.rename(path)
        return path.read_bytes()


def end_jobs(world: World, vendor: str) -> None:
    """No job waits for its client: end all that are open."""
    with world.store.transaction():
        _end(world, vendor, "TRUE")


def _end(world: World, vendor: str, condition: str, *values: str) -> None:
    """Charge and end the open jobs of a condition, in the caller's transaction."""
    rows = world.store.query(
        f"SELECT * FROM footage_jobs WHERE vendor = ? AND state = 'open' AND {condition}",  # noqa: S608 - our text
        (vendor, *values),
    )
    for row in rows:
        state = "done" if row["failure"] is None else "failed"
        world.store.execute("UPDATE footage_jobs SET state = ? WHERE job_id = ?", (state, row["job_id"]))
        if row["micros"]:
            detail = {"model": row["model"], "ended": state, "begun_at": row["created_at"]}
            world.charge(vendor, "image-to-video", row["micros"], row["job_id"], detail)


def film(picture: bytes, target: Path, *, seconds: int, short_side: int, rng: random.Random) -> None:
    """Film a picture as an mp4 without sound, in the picture's shape, ``short_side`` pixels at its shorter side."""
    import imageio_ffmpeg
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as still:
        width, height = still.size
    scale = short_side / min(width, height)
    width, height = (2 * round(side * scale / 2) for side in (width, height))
    frames = seconds * FPS + 1
    # The camera goes round by tilting the picture's plane. It is filmed at two thirds of the size: half the work.
    lean, rise = rng.choice((-1, 1)) * rng.uniform(0.05, 0.08), rng.uniform(0.02, 0.04)
    left, right = f"W*{max(lean, 0):.4f}", f"W*{max(-lean, 0):.4f}"
    turn = f"sin(on/{frames}*PI)"
    view = (
        f"perspective=x0='{left}*{turn}':y0='H*{rise:.4f}*on/{frames}':x1='W-{right}*{turn}':y1='H*{rise:.4f}*{turn}':"
        f"x2='{right}*{turn}':y2='H-H*{rise:.4f}*{turn}':x3='W-{left}*{turn}':y3='H-H*{rise:.4f}*on/{frames}':"
        "eval=frame:interpolation=linear"
    )
    small = f"{2 * round(width / 3)}:{2 * round(height / 3)}"
    subprocess.run(
        [
            *[imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "image2pipe", "-framerate", str(FPS)],
            *["-i", "pipe:0", "-frames:v", str(frames - 1)],
            "-vf",
            f"scale={small}:out_color_matrix=bt709:out_range=tv,format=yuv420p,loop=loop=-1:size=1:start=0,"
            f"setpts=N/{FPS}/TB,{view},scale={width}:{height}:flags=fast_bilinear,setsar=1",
            *["-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-threads", "1", "-pix_fmt", "yuv420p"],
            *["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-map_metadata", "-1"],
            *["-bitexact", "-movflags", "+faststart", "-f", "mp4", str(target)],
        ],
        input=picture,
        check=True,
        capture_output=True,
    )


def _keep(folder: Path, data: bytes, suffix: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(data).hexdigest() + suffix
    if not (folder / name).exists():
        part = folder / f"{name}.{threading.get_ident()}"
        part.write_bytes(data)
        part.rename(folder / name)
    return name
