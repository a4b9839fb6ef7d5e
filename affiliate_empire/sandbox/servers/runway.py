"""Runway: ``/runway/v1/image_to_video`` and ``text_to_video`` begin a task, ``/runway/v1/tasks/{id}`` tells of it.

As strict as the vendor: bearer key, ``X-Runway-Version``, per model the ratios and durations, lengths, the size of a
data URI. Addresses of finished clips carry a signature that expires; each look at a task signs anew. The task and its
clip are ``affiliate_empire.sandbox.footage``'s; ``cost.credits`` is what it is charged.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from affiliate_empire.sandbox import keys, prices
from affiliate_empire.sandbox.clock import instant, stamp
from affiliate_empire.sandbox.footage import UNSAFE, Footage, Job, NoPicture, end_jobs, picture_from

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

VERSION = "2024-11-06"
_CONCURRENT = 3  # of tier 2; tasks beyond it wait as THROTTLED
_URL_LIFE = timedelta(hours=24)
_LONGEST_PROMPT = 1000  # UTF-16 units
_LARGEST_DATA_URI = 5 * 1024 * 1024
_GEN4 = ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672")
_RATIOS: dict[str, dict[str, tuple[str, ...]]] = {
    "image_to_video": {"gen4_turbo": _GEN4, "gen4.5": _GEN4},
    "text_to_video": {"gen4.5": ("1280:720", "720:1280")},
}
_PARAMETERS = {
    "image_to_video": {"model", "promptImage", "promptText", "ratio", "duration", "seed", "contentModeration"},
    "text_to_video": {"model", "promptText", "ratio", "duration", "seed", "contentModeration"},
}
_UNSAFE = re.compile(rf"\b(?:{UNSAFE})\b", re.IGNORECASE)


def routes(world: World) -> list[BaseRoute]:
    """The vendor's routes, and the files of finished clips."""
    runway = _Runway(world)
    return [
        Route("/runway/v1/{kind:str}_to_video", runway.begin, methods=["POST"]),
        Route("/runway/v1/tasks/{task_id}", runway.task, methods=["GET"]),
        Route("/runway/v1/tasks/{task_id}", runway.delete, methods=["DELETE"]),
        Route("/runway/files/{task_id}.mp4", runway.file, methods=["GET"]),
    ]


def notice(world: World) -> None:
    """Tasks end whether they are looked at or not."""
    end_jobs(world, "runway")


