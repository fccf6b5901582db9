"""The blocks of code, with the corrections that CORRECTIONS.md lists and no others."""

import re
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "blocks").glob("*.txt"))
SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
HUNK = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections():
    """What CORRECTIONS.md says, by block."""
    return dict(SECTION.findall((HERE / "CORRECTIONS.md").read_text("utf-8")))


def corrected(name):
    """A block's code as it runs."""
    code = (HERE / "blocks" / f"{name}.txt").read_text("utf-8")
    for hunk in HUNK.findall(sections()[name]):
        lines = hunk.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if not line.startswith(sign)) for sign in "+-")
        assert code.count(old) == 1, f"{name} has {code.count(old)} times:\n{old}"
        code = code.replace(old, new)
    return code
