"""A stranger's provider, installed as a distribution of its own, works through its entry point alone."""

import echo_host
import farcall
import pytest
from farcall import plugins
from farcall.errors import AuthRefused, InputError, JobFailed, JobLost, KeyMissing, ProtocolError, UsageError
from farcall.jobs import State


@pytest.fixture
def host():
    with echo_host.running() as running:
        yield running


@pytest.fixture
def service(host):
    with farcall.connect(host.url, provider="echo") as connected:
        yield connected


def test_it_comes_through_its_entry_point_from_a_distribution_of_its_own():
    (echo,) = [plugin for plugin in plugins.installed("provider") if plugin.name == "echo"]
    assert echo.distribution == "farcall-echo 0.1.0"
    assert echo.error is None


def test_it_recognises_its_own_servers(host):
    with farcall.connect(host.url) as service:
        assert service.shout(text="hello") == "HELLO"


def test_the_source_may_name_it(host):
    with farcall.connect(f"echo:{host.url}") as service:
        assert service.shout("hello") == "HELLO"


def test_the_servers_description_becomes_endpoints(service):
    assert list(service.endpoints) == ["shout", "repeat", "fail", "sleep"]
    assert "text: str, times: int = 1" in repr(service.shout)


def test_arguments_are_cast_and_only_those_given_are_sent(host, service):
    assert service.shout(text="ab", times="2") == "ABAB"
    assert service.shout(text="ab") == "AB"
    assert list(host.jobs.values()) == [
        {"do": "shout", "with": {"text": "ab", "times": 2}},
        {"do": "shout", "with": {"text": "ab"}},
    ]


def test_a_wrong_argument_never_reaches_the_server(host, service):
    with pytest.raises(InputError, match="times"):
        service.shout(text="ab", times="many")
    assert host.jobs == {}


def test_every_phase_is_seen_on_the_way(service):
    looks = list(service.repeat.submit(value=[1, {"a": None}]).events())
    states = [look.state for look in looks]
    assert states == sorted(states, key=list(State).index)
    assert states[-1] is State.SUCCEEDED
    assert 0.5 in [look.progress for look in looks]
    assert looks[-1].result == [1, {"a": None}]


def test_a_broken_job_fails_in_the_servers_words(service):
    with pytest.raises(JobFailed, match="the ink is out"):
        service.fail(why="the ink is out")


def test_a_job_the_server_has_forgotten_is_lost(host, service):
    job = service.sleep.submit()
    job.ref()
    host.jobs.clear()
    with pytest.raises(JobLost):
        job.result(timeout_s=10)


def test_an_unknown_phase_is_an_error_that_quotes_it(host, service, monkeypatch):
    monkeypatch.setattr(host, "look", lambda ticket: {"ticket": ticket, "phase": "dancing"})
    with pytest.raises(ProtocolError, match="'dancing'"):
        service.shout(text="a")


def test_its_key_is_found_in_its_variable_and_shown_to_this_machine(monkeypatch):
    with echo_host.running(key="s3cret") as host:
        with farcall.connect(host.url, provider="echo") as service, pytest.raises(KeyMissing, match="Set ECHO_API_KEY"):
            service.shout(text="a")
        monkeypatch.setenv("ECHO_API_KEY", "s3cret")
        with farcall.connect(host.url, provider="echo") as service:
            assert service.shout(text="a") == "A"


def test_a_wrong_key_is_refused_in_the_servers_words():
    with echo_host.running(key="s3cret") as host:
        service = farcall.connect(host.url, provider="echo", api_key="wrong")
        with service, pytest.raises(AuthRefused, match="show your key"):
            service.shout(text="a")


def test_a_misspelt_option_is_refused(host):
    with pytest.raises(UsageError, match="urll"):
        farcall.connect(provider="echo", urll=host.url)
