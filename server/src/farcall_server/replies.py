"""Answers: a job's envelope in the form the client asked for, a file's bytes, or a plain value."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from farcall.bodies import Base64Body, BytesBody
from farcall.jobs import Snapshot
from farcall.wire import FileValue
from farcall_fasttaskapi.envelope import MEDIA_TYPE, VERSION, render, render_compatible
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from farcall_server import ranges
from farcall_server.job import Job
from farcall_server.listing import Asked
from farcall_server.outputs import files_of, with_files

NOT_FOUND: Final = "Job not found."
JSON: Final = "application/json"


def wants_own(request: Request) -> bool:
    """Whether the client asked for our own form."""
    return MEDIA_TYPE in request.headers.get("accept", "")


async def job(request: Request, job: Job) -> Response:
    """A job's envelope."""
    media_type = MEDIA_TYPE if wants_own(request) else JSON
    return Response(to_json(await envelope(request, job.snapshot(), job)), media_type=media_type)


async def envelope(request: Request, look: Snapshot, job: Job) -> dict[str, Any]:
    """A look at a job, in the form the client asked for."""
    if wants_own(request):
        return render(_linked(look, job))
    look = replace(look, result=await written_out(look.result)) if job.outcome.files else look
    times = {name: _iso(moment) for name, moment in job.moments.items()}
    times["queued_at"] = times["created_at"]
    root = request.scope.get("root_path", "")
    return render_compatible(look, times=times, root=root, streamed=job.chunks is not None)


def snapshot(request: Request, look: Snapshot, *, status: int, headers: Mapping[str, str]) -> Response:
    """The envelope of what has become no job."""
    own = wants_own(request)
    body = render(look) if own else render_compatible(look, root=request.scope.get("root_path", ""))
    return Response(to_json(body), status, headers, MEDIA_TYPE if own else JSON)


def missing(request: Request, job_id: str) -> Response:
    """404: no such job, or no more."""
    gone: dict[str, Any] = {"detail": NOT_FOUND}
    if not wants_own(request):
        gone |= {"job_id": job_id, "id": job_id, "status": "not_found", "error": NOT_FOUND}
    return Response(to_json(gone), 404, media_type=JSON)


def fault(request: Request, error: Exception) -> Response:  # noqa: ARG001 - an exception handler's signature
    """500: a plain endpoint raised. The connection ends with it, as the server drops it, and the client must know."""
    return Response(b'{"detail":"Internal Server Error"}', 500, {"Connection": "close"}, JSON)


def many(jobs: Sequence[Job], gone: Sequence[str]) -> Response:
    """Several jobs' envelopes, in our own form, and the ids of which nothing is known."""
    entries: list[dict[str, Any]] = [render(_linked(job.snapshot(), job)) for job in jobs]
    entries += [{"farcall": VERSION, "id": job_id, "missing": True} for job_id in gone]
    return Response(to_json({"farcall": VERSION, "jobs": entries}), media_type=JSON)


def page(request: Request, jobs: Sequence[Job], asked: Asked) -> Response:
    """A page of jobs, without their results and logs, and the cursor of the next one if there may be one."""
    cursor = str(jobs[-1].number) if len(jobs) == asked.limit else None
    if wants_own(request):
        made: dict[str, Any] = {"farcall": VERSION, "jobs": [_own_entry(job) for job in jobs]}
        return Response(to_json(made if cursor is None else {**made, "cursor": cursor}), media_type=MEDIA_TYPE)
    entries = [_entry(job, request.scope.get("root_path", "")) for job in jobs]
    return Response(to_json({"jobs": entries, "cursor": cursor}), media_type=JSON)


def _glance(job: Job) -> Snapshot:
    return replace(job.snapshot(), result=None, logs=None, traceback=None)


def _own_entry(job: Job) -> dict[str, Any]:
    times = {name: _iso(moment) for name, moment in job.moments.items()}
    return {**render(_glance(job)), "endpoint": job.endpoint, **times}


