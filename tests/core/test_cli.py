"""The command line, on a real server, as its own process where signals and exit codes matter."""

import errno
import json
import os
import pty
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import echo_host
import pytest
import typer
from farcall import cli, plugins
from typer.testing import CliRunner

FARCALL = [sys.executable, "-c", "from farcall.cli import main; main()"]


@pytest.fixture
def host():
    with echo_host.running() as running:
        yield running


@pytest.fixture
def added():
    """Register command plugins for one test."""
    names = []

    def add(name, plugin):
        plugins.register(name, plugin, kind="command")
        names.append(name)

    yield add
    for name in names:
        plugins.unregister(name, kind="command")


def run(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


# --- call ---------------------------------------------------------------------------------------------------


def test_call_prints_the_result_as_json(host):
    result = run("call", host.url, "repeat", 'value={"a": [1, null, "é"]}')
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"a": [1, None, "é"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("true", True),
        ('"12"', "12"),
        ("plain text", "plain text"),
        ("NaN", "NaN"),
        ("a=b", "a=b"),
    ],
)
def test_a_value_is_json_if_it_is_json_and_else_text(host, text, value):
    assert json.loads(run("call", host.url, "repeat", f"value={text}").stdout) == value


def test_a_number_given_to_a_text_parameter_is_text(host):
    assert json.loads(run("call", host.url, "shout", "text=12").stdout) == "12"


def test_the_provider_may_be_named_and_the_endpoint_be_a_path(host):
    result = run("call", host.url, "/shout", "text=a", "--provider", "echo")
    assert json.loads(result.stdout) == "A"


def test_a_profile_chooses_where(host, tmp_path, monkeypatch):
    (tmp_path / "farcall.toml").write_text(
        f'[services.s]\nprovider = "echo"\nurl = "http://127.0.0.1:1"\nprofiles.here.url = "{host.url}"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert json.loads(run("call", "s", "shout", "text=a", "--profile", "here").stdout) == "A"


def test_an_error_is_its_sentence_on_stderr_and_exit_code_1(host):
    result = run("call", host.url, "fail", "why=the ink is out")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "the ink is out" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shuot", "text=a"], "shout"),
        (["shout", "text"], "KEY=VALUE"),
        (["shout", "text=a", "text=b"], "twice"),
        (["shout", "txet=a"], "text"),
        (["shout", "text=@no/such/file"], "no/such/file"),
    ],
)
def test_what_was_typed_wrong_is_said_and_nothing_is_sent(host, words, said):
    result = run("call", host.url, *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert host.jobs == {}


def test_timeout_ends_the_wait_and_not_the_job(host):
    result = run("call", host.url, "sleep", "--timeout", "0.2")
    assert result.exit_code == 1
    (job,) = host.jobs
    assert f"sleep has not ended within 0.2 s; job {job} goes on." in result.stderr


def test_ctrl_c_ends_the_program_at_once_with_130(host):
    process = subprocess.Popen([*FARCALL, "call", host.url, "sleep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert host.started.wait(20)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


def test_a_terminal_is_shown_a_progress_bar_and_a_pipe_is_not(host):
    ours, theirs = pty.openpty()
    try:
        words = [*FARCALL, "call", host.url, "shout", "text=a"]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, check=True)
        os.close(theirs)
        shown = _drained(ours)
    finally:
        os.close(ours)
    assert json.loads(done.stdout) == "A"
    assert "━" in shown
    assert run("call", host.url, "shout", "text=a").stderr == ""


def _drained(descriptor):
    shown = b""
    try:
        while piece := os.read(descriptor, 65536):
            shown += piece
    except OSError:  # the other end has closed
        pass
    return shown.decode()


def test_a_result_file_is_saved_and_never_over_another(tmp_path):
    from farcall.files import File

    for number in range(2):
        saved = cli.saved({"picture": [File.from_bytes(b"%d" % number, name="../p.txt")]}, tmp_path / "out")
        assert Path(saved["picture"][0]).read_bytes() == b"%d" % number
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p-2.txt", "p.txt"]


@pytest.mark.parametrize("below", ["", "/deeper/still"])
def test_a_file_where_results_are_to_be_saved_is_said_before_anything_is_called(host, tmp_path, below):
    (tmp_path / "app.py").write_text("mine")
    result = run("call", host.url, "shout", "text=a", "--save", f"{tmp_path}/app.py{below}")
    assert result.exit_code == 2
    assert "is a file; name a folder." in " ".join(result.stderr.replace("│", " ").split())
    assert host.jobs == {}
    assert (tmp_path / "app.py").read_text() == "mine"


def test_a_result_that_cannot_be_saved_names_its_job(host, tmp_path, monkeypatch):
    def full(value, folder):
        raise OSError(errno.ENOSPC, "No space left on device", "out/a.png")

    monkeypatch.setattr(cli, "saved", full)
    result = run("call", host.url, "shout", "text=a", "--save", tmp_path / "out")
    assert result.exit_code == 1
    (job,) = host.jobs
    assert f"The result of job {job} cannot be saved: " in result.stderr
    assert "No space left on device" in result.stderr


# --- plugins and other distributions' commands --------------------------------------------------------------


def test_plugins_lists_each_with_its_distribution_and_what_is_wrong_with_it(added, monkeypatch):
    added("crooked", object())
    monkeypatch.setenv("COLUMNS", "200")
    result = run("plugins")
    assert result.exit_code == 0, result.output
    (echo,) = [line for line in result.stdout.splitlines() if " echo " in line]
    assert "provider" in echo
    assert f"farcall-echo {metadata.version('farcall-echo')}" in echo
    (crooked,) = [line for line in result.stdout.splitlines() if " crooked " in line]
    assert "command" in crooked
    assert "not a typer.Typer" in crooked


def test_another_distributions_command_runs(added):
    app = typer.Typer()

    @app.command()
    def greet(name: str):
        """Say hello."""
        typer.echo(f"hello {name}")

    added("greet", app)
    assert run("greet", "you").stdout == "hello you\n"
    assert "Say hello." in run("--help").stdout


def test_a_broken_command_breaks_no_other(added, host):
    added("crooked", object())
    assert "crooked" in run("--help").stdout
    result = run("crooked", "any", "--words")
    assert result.exit_code == 1
    assert "not a typer.Typer" in result.stderr
    assert run("call", host.url, "shout", "text=a").exit_code == 0


def test_a_command_whose_distribution_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(plugins._found, "command", {})
    monkeypatch.setattr(plugins, "_loaded", {})
    result = run("demo", "--photo", "x.jpg")
    assert result.exit_code == 1
    assert "`farcall demo` needs farcall-server: pip install ./server" in result.stderr
    assert "needs farcall-server" in run("--help").stdout


def test_an_unknown_command_is_a_usage_error():
    assert run("dmeo").exit_code == 2


def test_listing_commands_imports_none_of_them():
    code = (
        "import sys; from farcall import cli, plugins; plugins.names('command');"
        "sys.exit(any(name.startswith('farcall_') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
