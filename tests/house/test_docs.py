"""The code in the documents runs, against the services the documents show, and what they say is so."""

import re
import subprocess
import sys
import types

import echo_host
import farcall
import httpx
import pytest
from farcall import config, errors, plugins
from fastapi import FastAPI
from house import pages
from house.repository import ROOT

SERVICE = "127.0.0.1:8000"
SERVICE_URL = f"http://{SERVICE}"
PLAIN_URL = "http://127.0.0.1:9000"
SCREEN_LINES = 70

DEMO = (ROOT / "examples" / "photo" / "demo.py").read_text()
PYTHON = [block for page in pages.pages() for block in pages.blocks(page)]
RUN = [block for block in PYTHON if block.why_not is None and block.code not in DEMO]


def of(page):
    return [block for block in RUN if block.page == ROOT / page]


def is_service(block):
    return "FastTaskAPI(" in block.code or "= FastAPI(" in block.code


@pytest.fixture
def kitchen(serve):
    """The service docs/hosting.md shows."""
    (block,) = filter(is_service, of("docs/hosting.md"))
    return serve(block.run().app).url


# --- every page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted({str(block.page.relative_to(ROOT)) for block in RUN}))
def test_the_code_of_a_page_runs(page, kitchen, serve, own_home):
    """From top to bottom, against the last service the page itself shows, else that of docs/hosting.md."""
    module, address = types.ModuleType("__docs__"), kitchen.removeprefix("http://")
    tables = "\n".join(block.code for block in pages.blocks(page, "toml"))
    (own_home / "farcall.toml").write_text(tables.replace(SERVICE, address) if "[services." in tables else "")
    for block in of(page):
        block.run(module, [(SERVICE, address)])
        if is_service(block):
            address = f"127.0.0.1:{serve(module.app).port}"


def test_no_code_escapes_by_how_it_is_fenced():
    fences = [line for page in pages.pages() for line in page.read_text("utf-8").splitlines() if "```python" in line]
    assert len(fences) == len(PYTHON)


def test_code_that_is_not_run_is_at_least_python():
    for block in PYTHON:
        if block.why_not:
            compile(block.code, str(block), "exec")


def test_every_link_between_the_documents_leads_somewhere():
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages.pages()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", pages.prose(page))
        if not (page.parent / target).exists()
    ]
    assert dead == []


def test_the_road_in_the_cores_readme_names_modules_that_exist():
    _, road = pages.prose(ROOT / "core" / "README.md").split("The road of a call")
    modules = {path.stem for path in (ROOT / "core" / "src" / "farcall").glob("*.py")}
    assert set(re.findall(r"`(\w+)`", road)) - modules == set()


# --- the README -------------------------------------------------------------------------------------------------


def test_the_readme_shows_the_demo_as_it_is():
    shown = [block.code for block in pages.blocks("README.md") if block.code in DEMO]
    assert len(shown) == 1
    assert DEMO.endswith(shown[0])
    assert len([line for line in DEMO.splitlines() if line.strip()]) <= 25


def test_the_readmes_program_runs_on_another_host_with_nothing_changed(serve, capsys, monkeypatch, own_home):
    (service,) = filter(is_service, of("README.md"))
    caller = next(block for block in of("README.md") if f'farcall.connect("{SERVICE_URL}")' in block.code)
    (table,) = (block.code for block in pages.blocks("README.md", "toml") if "[services.kitchen]" in block.code)
    plain = FastAPI()

    @plain.post("/make_fries")
    def make_fries(name: str, amount: int = 1) -> str:
        return f"{amount} x {name}"

    url = serve(service.run().app).url
    table = table.replace(SERVICE_URL, url).replace(PLAIN_URL, serve(plain).url)
    (own_home / "farcall.toml").write_text(table)
    caller.run(changes=[(SERVICE_URL, "kitchen")])
    as_jobs = capsys.readouterr().out
    monkeypatch.setenv("FARCALL_PROFILE", "plain")
    caller.run(changes=[(SERVICE_URL, "kitchen")])
    at_once = capsys.readouterr().out
    assert "frying krinkle" in as_jobs
    assert "frying krinkle" not in at_once
    assert [said.splitlines()[i] for said in (as_jobs, at_once) for i in (0, -1)] == ["1 x curly", "3 x krinkle"] * 2


