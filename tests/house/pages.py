"""The documents, and the code in them.

Every block of Python in them is run by a test, unless a comment above it says why not: `<!-- not run: why -->`.
"""

import re
import types
from dataclasses import dataclass
from pathlib import Path

from house.repository import ROOT, files

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+?) -->\n+)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block of code: whose page it is on, at which line, and why it is not run; None if it is."""

    page: Path
    line: int
    language: str
    code: str
    why_not: str | None

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def run(self, module=None, changes=()):
        """Run it in a module, by default a fresh one, with some of its text changed; errors name page and line."""
        module = module or types.ModuleType("__docs__")
        code = self.code
        for old, new in changes:
            code = code.replace(old, new)
        exec(compile("\n" * (self.line - 1) + code, str(self.page), "exec"), module.__dict__)  # noqa: S102 - our own
        return module


def pages():
    """Every document."""
    return sorted(path for path in files() if path.suffix == ".md")


def prose(page):
    """A document's text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks(page, language="python"):
    """A document's blocks of a language, in order."""
    page = ROOT / page
    text = page.read_text("utf-8")
    return [
        Block(page, text[: found.start("code")].count("\n") + 1, found["language"], found["code"], found["why"])
        for found in FENCE.finditer(text)
        if found["language"] == language
    ]