def _entry(job: Job, root: str) -> dict[str, Any]:
    times = {name: _iso(moment) for name, moment in job.moments.items()}
    times["queued_at"] = times["created_at"]
    return {**render_compatible(_glance(job), times=times, root=root), "endpoint": job.endpoint}


# --- files -----------------------------------------------------------------------------------------------------------


def _linked(look: Snapshot, job: Job) -> Snapshot:
    """The look with each file's address, relative to the service's, in the place of its bytes."""
    if job.chunks is not None:
        look = replace(look, data={**look.data, "stream": "sse"})
    if not job.outcome.files:
        return look
    numbers = iter(range(len(job.outcome.files)))

    def link(file: FileValue) -> FileValue:
        number = next(numbers)
        return file if file.body is None else replace(file, body=None, url=f"/jobs/{job.id}/files/{number}")

    return replace(look, result=with_files(look.result, link))


async def written_out(value: Any) -> Any:
    """A plain value with each file's bytes as base64, in memory: older clients know no other way."""
    texts = iter([await in_base64(file) for file in files_of(value)])
    return with_files(value, lambda _: next(texts))


async def in_base64(file: FileValue) -> FileValue:
    """A file with its bytes as base64, in memory; one that is known by its address as it is."""
    if file.body is None or isinstance(file.body, Base64Body):
        return file
    content = b"".join([piece async for piece in file.body.chunks()])
    return replace(file, body=Base64Body(base64.b64encode(content).decode()))


def file(value: FileValue, *, attached: bool, part: range | None = None, tag: str | None = None) -> Response:
    """A file's bytes, piece by piece.

    Args:
        value: The file; one that lies elsewhere is a redirect.
        attached: Whether a browser should save it instead of showing it.
        part: The bytes that were asked for; None: all.
        tag: An entity tag, which says that a part may be asked for; None: it may not.
    """
    if value.body is None:
        return RedirectResponse(value.url or "/")
    headers = {"X-Content-Type-Options": "nosniff"}
    shown = "attachment" if attached else "inline"
    headers["Content-Disposition"] = f"{shown}; filename*=utf-8''{quote(value.name, safe='')}"
    headers["Content-Type"] = value.media_type
    if tag is not None:
        headers |= {"Accept-Ranges": "bytes", "ETag": tag}
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{value.body.length}"
        headers["Content-Length"] = str(len(part))
        return _Streamed(ranges.cut(value.body, part), 206, headers)
    if isinstance(value.body, BytesBody):
        return Response(value.body.content, headers=headers)
    if value.body.length is not None:
        headers["Content-Length"] = str(value.body.length)
    return _Streamed(value.body.chunks(), headers=headers)


class _Streamed(StreamingResponse):
    """A file's bytes, whose source is closed with the reply, also where the client has gone away before its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self.body_iterator, AsyncGenerator):
                await self.body_iterator.aclose()


def headed(response: Response) -> Response:
    """The answer to HEAD: what tells of a reply, without its bytes, which are not even read."""
    return Response(status_code=response.status_code, headers=dict(response.headers))


def no_such_part(size: int) -> Response:
    """416: the file ends before the part that was asked for begins."""
    return Response(b'{"detail":"The file has no such part."}', 416, {"Content-Range": f"bytes */{size}"}, JSON)


async def plain(value: Any) -> Response:
    """A plain endpoint's answer: a file's bytes, or JSON with the files in it as base64."""
    if isinstance(value, FileValue):
        return file(value, attached=False)
    return Response(to_json(await with_file_objects(value) if files_of(value) else value), media_type=JSON)


async def with_file_objects(value: Any) -> Any:
    """A plain value with each file as the JSON object that media-toolkit reads."""
    return with_files(await written_out(value), _file_object)


def _file_object(file: FileValue) -> dict[str, Any]:
    content = file.body.text if isinstance(file.body, Base64Body) else file.url
    return {"file_name": file.name, "content_type": file.media_type, "content": content}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
