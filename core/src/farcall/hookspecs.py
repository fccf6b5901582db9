"""The contract with plugins: every hook farcall calls, with what it asks and when.

A provider is a module with functions of these names, marked with `farcall.hookimpl` and registered under the entry
point group `farcall.providers`. Provider hooks are pure: values in, values out. No client, no `await`, no clock, no
environment, no state. An implementation may leave out arguments it does not need.

Where a hook may take several requests, it returns a *flow*: a generator that yields `Request`s, is sent each
`Response`, and returns the value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pluggy
from pydantic import BaseModel

from farcall.binding import Binding
from farcall.jobs import Event, JobRef, Recognition, Snapshot, Step, Update
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.storage_driver import StorageDriver
from farcall.wire import (
    Document,
    FilePolicy,
    FileValue,
    Request,
    Response,
    Sender,
    StreamEvent,
    Webhook,
)

T = TypeVar("T")
Flow = Generator[Request, Response, T]

hookspec = pluggy.HookspecMarker("farcall")
hookimpl = pluggy.HookimplMarker("farcall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of an endpoint, its arguments checked and cast.

    Args:
        endpoint: What is called.
        arguments: Only those given; JSON values, and where a file stands: a `FileValue` to send as a part, or a
            text (a data URI or a link), as the file policy decided.
        options: The provider's own options of this call, as its `farcall_call_options` model; None if it has none.
        token: 32 or more hexadecimal digits, this call's own: a multipart boundary, an id the host takes.
        idempotency_key: By which a host that has an `idempotency_header` knows the call again; None where it has
            none. The core writes that header, unless the provider has.
        wait_s: How long the caller would wait for the reply, in seconds; None: it wants a job at once.
    """

    endpoint: EndpointSpec
    arguments: Mapping[str, Any]
    options: Any = None
    token: str = ""
    idempotency_key: str | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key, and how to show it. Its repr shows neither.

    Args:
        secret: The key; for basic auth `user:password`.
        place: Where it comes from, in a user's words: `CLOUD_API_KEY`; empty if that is not known.
    """

    secret: str
    place: str = ""

    def __repr__(self) -> str:
        return "Credential(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Headers a host gave for a time, kept by the engine for all callers of one binding.

    Args:
        headers: What is added to each request.
        expires_at: When it must be asked for anew (UTC); None: never.
    """

    headers: Mapping[str, str]
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Grant(expires_at={self.expires_at})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """What is fixed about a host, as a table the engine reads.

    Args:
        url: The bound service's base address; the key goes to its origin and to no other.
        origins: The host's own public origins: a key set for the provider by name, or in the environment, goes only
            to these or to this machine.
        key_names: Environment variables that customarily hold the key, first one first.
        result_in_reply: Whether every reply is the result, so that there are no jobs.
        read_once: Whether the host forgets a job once its end was read.
        poll_repeatable: Whether a look may be taken again after a lost reply.
        poll_min_s: Seconds before the first look.
        poll_max_s: The longest pause between two looks, in seconds.
        poll_batch: How many jobs one look may ask for.
        poll_per_s: Looks a second for the whole service, at most.
        long_poll_s: The longest time the host holds a look open, in seconds; None: it answers at once.
        idempotency_header: The header by which the host tells a repeated submission; None: it cannot.
        stream: How the host sends output: `sse`, `ndjson`, `raw` text; `polled`: each reply brings the pieces that
            are new, until the job has ended and none is left; None: it has no stream.
        submits_at_once: How many submissions may be under way at the same time.
        submit_rate: How many submissions in how many seconds, for the whole service, at most; None: no limit.
        max_envelope_bytes: The largest JSON or text reply that is read into memory.
        drop_connection_after: HTTP statuses after which the host drops the connection without saying so.
        retention_s: Seconds the host keeps a result, for the sentence of `JobLost`; None if unknown.
    """

    url: str
    origins: tuple[str, ...] = ()
    key_names: tuple[str, ...] = ()
    result_in_reply: bool = False
    read_once: bool = False
    poll_repeatable: bool = True
    poll_min_s: float = 0.01
    poll_max_s: float = 2.0
    poll_batch: int = 1
    poll_per_s: float = 100.0
    long_poll_s: float | None = None
    idempotency_header: str | None = None
    stream: str | None = None
    submits_at_once: int = 256
    submit_rate: tuple[int, float] | None = None
    max_envelope_bytes: int = 64 * 1024 * 1024
    drop_connection_after: frozenset[int] = frozenset()
    retention_s: float | None = None


