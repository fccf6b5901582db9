"""A variable, an option or the program chooses who serves an app; one that is not there says how to get it."""

import types

import pytest
from farcall import errors, hookimpl, plugins
from farcall_server import FastTaskAPI, backends
from farcall_server.hookspecs import Options


@pytest.fixture
def backend():
    """Register a backend for one test: `backend("name", farcall_serve)`, a function without the mark."""
    names = []

    def add(name, function):
        made = types.ModuleType(name)
        made.farcall_serve = hookimpl(function)
        plugins.register(name, made, kind="backend")
        names.append(name)

    yield add
    for name in names:
        plugins.unregister(name, kind="backend")


@pytest.fixture
def served(backend):
    """What the backend called `mine` was asked to serve."""
    calls = []
    backend("mine", lambda app, options: calls.append((app, options)))
    return calls


def test_the_program_chooses(served):
    app = FastTaskAPI(backend="mine")
    app.start(host="127.0.0.1", port=0)
    assert served == [(app, Options(host="127.0.0.1", port=0))]


@pytest.mark.parametrize("variable", ["FARCALL_BACKEND", "FTAPI_BACKEND"])
def test_a_variable_chooses_before_the_program(served, monkeypatch, variable):
    monkeypatch.setenv(variable, "mine")
    FastTaskAPI(backend="local").start()
    assert len(served) == 1


def test_our_variable_comes_before_the_older_one(monkeypatch):
    monkeypatch.setenv("FTAPI_BACKEND", "theirs")
    assert backends.chosen(None) == "theirs"
    monkeypatch.setenv("FARCALL_BACKEND", "mine")
    assert backends.chosen("other") == "mine"


def test_the_older_variables_word_for_local_is_known(monkeypatch):
    assert backends.chosen(None) == "local"
    monkeypatch.setenv("FTAPI_BACKEND", "fastapi")
    assert backends.chosen("runpod") == "local"
    monkeypatch.setenv("FARCALL_BACKEND", "fastapi")  # is no name of ours
    assert backends.chosen(None) == "fastapi"


def test_an_implementation_may_leave_arguments_out(backend):
    seen = []
    backend("small", lambda app: seen.append(app))  # noqa: PLW0108 - the hook's argument has a name
    app = FastTaskAPI(backend="small")
    app.start()
    assert seen == [app]


def test_a_backend_that_is_unknown_is_named_with_those_there_are():
    with pytest.raises(errors.ConfigError, match=r"No backend named 'locl'.*Did you mean 'local'"):
        FastTaskAPI(backend="locl").start()


def test_a_known_backend_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(plugins, "_entry_points", lambda kind: {})
    monkeypatch.setattr(plugins, "_loaded", {})
    with pytest.raises(errors.ConfigError, match=r"'runpod' is not installed. Install it: pip install .*worker"):
        FastTaskAPI(backend="runpod").start()


def test_a_known_backend_without_its_extra_says_how_to_install_it(monkeypatch):
    def missing(kind, name):
        raise errors.PluginError("cannot be imported") from ModuleNotFoundError(name="runpod")

    monkeypatch.setattr(plugins, "load", missing)
    with pytest.raises(errors.ConfigError, match=r"lacks the module 'runpod'. Install it: pip install .*worker"):
        FastTaskAPI(backend="runpod").start()


def test_a_backend_without_the_hook_or_with_a_wrong_one_is_refused(backend):
    plugins.register("empty", types.ModuleType("empty"), kind="backend")
    try:
        with pytest.raises(errors.PluginError, match="lacks the required hook farcall_serve"):
            FastTaskAPI(backend="empty").start()
    finally:
        plugins.unregister("empty", kind="backend")
    backend("wrong", lambda apps: None)
    with pytest.raises(errors.PluginError, match=r"(?s)does not fit farcall's hooks.*apps"):
        FastTaskAPI(backend="wrong").start()
