"""`farcall serve` finds the app of a program, whether the program starts it or not."""

import inspect
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import types
from multiprocessing import spawn

import httpx
import pytest
from farcall import errors, hookimpl, plugins
from farcall_server import FastTaskAPI, serve, starting
from farcall_server.hookspecs import Options
from typer.testing import CliRunner

MADE = "from farcall_server import FastTaskAPI\n"
KITCHEN = """
app = FastTaskAPI(title="Kitchen")

@app.endpoint("/argv")
def argv() -> list:
    import sys
    return sys.argv

app.start(port=1)
"""
FARCALL = [sys.executable, "-c", "from farcall.cli import main; main()"]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Write a program: `program(text)` is its path."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    before = set(sys.modules)

    def write(text, name="kitchen.py"):
        file = tmp_path / name
        file.write_text(MADE + text)
        return file

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_the_app_that_the_program_starts_is_served_as_it_says(program):
    app, options = serve.load(
        program("FastTaskAPI()\nmine = FastTaskAPI(title='m')\nmine.start(port=7)\nother = FastTaskAPI()")
    )
    assert (app.title, options) == ("m", Options(port=7))


def test_a_program_that_starts_itself_only_when_run_is_served_too(program):
    app, options = serve.load(
        program("app = FastTaskAPI(title='m')\nif __name__ == '__main__':\n    app.start(port=7)")
    )
    assert (app.title, options) == ("m", Options())


def test_the_only_app_is_found_whatever_it_is_called(program):
    app, _ = serve.load(program("kitchen = same = FastTaskAPI(title='m')"))
    assert app.title == "m"


def test_one_of_several_apps_is_asked_for_by_name(program):
    file = program("a = FastTaskAPI(title='a')\nb = FastTaskAPI(title='b')")
    assert serve.load(file, "b")[0].title == "b"
    with pytest.raises(errors.UsageError, match=r"has a, b\. Write .*kitchen\.py:NAME"):
        serve.load(file)
    with pytest.raises(errors.UsageError, match="no FastTaskAPI called 'c'; it has a, b"):
        serve.load(file, "c")


def test_a_program_may_be_called_as_a_module_that_is_there(program):
    app, _ = serve.load(program("import queue\napp = FastTaskAPI(title=queue.Queue.__name__)", "queue.py"))
    assert app.title == "Queue"


def test_a_program_imports_its_neighbours(program, tmp_path):
    (tmp_path / "neighbour_of_kitchen.py").write_text("TITLE = 'from next door'")
    app, _ = serve.load(program("import neighbour_of_kitchen as n\napp = FastTaskAPI(title=n.TITLE)"))
    assert app.title == "from next door"


def test_what_is_missing_is_said(program, tmp_path):
    with pytest.raises(errors.UsageError, match="no program"):
        serve.load(tmp_path / "nothing.py")
    with pytest.raises(errors.UsageError, match="has none"):
        serve.load(program(""))
    with pytest.raises(ZeroDivisionError):
        serve.load(program("1 / 0"))
    assert not starting.is_held(FastTaskAPI(), Options())


def test_a_spawned_process_that_imports_the_program_does_not_serve_again(tmp_path):
    """As the heartbeat of a host's worker is started where processes are spawned."""
    (tmp_path / "spawning.py").write_text(
        MADE + "import multiprocessing\n"
        "app = FastTaskAPI(backend='broken-if-started')\n"
        "def work(): print('worked', flush=True)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    process.start()\n"
        "    process.join()\n"
        "else:\n"
        "    app.start()\n"
    )
    run = [sys.executable, str(tmp_path / "spawning.py")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("worked\n", "")


def test_the_command_serves_a_program(program, tmp_path):
    file = program(KITCHEN)
    process = subprocess.Popen(
        [*FARCALL, "serve", str(file), "--port", "0", "--", "--own", "argument"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    try:
        url = re.search(r"Kitchen serves at (\S+)", process.stdout.readline())[1]
        assert httpx.post(f"{url}/argv").json() == [str(file), "--own", "argument"]
        assert re.search(r"state/farcall/kitchen-\w+/jobs\.db", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_command_says_in_one_line_what_is_wrong(program):
    command = [*FARCALL, "serve", str(program("app = FastTaskAPI()")), "--backend", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No backend named 'nonsense' is installed.")
    assert len(done.stderr.splitlines()) == 1


def test_multiprocessing_still_tells_that_it_imports():
    """`starting` looks at what the standard library's own check looks at."""
    assert "_inheriting" in inspect.getsource(spawn._check_not_importing_main)
    assert not getattr(multiprocessing.current_process(), "_inheriting", False)


def test_a_backend_may_do_something_before_the_program_is_loaded(program):
    def prepare():
        raise SystemExit(7)

    backend = types.ModuleType("careful")
    backend.farcall_prepare = hookimpl(prepare)
    backend.farcall_serve = hookimpl(lambda app: None)
    plugins.register("careful", backend, kind="backend")
    try:
        file = program("raise AssertionError('loaded')")
        result = CliRunner().invoke(serve.app, [str(file), "--backend", "careful"])
    finally:
        plugins.unregister("careful", kind="backend")
    assert (result.exit_code, result.output) == (7, "")
