"""What a plugin's author fills in for the kit, and what the kit makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

import pytest

from farcall.binding import Binding
from farcall.connecting import check_options
from farcall.hookspecs import Call, Credential, Grant
from farcall.jobs import JobRef, Recognition, Snapshot, State, Step, Update
from farcall.provider import Provider, provider
from farcall.spec import EndpointSpec, ServiceSpec, unique_names
from farcall.testing.portrait import finished
from farcall.testing.recorded import Answer, reply
from farcall.wire import Document, FileValue, Request, Response

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN: Final = "0123456789abcdef" * 2
FILE: Final = FileValue(name="photo.png", media_type="image/png", size=1234)


class Subject:
    """A provider and what is known of its host.

    To be filled in:

    Attributes:
        provider: The provider's name, as it is installed.
        options: What a binding to a host would take.
        endpoints: What the host offers; the first one is called in the tests.
        arguments: What it is called with: JSON values as a provider is handed them.
        answers: Recorded answers, each with what a person reads in it: a submission's, a look's in each state.
        words: Every status word the host documents, and the state a person understands by it. Written down here
            from the host's documentation, not imported from the provider.

    To be filled in where it applies:

    Attributes:
        document: The host's own description, parsed; None if it has none.
        recognition: How surely the provider knows that description as its own host's.
        secret: A key, as the host gives them; put it into `options` too, if a binding takes one there.
        has_jobs: Whether calls become jobs; else every reply is the result.
        has_cancel: Whether a job like the recorded one can be cancelled.
        has_stream: Whether a job like the recorded one has a stream of output.
    """

    provider: str
    options: Mapping[str, Any]
    endpoints: Sequence[EndpointSpec]
    arguments: Mapping[str, Any]
    answers: Sequence[Answer]
    words: Mapping[str, State]

    document: Any = None
    recognition: Recognition = Recognition.NO
    secret: str = "s3cret-5e0c7d"  # noqa: S105 - a sample
    has_jobs: bool = True
    has_cancel: bool = False
    has_stream: bool = False

    def worded(self, word: str) -> Response:
        """The reply to a look in which the host says this status word. To be filled in if there are `words`."""
        raise NotImplementedError(f"{type(self).__name__} needs worded(word): a reply that says {word!r}.")

    def flow_reply(self, request: Request) -> Response:
        """What the host replies to a request that a flow of the provider makes; by default 404."""
        return reply({"detail": f"nothing at {request.url}"}, status=404)

    # --- made of it; not to be overridden ----------------------------------------------------------------------

    @pytest.fixture
    def hooks(self) -> Provider:
        """The provider, loaded through its entry point as farcall does it."""
        return provider(self.provider)

    @pytest.fixture
    def binding(self, hooks: Provider) -> Binding:
        """A binding as hooks are handed it: options checked, description read."""
        named = Binding(provider=self.provider, endpoints=self.endpoints, **self.options)
        checked = named.described(options=check_options(hooks, named.options))
        spec = ServiceSpec()
        if self.document is not None:
            described = hooks.describe(checked, Document(content=self.document))
            if not isinstance(described, ServiceSpec):
                raise TypeError("document is to be whole: one that is read without fetching other files.")
            spec = described
        offered = unique_names(tuple(self.endpoints) or spec.endpoints)
        return checked.described(service=spec.model_copy(update={"endpoints": offered}))

    def call(self, hooks: Provider, binding: Binding, wait_s: float | None = None) -> Call:
        """The sample call, made anew each time."""
        model = hooks.call_options()
        endpoint = binding.service.endpoints[0] if binding.service is not None else self.endpoints[0]
        return Call(
            endpoint=endpoint,
            arguments=dict(self.arguments),
            options=None if model is None else model(),
            token=TOKEN,
            wait_s=wait_s,
        )

    def job(self, hooks: Provider, binding: Binding) -> JobRef:
        """The job that the first recorded submission began."""
        for answer in self.answers:
            if answer.step is Step.SUBMIT:
                for update in self.read(hooks, binding, answer):
                    if isinstance(update, Snapshot) and update.job_id is not None:
                        return self._ref(hooks, binding, update)
        raise AssertionError("Among the recorded answers is no submission's with a job's id; record one.")

    def _ref(self, hooks: Provider, binding: Binding, snapshot: Snapshot) -> JobRef:
        return JobRef(
            provider=self.provider,
            url=hooks.facts(binding).url,
            endpoint=self.call(hooks, binding).endpoint.name,
            id=str(snapshot.job_id),
            data=dict(snapshot.data),
        )

    def read(self, hooks: Provider, binding: Binding, answer: Answer) -> Sequence[Update]:
        """What the provider reads in an answer, handed to it as the engine does, with address, jobs and endpoint."""
        told, endpoint = answer.answer, self.call(hooks, binding).endpoint
        if answer.step is not Step.SUBMIT:
            return hooks.read(binding, told, answer.step, (self.job(hooks, binding),), endpoint)
        if isinstance(told, Response) and not told.url:
            told = replace(told, url=self.submission(hooks, binding).url)
        return hooks.read(binding, told, Step.SUBMIT, (), endpoint)

    def submission(self, hooks: Provider, binding: Binding) -> Request:
        """The request that the sample call ends in."""
        _, request = finished(hooks.submit(binding, self.call(hooks, binding)), self.flow_reply)
        if not isinstance(request, Request):
            pytest.fail(f"farcall_submit ends in {request!r}, which is no Request.", pytrace=False)
        return request

    def requests(self, hooks: Provider, binding: Binding) -> Iterator[tuple[str, Request]]:
        """Every request the provider makes for the sample call and its job, each with the hook's name."""
        for name, ask in self.asking(hooks, binding):
            if name.partition(" ")[0] in _SENDING:
                on_the_way, last = finished(ask(), self.flow_reply)
                yield from ((name, request) for request in on_the_way)
                if isinstance(last, Request):
                    yield name, last

    def asking(
        self, hooks: Provider, binding: Binding, *, call: Call | None = None, job: JobRef | None = None
    ) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Every hook with sample inputs, named; without `call` it is made anew each time."""
        endpoint = self.call(hooks, binding).endpoint
        yield "farcall_facts", lambda: hooks.facts(binding)
        yield "farcall_options", hooks.options
        yield "farcall_call_options", hooks.call_options
        yield "farcall_recognise an address", lambda: hooks.recognise(hooks.facts(binding).url, None)
        yield "farcall_discover", lambda: hooks.discover(binding)
        if self.document is not None:
            document = Document(content=self.document)
            yield "farcall_recognise a description", lambda: hooks.recognise(None, document)
            yield "farcall_describe", lambda: hooks.describe(binding, document)
        yield "farcall_file_transport", lambda: hooks.file_transport(binding, endpoint, "file", FILE)
        yield "farcall_submit", lambda: hooks.submit(binding, call or self.call(hooks, binding))
        yield "farcall_submit with a wait", lambda: hooks.submit(binding, self.call(hooks, binding, 2.0))
        if self.has_jobs:
            yield from self._asking_of(job or self.job(hooks, binding), hooks, binding)
        for number, answer in enumerate(self.answers):
            yield f"farcall_read of answers[{number}]", partial(self.read, hooks, binding, answer)

    def _asking_of(self, job: JobRef, hooks: Provider, binding: Binding) -> Iterator[tuple[str, Callable[[], Any]]]:
        facts = hooks.facts(binding)
        yield "farcall_status", lambda: hooks.status(binding, [job], None)
        if facts.long_poll_s is not None:
            yield "farcall_status with a wait", lambda: hooks.status(binding, [job], facts.long_poll_s)
        if facts.poll_batch > 1:
            yield "farcall_status of two", lambda: hooks.status(binding, [job, job], None)
        yield "farcall_cancel", lambda: hooks.cancel(binding, job)
        yield "farcall_stream", lambda: hooks.stream(binding, job, None)

    def authorised(self, hooks: Provider, binding: Binding, request: Request) -> tuple[tuple[Request, ...], Request]:
        """The request with the key on it, as the provider shows it; before it what was asked to get a grant."""
        credential = Credential(secret=self.secret)
        answer = hooks.auth(binding, request, credential, None, NOW)
        if isinstance(answer, Request):
            return (), answer
        asked, grant = finished(answer, self.flow_reply)
        last = hooks.auth(binding, request, credential, cast("Grant", grant), NOW)
        if not isinstance(last, Request):
            raise AssertionError("farcall_auth was handed its own grant and asked for another one.")  # noqa: TRY004
        return asked, last


_SENDING: Final = frozenset(
    {
        "farcall_discover",
        "farcall_submit",
        "farcall_status",
        "farcall_cancel",
        "farcall_stream",
        "farcall_file_transport",
    }
)
