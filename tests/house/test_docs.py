"""The code in the documents runs, against the services the documents show."""

import ast
import re
import types

import echo_host
import farcall
import pytest
from farcall import plugins
from fastapi import FastAPI
from house.repository import ROOT

SERVICE_URL = "http://127.0.0.1:8000"
PLAIN_URL = "http://127.0.0.1:9000"
ONE_SCREEN = 70


def blocks(path, language):
    """The code blocks of a document, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / path).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run(code, name="__docs__"):
    module = types.ModuleType(name)
    exec(compile(code, name, "exec"), module.__dict__)
    return module


@pytest.fixture
def kitchen(serve):
    """The service docs/hosting.md shows."""
    (code,) = blocks("docs/hosting.md", "python")
    return serve(run(code).app).url


@pytest.mark.parametrize("page", ["docs/calling.md", "docs/errors.md"])
def test_the_callers_code_runs_against_the_service_of_the_hosting_page(kitchen, page):
    run("\n".join(blocks(page, "python")).replace(SERVICE_URL, kitchen))


def test_what_the_calling_page_says_is_returned_is_returned(kitchen):
    with farcall.connect(kitchen) as svc:
        assert list(svc.endpoints) == ["make_fries", "sign", "add"]
        assert svc.add(1, "2") == 3
        assert svc.make_fries(name="krinkle", amount=3) == "3 x krinkle"
        assert svc.sign(photo=b"pixels", text="you").read() == b"pixelsyou"


def test_the_readmes_first_job_runs(serve, capsys):
    demo, service, caller = blocks("README.md", "python")
    url = serve(run(service).app).url
    run(caller.replace(SERVICE_URL, url))
    said = capsys.readouterr().out
    assert said.startswith("1 x curly\n")
    assert said.endswith("3 x krinkle\n")
    assert "frying krinkle" in said


def test_the_readmes_program_runs_on_another_host_with_nothing_changed(serve, capsys, monkeypatch, tmp_path):
    _, service, caller = blocks("README.md", "python")
    (toml,) = blocks("README.md", "toml")
    plain = FastAPI()

    @plain.post("/make_fries")
    def make_fries(name: str, amount: int = 1) -> str:
        return f"{amount} x {name}"

    url = serve(run(service).app).url
    (tmp_path / "farcall.toml").write_text(toml.replace(SERVICE_URL, url).replace(PLAIN_URL, serve(plain).url))
    monkeypatch.chdir(tmp_path)
    program = caller.replace(SERVICE_URL, "kitchen")
    run(program)
    as_jobs = capsys.readouterr().out
    monkeypatch.setenv("FARCALL_PROFILE", "plain")
    run(program)
    at_once = capsys.readouterr().out
    assert "running" in as_jobs
    assert [said.splitlines()[i] for said in (as_jobs, at_once) for i in (0, -1)] == ["1 x curly", "3 x krinkle"] * 2


def test_the_readme_shows_the_demo_as_it_is():
    demo = (ROOT / "examples" / "photo" / "demo.py").read_text()
    shown = blocks("README.md", "python")[0]
    assert demo.endswith(f"\n{shown}")
    assert len([line for line in demo.splitlines() if line.strip()]) <= 25


def test_the_configuration_page_is_true(monkeypatch, tmp_path):
    from farcall import config

    (tmp_path / "farcall.toml").write_text("\n".join(blocks("docs/configuration.md", "toml")))
    monkeypatch.chdir(tmp_path)
    loaded = config.load()
    assert loaded.binding("kitchen").options["url"] == SERVICE_URL
    assert loaded.binding("kitchen", "lab").options["url"] == "http://gpu.lan:8000"
    assert loaded.binding("kitchen", "plain").provider == "openapi"
    (add,) = loaded.binding("adder").endpoints
    assert {name: p.place for name, p in add.parameters.items()} == {"a": None, "b": "query"}
    run(blocks("docs/configuration.md", "python")[0])
    assert set(farcall.settings.api_keys) == {"https://gpu.lan:8000", "echo"}


def test_the_error_page_lists_every_error():
    page = (ROOT / "docs" / "errors.md").read_text()
    tree = ast.parse((ROOT / "core" / "src" / "farcall" / "errors.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [name for name in names if name != "FarcallError" and f"`{name}`" not in page] == []


def test_the_provider_on_the_page_is_a_whole_one_and_fits_one_screen():
    page = "docs/write-a-provider.md"
    assert len((ROOT / page).read_text().splitlines()) <= ONE_SCREEN
    plugins.register("from_the_page", run(blocks(page, "python")[0], "from_the_page"))
    try:
        shout = farcall.EndpointSpec(path="/shout", parameters={"text": str})
        with echo_host.running() as host:
            binding = farcall.Binding(provider="from_the_page", url=host.url, endpoints=[shout])
            with farcall.connect(binding) as svc:
                assert svc.shout(text="hello") == "HELLO"
    finally:
        plugins.unregister("from_the_page")


def test_every_link_between_the_documents_leads_somewhere():
    pages = [path for path in ROOT.rglob("*.md") if ".venv" not in path.parts]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert dead == []
