"""An endpoint's signature, as `help()` and error messages show it."""

from typing import Annotated, Any

import pytest
from farcall.arguments import signature
from farcall.spec import EndpointSpec, Parameter
from pydantic import Field


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        (Parameter(int), "a: int"),
        (Parameter(int, default=1), "a: int = 1"),
        (Parameter(int, default=None), "a: int | None = None"),
        (Parameter(int | None, default=None), "a: int | None = None"),
        (Parameter(Annotated[int, Field(ge=1)], default=None), "a: int | None = None"),
        (Parameter(list[str], default=None), "a: list[str] | None = None"),
        (Parameter(Any, default=None), "a: Any = None"),
    ],
)
def test_an_argument_that_may_be_none_is_shown_so(parameter, shown):
    assert str(signature(EndpointSpec(path="/x", parameters={"a": parameter}))) == f"({shown})"
