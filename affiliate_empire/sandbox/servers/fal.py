"""fal's queue with Pika behind it: ``/fal/fal-ai/pika/v2.2/…`` submits, ``/fal/fal-ai/pika/requests/{id}`` is asked.

As strict as the vendor: what the queue checks (key, application, JSON) is refused at once; what the model checks
(lengths, resolution, the picture, content) ends the job as COMPLETED with an error, and its result is a 422. The job
and its clip are ``affiliate_empire.sandbox.footage``'s; it is charged when it has ended well.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from affiliate_empire.sandbox import keys, prices
from affiliate_empire.sandbox.footage import UNSAFE, Footage, Job, NoPicture, end_jobs, picture_from

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

_APP = "fal-ai/pika"
_COMMON = {"prompt", "negative_prompt", "seed", "resolution", "duration"}
# Parameters by endpoint. From a picture the shape follows the picture: there is no aspect_ratio.
_ENDPOINTS = {"v2.2/image-to-video": _COMMON | {"image_url"}, "v2.2/text-to-video": _COMMON | {"aspect_ratio"}}
_RATIOS = {"16:9": 16 / 9, "9:16": 9 / 16, "1:1": 1, "4:5": 4 / 5, "5:4": 5 / 4, "3:2": 3 / 2, "2:3": 2 / 3}
_UNSAFE = re.compile(rf"\b(?:{UNSAFE}|rifle)\b", re.IGNORECASE)  # stricter than Runway's
_QUERY = frozenset(("fal_webhook", "fal_max_queue_length"))


def routes(world: World) -> list[BaseRoute]:
    """The queue's routes, and the files of finished clips."""
    queue = _Queue(world)
    return [
        Route(f"/fal/{_APP}/requests/{{request_id}}/status", queue.status, methods=["GET"]),
        Route(f"/fal/{_APP}/requests/{{request_id}}/cancel", queue.cancel, methods=["PUT"]),
        Route(f"/fal/{_APP}/requests/{{request_id}}", queue.result, methods=["GET"]),
        Route("/fal/files/{request_id}.mp4", queue.file, methods=["GET"]),
        Route("/fal/{path:path}", queue.submit, methods=["POST"]),
    ]


def notice(world: World) -> None:
    """Jobs end whether they are looked at or not."""
    end_jobs(world, "fal")


class _Invalid(Exception):
    """What the model says of its input: an entry of the 422's ``detail``."""

    def __init__(self, kind: str, field: str | None, message: str) -> None:
        super().__init__(message)
        location = ["body", field] if field else ["body"]
        self.detail = {"loc": location, "msg": message, "type": kind, "url": f"https://docs.fal.ai/errors#{kind}"}


