"""What holds for every hook: it is typed, documented with its exact signature, and tried by a test."""

import ast
import re

import pytest
from house import hooks_page
from house.repository import ROOT


@pytest.fixture(params=hooks_page.hooks(), ids=lambda hook: hook.name)
def hook(request):
    return request.param


def test_a_hook_is_typed(hook):
    arguments = [*hook.args.posonlyargs, *hook.args.args, *hook.args.kwonlyargs]
    assert [argument.arg for argument in arguments if argument.annotation is None] == []
    assert hook.returns is not None


def test_a_hook_says_when_it_is_called_and_what_it_takes_and_returns(hook):
    text = ast.get_docstring(hook)
    arguments = [argument.arg for argument in hook.args.args]
    assert "called " in text.lower()
    assert re.findall(r"^    (\w+): ", section(text, "Args"), re.MULTILINE) == arguments
    assert bool(section(text, "Returns")) == (ast.unparse(hook.returns) != "None")


def section(text, name):
    """What stands under a heading of a docstring; empty if there is no such heading."""
    found = re.search(rf"^{name}:\n((?:    .*\n?)+)", text, re.MULTILINE)
    return found[1] if found else ""


def test_a_hook_is_marked_for_pluggy(hook):
    (found,) = (getattr(specs, hook.name) for specs in hooks_page.SPECS if hasattr(specs, hook.name))
    assert hasattr(found, "farcall_spec")


def test_a_hook_is_tried_by_a_test(hook):
    folders = [path for path in (ROOT / "tests").iterdir() if path.name not in {"house", "typing"}]
    tests = [path for folder in folders for path in folder.rglob("*.py")]
    assert any(hook.name in path.read_text("utf-8") for path in tests)


def test_a_hook_is_shown_typed_as_its_author_writes_it(hook):
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "tests" / "typing").glob("*.py")]
    (shown,) = (n for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == hook.name)
    assert {argument.arg for argument in shown.args.args} <= {argument.arg for argument in hook.args.args}


def test_the_page_of_the_hooks_is_made_from_them():
    """Else run tests/house/hooks_page.py."""
    assert hooks_page.PAGE.read_text("utf-8") == hooks_page.render()
