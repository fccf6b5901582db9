"""What holds for the public face: its names, its two colours, its errors, and what importing it costs."""

import ast
import inspect
import json
import re
import subprocess
import sys

import farcall
import pytest
from farcall import errors
from house.repository import ROOT

MOST_NAMES = 30
PAIRS = [(name, f"Async{name}") for name in ("Service", "Endpoint", "Job", "File", "Storage")]
ONLY_ASYNC = {"chunks", "alike"}
"""A file's pieces as they come, for which the blocking face has `open()`; a storage for another event loop."""
ONLY_BLOCKING = {"carried", "public"}
"""What the core asks a file argument, which is always of this kind."""


def in_a_fresh_process(statement, question):
    code = f"import json, sys; {statement}; print(json.dumps({question}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_public_names_are_listed_sorted_and_few():
    assert farcall.__all__ == sorted(farcall.__all__)
    assert len(farcall.__all__) <= MOST_NAMES
    assert [name for name in farcall.__all__ if getattr(farcall, name, None) is None] == []


def test_nothing_but_the_public_names_is_shown():
    assert [name for name in dir(farcall) if not name.startswith("__")] == farcall.__all__


def test_a_type_checker_sees_each_public_name_where_it_is_loaded_from():
    tree = ast.parse((ROOT / "core" / "src" / "farcall" / "__init__.py").read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.name: node.module for node in checked.body for alias in node.names}
    assert seen == {
        name: f"farcall.{farcall._HOMES[name]}" if name in farcall._HOMES else "farcall" for name in farcall.__all__
    }


def test_importing_it_imports_no_plugin_and_no_http_client():
    loaded = in_a_fresh_process("import farcall", "[m.partition('.')[0] for m in sys.modules]")
    assert {"httpx", "aiohttp", "typer", "rich", "tomllib"} & set(loaded) == set()
    assert [module for module in loaded if module.startswith("farcall_")] == []


def test_naming_connect_imports_no_http_client_yet():
    loaded = in_a_fresh_process("import farcall; farcall.connect", "[m.partition('.')[0] for m in sys.modules]")
    assert {"httpx", "aiohttp"} & set(loaded) == set()


def test_asking_for_one_plugin_imports_no_other():
    loaded = in_a_fresh_process(
        "from farcall import plugins; plugins.load('provider', 'echo')",
        "[m for m in sys.modules if m.startswith('farcall_')]",
    )
    assert loaded == ["farcall_echo"]


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_both_colours_have_the_same_verbs_with_the_same_signatures(blocking, asynchronous):
    ours, theirs = verbs(getattr(farcall, blocking)), verbs(getattr(farcall, asynchronous))
    alternative_constructors = {name for name in ours if isinstance(ours[name], classmethod)}
    assert set(ours) - alternative_constructors - ONLY_BLOCKING == set(theirs) - ONLY_ASYNC
    for name in set(ours) & set(theirs):
        assert parameters(ours[name]) == parameters(theirs[name]), name


@pytest.mark.parametrize("verb", ["connect", "gather", "as_completed", "open_storage"])
def test_a_function_and_its_asynchronous_twin_have_one_signature(verb):
    assert parameters(getattr(farcall, verb)) == parameters(getattr(farcall, f"{verb}_async"))


def verbs(kind):
    spoken = [name for name in vars(kind) if not name.startswith("_") or name == "__call__"]
    return {name: inspect.getattr_static(kind, name) for name in spoken}


def parameters(verb):
    """Name, kind and default of each parameter; None for a property or an attribute, which has none."""
    if not callable(verb):
        return None
    return [(p.name, p.kind, p.default) for p in inspect.signature(verb).parameters.values()]


def test_every_public_verb_has_a_docstring():
    kinds = [getattr(farcall, name) for name in farcall.__all__ if inspect.isclass(getattr(farcall, name))]
    functions = [getattr(farcall, name) for name in farcall.__all__ if inspect.isfunction(getattr(farcall, name))]
    spoken = (property, classmethod, staticmethod)
    own = [
        verb for kind in kinds for verb in verbs(kind).values() if inspect.isfunction(verb) or isinstance(verb, spoken)
    ]
    assert [verb for verb in (*kinds, *functions, *own) if not inspect.getdoc(verb)] == []


# --- errors -----------------------------------------------------------------------------------------------------


def test_the_drawing_of_the_errors_is_their_tree():
    assert drawn(errors.__doc__) == grown(errors.FarcallError)


def drawn(text):
    """Each (error, its parent) of the drawing, in its order."""
    above = []
    tree = []
    for line in text.splitlines():
        if (match := re.match(r"([│├└─ ]*)(\w+)", line)) is None or not (match[1] or match[2] == "FarcallError"):
            continue
        depth = len(match[1]) // 4
        above[depth:] = [match[2]]
        tree.append((match[2], above[depth - 1] if depth else None))
    return tree


def grown(error, parent=None):
    """Each (error, its parent) of the classes, in the order they were written."""
    children = [child for kind in error.__subclasses__() for child in grown(kind, error.__name__)]
    return [(error.__name__, parent), *(child for child in children if hasattr(errors, child[0]))]
