# ruff: noqa: INP001 - hatch runs it by its path
"""Packs the photo example into the wheel, so that `farcall demo` works where there is no checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKED = "farcall_server/_demo"


class PackExample(BuildHookInterface):  # type: ignore[type-arg]
    """In a checkout the example lies beside the server; in an sdist it is already inside the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Tell hatch where the example comes from and where it goes."""
        example = Path(self.root).parent / "examples" / "photo"
        if version != "editable" and example.is_dir():
            inside = f"src/{PACKED}" if self.target_name == "sdist" else PACKED
            build_data["force_include"][str(example)] = inside
