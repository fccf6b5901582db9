"""Answers in: what a reply says of its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from farcall.binding import Binding
from farcall.errors import ProtocolError
from farcall.jobs import JobRef, Missing, Rejected, Snapshot, State, Step, Update
from farcall.spec import EndpointSpec
from farcall.wire import Response, StreamEvent, Webhook

from farcall_fasttaskapi import dialects, envelope, events, states, streaming
from farcall_fasttaskapi.dialects import DEDICATED, Dialect

# Source: fast_task_api 1.3.3 and apipod 1.0.33, recorded 2026-11-23.
LOST: Final = "Job not found."
FULL: Final = "Queue size limit reached for"

_MARKS: Final[Mapping[str, Mapping[str, str]]] = {d.value: {"dialect": d.value} for d in Dialect}


def read(
    binding: Binding,
    answer: Response | StreamEvent | Webhook,
    step: Step,
    jobs: Sequence[JobRef],
    endpoint: EndpointSpec | None,
) -> Sequence[Update]:
    """What an answer says, as `farcall_read` is asked."""
    if isinstance(answer, StreamEvent):
        return _streamed(binding, answer, jobs)
    if isinstance(answer, Webhook) or step is Step.STREAM:
        return ()
    if not answer.ok:
        return _failure(binding, answer, step, jobs)
    if step is Step.SUBMIT:
        return (_submitted(binding, answer, endpoint),)
    raw = answer.json() if _is_json(answer) else None
    if step is Step.CANCEL:
        return _cancelled(binding, raw)
    return _looked_at(binding, raw, answer)


def _streamed(binding: Binding, event: StreamEvent, jobs: Sequence[JobRef]) -> Sequence[Update]:
    job_id = jobs[0].id if jobs else None
    whose = dialects.of_job(binding, jobs[0]) if jobs else dialects.of_binding(binding)
    if whose is Dialect.FARCALL:
        return events.updates(event, job_id, base=binding.options.url)
    return streaming.chunks(event, job_id)


# --- a submission -----------------------------------------------------------------------------------------


def _submitted(binding: Binding, answer: Response, endpoint: EndpointSpec | None) -> Update:
    if not _is_json(answer):
        if _promised(binding, endpoint):
            raise _no_job(answer, answer.text or answer.media_type)
        return Snapshot(state=State.SUCCEEDED, result=None if answer.status == HTTPStatus.NO_CONTENT else answer)
    raw = answer.json()
    whose = envelope.dialect(raw)
    if whose == Dialect.FARCALL:
        return envelope.read(raw, base=binding.options.url, data=_MARKS[whose])
    promised = _promised(binding, endpoint)
    if whose is None or promised is False:
        return _plain(binding, raw, promised=promised, answer=answer)
    if _is_full(raw):
        return Rejected(message=raw["error"], job_id=None)
    return _update(binding, raw)


def _plain(binding: Binding, raw: Any, *, promised: bool | None, answer: Response) -> Snapshot:
    """A reply that is the result itself."""
    if promised:
        raise _no_job(answer, raw)
    ours = dialects.of_binding(binding) is Dialect.FARCALL
    return Snapshot(state=State.SUCCEEDED, result=raw if ours else envelope.files_in(raw))


def _no_job(answer: Response, said: Any) -> ProtocolError:
    answer.drop()
    return ProtocolError(
        f"The service described this endpoint as one that makes a job, and replied {str(said)[:80]!r}.",
        response=answer,
    )


def _promised(binding: Binding, endpoint: EndpointSpec | None) -> bool | None:
    """Whether the endpoint that was asked makes jobs, as far as it was described; None: the reply tells."""
    if binding.traits.get("compute") == DEDICATED:
        return False
    return None if endpoint is None else endpoint.job


def _is_full(raw: Mapping[str, Any]) -> bool:
    """Whether a failed job never was in the queue: the older servers say so with HTTP 200."""
    error, metrics = raw.get("error"), raw.get("metrics")
    queued = raw.get("queued_at") or (isinstance(metrics, Mapping) and metrics.get("queued_at"))
    return isinstance(error, str) and error.startswith(FULL) and not queued


# --- a look, a cancellation -------------------------------------------------------------------------------


def _looked_at(binding: Binding, raw: Any, answer: Response) -> Sequence[Update]:
    if isinstance(raw, Mapping):
        if "farcall" in raw and isinstance(raw.get("jobs"), list):
            return [_update(binding, job) for job in raw["jobs"]]
        if "status" in raw or "farcall" in raw:
            return (_update(binding, raw),)
    said = answer.text[:80].strip() if raw is None else str(raw)[:80]
    raise ProtocolError(f"Asked for a job's state, the service replied {said!r}.", response=answer)


def _cancelled(binding: Binding, raw: Any) -> Sequence[Update]:
    known = isinstance(raw, Mapping) and ("status" in raw or "farcall" in raw)
    return (_update(binding, raw),) if known else ()


def _update(binding: Binding, raw: Any) -> Update:
    if not isinstance(raw, Mapping):
        raise ProtocolError(f"Among the jobs, the service listed {str(raw)[:80]!r}.")
    if _is_missing(raw):
        job_id = raw.get("job_id") or raw.get("id")
        return Missing(job_id=job_id if isinstance(job_id, str) else None, message=LOST)
    whose = envelope.dialect(raw) or dialects.of_binding(binding)
    return envelope.read(raw, base=binding.options.url, data=_MARKS[whose])


def _is_missing(raw: Mapping[str, Any]) -> bool:
    """Whether a reply says that there is no such job: a failure without dates, or a word for it."""
    if "farcall" in raw:
        return raw.get("missing") is True
    if str(raw.get("status")).lower() == states.NOT_FOUND:
        return True
    return raw.get("error") == LOST and not raw.get("created_at") and not raw.get("metrics")


# --- an HTTP error ----------------------------------------------------------------------------------------


def _failure(binding: Binding, answer: Response, step: Step, jobs: Sequence[JobRef]) -> Sequence[Update]:
    """What an HTTP error says beyond its status; nothing where it holds no envelope."""
    raw = _json_or_none(answer)
    if not isinstance(raw, Mapping):
        return ()
    if raw.get("detail") == LOST or _is_missing(raw):
        return [Missing(job_id=job.id, message=LOST) for job in jobs]
    if envelope.dialect(raw) is None:
        return ()
    update = _update(binding, raw)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS and step is Step.SUBMIT and isinstance(update, Snapshot):
        return (Rejected(message=update.error or "", retry_after_s=_retry_after_s(answer, update)),)
    return (update,)


def _retry_after_s(answer: Response, snapshot: Snapshot) -> float | None:
    """Seconds from the envelope, else from the header; a date there is not read, for want of a clock."""
    text = answer.headers.get("retry-after", "")
    return float(text) if snapshot.retry_after_s is None and text.isdecimal() else snapshot.retry_after_s


def _is_json(answer: Response) -> bool:
    return answer.media_type.endswith("json")


def _json_or_none(answer: Response) -> Any:
    try:
        return answer.json() if _is_json(answer) else None
    except ProtocolError:  # the HTTP status says more than a broken body
        return None
