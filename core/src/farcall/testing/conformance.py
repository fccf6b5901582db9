"""The rules a provider keeps, each as a test; docs/conformance.md says them in prose, under the same numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from farcall import auth, hookspecs, plugins
from farcall.binding import Binding
from farcall.errors import FarcallError, ProtocolError
from farcall.hookspecs import Credential
from farcall.jobs import Recognition, Rejected, Snapshot, State, Step, Update
from farcall.provider import STREAMS, Provider, provider
from farcall.testing import garbage
from farcall.testing.portrait import finished, portrait
from farcall.testing.purity import watched
from farcall.testing.recorded import Answer
from farcall.testing.subject import NOW, Subject
from farcall.wire import Document, Headers, Request, Response, origin, without_query

_UNHEARD_OF: Final = ("farcall-unheard-of", "almost_done", "okay")


def must(holds: bool, sentence: str) -> None:  # noqa: FBT001 - an assertion's form
    """Fail with a sentence for the plugin's author, if something does not hold."""
    if not holds:
        pytest.fail(sentence, pytrace=False)


class ProviderConformance(Subject):
    """How to know that a provider is right: subclass, fill in what `Subject` asks for, run pytest.

    Needs pytest (`pip install "./core[testing]"`).
    """

    # --- what it is --------------------------------------------------------------------------------------------

    def test_its_hooks_are_the_ones_farcall_knows(self) -> None:
        """Rule 1."""
        how, _, said = _outcome(partial(provider, self.provider), self.flow_reply)
        must(how == "returned", str(said))
        plugin = plugins.load("provider", self.provider)
        marked = plugins.hook_names(plugin)
        unmarked = sorted(_hook_like(plugin) - marked)
        must(not unmarked, f"{', '.join(unmarked)}: not marked with @farcall.hookimpl, so never called.")

    def test_its_facts_are_a_sensible_table(self, hooks: Provider, binding: Binding) -> None:
        """Rule 2."""
        facts = hooks.facts(binding)
        must(bool(urlsplit(facts.url).hostname), f"facts.url is {facts.url!r}, which is no absolute address.")
        strange = [place for place in facts.origins if origin(place) != place]
        must(not strange, f"facts.origins has {strange}; write them as {[origin(place) for place in strange]}.")
        must(0 < facts.poll_min_s <= facts.poll_max_s, "facts.poll_min_s must be above 0 and at most poll_max_s.")
        must(facts.poll_batch >= 1, "facts.poll_batch must be 1 or more.")
        must(facts.poll_per_s > 0, "facts.poll_per_s must be above 0.")
        must(facts.long_poll_s is None or facts.long_poll_s > 0, "facts.long_poll_s is seconds above 0, or None.")
        must(facts.stream in STREAMS, f"facts.stream is {facts.stream!r}; it may be one of {STREAMS}.")

    def test_it_can_what_its_author_says_and_no_more(self, hooks: Provider, binding: Binding) -> None:
        """Rule 3."""
        facts = hooks.facts(binding)
        must(facts.result_in_reply is not self.has_jobs, f"has_jobs is {self.has_jobs}, and facts say otherwise.")
        if not self.has_jobs:
            return
        job = self.job(hooks, binding)
        cancels = hooks.cancel(binding, job) is not None
        must(cancels is self.has_cancel, f"has_cancel is {self.has_cancel}, and farcall_cancel says otherwise.")
        streams = facts.stream is not None and hooks.stream(binding, job, None) is not None
        must(streams is self.has_stream, f"has_stream is {self.has_stream}, and farcall_stream says otherwise.")

    def test_it_knows_its_hosts_description_and_no_other(self, hooks: Provider) -> None:
        """Rule 4."""
        if self.document is not None:
            known = hooks.recognise(None, Document(content=self.document))
            must(
                known is self.recognition, f"recognition is {self.recognition!r}, and farcall_recognise says {known!r}."
            )
        for strange in (None, True, 7, "text", [], [1], {}, {"a": 1}, {"info": None}, {"paths": [None]}):
            known = hooks.recognise(None, Document(content=strange))
            must(known is Recognition.NO, f"farcall_recognise takes {strange!r} for its host's description.")

    # --- requests out ------------------------------------------------------------------------------------------

    def test_its_requests_can_be_sent_as_they_are(self, hooks: Provider, binding: Binding) -> None:
        """Rule 5."""
        made = list(self.requests(hooks, binding))
        must(any(name == "farcall_submit" for name, _ in made), "farcall_submit made no Request.")
        for name, request in made:
            parts = urlsplit(request.url)
            whole = bool(parts.scheme and parts.hostname) and request.url.isascii() and " " not in request.url
            must(whole, f"{name}: the address {request.url!r} is not absolute and encoded.")
            must(request.method.isupper(), f"{name}: the method {request.method!r} is not in capitals.")
            texts = all(
                isinstance(part, str) and part.isprintable() for pair in request.headers.items() for part in pair
            )
            must(texts, f"{name}: a header is no printable text.")

    def test_its_requests_carry_no_key_by_themselves(self, hooks: Provider, binding: Binding) -> None:
        """Rule 6."""
        for name, request in self.requests(hooks, binding):
            named = {"authorization", "proxy-authorization"} & {header.lower() for header in request.headers}
            must(not named, f"{name}: sets {named}; a key is put on by farcall_auth, and by nothing else.")
            must(
                not self._shows_secret(portrait(request)),
                f"{name}: the request holds the key; it is put on by farcall_auth, and by nothing else.",
            )

    def test_its_key_is_put_on_and_nothing_else_is_changed(self, hooks: Provider, binding: Binding) -> None:
        """Rule 7."""
        plain = self.submission(hooks, binding)
        if not hooks.has_auth:
            return  # the core's own way, tested there
        _, signed = self.authorised(hooks, binding, plain)
        same = (signed.method, portrait(signed.body), without_query(signed.url))
        must(
            same == (plain.method, portrait(plain.body), without_query(plain.url)),
            "farcall_auth changed the method, the address or the body.",
        )
        kept = {k.lower(): v for k, v in plain.headers.items()}.items() <= {
            k.lower(): v for k, v in signed.headers.items()
        }.items()
        must(kept, "farcall_auth changed a header that was there.")
        must(signed != plain, "farcall_auth was given a key and did not put it on.")

    def test_looks_and_cancels_may_be_repeated(self, hooks: Provider, binding: Binding) -> None:
        """Rule 8."""
        if not self.has_jobs:
            return
        looks_repeat = hooks.facts(binding).poll_repeatable
        for name, request in self.requests(hooks, binding):
            if name.startswith("farcall_status"):
                must(
                    request.repeatable is looks_repeat,
                    f"{name}: repeatable={request.repeatable}, but facts.poll_repeatable is {looks_repeat}.",
                )
            if name == "farcall_cancel":
                must(request.repeatable, f"{name}: a second cancel does no harm, so it needs repeatable=True.")

    # --- answers in --------------------------------------------------------------------------------------------

    def test_each_recorded_answer_is_read_as_a_person_reads_it(self, hooks: Provider, binding: Binding) -> None:
        """Rule 9."""
        for number, answer in enumerate(self.answers):
            readings = tuple(
                update.state if isinstance(update, Snapshot) else type(update)
                for update in self.read(hooks, binding, answer)
            )
            must(readings == answer.readings, f"answers[{number}] is read as {readings}, not as {answer.readings}.")

    def test_each_documented_word_is_the_state_a_person_understands(self, hooks: Provider, binding: Binding) -> None:
        """Rule 10."""
        for word, state in self.words.items():
            updates = self.read(hooks, binding, Answer(Step.POLL, self.worded(word), state))
            states = [update.state for update in updates if isinstance(update, Snapshot)]
            must(states == [state], f"{word!r} is read as {states or updates}, not as {state!r}.")

    def test_both_ends_are_among_the_words(self) -> None:
        """Rule 10."""
        if self.has_jobs:
            lacking = {State.SUCCEEDED, State.FAILED} - set(self.words.values())
            must(not lacking, f"words has none for {', '.join(lacking)}; a job has to be able to end.")

    def test_an_unknown_word_is_an_error_that_quotes_it(self, hooks: Provider, binding: Binding) -> None:
        """Rule 11."""
        if not self.words:
            return
        for word in _UNHEARD_OF:
            answer = Answer(Step.POLL, self.worded(word), None)
            how, kind, said = _outcome(partial(self.read, hooks, binding, answer), self.flow_reply)
            must(how == "raised", f"The unknown word {word!r} is read as {said}; it must be a ProtocolError.")
            must(issubclass(kind, ProtocolError), f"The unknown word {word!r} must be a ProtocolError, not: {said}")
            must(word in said, f"The error for the unknown word {word!r} does not quote it: {said}")

    def test_an_end_says_why_and_a_success_has_no_error(self, hooks: Provider, binding: Binding) -> None:
        """Rule 12."""
        for number, answer in enumerate(self.answers):
            for update in self.read(hooks, binding, answer):
                if isinstance(update, Snapshot):
                    failed = update.state is State.FAILED
                    must(bool(update.error) or not failed, f"answers[{number}]: a failure without a word in `error`.")
                    ill = update.state in {State.FAILED, State.CANCELLED, State.TIMED_OUT}
                    must(ill or update.error is None, f"answers[{number}]: an `error` in a job that has not failed.")
                    started = update.state.ended or answer.step is not Step.SUBMIT or update.job_id is not None
                    must(started, f"answers[{number}]: a job was begun, and its snapshot has no `job_id`.")

    def test_progress_is_between_0_and_1(self, hooks: Provider, binding: Binding) -> None:
        """Rule 13."""
        answers = chain(self._recorded(), garbage.altered(self.answers))
        for name, update in self._readable(hooks, binding, answers):
            progress = update.progress if isinstance(update, Snapshot) else None
            if isinstance(progress, int | float):
                must(0 <= progress <= 1, f"{name}: progress is {progress}; it is a share, from 0.0 to 1.0.")

    def test_waiting_is_told_in_seconds(self, hooks: Provider, binding: Binding) -> None:
        """Rule 14."""
        wait = Headers({"content-type": "application/json", "retry-after": "7"})
        busy = Response(status=429, headers=wait, content=b'{"detail": "too many requests"}')
        for name, update in self._readable(hooks, binding, iter([("a 429", Answer(Step.SUBMIT, busy, None))])):
            if isinstance(update, Snapshot | Rejected):
                must(update.retry_after_s in {None, 7}, f"{name}: Retry-After: 7 is read as {update.retry_after_s} s.")

    # --- bad answers -------------------------------------------------------------------------------------------

    def test_a_bad_answer_is_a_protocol_error_or_nothing(self, hooks: Provider, binding: Binding) -> None:
        """Rule 15."""
        for name, answer in chain(self._bad(), garbage.altered(self.answers)):
            _, kind, said = _outcome(partial(self.read, hooks, binding, answer), self.flow_reply)
            right = not isinstance(kind, type) or issubclass(kind, ProtocolError)
            must(right, f"{name}: must be a ProtocolError, not {kind}: {said}")

    def test_a_bad_answer_is_no_success(self, hooks: Provider, binding: Binding) -> None:
        """Rule 16."""
        direct = self.call(hooks, binding).endpoint.job is not True
        for name, update in self._readable(hooks, binding, self._bad()):
            result = direct and name.startswith(f"{Step.SUBMIT}, odd")
            success = isinstance(update, Snapshot) and update.state is State.SUCCEEDED
            must(result or not success, f"{name}: read as a success.")

    def test_a_bad_answer_puts_no_wrong_type_into_a_snapshot(self, hooks: Provider, binding: Binding) -> None:
        """Rule 17."""
        for name, update in self._readable(hooks, binding, chain(self._bad(), garbage.altered(self.answers))):
            if isinstance(update, Snapshot):
                wrong = [field for field, right in _right_types(update) if not right]
                must(not wrong, f"{name}: gives a Snapshot with a wrong {' and '.join(wrong)}: {update!r}.")

    # --- purity ------------------------------------------------------------------------------------------------

    def test_its_hooks_do_not_reach_outside(self, hooks: Provider, binding: Binding) -> None:
        """Rule 18."""
        for name, ask in self._everything(hooks, binding):
            with watched() as seen:
                _outcome(ask, self.flow_reply)
            must(not seen, f"{name} is not pure: it calls {', '.join(seen)}.")

    def test_its_hooks_answer_the_same_to_the_same(self, hooks: Provider, binding: Binding) -> None:
        """Rule 19."""
        for name, ask in self._everything(hooks, binding):
            first, second = (portrait(_outcome(ask, self.flow_reply)) for _ in range(2))
            must(first == second, f"{name} is not pure: asked the same twice, it answers {first} and {second}.")

    def test_its_hooks_leave_their_inputs_as_they_are(self, hooks: Provider, binding: Binding) -> None:
        """Rule 20."""
        call = self.call(hooks, binding)
        job = self.job(hooks, binding) if self.has_jobs else None
        inputs: list[Any] = [binding, call, job, self.document, *self.answers]
        for name, ask in self.asking(hooks, binding, call=call, job=job):
            before = portrait(inputs)
            _outcome(ask, self.flow_reply)
            must(portrait(inputs) == before, f"{name} changed what it was handed.")

    # --- secrets -----------------------------------------------------------------------------------------------

    def test_a_key_is_in_no_repr(self, hooks: Provider, binding: Binding) -> None:
        """Rule 21."""
        shown: list[tuple[str, Any]] = [("the binding", binding), ("the options", binding.options)]
        plain = self.submission(hooks, binding)
        asked, signed = self.authorised(hooks, binding, plain) if hooks.has_auth else ((), self._core_signed(plain))
        for request in (*asked, signed):
            shown += [("a request with the key on it", request), ("its bare form", vars_of(request.bare()))]
        for name, value in shown:
            must(self.secret not in repr(value), f"The repr of {name} shows the key.")

    def test_a_key_in_a_replys_address_is_not_handed_on(self, hooks: Provider, binding: Binding) -> None:
        """Rule 22."""
        url = f"{self.submission(hooks, binding).url.partition('?')[0]}?key={self.secret}"
        for name, answer in chain(self._recorded(), self._bad()):
            if not isinstance(answer.answer, Response):
                continue
            try:
                updates = self.read(hooks, binding, replace(answer, answer=replace(answer.answer, url=url)))
            except FarcallError as error:
                must(self.secret not in str(error), f"{name}: the error shows the key in the reply's address.")
                continue
            kept = [replace(u, result=None) if isinstance(u, Snapshot) else u for u in updates]
            must(not self._shows_secret(portrait(kept)), f"{name}: the snapshot keeps the key in the reply's address.")

    # --- what the tests share ----------------------------------------------------------------------------------

    def _core_signed(self, request: Request) -> Request:
        return auth.apply(request, Credential(secret=self.secret), None)

    def _everything(self, hooks: Provider, binding: Binding) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Every hook with sample inputs, the key among them."""
        yield from self.asking(hooks, binding)
        if hooks.has_auth:
            plain = self.submission(hooks, binding)
            credential = Credential(secret=self.secret)
            yield "farcall_auth", lambda: hooks.auth(binding, plain, credential, None, NOW)
            yield "farcall_auth without a key", lambda: hooks.auth(binding, plain, None, None, NOW)

    def _shows_secret(self, tree: Any) -> bool:
        if isinstance(tree, tuple | frozenset):
            return any(self._shows_secret(part) for part in tree)
        if isinstance(tree, bytes):
            return self.secret.encode() in tree
        return isinstance(tree, str) and self.secret in tree

    def _readable(
        self, hooks: Provider, binding: Binding, answers: Iterator[tuple[str, Answer]]
    ) -> Iterator[tuple[str, Update]]:
        """What the provider reads in answers, those left out that are errors."""
        for name, answer in answers:
            try:
                updates = self.read(hooks, binding, answer)
            except FarcallError:
                continue
            yield from ((name, update) for update in updates)

    def _bad(self) -> Iterator[tuple[str, Answer]]:
        """Whatever is no answer, to all that is asked."""
        yield from garbage.replies(Step.SUBMIT)
        if self.has_jobs:
            yield from garbage.replies(Step.POLL)
        if self.has_cancel:
            yield from garbage.replies(Step.CANCEL)
        if self.has_stream:
            yield from garbage.events()
        yield from garbage.cut(self.answers)

    def _recorded(self) -> Iterator[tuple[str, Answer]]:
        yield from ((f"answers[{number}]", answer) for number, answer in enumerate(self.answers))


def vars_of(request: Request) -> tuple[Any, ...]:
    """All that a request holds, shown or not."""
    return request.method, request.url, dict(request.headers), request.body


def _hook_like(plugin: Any) -> set[str]:
    """Names of the functions in a plugin that look like hooks; farcall's own specifications are none."""
    members = vars(plugin) if isinstance(plugin, ModuleType) else {n: getattr(plugin, n) for n in dir(plugin)}
    return {
        name
        for name, member in members.items()
        if name.startswith("farcall_") and inspect.isroutine(member) and member.__module__ != hookspecs.__name__
    }


def _outcome(ask: Callable[[], Any], flow_reply: Callable[[Request], Response]) -> tuple[str, Any, Any]:
    """What a hook says: its requests and value, or its error."""
    try:
        return ("returned", *finished(ask(), flow_reply))
    except FarcallError as error:
        return "raised", type(error), str(error)


def _right_types(snapshot: Snapshot) -> Iterator[tuple[str, bool]]:
    """Each field of a snapshot that the engine relies on, and whether its value is of the type it has to be."""
    yield "state", isinstance(snapshot.state, State)
    for field in ("job_id", "message", "error", "error_type", "traceback"):
        yield field, isinstance(getattr(snapshot, field), str | None)
    for field in ("progress", "retry_after_s"):
        value = getattr(snapshot, field)
        yield field, value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    logs, data = snapshot.logs, snapshot.data
    yield "logs", logs is None or (isinstance(logs, tuple) and all(isinstance(line, str) for line in logs))
    yield "data", all(isinstance(key, str) and isinstance(value, str) for key, value in data.items())
