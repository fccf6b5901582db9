"""The conformance kit finds each fault it is there for, names its rule, and finds nothing in a good provider."""

import contextlib
import dataclasses
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from core.good_provider import Good
from farcall import State, hookimpl, plugins
from farcall.errors import ProtocolError
from farcall.jobs import Recognition, Rejected, Snapshot
from farcall.testing import ProviderConformance
from farcall.testing.purity import watched
from farcall.testing.recorded import changed
from pydantic import BaseModel

pytest_plugins = "pytester"
DOCS = Path(__file__).parents[2] / "docs" / "conformance.md"


def rules_of(test):
    return {int(number) for number in re.findall(r"Rule (\d+)", getattr(ProviderConformance, test).__doc__)}


@pytest.fixture
def broken_rules(pytester, monkeypatch):
    """Runs the kit on a provider: the rules it breaks, and what is said about them."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(provider, kit="pass"):
        plugins.register("subject", provider)
        try:
            pytester.makepyfile(f"from core.good_provider import *\nclass TestSubject(GoodConformance):\n    {kit}\n")
            ran = pytester.inline_run("-p", "no:cacheprovider")
        finally:
            plugins.unregister("subject")
        failed = [report for report in ran.getreports("pytest_runtest_logreport") if report.failed]
        assert ran.getreports("pytest_runtest_logreport")
        tests = [report for report in failed if report.when == "call"]
        broken = set().union(*(rules_of(report.nodeid.rpartition("::")[2]) for report in tests))
        unloadable = any(report.when == "setup" for report in failed)
        assert not unloadable or broken == {1}
        return broken, "\n".join(str(report.longrepr) for report in tests)

    return run


def test_a_good_provider_breaks_no_rule(broken_rules):
    assert broken_rules(Good()) == (set(), "")


def with_facts(**changes):
    return type("Changed", (Good,), {"facts": dataclasses.replace(Good.facts, **changes)})


class LacksReading:
    farcall_facts = Good.farcall_facts
    farcall_options = Good.farcall_options
    farcall_submit = Good.farcall_submit


class InventsAHook(Good):
    @hookimpl
    def farcall_polls(self, binding):
        return None


class ForgetsTheMark(Good):
    def farcall_call_options(self):
        return None


class TakesAnArgumentNobodyGives(Good):
    @hookimpl
    def farcall_cancel(self, binding, job, reason):
        return None


class CannotCancel(Good):
    @hookimpl
    def farcall_cancel(self, binding, job):
        return None


class KnowsEverything(Good):
    @hookimpl
    def farcall_recognise(self, document):
        return Recognition.CERTAIN


class WritesItsMethodSmall(Good):
    def submission(self, binding, call):
        return dataclasses.replace(super().submission(binding, call), method="post")


class PutsItsKeyOnItself(Good):
    def submission(self, binding, call):
        return super().submission(binding, call).with_headers({"x-token": binding.options.token})


class SetsAuthorizationItself(Good):
    def submission(self, binding, call):
        return super().submission(binding, call).with_headers({"Authorization": "Bearer fixed"})


class SignsAnotherBody(Good):
    @hookimpl
    def farcall_auth(self, request, credential):
        key = "" if credential is None else credential.secret
        return dataclasses.replace(request.with_headers({"x-key": key}), body=b"signed")


class SignsNothing(Good):
    @hookimpl
    def farcall_auth(self, request):
        return request


class LooksOnce(Good):
    @hookimpl
    def farcall_status(self, binding, jobs):
        return dataclasses.replace(super().farcall_status(binding, jobs), repeatable=False)


class CancelsOnce(Good):
    @hookimpl
    def farcall_cancel(self, binding, job):
        return dataclasses.replace(super().farcall_cancel(binding, job), repeatable=False)


class TakesMissingForNothing(Good):
    def reading(self, binding, answer, step):
        return [] if answer.status == 404 else super().reading(binding, answer, step)


class TakesLateForFailed(Good):
    def look(self, answer):
        look = super().look(answer)
        return dataclasses.replace(look, state=State.FAILED) if look.state is State.TIMED_OUT else look


class TakesUnknownForRunning(Good):
    def look(self, answer):
        try:
            return super().look(answer)
        except ProtocolError as error:
            if "phase" not in str(error) or error.__cause__ is not None:
                raise
            return Snapshot(state=State.RUNNING, job_id="t1")


class DoesNotQuote(Good):
    def look(self, answer):
        try:
            return super().look(answer)
        except ProtocolError:
            raise ProtocolError("This is no answer.") from None


class DoesNotSayWhy(Good):
    def look(self, answer):
        return dataclasses.replace(super().look(answer), error=None)


class SaysPercent(Good):
    def look(self, answer):
        look = super().look(answer)
        return look if look.progress is None else dataclasses.replace(look, progress=100 * look.progress)


class SaysMilliseconds(Good):
    def reading(self, binding, answer, step):
        updates = super().reading(binding, answer, step)
        return [
            dataclasses.replace(u, retry_after_s=u.retry_after_s * 1000) if isinstance(u, Rejected) else u
            for u in updates
        ]


class Trusts(Good):
    def look(self, answer):
        answer.json()["ticket"]
        return super().look(answer)


class TakesNothingForDone(Good):
    def look(self, answer):
        return super().look(answer) if answer.content else Snapshot(state=State.SUCCEEDED)


class PassesItsNoteOn(Good):
    def look(self, answer):
        raw = answer.json()
        note = raw.pop("note", None) if isinstance(raw, dict) else None
        return dataclasses.replace(super().look(changed(answer, raw)), message=note)


class Counts(Good):
    calls = 0

    def submission(self, binding, call):
        self.calls += 1
        return super().submission(binding, call).with_headers({"x-count": str(self.calls)})


class ChangesItsArguments(Good):
    def submission(self, binding, call):
        request = super().submission(binding, call)
        call.arguments["text"] = "changed"
        return request


class Shown(BaseModel):
    url: str
    token: str = ""


class ShowsItsOptions(Good):
    @hookimpl
    def farcall_options(self):
        return Shown


class QuotesTheAddress(Good):
    def look(self, answer):
        try:
            return super().look(answer)
        except ProtocolError as error:
            raise ProtocolError(f"{error} It came from {answer.url}.") from None


class KeepsTheAddress(Good):
    def look(self, answer):
        return dataclasses.replace(super().look(answer), data={"link": answer.url})


def reaching(how):
    """A provider that reaches outside while it makes a request, and hides what it found."""

    class Reaches(Good):
        def submission(self, binding, call):
            how()
            return super().submission(binding, call)

    return Reaches


def connect():
    with socket.socket() as link, contextlib.suppress(OSError):
        link.connect(("127.0.0.1", 9))


REACHING = {
    "the environment": lambda: os.environ.get("HOME"),
    "the environment, spelt otherwise": lambda: os.getenv("HOME"),
    "the clock": time.time,
    "the date": lambda: datetime.now(UTC),
    "chance": random.random,
    "chance, in a uuid": uuid.uuid4,
    "a file": lambda: Path(__file__).read_text(),
    "a folder": lambda: list(Path("/").iterdir()),
    "the network": connect,
    "names": lambda: socket.getaddrinfo("localhost", 80),
    "a program": lambda: subprocess.run(["/bin/true"], check=True),
    "a thread": lambda: threading.Thread(target=int).start(),
    "the screen": lambda: print("hello"),  # noqa: T201
    "a wait": lambda: time.sleep(0),
}

BROKEN = [
    (1, LacksReading, "lacks the required hooks farcall_read"),
    (1, InventsAHook, "farcall_polls"),
    (1, ForgetsTheMark, "farcall_call_options: not marked"),
    (1, TakesAnArgumentNobodyGives, "reason"),
    (2, with_facts(poll_min_s=5.0, poll_max_s=1.0), "poll_min_s"),
    (2, with_facts(origins=("HTTPS://Good.test/",)), "https://good.test"),
    (2, with_facts(poll_batch=0), "poll_batch"),
    (3, CannotCancel, "has_cancel is True"),
    (3, with_facts(stream=None), "has_stream is True"),
    (4, KnowsEverything, "takes None for its host's description"),
    (5, WritesItsMethodSmall, "'post' is not in capitals"),
    (6, PutsItsKeyOnItself, "the request holds the key"),
    (6, SetsAuthorizationItself, "authorization"),
    (7, SignsAnotherBody, "changed the method, the address or the body"),
    (7, SignsNothing, "did not put it on"),
    (8, LooksOnce, "facts.poll_repeatable is True"),
    (8, CancelsOnce, "a second cancel does no harm"),
    (9, TakesMissingForNothing, "answers[5] is read as ()"),
    (10, TakesLateForFailed, "'late' is read as"),
    (11, TakesUnknownForRunning, "must be a ProtocolError"),
    (11, DoesNotQuote, "does not quote it"),
    (12, DoesNotSayWhy, "a failure without a word"),
    (13, SaysPercent, "progress is 50.0"),
    (14, SaysMilliseconds, "read as 7000"),
    (15, Trusts, "must be a ProtocolError"),
    (16, TakesNothingForDone, "odd: nothing: read as a success"),
    (17, PassesItsNoteOn, "wrong message"),
    (19, Counts, "asked the same twice"),
    (20, ChangesItsArguments, "changed what it was handed"),
    (21, ShowsItsOptions, "The repr of the options shows the key"),
    (22, QuotesTheAddress, "the error shows the key"),
    (22, KeepsTheAddress, "the snapshot keeps the key"),
    *((18, reaching(how), "test_testing.py:") for how in REACHING.values()),
]


@pytest.mark.parametrize(
    ("rule", "provider", "words"),
    BROKEN,
    ids=[*(provider.__name__ for rule, provider, _ in BROKEN if rule != 18), *REACHING],
)
def test_a_broken_provider_breaks_exactly_its_rule(broken_rules, rule, provider, words):
    broken, said = broken_rules(provider())
    assert broken == {rule}
    assert words in said


def test_words_without_an_end_break_their_rule(broken_rules):
    broken, said = broken_rules(Good(), kit="words = {'waiting': State.QUEUED}")
    assert broken == {10}
    assert "succeeded" in said


def test_every_rule_has_a_broken_provider_and_stands_in_the_docs():
    written = {int(number) for number in re.findall(r"^(\d+)\. ", DOCS.read_text(), re.MULTILINE)}
    cited = set().union(*(rules_of(name) for name in dir(ProviderConformance) if name.startswith("test_")))
    assert cited == written == set(range(1, max(written) + 1))
    assert {rule for rule, _, _ in BROKEN} == written


def test_importing_farcall_imports_no_kit_and_no_pytest():
    code = "import sys, farcall; assert not {'pytest', 'farcall.testing'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_import_on_the_way_may_do_what_it_likes(tmp_path, monkeypatch):
    (tmp_path / "looks_around.py").write_text("import os, time\nHOME, NOW = os.environ.get('HOME'), time.time()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with watched() as seen:
        import looks_around
    assert (seen, looks_around.HOME) == ([], os.environ["HOME"])


def test_the_watch_ends_with_its_block():
    with watched():
        pass
    assert time.time() > 0
    assert sys.getprofile() is None
