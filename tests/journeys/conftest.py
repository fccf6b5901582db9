"""The fries service, on a socket."""

import farcall
import pytest

from journeys.fries import make_app


@pytest.fixture
def app():
    made = make_app()
    yield made
    made.gate.set()


@pytest.fixture
def url(app, serve):
    yield serve(app).url
    app.gate.set()


@pytest.fixture
def svc(url):
    with farcall.connect(url) as service:
        yield service
