"""The envelope a job travels in: our own form, and the two older ones that FastTaskAPI and APIPod write."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Final
from urllib.parse import quote

from farcall.bodies import Base64Body, BytesBody
from farcall.errors import ProtocolError
from farcall.jobs import Snapshot, State
from farcall.wire import Body, FileValue, base_name, join

from farcall_fasttaskapi import states

MEDIA_TYPE: Final = "application/vnd.farcall.job+json"
VERSION: Final = 1

_NOTHING: Final[Mapping[str, str]] = {}
_LEAVES: Final = frozenset({str, int, float, bool, NoneType})
_UNKNOWN_TYPE: Final = "application/octet-stream"

At = tuple[str | int, ...]


# --- our own form, written --------------------------------------------------------------------------------


def render(snapshot: Snapshot) -> dict[str, Any]:
    """A look at a job in our own form: JSON values; what is None or empty is left out.

    Args:
        snapshot: Its result holds JSON values, and where a file stands a `FileValue` with a `url` or with its
            bytes in memory.

    Raises:
        TypeError: A file has neither an address nor its bytes in memory.
    """
    files: list[dict[str, Any]] = []
    result = _emptied(snapshot.result, (), files)
    fault = {"message": snapshot.error, "type": snapshot.error_type, "traceback": snapshot.traceback}
    fields: dict[str, Any] = {
        "id": snapshot.job_id,
        "progress": snapshot.progress,
        "message": snapshot.message,
        "result": result,
        "files": files or None,
        "error": {key: text for key, text in fault.items() if text is not None} or None,
        "logs": None if snapshot.logs is None else list(snapshot.logs),
        "retry_after_s": snapshot.retry_after_s,
        "data": dict(snapshot.data) or None,
    }
    made: dict[str, Any] = {"farcall": VERSION, "state": snapshot.state.value}
    made.update((name, value) for name, value in fields.items() if value is not None)
    return made


def render_chunk(value: Any) -> dict[str, Any]:
    """A piece of output that holds files, in our own form; as `render` writes a result."""
    files: list[dict[str, Any]] = []
    return {"value": _emptied(value, (), files), "files": files}


def _emptied(value: Any, at: At, files: list[dict[str, Any]]) -> Any:
    """The value with None where a file stood; the files are added to `files`."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, FileValue):
        files.append(_file_entry(value, at))
        return None
    if isinstance(value, Mapping):
        return {k: v if type(v) in _LEAVES else _emptied(v, (*at, k), files) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [v if type(v) in _LEAVES else _emptied(v, (*at, i), files) for i, v in enumerate(value)]
    return value


def _file_entry(file: FileValue, at: At) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": list(at), "name": file.name, "media_type": file.media_type}
    if file.size is not None:
        entry["size"] = file.size
    if file.url is not None:
        entry["url"] = file.url
    else:
        entry["base64"] = _base64(file)
    return entry


def _base64(file: FileValue) -> str:
    if isinstance(file.body, Base64Body):
        return file.body.text
    if isinstance(file.body, BytesBody):
        return base64.b64encode(file.body.content).decode("ascii")
    raise TypeError(f"{file.name!r} goes into an envelope only by its url or with its bytes in memory.")


# --- the form FastTaskAPI's and APIPod's clients read, written --------------------------------------------

# FastTaskAPI's clients know no word for cancelled; APIPod's do.
_COMPATIBLE_WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "Queued",
    State.RUNNING: "Processing",
    State.SUCCEEDED: "Finished",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
    State.TIMED_OUT: "Timeout",
}


def render_compatible(
    snapshot: Snapshot, *, times: Mapping[str, str] | None = None, root: str = "", streamed: bool = False
) -> dict[str, Any]:
    """A look at a job as clients of FastTaskAPI 1.3.3 and of APIPod 1.0.33 read it: the keys of both.

    Args:
        snapshot: As for `render`. A file with bytes in memory is written as base64, else its `url` is.
        times: When what happened: `created_at`, `queued_at`, `started_at`, `finished_at`, ISO 8601 in UTC.
        root: Where the server is mounted, `/api`; put before the links.
        streamed: Whether its output can be read piece by piece; a link then says where.

    Raises:
        TypeError: A file has neither an address nor its bytes in memory.
    """
    known = times or {}
    progress, message = snapshot.progress, snapshot.message
    said = progress is not None or message is not None
    return {
        "id": snapshot.job_id,
        "job_id": snapshot.job_id,
        "status": _COMPATIBLE_WORDS[snapshot.state],
        "progress": {"progress": progress, "message": message} if said else None,
        "message": message,
        "error": snapshot.error,
        "result": _written_out(snapshot.result),
        **_links(snapshot.job_id, root, streamed=streamed),
        "created_at": known.get("created_at"),
        "queued_at": known.get("queued_at"),
        "execution_started_at": known.get("started_at"),
        "execution_finished_at": known.get("finished_at"),
        "metrics": dict(known),
        "endpoint_protocol": "socaity",
    }


