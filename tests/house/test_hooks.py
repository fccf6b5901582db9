"""What holds for every hook: it is typed, documented with its exact signature, and tried by a test."""

import ast

import pytest
from farcall import hookspecs
from house import hooks_page
from house.repository import ROOT


@pytest.fixture(params=hooks_page.hooks(), ids=lambda hook: hook.name)
def hook(request):
    return request.param


def test_a_hook_is_typed(hook):
    arguments = [*hook.args.posonlyargs, *hook.args.args, *hook.args.kwonlyargs]
    assert [argument.arg for argument in arguments if argument.annotation is None] == []
    assert hook.returns is not None


def test_a_hook_says_what_is_asked_and_when_and_what_each_argument_is(hook):
    text = ast.get_docstring(hook)
    assert "Called" in text or "Implemented by the core" in text
    explained = [argument.arg for argument in hook.args.args if f"    {argument.arg}: " in text]
    assert "Returns:" in text or ast.unparse(hook.returns) == "None"
    if "Args:" in text:
        assert explained == [argument.arg for argument in hook.args.args]


def test_a_hook_is_marked_for_pluggy(hook):
    assert hasattr(getattr(hookspecs, hook.name), "farcall_spec")


def test_a_hook_is_tried_by_a_test(hook):
    tests = [path for path in (ROOT / "tests").rglob("*.py") if "house" not in path.parts]
    plugins = list((ROOT / "plugins").glob("*/src/**/*.py"))
    assert any(hook.name in path.read_text() for path in [*tests, *plugins])


def test_the_page_of_the_hooks_is_made_from_them():
    """Else run tests/house/hooks_page.py."""
    assert hooks_page.PAGE.read_text("utf-8") == hooks_page.render()
