"""The code in the plugin's README runs, against the emulator."""

import pytest
from house import pages
from plugins.runpod.conftest import HANDLER

README = "plugins/runpod/README.md"
CALLING, EMULATING, TESTING = pages.blocks(README)


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    (tmp_path / "app.py").write_text(HANDLER.read_text())
    monkeypatch.chdir(tmp_path)


def test_calling(runpod_emulator, capsys, monkeypatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "any")
    emulator = runpod_emulator("app.py")
    module = CALLING.run(changes=[("runpod:abc123", f"runpod:{emulator.url}")])
    module.svc.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-2] == "{'prompt': 'hi'}"
    assert "'completed': 2" in lines[-1]


def test_emulating(capsys):
    EMULATING.run()
    assert capsys.readouterr().out.splitlines()[-1] == "{'prompt': 'hi'}"


def test_testing(runpod_emulator):
    TESTING.run().test_a_busy_runpod_is_waited_for(runpod_emulator)


def test_every_fault_and_option_is_on_the_page():
    from farcall_runpod.emulator.faults import MEANINGS, Fault
    from farcall_runpod.options import Options

    page = pages.prose(pages.ROOT / README)
    assert all(f"| `{option}`" in page for option in Options.model_fields)
    assert all(f"| `{fault}" in page for fault in MEANINGS)
    for text in (
        "429=0.2",
        "429@run=0.2",
        "lost-response@run=0.1",
        "stale-status=2",
        "worker-death=0.1",
        "cold-start=30",
    ):
        assert f"`{text}`" in page
        Fault.of(text)
