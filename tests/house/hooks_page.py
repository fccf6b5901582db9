"""Writes docs/hooks.md from the hooks' own signatures and docstrings: `.venv/bin/python tests/house/hooks_page.py`."""

import ast
import dataclasses
import inspect
from pathlib import Path

from farcall import hookspecs, jobs, storage_driver, wire
from farcall_server import hookspecs as backend_hookspecs

VALUES = (
    hookspecs.ProviderFacts, hookspecs.Call, wire.Request, wire.Response, wire.StreamEvent, wire.Document,
    jobs.Snapshot, jobs.Chunk, jobs.Log, jobs.Missing, jobs.Rejected, jobs.JobRef, jobs.Event,
    wire.FileValue, wire.FilePolicy, hookspecs.Credential, hookspecs.Grant,
    storage_driver.StoredFile, storage_driver.StorageLimits, backend_hookspecs.Options,
)  # fmt: skip

SPECS = (hookspecs, backend_hookspecs)

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
HEAD = """\
# The hooks

Every hook a plugin can implement, from `farcall.hookspecs` and, for backends, `farcall_server.hookspecs`. Mark yours
with `@farcall.hookimpl`; leave out arguments you do not need. How they fit together:
[write-a-provider.md](write-a-provider.md).

A plugin is found by its entry point's group: `farcall.providers`, `farcall.extensions` and `farcall.backends` hold
modules with hooks, `farcall.storages` modules with `farcall_storage`, `farcall.commands` a `typer.Typer` that becomes a
command of `farcall`.
"""


def hooks() -> list[ast.FunctionDef]:
    """The hooks as they stand in the source, in its order."""
    nodes = [node for specs in SPECS for node in ast.parse(inspect.getsource(specs)).body]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    return [function for function in functions if function.name.startswith("farcall_")]


def signature(hook: ast.FunctionDef) -> str:
    """The hook's exact first line, without its colon."""
    returns = "" if hook.returns is None else f" -> {ast.unparse(hook.returns)}"
    return f"def {hook.name}({ast.unparse(hook.args)}){returns}"


def steps() -> list[ast.FunctionDef]:
    """The steps of a storage as they stand in the source, in its order."""
    nodes = ast.parse(inspect.getsource(storage_driver.StorageDriver)).body[0]
    return [node for node in nodes.body if isinstance(node, ast.FunctionDef)]


def section(function: ast.FunctionDef) -> str:
    """What there is to say of a hook or a step."""
    text = inspect.cleandoc(ast.get_docstring(function, clean=False) or "")
    return f"## {function.name}\n\n```\n{signature(function)}\n```\n\n```text\n{text}\n```\n"


def render() -> str:
    """The page."""
    parts = [HEAD]
    parts += [section(hook) for hook in hooks()]
    about = inspect.getdoc(storage_driver.StorageDriver)
    parts.append(
        f"# A storage's steps\n\nWhat `farcall_storage` returns, a `StorageDriver`.\n\n```text\n{about}\n```\n"
    )
    parts += [section(step) for step in steps()]
    parts.append("# The values\n\nWhat the hooks are handed and give back; each is frozen and made by keyword.\n")
    for value in VALUES:
        fields = "\n".join(f"{field.name}: {field.type}" for field in dataclasses.fields(value))
        parts.append(f"## {value.__name__}\n\n```text\n{inspect.getdoc(value)}\n```\n\n```text\n{fields}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
