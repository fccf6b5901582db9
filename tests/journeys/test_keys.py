"""A service with keys: the client shows its own, or is told that it needs one."""

import farcall
import pytest
from farcall.errors import AuthRefused, KeyMissing
from farcall_server import FastTaskAPI


@pytest.fixture
def url(serve):
    app = FastTaskAPI(api_keys=["s3cret"])

    @app.task_endpoint("/count")
    def count(n: int):
        yield from range(n)

    @app.task_endpoint("/picture")
    def picture() -> bytes:
        return b"abc"

    return serve(app).url


def test_with_the_key_everything_works_from_discovery_to_files_and_streams(url):
    with farcall.connect(url, api_key="s3cret") as svc:
        assert list(svc["/count"].submit(n=3).stream()) == [0, 1, 2]
        assert svc["/picture"]().read() == b"abc"


def test_without_a_key_the_error_says_that_one_is_needed(url):
    with farcall.connect(url) as svc, pytest.raises(KeyMissing):
        svc["/count"](n=1)


def test_a_wrong_key_is_told_from_a_missing_one(url):
    with farcall.connect(url, api_key="wrong") as svc, pytest.raises(AuthRefused) as refused:
        svc["/count"](n=1)
    assert not isinstance(refused.value, KeyMissing)