class _Queue:
    def __init__(self, world: World) -> None:
        self.world = world
        self.footage = Footage(world, "fal")

    async def submit(self, request: Request) -> Response:
        if refused := _unauthorized(request):
            return refused
        application = request.path_params["path"]
        endpoint = application.removeprefix(f"{_APP}/")
        if endpoint not in _ENDPOINTS:
            return JSONResponse({"detail": f"Application '{application}' not found"}, 404)
        if unknown := [name for name in request.query_params if name not in _QUERY]:
            return JSONResponse({"detail": f"Unknown query parameter: {unknown[0]}"}, 400)
        try:
            asked = json.loads(await request.body())
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return JSONResponse({"detail": "Request body must be a JSON object"}, 400)
        picture, micros, failure = b"", 0, None
        try:
            picture = await to_thread.run_sync(lambda: _checked(endpoint, asked))
            micros = prices.pika_micros(int(asked.get("duration", 5)), asked.get("resolution", "720p"))
        except _Invalid as invalid:
            failure = invalid.detail
        request_id = str(uuid.uuid4())
        told = {name: value for name, value in asked.items() if name != "image_url"}
        self.footage.take(request_id, application, told, picture, micros, failure)
        url = f"{self.world.base_url}/fal/{_APP}/requests/{request_id}"
        job = self.footage.find(request_id)
        return JSONResponse(
            {
                "status": "IN_QUEUE",
                "request_id": request_id,
                "response_url": url,
                "status_url": f"{url}/status",
                "cancel_url": f"{url}/cancel",
                "queue_position": job.ahead if job else 0,
            }
        )

    async def status(self, request: Request) -> Response:
        if refused := _unauthorized(request):
            return refused
        job = self.footage.look(request.path_params["request_id"])
        if job is None or job.state == "cancelled":
            return _unknown()
        url = f"{self.world.base_url}/fal/{_APP}/requests/{job.job_id}"
        urls = {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}
        told: dict[str, Any] = {"request_id": job.job_id, **urls}
        if job.state == "open" and job.looks == 1:
            return JSONResponse({**told, "status": "IN_QUEUE", "queue_position": job.ahead}, 202)
        wants_logs = request.query_params.get("logs") in ("1", "true")
        told["logs"] = [{"message": "filming", "level": "INFO", "source": "USER"}] if wants_logs else None
        if job.state == "open":
            return JSONResponse({**told, "status": "IN_PROGRESS"}, 202)
        if job.failure is not None:
            told |= {"error": job.failure["msg"], "error_type": job.failure["type"]}
        return JSONResponse({**told, "status": "COMPLETED", "metrics": {"inference_time": 41.7}})

    async def result(self, request: Request) -> Response:
        if refused := _unauthorized(request):
            return refused
        job = self.footage.find(request.path_params["request_id"])
        if job is None or job.state == "cancelled":
            return _unknown()
        if job.state == "open":
            return JSONResponse({"detail": "Request is still in progress"}, 400)
        if job.failure is not None:
            return JSONResponse({"detail": [job.failure]}, 422, {"X-Fal-Error-Type": job.failure["type"]})
        video = {
            "url": f"{self.world.base_url}/fal/files/{job.job_id}.mp4",
            "content_type": "video/mp4",
            "file_name": f"{job.job_id}.mp4",
            "file_size": len(await to_thread.run_sync(lambda: self._clip(job))),
        }
        return JSONResponse({"video": video})

    async def cancel(self, request: Request) -> Response:
        if refused := _unauthorized(request):
            return refused
        if self.footage.find(request.path_params["request_id"]) is None:
            return _unknown()
        if self.footage.cancel(request.path_params["request_id"]):
            return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)
        return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)

    async def file(self, request: Request) -> Response:
        """Anybody who has the address may fetch it, as on the vendor's CDN."""
        job = self.footage.find(request.path_params["request_id"])
        if job is None or job.state != "done":
            return JSONResponse({"detail": "Not Found"}, 404)
        return Response(await to_thread.run_sync(lambda: self._clip(job)), media_type="video/mp4")

    def _clip(self, job: Job) -> bytes:
        seconds, resolution = int(job.asked.get("duration", 5)), job.asked.get("resolution", "720p")
        return self.footage.clip(job, seconds=seconds, short_side=int(resolution.removesuffix("p")))


def _unauthorized(request: Request) -> Response | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if not key:
        return JSONResponse({"detail": "Authentication is required to access this application."}, 401)
    if scheme != "Key" or key != keys.FAL:
        return JSONResponse({"detail": "Cannot access application: the key is not valid."}, 401)
    return None


def _unknown() -> Response:
    return JSONResponse({"detail": "Request not found"}, 404)


def _checked(endpoint: str, asked: dict[str, Any]) -> bytes:
    """The first frame; raises where the model would."""
    for name in asked:
        if name not in _ENDPOINTS[endpoint]:
            raise _Invalid("extra_forbidden", name, "Extra inputs are not permitted")
    prompt = asked.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise _Invalid("missing" if prompt is None else "string_too_short", "prompt", "A prompt is required")
    if asked.get("resolution", "720p") not in ("720p", "1080p"):
        raise _Invalid("literal_error", "resolution", "Input should be '720p' or '1080p'")
    if asked.get("duration", 5) not in (5, 10):
        raise _Invalid("literal_error", "duration", "Input should be 5 or 10")
    seed = asked.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise _Invalid("int_type", "seed", "Input should be a valid integer")
    if _UNSAFE.search(prompt):
        raise _Invalid(
            "content_policy_violation", "prompt", "The content could not be processed: flagged by a content checker."
        )
    if "image_url" not in _ENDPOINTS[endpoint]:
        return _drawn(prompt, str(asked.get("aspect_ratio", "16:9")))
    address = asked.get("image_url")
    if not isinstance(address, str) or not address:
        raise _Invalid("missing", "image_url", "Field required")
    try:
        return picture_from(address)
    except NoPicture as problem:
        raise _Invalid("file_download_error", "image_url", "Failed to download or read the image.") from problem


def _drawn(prompt: str, ratio: str) -> bytes:
    """What a clip from text alone begins with."""
    import random

    from affiliate_empire.sandbox.painter import paint

    if ratio not in _RATIOS:
        raise _Invalid("literal_error", "aspect_ratio", f"Input should be one of {', '.join(_RATIOS)}")
    width, height = (720 * _RATIOS[ratio], 720) if _RATIOS[ratio] > 1 else (720, 720 / _RATIOS[ratio])
    return paint(prompt, round(width), round(height), random.Random(prompt))
