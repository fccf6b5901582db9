"""What a reply says of a job: when it was submitted, when it is looked at, when it was cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from farcall import replies
from farcall.errors import ProtocolError
from farcall.jobs import JobRef, Missing, Snapshot, State, Update
from farcall.wire import Request, Response, origin

from farcall_openapi import answers, media, states
from farcall_openapi.polling import Polling, filled, inside

_ACCEPT: Final = "application/json, */*;q=0.1"
_ALWAYS: Final = ("operation-location", "azure-asyncoperation")
"""Headers that name a job's address in a reply of any status; `location` does in a 202."""
_STATES: Final = ("status", "state", "properties.provisioningState")
_RESULTS: Final = ("result", "output", "properties.output")
_IDS: Final = ("id", "job_id", "jobId", "task_id", "taskId", "operationId", "name")
_REASONS: Final = ("error", "message", "detail", "title", "reason")
_GONE: Final = frozenset({404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Where a job's reply belongs.

    Args:
        base: The service's address.
        plan: What is known of its jobs; None: only what their headers tell.
        method: Of the submitting request; empty if it is unknown.
    """

    base: str
    plan: Polling | None
    method: str = ""


def submitted(looking: Looking, answer: Response) -> Snapshot | None:
    """The job that a submitting reply names; None if the reply is the result.

    Raises:
        ProtocolError: It says that there is a job, but not where it can be asked for.
    """
    plan, body = looking.plan, _body(answer)
    if plan is not None and plan.accepted_only and answer.status != 202:
        plan = None
    found = _found(looking, plan, answer, body)
    if found is None:
        return None
    answer.drop()
    job_id, data = found
    return Snapshot(state=_first_state(plan, body), job_id=job_id, data=data, retry_after_s=retry_after(answer))


def looked(looking: Looking, answer: Response, job: JobRef) -> list[Update]:
    """What a look says."""
    stage = job.data.get("stage")
    if stage == "error":
        error = replies.words(answer)
        answer.drop()
        return [Snapshot(state=State.FAILED, job_id=job.id, error=error or None)]
    if answer.status in _GONE:
        answer.drop()
        return [Missing(job_id=job.id, message=replies.words(answer))]
    if not answer.ok:
        return []
    if stage == "result" or (stage == "again" and answer.status != 202):
        return [_succeeded(job, answers.result(answer))]
    return [_look(looking, answer, job)]


def cancelled(looking: Looking, answer: Response, job: JobRef) -> list[Update]:
    """What the reply to a cancellation says of the job; nothing if it does not name the state."""
    body = _body(answer)
    answer.drop()
    word = _word(looking.plan, body)
    own = looking.plan.states if looking.plan is not None else {}
    state = (own.get(word) or states.known(word)) if answer.ok and isinstance(word, str) else None
    return [Snapshot(state=state, job_id=job.id)] if state in {State.CANCELLED, State.RUNNING, State.QUEUED} else []


def request(base: str, job: JobRef) -> Request | None:
    """The request that looks at a job; None if nothing says where it is.

    Raises:
        ProtocolError: The job's address is another service's.
    """
    link = job.data.get("status")
    if link is None:
        return None
    _inside(link, {origin(base)})
    method = job.data.get("method", "GET")
    return Request(method=method, url=link, headers={"accept": _ACCEPT}, repeatable=True)


def cancelling(base: str, job: JobRef) -> Request | None:
    """The request that cancels a job; None if nothing says how."""
    method, _, link = job.data.get("cancel", "").partition(" ")
    if not link:
        return None
    _inside(link, {origin(base)})
    return Request(method=method, url=link, headers={"accept": _ACCEPT}, repeatable=True)


# --- a submission -------------------------------------------------------------------------------------------------


def _found(
    looking: Looking, plan: Polling | None, answer: Response, body: Mapping[str, Any]
) -> tuple[str, dict[str, str]] | None:
    """A job's id, and how it is looked at; None if there is no job."""
    if plan is not None and (job_id := inside(body, plan.id_field)) is not None:
        return str(job_id), _addresses(looking.base, plan, str(job_id))
    if link := _link(answer):
        data = {"status": _own(link, looking.base, answer)}
        if (place := answer.headers.get("location")) and urljoin(answer.url, place) != link:
            data["result"] = _own(urljoin(answer.url, place), looking.base, answer)
        return _id(body, link), data
    if plan is not None and plan.endpoints:
        raise ProtocolError(
            f"The reply has no {plan.id_field!r}, by which its job could be asked for.", response=answer
        )
    if answer.status == 202 and answer.headers.get("retry-after"):
        return _id(body, answer.url), _again(looking, answer, body)
    return None


def _again(looking: Looking, answer: Response, body: Mapping[str, Any]) -> dict[str, str]:
    """Where a 202 is followed that says when to ask, but not where.

    A GET is asked again. A PUT or PATCH whose reply has a `provisioningState` is followed at its own address (Azure
    Resource Manager, asynchronous operations). Anything else would be a second submission.
    """
    if looking.method == "GET":
        return {"status": answer.url, "stage": "again"}
    if looking.method in {"PUT", "PATCH"} and inside(body, "properties.provisioningState") is not None:
        return {"status": answer.url}
    raise ProtocolError(
        "The service has accepted the call and says with Retry-After when to ask for its result, but not where: there "
        "is no Location. It may be at work on it. If its jobs can be asked for, say how: job={'status_path': …}.",
        response=answer,
    )


def _id(body: Mapping[str, Any], link: str) -> str:
    said = next((body[name] for name in _IDS if isinstance(body.get(name), str | int)), None)
    return str(said) if said is not None else urlsplit(link).path.rstrip("/").rpartition("/")[2] or link


def _first_state(plan: Polling | None, body: Mapping[str, Any]) -> State:
    word = _word(plan, body)
    if word is None:
        return State.QUEUED
    state = states.known(str(word)) if plan is None else states.state_of(word, plan.states)
    if state is None:
        return State.QUEUED
    return State.RUNNING if state.ended else state  # how it ended is what the first look tells


# --- a look -------------------------------------------------------------------------------------------------------


def _look(looking: Looking, answer: Response, job: JobRef) -> Snapshot:
    plan, body = looking.plan, _body(answer)
    word = _word(plan, body)
    if plan is not None and word is None:
        raise ProtocolError(f"A look at a job has no {plan.state_field!r}: {answer.text[:120]!r}.", response=answer)
    if plan is None and answer.status != 202 and (word is None or _moved(answer, job)):
        return _succeeded(job, answers.result(answer))
    state = State.RUNNING if word is None else states.state_of(word, plan.states if plan is not None else {})
    if answer.status == 202 and state.ended and plan is None:
        state = State.RUNNING
    if state is State.SUCCEEDED:
        return _ended_well(looking, answer, job, body)
    if state is State.FAILED:
        return _failed(looking, answer, job, body)
    return Snapshot(
        state=state,
        job_id=job.id,
        progress=_progress(plan, body),
        message=body["message"] if isinstance(body.get("message"), str) else None,
        data=_onward(looking, answer),
        retry_after_s=retry_after(answer),
    )


def _ended_well(looking: Looking, answer: Response, job: JobRef, body: Mapping[str, Any]) -> Snapshot:
    plan = looking.plan
    if plan is not None and plan.result_field is not None:
        return _succeeded(job, inside(body, plan.result_field))
    if plan is None or plan.result_path is None:
        found = [inside(body, name) for name in _RESULTS if inside(body, name) is not None]
        if found:
            return _succeeded(job, found[0])
    link = body.get("resourceLocation") if plan is None else None
    link = _own(urljoin(answer.url, link), looking.base, answer) if isinstance(link, str) else job.data.get("result")
    return _succeeded(job, dict(body)) if link is None else _stage(job, "result", link)


def _failed(looking: Looking, answer: Response, job: JobRef, body: Mapping[str, Any]) -> Snapshot:
    plan = looking.plan
    said = inside(body, plan.error_field) if plan is not None and plan.error_field else None
    if plan is not None and plan.result_path and said is None and not any(body.get(name) for name in _REASONS):
        return _stage(job, "error", job.data["result"])  # the look says no more than that it failed
    error = replies.words(answer) if said is None else str(said)
    return Snapshot(state=State.FAILED, job_id=job.id, error=error or None)


def _stage(job: JobRef, stage: str, link: str) -> Snapshot:
    """Look once more, for the result or the error itself."""
    data = {**job.data, "stage": stage, "status": link, "method": "GET"}
    return Snapshot(state=State.RUNNING, job_id=job.id, data=data, retry_after_s=0.0)


def _succeeded(job: JobRef, result: Any) -> Snapshot:
    return Snapshot(state=State.SUCCEEDED, job_id=job.id, progress=1.0, result=result)


def _body(answer: Response) -> Mapping[str, Any]:
    if not answer.content or not media.is_json(answer.media_type):
        return {}
    body = answer.json()
    return body if isinstance(body, Mapping) else {}


def _word(plan: Polling | None, body: Mapping[str, Any]) -> Any:
    names = _STATES if plan is None else (plan.state_field,)
    words = [word for name in names if (word := inside(body, name)) is not None]
    return words[0] if words else None


def _progress(plan: Polling | None, body: Mapping[str, Any]) -> float | None:
    if plan is not None:
        value, whole = inside(body, plan.progress_field) if plan.progress_field else None, plan.progress_max
    else:
        value, whole = body.get("percentComplete"), 100.0  # Microsoft's REST guidelines, long-running operations
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(1.0, max(0.0, value / whole))


def retry_after(answer: Response) -> float | None:
    """Seconds the service asks to wait; a date counts from the reply's own."""
    value = answer.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return replies.retry_after(answer, now)


# --- addresses ----------------------------------------------------------------------------------------------------


def _addresses(base: str, plan: Polling, job_id: str) -> dict[str, str]:
    data = {"status": filled(base, plan.status_path, job_id), "method": plan.status_method}
    if plan.result_path is not None:
        data["result"] = filled(base, plan.result_path, job_id)
    if plan.cancel_path is not None:
        data["cancel"] = f"{plan.cancel_method} {filled(base, plan.cancel_path, job_id)}"
    return data


def _link(answer: Response) -> str:
    names = (*_ALWAYS, "location") if answer.status == 202 else _ALWAYS
    place = next((answer.headers[name] for name in names if answer.headers.get(name)), "")
    return urljoin(answer.url, place) if place else ""


def _onward(looking: Looking, answer: Response) -> dict[str, str]:
    """Where to look next, if this reply says it anew."""
    link = _link(answer) if looking.plan is None else ""
    return {"status": _own(link, looking.base, answer)} if link else {}


def _own(link: str, base: str, answer: Response) -> str:
    _inside(link, {origin(base), origin(answer.url)} if base else {origin(answer.url)})
    return link


def _inside(link: str, origins: set[str]) -> None:
    if urlsplit(link).scheme not in {"http", "https"} or origin(link) not in origins:
        raise ProtocolError(
            f"The service says that its job is to be asked for at {origin(link)}, which is another service; "
            "nothing was sent there. Connect to that one if you trust it."
        )


def _moved(answer: Response, job: JobRef) -> bool:
    """Whether the look was sent on to the result (303 See Other)."""
    return answer.url.rstrip("/") != job.data.get("status", "").rstrip("/")
