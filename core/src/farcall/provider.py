"""The typed face of one provider's hooks, called alone and never as a broadcast."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from farcall import plugins
from farcall.binding import Binding
from farcall.errors import FarcallError, PluginError
from farcall.hookspecs import Call, Credential, Flow, Grant, ProviderFacts, hookimpl
from farcall.jobs import Event, JobRef, Recognition, Snapshot, Step, Update
from farcall.spec import EndpointSpec, ServiceSpec
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

REQUIRED_HOOKS: Final = ("farcall_facts", "farcall_options", "farcall_submit", "farcall_read")
INLINE: Final = FilePolicy()
STREAMS: Final = (None, "sse", "ndjson", "raw", "polled")

_deliver: contextvars.ContextVar[Callable[[Request], Awaitable[Response]]] = contextvars.ContextVar("deliver")


class Provider:
    """One provider's hooks as plain methods. What they are asked and return is in `hookspecs`."""

    def __init__(self, name: str, plugin: Any) -> None:
        have = plugins.hook_names(plugin)
        if missing := [hook for hook in REQUIRED_HOOKS if hook not in have]:
            raise PluginError(f"The provider {name!r} lacks the required hooks {', '.join(missing)}.")
        self.name = name
        self._manager = plugins.manager(name, plugin)
        self._hook = self._manager.hook
        self._have = frozenset(have)
        self.has_auth = "farcall_auth" in have
        self.wrapped = bool(self._hook.farcall_send.get_hookimpls())
        self.watched = bool(self._hook.farcall_event.get_hookimpls())
        self._submit = self._shortcut("farcall_submit")
        self._read = self._shortcut("farcall_read")
        self._status = self._shortcut("farcall_status")
        self._manager.register(_CoreSend(), "core")

    def _shortcut(self, name: str) -> Callable[..., Any]:
        """A hook that only this provider implements, called as pluggy would, less its loop over many: these are hot."""
        hook = getattr(self._hook, name)
        implementations = hook.get_hookimpls()
        if len(implementations) != 1:
            return cast("Callable[..., Any]", hook)
        function, wanted = implementations[0].function, implementations[0].argnames
        if set(wanted) == set(hook.spec.argnames):
            return cast("Callable[..., Any]", function)

        def call(**arguments: Any) -> Any:
            return function(**{argument: arguments[argument] for argument in wanted})

        return call

    def _ask(self, hook: str, **arguments: Any) -> Any:
        return self._guarded(hook, getattr(self._hook, hook), arguments)

    def _guarded(self, name: str, hook: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        try:
            return hook(**arguments)
        except FarcallError:
            raise
        except Exception as error:
            raise self._broke(name, error) from error

    def _broke(self, hook: str, error: Exception) -> PluginError:
        """Whatever a plugin raised by mistake, as one error that names it."""
        return PluginError(f"The provider {self.name!r} broke in {hook}: {type(error).__name__}: {error}")

    def facts(self, binding: Binding) -> ProviderFacts:
        """The host's fixed facts."""
        facts: ProviderFacts = self._ask("farcall_facts", binding=binding)
        if not facts.result_in_reply and "farcall_status" not in self._have:
            raise PluginError(f"The provider {self.name!r} has jobs and lacks the hook farcall_status.")
        return facts

    def sound(self, facts: ProviderFacts) -> ProviderFacts:
        """The same facts, if they can be worked with.

        Raises:
            PluginError: They cannot: no budget of looks, say.
        """
        if wrong := _wrong(facts):
            raise PluginError(f"The provider {self.name!r} has wrong facts: {wrong}.")
        return facts

    def options(self) -> type[BaseModel]:
        """The model of what a binding takes."""
        model: type[BaseModel] = self._ask("farcall_options")
        return model

    def call_options(self) -> type[BaseModel] | None:
        """The model of what one call takes; None: nothing of its own."""
        model: type[BaseModel] | None = self._ask("farcall_call_options")
        return model

    def recognise(self, url: str | None, document: Document | None) -> Recognition:
        """How surely the provider knows this service as its own."""
        answer = self._ask("farcall_recognise", url=url, document=document)
        return Recognition.NO if answer is None else Recognition(answer)

    def discover(self, binding: Binding) -> Flow[Document | None] | None:
        """The flow that fetches the description; None: nothing to fetch."""
        flow: Flow[Document | None] | None = self._ask("farcall_discover", binding=binding)
        return flow

    def describe(self, binding: Binding, document: Document) -> ServiceSpec | Flow[ServiceSpec]:
        """The description read, or the flow to it."""
        spec: ServiceSpec | Flow[ServiceSpec] | None = self._ask("farcall_describe", binding=binding, document=document)
        return ServiceSpec() if spec is None else spec

    def submit(self, binding: Binding, call: Call) -> Request | Flow[Request]:
        """The request that starts a call, or the flow to it."""
        try:
            request: Request | Flow[Request] = self._submit(binding=binding, call=call)
        except FarcallError:
            raise
        except Exception as error:
            raise self._broke("farcall_submit", error) from error
        return request

    def status(self, binding: Binding, jobs: Sequence[JobRef], wait_s: float | None) -> Request | None:
        """The request that looks at jobs."""
        request: Request | None = self._guarded(
            "farcall_status", self._status, {"binding": binding, "jobs": jobs, "wait_s": wait_s}
        )
        return request

    def read(
        self,
        binding: Binding,
        answer: Response | StreamEvent | Webhook,
        step: Step,
        jobs: Sequence[JobRef],
        endpoint: EndpointSpec | None = None,
    ) -> Sequence[Update]:
        """What an answer says."""
        try:
            updates: Sequence[Update] | None = self._read(
                binding=binding, answer=answer, step=step, jobs=jobs, endpoint=endpoint
            )
        except FarcallError:
            raise
        except Exception as error:
            raise self._broke("farcall_read", error) from error
        return updates or ()

    def cancel(self, binding: Binding, job: JobRef) -> Request | None:
        """The request that cancels a job; None: it cannot be cancelled."""
        request: Request | None = self._ask("farcall_cancel", binding=binding, job=job)
        return request

    def stream(self, binding: Binding, job: JobRef, after: str | None) -> Request | None:
        """The request that opens a job's output; None: it has none."""
        request: Request | None = self._ask("farcall_stream", binding=binding, job=job, after=after)
        return request

    def next_page(self, binding: Binding, call: Call, page: Snapshot) -> Call | Request | None:
        """What asks for the page after this one; None: there is none."""
        onward: Call | Request | None = self._ask("farcall_next_page", binding=binding, call=call, page=page)
        return onward

    def auth(
        self,
        binding: Binding,
        request: Request,
        credential: Credential | None,
        grant: Grant | None,
        now: datetime,
    ) -> Request | Flow[Grant]:
        """The request with its credential, or the flow that fetches a grant."""
        answer: Request | Flow[Grant] = self._ask(
            "farcall_auth", binding=binding, request=request, credential=credential, grant=grant, now=now
        )
        return answer

    def file_transport(
        self, binding: Binding, endpoint: EndpointSpec, parameter: str, file: FileValue, options: Any = None
    ) -> FilePolicy | Flow[FileValue]:
        """How a file travels."""
        answer: FilePolicy | Flow[FileValue] | None = self._ask(
            "farcall_file_transport",
            binding=binding,
            endpoint=endpoint,
            parameter=parameter,
            file=file,
            options=options,
        )
        return INLINE if answer is None else answer

    def transport(self, binding: Binding) -> Sender | None:
        """The host's own sender; None: HTTP."""
        sender: Sender | None = self._ask("farcall_transport", binding=binding)
        return sender

    async def send(
        self,
        binding: Binding,
        request: Request,
        step: Step,
        deliver: Callable[[Request], Awaitable[Response]],
    ) -> Response:
        """Send a request through the extensions that wrap sending.

        Raises:
            PluginError: One of them broke.
        """
        token = _deliver.set(deliver)
        try:
            try:
                sending: Awaitable[Response] = self._hook.farcall_send(binding=binding, request=request, step=step)
            finally:
                _deliver.reset(token)
            return await sending
        except FarcallError:
            raise
        except Exception as error:  # whatever an extension raised by mistake becomes one error that says so
            raise PluginError(
                f"An extension broke in farcall_send, for {step}: {type(error).__name__}: {error}"
            ) from error

    def tell(self, event: Event) -> None:
        """Tell the extensions what happened; one that raises is logged, and the job goes on."""
        try:
            self._hook.farcall_event(event=event)
        except Exception:  # noqa: BLE001 - an onlooker's fault must not end a job that somebody paid for
            plugins.log.exception("An extension broke in farcall_event")


def _wrong(facts: ProviderFacts) -> str:
    """What in a provider's table cannot be worked with; empty if all of it can."""
    numbers = {"poll_per_s": facts.poll_per_s, "poll_max_s": facts.poll_max_s, "long_poll_s": facts.long_poll_s}
    for name, value in numbers.items():
        if value is not None and not 0 < value < math.inf:
            return f"{name} is {value!r}, and must be more than 0"
    if not 0 <= facts.poll_min_s < math.inf:
        return f"poll_min_s is {facts.poll_min_s!r}, and must be 0 or more"
    for name in ("poll_batch", "max_envelope_bytes", "submits_at_once"):
        if getattr(facts, name) < 1:
            return f"{name} is {getattr(facts, name)!r}, and must be 1 or more"
    if facts.submit_rate is not None and not (facts.submit_rate[0] >= 1 and 0 < facts.submit_rate[1] < math.inf):
        return f"submit_rate is {facts.submit_rate!r}, and must be a number of submissions and of seconds"
    if facts.stream not in STREAMS:
        return f"stream is {facts.stream!r}, and must be one of {', '.join(map(repr, STREAMS))}"
    return ""


class _CoreSend:
    @hookimpl(trylast=True)
    def farcall_send(self, request: Request) -> Awaitable[Response]:
        return _Sending(_deliver.get(), request)


class _Sending:
    """A request that is sent when it is awaited, and no sooner."""

    __slots__ = ("_deliver", "_request")

    def __init__(self, deliver: Callable[[Request], Awaitable[Response]], request: Request) -> None:
        self._deliver: Callable[[Request], Awaitable[Response]] | None = deliver
        self._request = request

    def __await__(self) -> Generator[Any, None, Response]:
        deliver, self._deliver = self._deliver, None
        if deliver is None:
            raise PluginError("An extension awaited what farcall_send gave it twice; await it once.")
        return deliver(self._request).__await__()


_providers: dict[str, Provider] = {}
_version = -1


def provider(name: str) -> Provider:
    """The provider of that name, with the extensions; made once.

    Raises:
        UsageError: None of that name is installed.
        PluginError: It is broken.
    """
    global _version  # noqa: PLW0603
    if _version != plugins.version:
        _providers.clear()
        _version = plugins.version
    if name not in _providers:
        _providers[name] = Provider(name, plugins.load("provider", name))
    return _providers[name]
