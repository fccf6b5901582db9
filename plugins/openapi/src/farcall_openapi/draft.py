"""An operation's parameters while they are collected: each gets a Python name that no other has."""

from __future__ import annotations

import json
import keyword
from dataclasses import asdict, replace

from farcall.spec import Parameter, python_name

from farcall_openapi.parameters import Style


class Draft:
    """What becomes an endpoint.

    Attributes:
        parameters: By Python name, in the document's order.
        traits: What is written down for the call.
        lost: What the document asks for and no call does, a sentence each.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter] = {}
        self.traits: dict[str, str] = {}
        self.lost: list[str] = []
        self._styles: dict[str, Style] = {}

    def add(self, wire: str, parameter: Parameter, *, prefix: str, style: Style | None = None) -> str:
        """Take a parameter in, under its own name where that is one, and return the name.

        Args:
            wire: Its name on the wire.
            parameter: What it is.
            prefix: Put before the name if another parameter has it: `body` makes `body_id`.
            style: How it is written; None: as is usual at its place.
        """
        name = self._free(wire, prefix)
        self.parameters[name] = parameter if name == wire else replace(parameter, alias=wire)
        if style is not None:
            self._styles[name] = style
        return name

    def written(self) -> dict[str, str]:
        """The endpoint's traits."""
        styles = {name: asdict(style) for name, style in self._styles.items()}
        return {**self.traits, "styles": json.dumps(styles)} if styles else dict(self.traits)

    def _free(self, wire: str, prefix: str) -> str:
        name = wire if wire.isidentifier() and not keyword.iskeyword(wire) else python_name(wire)
        first = name = name if name not in self.parameters else f"{prefix}_{name}"
        number = 2
        while name in self.parameters:
            name, number = f"{first}_{number}", number + 1
        return name