def _links(job_id: str | None, root: str, *, streamed: bool) -> dict[str, Any]:
    if job_id is None:
        return {"refresh_job_url": None, "cancel_job_url": None, "links": {}}
    name = quote(job_id, safe="")
    status, cancel = f"{root}/status/{name}", f"{root}/cancel/{name}"
    return {
        "refresh_job_url": f"{root}/status?job_id={name}",
        "cancel_job_url": cancel,
        "links": {"status": status, "cancel": cancel, **({"stream": f"{root}/stream/{name}"} if streamed else {})},
    }


def _written_out(value: Any) -> Any:
    """The value with each file as the JSON object media-toolkit reads."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, FileValue):
        content = value.url if value.body is None and value.url is not None else _base64(value)
        return {"file_name": value.name, "content_type": value.media_type, "content": content}
    if isinstance(value, Mapping):
        return {k: v if type(v) in _LEAVES else _written_out(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [v if type(v) in _LEAVES else _written_out(v) for v in value]
    return value


# --- any of the forms, read -------------------------------------------------------------------------------


def dialect(raw: Any) -> str | None:
    """Whose envelope this is: `farcall`, `apipod` or `fasttaskapi`; None if it is no envelope."""
    if not isinstance(raw, Mapping):
        return None
    if "farcall" in raw:
        return "farcall" if "state" in raw else None
    if not isinstance(raw.get("status"), str):
        return None
    if "job_id" in raw:
        return "apipod"
    return "fasttaskapi" if "id" in raw and ("endpoint_protocol" in raw or "progress" in raw) else None


def read(raw: Mapping[str, Any], *, base: str = "", data: Mapping[str, str] = _NOTHING) -> Snapshot:
    """A look at a job from any of the three forms. Our own satisfies `read(render(s)) == s`.

    Args:
        raw: The envelope, parsed; it is left as it is.
        base: The service's address; put before the files' relative addresses. Empty: they stay relative.
        data: Added to the snapshot's data.

    Raises:
        ProtocolError: It is no envelope, or holds a status word that is in no table.
    """
    return _own(raw, base, data) if "farcall" in raw else _older(raw, data)


def _own(raw: Mapping[str, Any], base: str, data: Mapping[str, str]) -> Snapshot:
    if raw["farcall"] != VERSION:
        raise ProtocolError(
            f"The service speaks version {raw['farcall']!r} of farcall's job protocol and this farcall reads "
            f"{VERSION}; upgrade the older one."
        )
    fault = _mapping(raw, "error")
    result, logs, progress, rest_s = raw.get("result"), raw.get("logs"), raw.get("progress"), raw.get("retry_after_s")
    if entries := raw.get("files"):
        result = _placed(result, [_file_at(entry, base) for entry in _sequence(entries, "files")])
    return Snapshot(
        state=states.state(raw.get("state"), states.OWN),
        job_id=_text(raw, "id"),
        progress=None if progress is None else _share(progress),
        message=_text(raw, "message"),
        result=result,
        error=_text(fault, "message") if fault else None,
        error_type=_text(fault, "type") if fault else None,
        traceback=_text(fault, "traceback") if fault else None,
        logs=None if logs is None else tuple(str(line) for line in _sequence(logs, "logs")),
        data={**_texts(raw, "data"), **data},
        retry_after_s=None if rest_s is None else _number(rest_s, "retry_after_s"),
    )


def read_chunk(raw: Any, *, base: str = "") -> Any:
    """A piece of output from what `render_chunk` made.

    Raises:
        ProtocolError: It is something else.
    """
    if not isinstance(raw, Mapping) or "value" not in raw:
        raise ProtocolError(f"The stream holds a piece of output without its value: {str(raw)[:80]!r}.")
    return _placed(raw["value"], [_file_at(entry, base) for entry in _sequence(raw.get("files"), "files")])


def _file_at(entry: Any, base: str) -> tuple[At, FileValue]:
    if not isinstance(entry, Mapping) or not _is_place(entry.get("at")):
        raise ProtocolError(f"An envelope lists a file without saying where it stands: {str(entry)[:80]!r}.")
    text, url = _text(entry, "base64"), _text(entry, "url")
    if text is None and url is None:
        raise ProtocolError(f"An envelope lists a file without address and content: {str(entry)[:80]!r}.")
    size = entry.get("size")
    return tuple(entry["at"]), FileValue(
        name=base_name(_text(entry, "name") or ""),
        media_type=_text(entry, "media_type") or _UNKNOWN_TYPE,
        body=None if text is None else Base64Body(text),
        url=url if url is None else _absolute(url, base),
        size=size if isinstance(size, int) else None,
    )


def _is_place(at: Any) -> bool:
    return isinstance(at, list) and all(isinstance(k, str) or (type(k) is int and k >= 0) for k in at)


def _absolute(url: str, base: str) -> str:
    return url if not base or url.startswith(("http://", "https://")) else join(base, url)


def _placed(value: Any, files: Sequence[tuple[At, FileValue]]) -> Any:
    """A copy of the value with the files where they stand; what holds no file is shared."""
    if len(files) == 1 and not files[0][0]:
        return files[0][1]
    made: Any = dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else None
    inside: dict[str | int, list[tuple[At, FileValue]]] = {}
    try:
        for at, file in files:
            inside.setdefault(at[0], []).append((at[1:], file))
        for key, group in inside.items():
            made[key] = _placed(made[key], group)
    except (KeyError, IndexError, TypeError) as error:
        place = list(files[0][0])
        raise ProtocolError(f"An envelope puts a file at {place!r}, which its result lacks.") from error
    return made


def _older(raw: Mapping[str, Any], data: Mapping[str, str]) -> Snapshot:
    """FastTaskAPI's envelope (progress is an object), APIPod's (a number; nulls left out), or both in one."""
    ours = "job_id" not in raw and "endpoint_protocol" in raw
    state = states.state(raw.get("status"), states.FASTTASKAPI if ours else states.APIPOD)
    progress, message, error = raw.get("progress"), _text(raw, "message"), _text(raw, "error")
    if isinstance(progress, Mapping):
        message = message or _text(progress, "message")
        progress = progress.get("progress")
    return Snapshot(
        state=state,
        job_id=_text(raw, "job_id") or _text(raw, "id"),
        progress=_share(progress),
        message=message,
        result=files_in(raw.get("result")),
        error=message if error is None and state is State.FAILED else error,
        data={**_stream_marks(raw), **data},
    )


def _stream_marks(raw: Mapping[str, Any]) -> dict[str, str]:
    """Whether output is there to be streamed: `maybe` if a link says so, `now` once the job says so."""
    if raw["status"].lower() == "streaming":
        return {"stream": "now"}
    return {"stream": "maybe"} if _mapping(raw, "links").get("stream") else {}


_FILE_KEYS: Final = frozenset({"file_name", "content_type", "content"})


def files_in(value: Any) -> Any:
    """A copy of a result with each file object `{file_name, content_type, content}` as a `FileValue`.

    The older forms do not mark files, so exactly these keys (and `max_size_mb`) are what is known of them.
    Source: answers of fast_task_api 1.3.3 and apipod 1.0.33, recorded 2026-11-23.
    """
    if type(value) in _LEAVES:
        return value
    if isinstance(value, Mapping):
        if value.keys() - {"max_size_mb"} == _FILE_KEYS and isinstance(value["content"], str):
            return _file(value)
        return {k: v if type(v) in _LEAVES else files_in(v) for k, v in value.items()}
    return [v if type(v) in _LEAVES else files_in(v) for v in value]


def _file(raw: Mapping[str, Any]) -> FileValue:
    content = raw["content"]
    name, media_type = base_name(str(raw["file_name"] or "")), str(raw["content_type"] or _UNKNOWN_TYPE)
    if content.startswith(("http://", "https://")):
        return FileValue(name=name, media_type=media_type, url=content)
    body: Body = Base64Body(content.partition(",")[2] if content.startswith("data:") else content)
    return FileValue(name=name, media_type=media_type, body=body, size=body.length)


# --- fields, checked --------------------------------------------------------------------------------------


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _wrong(key, value)


def _mapping(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    if value is None:
        return _NOTHING
    if isinstance(value, Mapping):
        return value
    raise _wrong(key, value)


def _texts(raw: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value = _mapping(raw, key)
    if all(isinstance(text, str) for text in value.values()):
        return value
    raise _wrong(key, value)


def _sequence(value: Any, key: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise _wrong(key, value)


def _number(value: Any, key: str) -> float | None:
    if value is None or type(value) is float or type(value) is int:
        return value
    raise _wrong(key, value)


def _share(value: Any) -> float | None:
    number = _number(value, "progress")
    return None if number is None else min(max(float(number), 0.0), 1.0)


def _wrong(key: str, value: Any) -> ProtocolError:
    return ProtocolError(f"A job's envelope has {str(value)[:80]!r} for {key!r}, which its protocol forbids.")