class _Refused(Exception):
    """An error reply in the vendor's form."""

    def __init__(self, status: int, message: str, issue: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": message}
        if issue is not None:
            field, said = issue
            self.body["issues"] = [{"code": "custom", "message": said, "path": [field]}]

    @classmethod
    def invalid(cls, field: str, said: str) -> _Refused:
        return cls(400, "Validation of body failed", (field, said))


class _Runway:
    def __init__(self, world: World) -> None:
        self.world = world
        self.footage = Footage(world, "runway")

    async def begin(self, request: Request) -> Response:
        kind = f"{request.path_params['kind']}_to_video"
        try:
            _authorize(request)
            if kind not in _RATIOS:
                raise _Refused(404, "Not found")
            try:
                asked = json.loads(await request.body())
            except ValueError:
                asked = None
            if not isinstance(asked, dict):
                raise _Refused(400, "Invalid JSON body")
            _check(kind, asked)
            picture, failure = await to_thread.run_sync(lambda: _first_frame(kind, asked))
        except _Refused as refused:
            return JSONResponse(refused.body, refused.status)
        task_id = str(uuid.uuid4())
        credits = 0 if failure else prices.RUNWAY[asked["model"]] * asked["duration"]
        told = {name: value for name, value in asked.items() if name != "promptImage"} | {"credits": credits}
        told["prompt"] = told.get("promptText")
        self.footage.take(task_id, asked["model"], told, picture, prices.runway_micros(credits), failure)
        return JSONResponse({"id": task_id, "estimatedCost": {"credits": credits}})

    async def task(self, request: Request) -> Response:
        try:
            _authorize(request)
        except _Refused as refused:
            return JSONResponse(refused.body, refused.status)
        job = self.footage.look(request.path_params["task_id"])
        if job is None:
            return JSONResponse({"error": "Task not found"}, 404)
        told: dict[str, Any] = {"id": job.job_id, "createdAt": stamp(job.created_at)}
        price = {"credits": job.asked["credits"]}
        if job.state == "open" and job.looks == 1:
            told |= {"status": "THROTTLED" if job.ahead >= _CONCURRENT else "PENDING", "estimatedCost": price}
        elif job.state == "open":
            told |= {"status": "RUNNING", "progress": 0.5, "estimatedCost": price}
        elif job.state == "done":
            told |= {"status": "SUCCEEDED", "output": [self._address(job)], "cost": price}
        elif job.failure is not None:
            told |= {"status": "FAILED", "cost": price, **job.failure}
        else:
            told |= {"status": "CANCELLED", "cost": {"credits": 0}}
        return JSONResponse(told)

    async def delete(self, request: Request) -> Response:
        try:
            _authorize(request)
        except _Refused as refused:
            return JSONResponse(refused.body, refused.status)
        self.footage.cancel(request.path_params["task_id"])
        return Response(status_code=204)

    async def file(self, request: Request) -> Response:
        """Anybody who has the address may fetch it, until its signature expires."""
        job = self.footage.find(request.path_params["task_id"])
        if job is None or job.state != "done":
            return Response(status_code=404)
        until = request.query_params.get("until", "")
        if request.query_params.get("signature") != self._signature(job, until) or instant(until) < self.world.now():
            return Response("Request has expired", status_code=403)
        width, height = map(int, job.asked["ratio"].split(":"))
        seconds = int(job.asked["duration"])
        data = await to_thread.run_sync(lambda: self.footage.clip(job, seconds=seconds, short_side=min(width, height)))
        return Response(data, media_type="video/mp4")

    def _address(self, job: Job) -> str:
        until = stamp(self.world.now() + _URL_LIFE)
        signature = self._signature(job, until)
        return f"{self.world.base_url}/runway/files/{job.job_id}.mp4?until={until}&signature={signature}"

    def _signature(self, job: Job, until: str) -> str:
        return hashlib.sha256(f"{keys.RUNWAY} {job.job_id} {until}".encode()).hexdigest()


def _authorize(request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {keys.RUNWAY}":
        raise _Refused(401, "The API key is not valid.")
    if request.headers.get("x-runway-version") != VERSION:
        raise _Refused(400, f"The X-Runway-Version header is required and must be {VERSION}.")


def _check(kind: str, asked: dict[str, Any]) -> None:
    """Raises where the vendor would."""
    for name in asked:
        if name not in _PARAMETERS[kind]:
            raise _Refused.invalid(name, f"Unrecognized key: {name}")
    model = asked.get("model")
    if model not in _RATIOS[kind]:
        raise _Refused.invalid("model", f"Expected one of {', '.join(_RATIOS[kind])}")
    if asked.get("ratio") not in _RATIOS[kind][model]:
        raise _Refused.invalid("ratio", f"Expected one of {', '.join(_RATIOS[kind][model])}")
    duration = asked.get("duration")
    if not isinstance(duration, int) or isinstance(duration, bool) or not 2 <= duration <= 10:
        raise _Refused.invalid("duration", "Expected an integer from 2 to 10")
    prompt = asked.get("promptText", "" if kind == "image_to_video" else None)
    if not isinstance(prompt, str) or (kind == "text_to_video" and not prompt):
        raise _Refused.invalid("promptText", "Required")
    if len(prompt.encode("utf-16-le")) // 2 > _LONGEST_PROMPT:
        raise _Refused.invalid("promptText", f"Too long: at most {_LONGEST_PROMPT} UTF-16 code units")
    seed = asked.get("seed")
    if seed is not None and (not isinstance(seed, int) or not 0 <= seed <= 4_294_967_295):
        raise _Refused.invalid("seed", "Expected an integer from 0 to 4294967295")


def _first_frame(kind: str, asked: dict[str, Any]) -> tuple[bytes, dict[str, Any] | None]:
    """The picture a task begins with, cropped to its ratio, and what the task will fail with."""
    prompt = str(asked.get("promptText", ""))
    failure = None
    if _UNSAFE.search(prompt):
        failure = {"failure": "Text did not pass content moderation.", "failureCode": "SAFETY.INPUT.TEXT"}
    width, height = map(int, asked["ratio"].split(":"))
    if kind == "text_to_video":
        import random

        from affiliate_empire.sandbox.painter import paint

        return paint(prompt, width, height, random.Random(prompt)), failure
    address = asked.get("promptImage")
    if not isinstance(address, str) or not address.startswith(("https://", "runway://", "data:image/")):
        raise _Refused.invalid("promptImage", "Expected an HTTPS URL, a Runway URI or a data URI of an image")
    if address.startswith("data:") and len(address) > _LARGEST_DATA_URI:
        raise _Refused.invalid("promptImage", "The data URI is larger than 5 MB")
    try:
        return _cropped(picture_from(address), width / height), failure
    except NoPicture as problem:
        raise _Refused.invalid("promptImage", "Failed to fetch or read the asset") from problem


def _cropped(picture: bytes, ratio: float) -> bytes:
    """The middle of a picture in a ratio, as the vendor takes it."""
    import io

    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(picture)) as still:
        width, height = still.size
        if abs(width / height - ratio) < 0.01:
            return picture
        size = (width, round(width / ratio)) if width / height < ratio else (round(height * ratio), height)
        out = io.BytesIO()
        ImageOps.fit(still.convert("RGB"), size).save(out, "JPEG", quality=92)
    return out.getvalue()
