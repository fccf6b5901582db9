"""Answers in: what a reply of Runpod says of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from farcall.binding import Binding
from farcall.errors import ProtocolError
from farcall.jobs import Chunk, JobRef, Missing, Snapshot, State, Step, Update
from farcall.spec import EndpointSpec
from farcall.wire import Response, StreamEvent, Webhook
from pydantic_core import from_json

from farcall_runpod import facts, faults, inside, limits
from farcall_runpod.faults import Fault
from farcall_runpod.progress import progress
from farcall_runpod.states import state

_SYNC: Final = "sync-"
_LOCAL_ID: Final = "test-"
_LOCAL_MISSING: Final = "Job ID not found"
_NO_VALUE_YET: Final = frozenset({State.QUEUED, State.RUNNING})
_MARK: Final[Mapping[str, str]] = {"host": facts.LOCAL}


def read(
    binding: Binding,
    answer: Response | StreamEvent | Webhook,
    step: Step,
    jobs: Sequence[JobRef],
    endpoint: EndpointSpec | None,
) -> Sequence[Update]:
    """What an answer says; nothing where its HTTP status says all.

    Raises:
        ProtocolError: It is not what Runpod promises, or holds a status word that is in no table.
    """
    if isinstance(answer, StreamEvent):
        raise ProtocolError(f"Runpod sends no events, and this is one: {answer.data[:80]!r}.")
    if isinstance(answer, Webhook):
        return (_look(binding, _mapping(_parsed(answer.content)), jobs),)
    if not answer.ok:
        return _refused(binding, answer, step, jobs)
    if endpoint is not None and endpoint.job is False:
        return (Snapshot(state=State.SUCCEEDED, progress=1.0, result=answer.json()),)
    if step is Step.STREAM:
        return _pieces(answer.json(), jobs)
    if step is Step.CANCEL:
        return _cancelled(answer, jobs)
    return _seen(binding, _mapping(answer.json()), step, jobs)


def _refused(binding: Binding, answer: Response, step: Step, jobs: Sequence[JobRef]) -> Sequence[Update]:
    """An HTTP error: a job is gone, or broke the local test server, which would run it again if asked again."""
    if answer.status == HTTPStatus.NOT_FOUND and step in {Step.POLL, Step.CANCEL}:
        return [Missing(job_id=job.id, message=_forgotten(job)) for job in jobs]
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and step is Step.POLL:
        return [_broke(job, answer) for job in jobs if facts.is_local_job(binding, job)]
    return ()


def _broke(job: JobRef, answer: Response) -> Snapshot:
    said = f"The local test server broke over this job; its log tells why. It says: {answer.text[:200].strip()!r}."
    return Snapshot(state=State.FAILED, job_id=job.id, error=said)


def _seen(binding: Binding, raw: Mapping[str, Any], step: Step, jobs: Sequence[JobRef]) -> Sequence[Update]:
    if raw.get("error") == _LOCAL_MISSING:
        return (Missing(job_id=_text(raw, "id"), message=f"{_LOCAL_MISSING}."),)
    look = _look(binding, raw, jobs)
    if look.job_id is None and step is Step.SUBMIT:
        raise ProtocolError(f"Runpod accepted a job without saying its id: {str(raw)[:120]!r}.")
    return () if _is_older(look, jobs) else (look, *_shown_at_once(raw.get("output"), look))


def _is_older(look: Snapshot, jobs: Sequence[JobRef]) -> bool:
    """Whether a worker of ours had already said more: progress reaches Runpod in any order."""
    if look.state.ended or len(jobs) != 1:
        return False
    known, said = jobs[0].data.get("rev", ""), look.data.get("rev", "")
    return known.isdecimal() and said.isdecimal() and int(said) < int(known)


def _look(binding: Binding, raw: Mapping[str, Any], jobs: Sequence[JobRef]) -> Snapshot:
    """The look at a job, with what its worker put inside; an end that the worker tells is the end."""
    where, job_id = state(raw.get("status")), _text(raw, "id") or (jobs[0].id if len(jobs) == 1 else None)
    local = facts.is_local(binding) or (job_id or "").startswith(_LOCAL_ID)
    data = _MARK if local else {}
    if where is State.SUCCEEDED:
        return _succeeded(raw.get("output"), job_id, data)
    if where is State.FAILED:
        return _failed(raw, job_id, data)
    if where in _NO_VALUE_YET:
        return _under_way(raw.get("output"), where, job_id, data)
    error = _reason(raw) if where is State.TIMED_OUT else None
    return Snapshot(state=where, job_id=job_id, error=error, data=data)


def _succeeded(output: Any, job_id: str | None, data: Mapping[str, str]) -> Snapshot:
    told = inside.look(output)
    if told is None:
        return Snapshot(state=State.SUCCEEDED, job_id=job_id, progress=1.0, result=output, data=data)
    if not told.state.ended:
        raise ProtocolError(f"Runpod says that job {job_id} is COMPLETED, and its output that it is {told.state}.")
    if told.state is State.FAILED and not told.error:
        told = replace(told, error=faults.NO_REASON)
    return _merged(told, job_id, data)


def _failed(raw: Mapping[str, Any], job_id: str | None, data: Mapping[str, str]) -> Snapshot:
    """A failure; a worker of ours tells in it also whether the job was cancelled, and its log."""
    output = raw.get("output")
    found = _fault(raw)
    told = inside.look(found.said) or inside.look(output)
    ended = told if told is not None and told.state in _ILL else Snapshot(state=State.FAILED)
    cancelled = ended.state is State.CANCELLED
    ended = replace(
        ended,
        result=None,
        error=None if cancelled else found.message,
        error_type=None if cancelled else found.kind,
        traceback=found.traceback,
    )
    return _merged(ended, job_id, data)


_ILL: Final = frozenset({State.FAILED, State.CANCELLED, State.TIMED_OUT})


def _fault(raw: Mapping[str, Any]) -> Fault:
    """Why a job failed; some workers say it in the output."""
    error, output = raw.get("error"), raw.get("output")
    if not error and isinstance(output, Mapping):
        error = output.get("error")
    return faults.fault(error)


def _reason(raw: Mapping[str, Any]) -> str | None:
    return faults.fault(raw["error"]).message if raw.get("error") else None


def _under_way(output: Any, where: State, job_id: str | None, data: Mapping[str, str]) -> Snapshot:
    """A job that has not ended: its output is what its worker says of it, and never its result."""
    told = inside.look(output)
    if told is not None:
        return _merged(replace(told, state=where, result=None, error=None), job_id, data)
    said = progress(output)
    return Snapshot(state=where, job_id=job_id, progress=said.share, message=said.message, data=data)


def _merged(told: Snapshot, job_id: str | None, data: Mapping[str, str]) -> Snapshot:
    """What the worker told, under Runpod's own id."""
    return replace(told, job_id=job_id, data={**_revision(told), **data})