# --- one page each ----------------------------------------------------------------------------------------------


def test_what_the_calling_page_says_is_returned_is_returned(kitchen):
    with farcall.connect(kitchen) as svc:
        assert list(svc.endpoints) == ["make_fries", "sign", "add"]
        assert svc.add(1, "2") == 3
        assert svc.make_fries(name="krinkle", amount=3) == "3 x krinkle"
        assert svc.sign(photo=b"pixels", text="you").read() == b"pixelsyou"


def test_each_source_on_the_calling_page_is_one(kitchen, own_home):
    address = kitchen.removeprefix("http://")
    (own_home / "farcall.toml").write_text(f'services.kitchen = {{ provider = "fasttaskapi", url = "{kitchen}" }}')
    description = httpx.get(f"{kitchen}/openapi.json").json()
    binding = farcall.Binding(provider="fasttaskapi", url=kitchen)
    for source in ("kitchen", kitchen, address, f"fasttaskapi:{kitchen}", f"fasttaskapi:{address}", binding):
        with farcall.connect(source) as svc:
            assert svc.add(1, 2) == 3
    with farcall.connect(description, url=kitchen) as svc:
        assert svc.add(1, 2) == 3


def test_the_options_on_the_calling_page_are_those_there_are(kitchen):
    (table,) = re.findall(r"\| option \|.*?\n\n", pages.prose(ROOT / "docs" / "calling.md"), re.DOTALL)
    with farcall.connect(kitchen) as svc:
        with pytest.raises(errors.UsageError, match="There are: ") as refused:
            svc.add.options(patience=1)
        there_are = str(refused.value).partition("There are: ")[2].rstrip(".").split(", ")
        assert sorted(there_are) == sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
        with pytest.raises(errors.UsageError, match="does not know idempotency keys"):
            svc.add.options(idempotency_key="7")(1, 2)


def test_the_configuration_page_is_true(own_home, monkeypatch):
    (own_home / "farcall.toml").write_text("\n".join(b.code for b in pages.blocks("docs/configuration.md", "toml")))
    loaded = config.load()
    assert loaded.binding("kitchen").options["url"] == SERVICE_URL
    assert loaded.binding("kitchen", "lab").options["url"] == "http://gpu.lan:8000"
    assert loaded.binding("kitchen", "plain").provider == "openapi"
    (add,) = loaded.binding("adder").endpoints
    assert {name: p.place for name, p in add.parameters.items()} == {"a": None, "b": "query"}
    monkeypatch.setenv("FARCALL_SERVICES__KITCHEN__URL", "http://127.0.0.1:9000")
    assert config.load().binding("kitchen").options["url"] == "http://127.0.0.1:9000"


def test_the_error_page_shows_every_error():
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    names = [
        kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_provider_on_the_page_is_a_whole_one_and_fits_one_screen():
    page = "docs/write-a-provider.md"
    assert len((ROOT / page).read_text("utf-8").splitlines()) <= SCREEN_LINES
    (entry,) = pages.blocks(page, "toml")
    assert entry.code in (ROOT / "examples" / "farcall-echo" / "pyproject.toml").read_text("utf-8")
    plugins.register("from_the_page", of(page)[0].run())
    try:
        shout = farcall.EndpointSpec(path="/shout", parameters={"text": str})
        with echo_host.running() as host:
            binding = farcall.Binding(provider="from_the_page", url=host.url, endpoints=[shout])
            with farcall.connect(binding) as svc:
                assert svc.shout(text="hello") == "HELLO"
    finally:
        plugins.unregister("from_the_page")


@pytest.mark.parametrize("provider", ["echo", "from_the_page"])
def test_the_kit_on_the_conformance_page_passes(provider, tmp_path):
    """For the provider that is installed, and for the one docs/write-a-provider.md shows."""
    ((page,), (kit,)) = map(of, ("docs/write-a-provider.md", "docs/conformance.md"))
    assert 'provider = "echo"' in kit.code
    (tmp_path / "shown.py").write_text(page.code)
    registered = "import farcall, shown\nfarcall.plugins.register('from_the_page', shown)\n"
    test = registered + kit.code.replace('provider = "echo"', f'provider = "{provider}"')
    (tmp_path / "test_page.py").write_text(test)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
