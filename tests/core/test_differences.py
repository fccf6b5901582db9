"""Two descriptions are compared as a caller would notice it."""

from typing import Annotated, Literal

import pytest
from annotated_types import Ge
from farcall.differences import differences
from farcall.files import File
from farcall.spec import HOSTS_OWN, EndpointSpec, Parameter


def speak(**parameters):
    return EndpointSpec(path="/speak", parameters={"text": str, **parameters})


def between(one, other):
    return list(differences([one], [other], there="there"))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (speak(n=int), speak(), "speak: the parameter 'n' is missing there."),
        (speak(), speak(n=int), "speak: the parameter 'n' is only there."),
        (speak(n=int), speak(n=str), "speak: 'n' is int, and str there."),
        (speak(n=int), speak(n=Annotated[int, Ge(1)]), "speak: 'n' is int, and Annotated[int, Ge(ge=1)] there."),
        (speak(n=Literal["a"]), speak(n=Literal["b"]), "speak: 'n' is Literal['a'], and Literal['b'] there."),
        (speak(n=File), speak(n=str), "speak: 'n' is File, and str there."),
        (
            speak(n=Parameter(int, default=1)),
            speak(n=Parameter(int, default=2)),
            "speak: 'n' is 1 if not given, and is 2 if not given there.",
        ),
        (speak(n=Parameter(int, default=1)), speak(n=int), "speak: 'n' is 1 if not given, and is required there."),
        (
            speak().model_copy(update={"open": True}),
            speak(),
            "speak: further arguments are taken, and not so there.",
        ),
        (EndpointSpec(path="/boost"), speak(), "boost is missing there."),
    ],
)
def test_each_difference_is_named(one, other, said):
    assert between(one, other)[0] == said


def test_an_endpoint_that_is_only_there_is_named():
    found = list(differences([], [speak()], there="under 'prod'"))
    assert found == ["speak is only under 'prod'."]


def test_what_only_a_host_sees_is_no_difference():
    here = EndpointSpec(path="/v1/speak", method="POST", parameters={"a": Parameter(int, place="query", doc="x")})
    there = EndpointSpec(path="/speak", method="GET", parameters={"a": Parameter(int)}, job=True)
    health = EndpointSpec(path="/health", traits={HOSTS_OWN: "health"})
    assert list(differences([here], [there, health], there="there")) == []