def _revision(told: Snapshot) -> Mapping[str, str]:
    return {"rev": told.data["rev"]} if "rev" in told.data else {}


def _cancelled(answer: Response, jobs: Sequence[JobRef]) -> Sequence[Update]:
    """The answer to a cancel; where the job had ended before, the next look tells how."""
    raw = _mapping(answer.json())
    where = state(raw.get("status"))
    if where.ended and where is not State.CANCELLED:
        return ()
    return (Snapshot(state=where, job_id=_text(raw, "id") or jobs[0].id),)


def _pieces(raw: Any, jobs: Sequence[JobRef]) -> Sequence[Update]:
    """The pieces of output that a look brought; an example in Runpod's documentation has them as a bare list."""
    items = raw if isinstance(raw, list) else _mapping(raw).get("stream", [])
    if not isinstance(items, list):
        raise ProtocolError(f"Runpod's stream holds no list of pieces: {str(items)[:80]!r}.")
    return _chunks([_mapping(item).get("output") for item in items], jobs[0].id if jobs else None)


def _shown_at_once(output: Any, look: Snapshot) -> Sequence[Update]:
    """The pieces of output that the local test server shows with the end of a job, for it has no stream to be read.

    Of a worker of ours: what another one lists might be its result.
    """
    listed = look.state.ended and isinstance(output, list) and bool(output) and inside.is_look(output[-1])
    return _chunks(output, look.job_id) if listed and look.data.get("host") == facts.LOCAL else ()


def _chunks(values: Sequence[Any], job_id: str | None) -> Sequence[Update]:
    return [Chunk(value=inside.chunk(value), job_id=job_id) for value in values if not inside.is_look(value)]


def _forgotten(job: JobRef) -> str:
    """Why Runpod no longer knows a job."""
    kept_s = limits.RUNSYNC_KEPT_S if job.id.startswith(_SYNC) else limits.RUN_KEPT_S
    kept = f"{kept_s / 60:.0f} minute{'s' if kept_s > 60 else ''}"
    return (
        f"Runpod keeps a result for {kept} after the job's end, and drops every job at its ttl ({limits.TTL_S:.0f} s "
        "after submission, unless ttl_s says otherwise)."
    )


def _parsed(content: bytes) -> Any:
    try:
        return from_json(content)
    except ValueError as error:
        raise ProtocolError(f"Runpod's call back is no JSON: {content[:80]!r}.") from error


def _mapping(raw: Any) -> Mapping[str, Any]:
    if isinstance(raw, Mapping):
        return raw
    raise ProtocolError(f"Runpod's answer is no JSON object: {str(raw)[:120]!r}.")


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value
    raise ProtocolError(f"Runpod's answer has no text under {key!r}: {value!r}.")
