"""What holds for the whole repository."""

import re
import subprocess
import sys
import zipfile

import farcall
import pytest
from house.repository import MEMBERS, ROOT, project, texts

PLACES_OF_A_MACHINE = re.compile(r"(^|[^\w.])(/(wor[k]|far[m]|roo[t]|hom[e]|User[s]|tm[p])/|[A-Z]:\\\\)", re.MULTILINE)
REGISTRIES = re.compile(r"p[y]pi\.org|pythonhost[e]d|registry\.np[m]js|deb\.debi[a]n")
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(A[K]IA|A[S]IA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{20}|"
    r"\bxox[abprs]-\w{10}|\brpa_\w{20}|\bhf_[A-Za-z0-9]{30}|\bsk-[A-Za-z0-9-]{20}|\bAIz[a][\w-]{35}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
)
HOSTS = re.compile(
    r"(?<![a-z])(runpod|fasttaskapi|fast[_-]task[_-]api|apipod|socaity|replicate|gradio|celery|azure|boto3|"
    r"farcall_(openapi|fasttaskapi|server|echo))(?![a-z])",
    re.IGNORECASE,
)


def found(pattern, paths=None):
    return [
        f"{path.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}: {match.group()}"
        for path, text in texts()
        if paths is None or path.is_relative_to(paths)
        for match in pattern.finditer(text)
    ]


def test_the_core_names_no_provider():
    assert found(HOSTS, ROOT / "core" / "src") == []


def test_no_file_names_a_place_on_a_machine():
    assert found(PLACES_OF_A_MACHINE) == []


def test_no_file_names_a_registrys_host():
    assert found(REGISTRIES) == []


def test_no_file_holds_what_looks_like_a_key():
    assert found(SECRETS) == []


def test_a_pin_is_exact_and_is_all_there_is():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin)] == []
    assert not [pin for pin in pins if pin.startswith("farcall")]


def test_every_tool_and_dependency_is_pinned():
    import tomllib

    def named(requirement):
        return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower().replace("_", "-")

    pins = {named(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")}
    wanted = set(map(named, tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]))
    wanted |= {named(item) for member in MEMBERS for item in project(member)["dependencies"]}
    assert {name for name in wanted - pins if not name.startswith("farcall")} == set()


def test_every_command_has_a_help_text_and_make_alone_lists_it():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    listed = subprocess.run(["/usr/bin/env", "make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in targets if f"make {target} " not in listed] == []


def test_ci_runs_what_a_developer_runs():
    assert "exec make system-deps check" in (ROOT / ".ci" / "run").read_text()


# --- members ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=MEMBERS, ids=lambda member: member.relative_to(ROOT).as_posix())
def member(request):
    return request.param


def test_a_member_is_laid_out_as_the_others(member):
    (package,) = (member / "src").iterdir()
    assert package.name == project(member)["name"].replace("-", "_")
    assert (package / "py.typed").is_file()
    assert len((member / "README.md").read_text().splitlines()) > 5


def test_a_member_has_the_one_version_and_is_bound_to_it_exactly(member):
    described = project(member)
    assert described["version"] == farcall.__version__
    extras = described.get("optional-dependencies", {}).values()
    bounds = [bound for bounds in (described["dependencies"], *extras) for bound in bounds]
    ours = [bound for bound in bounds if bound.startswith("farcall")]
    assert ours == [f"{bound.partition('=')[0]}=={farcall.__version__}" for bound in ours]


def test_every_other_dependency_has_a_lower_bound_and_a_reason(member):
    text = (member / "pyproject.toml").read_text()
    described = project(member)
    tables = {"dependencies": described["dependencies"], **described.get("optional-dependencies", {})}
    theirs = [bound for bounds in tables.values() for bound in bounds if not bound.startswith("farcall")]
    assert [bound for bound in theirs if not re.fullmatch(r"[A-Za-z0-9._-]+>=[0-9.]+", bound)] == []
    assert [bound for bound in theirs if not re.search(rf'"{re.escape(bound)}".*# \S', text)] == []


def test_a_member_builds_as_a_wheel_that_holds_its_package(member, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=member, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    (package,) = (member / "src").iterdir()
    assert {f"{package.name}/__init__.py", f"{package.name}/py.typed"} <= set(names)
    if package.name == "farcall_server":
        example = {"SOURCE.md", "astronaut.png", "demo.py", "service.py"}
        assert {f"farcall_server/_demo/{name}" for name in example} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