# --- providers: one answers, all pure ------------------------------------------------------------------------------


@hookspec(firstresult=True)
def farcall_facts(binding: Binding) -> ProviderFacts:
    """The host's fixed facts. Required. Called when a service is connected and again once it is described.

    Args:
        binding: The service, its options checked; `binding.service` holds what its description said, None before.

    Returns:
        The table.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_options() -> type[BaseModel]:
    """What a binding to this host takes (`url`, `endpoint_id`, …). Required. Called once, at connect.

    Returns:
        A pydantic model class; unknown options are refused by the core, so it need not forbid them itself.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_call_options() -> type[BaseModel] | None:
    """What `.options(…)` of one call takes beside the core's own `timeout_s`, `idempotency_key`, `headers`, `follow`.

    Called when a service is connected, and when options are given.

    Returns:
        A pydantic model class whose fields all have defaults; None: nothing.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_recognise(url: str | None, document: Document | None) -> Recognition:
    """Whether this service is one of this host's.

    Called when the user named no provider, first with the address alone, then with each description found.

    Args:
        url: The address the user gave, `http://127.0.0.1:8000`; None if a description was handed over.
        document: A description of the service; None when only the address is known.

    Returns:
        `CERTAIN` if it bears the host's own mark, `GENERIC` if it would do, `NO` if not.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_discover(binding: Binding) -> Flow[Document | None] | None:
    """Fetch the service's description. Called when the binding brings no endpoints.

    Args:
        binding: The service, its options checked.

    Returns:
        A flow that returns the description, or None if there is none; None: nothing to fetch. A yielded GET is sent
        once even if several providers ask for the same.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_describe(binding: Binding, document: Document) -> ServiceSpec | Flow[ServiceSpec]:
    """Read a description. Called once, with what `farcall_discover` returned or the user handed over.

    Args:
        binding: The service, its options checked.
        document: The description.

    Returns:
        The service's endpoints; what could not be read is listed in its `problems`, not raised. Or, where the
        description is in several files, a flow that fetches the others and returns the service: its requests are
        sent without following redirects, and for a description on this machine may be `file://` within its folder.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_submit(binding: Binding, call: Call) -> Request | Flow[Request]:
    """The request that starts a call. Required. Called for every call, after the files.

    Args:
        binding: The service; `binding.service` holds its description.
        call: What to call with what.

    Returns:
        The submitting request, without credentials; or a flow whose yielded requests come first and which *returns*
        the submitting one. Never both: only the returned one starts the job.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_status(binding: Binding, jobs: Sequence[JobRef], wait_s: float | None) -> Request | None:
    """The request that looks at jobs. Required unless `facts.result_in_reply`. Called when a look is due.

    Args:
        binding: The service.
        jobs: One, or up to `facts.poll_batch`.
        wait_s: Ask the host to hold the look open so long, in seconds; None: answer at once.

    Returns:
        The request; None if these jobs cannot be looked at.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_read(
    binding: Binding,
    answer: Response | StreamEvent | Webhook,
    step: Step,
    jobs: Sequence[JobRef],
    endpoint: EndpointSpec | None,
) -> Sequence[Update]:
    """What an answer says. Required. Status parsing: called for every reply, HTTP errors too, and stream event.

    Args:
        binding: The service.
        answer: A reply whose JSON or text is in `content`; or an event of a stream; or a host's call back to us, for
            who receives one (the core does not yet).
        step: What was asked: `SUBMIT POLL STREAM CANCEL WEBHOOK`.
        jobs: The jobs it was asked for; empty for `SUBMIT`.
        endpoint: What was called; None where the answer is about several jobs.

    Returns:
        `Snapshot`, `Chunk`, `Log`, `Missing` (no such job) or `Rejected` (surely not accepted), each with the job's
        id where the answer names one. Empty: nothing to add; for an HTTP error then the core's reading by status.

    Raises:
        ProtocolError: The answer is not what the host promises, or holds a status word that is in no table.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_cancel(binding: Binding, job: JobRef) -> Request | None:
    """The request that cancels a job. Called by `job.cancel()`.

    Args:
        binding: The service.
        job: The job.

    Returns:
        The request; None if this host cannot cancel it.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_stream(binding: Binding, job: JobRef, after: str | None) -> Request | None:
    """The request that opens a job's stream of output. Called when output is wanted, if `facts.stream` is set.

    Args:
        binding: The service.
        job: The job.
        after: The id of the last event seen; None: from the start.

    Returns:
        The request; None if this job has no stream.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_next_page(binding: Binding, call: Call, page: Snapshot) -> Call | Request | None:
    """What asks for the page after this one. Called by `endpoint.pages(…)`, once for each page.

    Args:
        binding: The service.
        call: What gave this page, or would have where it was asked for by its address.
        page: The page's last look: its result as it was read, and what the provider wrote into `data`.

    Returns:
        The next page's call; or its request, where the page names an address; None: this is the last one, as is one
        that was asked for by its address and names none.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_auth(
    binding: Binding, request: Request, credential: Credential | None, grant: Grant | None, now: datetime
) -> Request | Flow[Grant]:
    """Put the credential onto a request. Called for every request to the bound origin and for no other.

    Without this hook the core does it by the described security scheme, else as a bearer token.

    Args:
        binding: The service.
        request: What is about to be sent.
        credential: The user's key; None if there is none.
        grant: What an earlier flow of this hook brought, unless it has expired; None if there is none.
        now: The time, UTC.

    Returns:
        The request to send; or a flow that fetches a `Grant`, after which the hook is called again with it.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_file_transport(
    binding: Binding, endpoint: EndpointSpec, parameter: str, file: FileValue, options: Any
) -> FilePolicy | Flow[FileValue]:
    """How this host takes a file. Called for each file argument, before `farcall_submit`.

    Args:
        binding: The service.
        endpoint: What is called.
        parameter: The file's parameter.
        file: Name, media type, size, and its bytes to put into a request; the hook itself does not read them.
        options: The provider's own options of this call, as its `farcall_call_options` model; None if it has none.

    Returns:
        The policy, by default a multipart part of any size; or a flow that uploads the file to the host itself and
        returns what to send in its place.
    """
    raise NotImplementedError


# --- hosts that are not HTTP, and storages: may block, run on threads of ours --------------------------------------


@hookspec(firstresult=True)
def farcall_transport(binding: Binding) -> Sender | None:
    """A sender for a host that is not reached over HTTP. Called once, when a service is connected.

    Args:
        binding: The service, its options checked.

    Returns:
        The sender; None: the core's own.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    """A place that keeps files. Called once when a storage is opened, on a thread of ours, so it may block.

    A storage is a module with this hook, registered under the entry point group `farcall.storages`; the entry point's
    name is the scheme of its addresses and the `provider` in farcall.toml.

    Args:
        url: The address the user gave, `s3://bucket/prefix`; None if the options say it all.
        options: What the user wrote beside it; `farcall.storage_driver.checked` reads them into a pydantic model.

    Returns:
        The driver.

    Raises:
        ConfigError: An option is wrong or missing.
    """
    raise NotImplementedError


# --- extensions: all take part -------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def farcall_send(binding: Binding, request: Request, step: Step) -> Awaitable[Response]:
    """Send one request: implemented by the core, wrapped by extensions.

    An extension wraps it (`@hookimpl(wrapper=True)`) to trace, record or answer from a cache. Called for every
    request, credentials already on it.

    Args:
        binding: The service.
        request: What is sent.
        step: What for.

    Returns:
        An awaitable that does nothing until it is awaited, may be dropped, and is awaited at most once.
    """
    raise NotImplementedError


@hookspec
def farcall_event(event: Event) -> None:
    """Something happened to a job. Called for every event; must not block, and its result is not used.

    Args:
        event: What happened.
    """
