"""Files of a described service when a storage is there: a part that is bytes never becomes an address."""

from typing import Annotated

import farcall
import pytest
from farcall import plugins
from farcall.hookspecs import hookimpl
from farcall.storage_driver import StorageLimits
from fastapi import FastAPI, File, Request, UploadFile


class Closed:
    """A storage that nothing may reach."""

    @hookimpl
    def farcall_storage(self):
        return self

    limits = StorageLimits()

    def address(self, key):
        return f"closed://{key}"

    def begin(self, key, media_type):
        raise AssertionError("something was uploaded")

    def head(self, key):
        raise AssertionError("something was looked for")

    def close(self):
        pass


@pytest.fixture
def svc(serve):
    app = FastAPI()

    @app.post("/size")
    def size(f: UploadFile) -> int:
        return f.size

    @app.post("/sizes")
    def sizes(f: list[UploadFile]) -> list[int]:
        return [each.size for each in f]

    @app.post("/held")
    def held(f: Annotated[bytes, File()]) -> int:
        return len(f)

    @app.post("/raw", openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}})
    async def raw(request: Request) -> int:
        return len(await request.body())

    plugins.register("closed", Closed(), kind="storage")
    try:
        with farcall.connect(serve(app).url, storage="closed://x", upload_threshold_bytes=10) as connected:
            yield connected
    finally:
        plugins.unregister("closed", kind="storage")


def test_a_binary_part_or_body_is_sent_itself_and_nothing_goes_to_the_storage(svc):
    content = b"0123456789" * 500
    assert svc.size(f=content) == 5000
    assert svc.sizes(f=[content, b"a"]) == [5000, 1]
    assert svc.held(f=content) == 5000
    assert svc.raw(body=content) == 5000


def test_an_address_may_stand_where_the_document_says_text_and_in_an_endpoint_of_ones_own(bind_operation, file):
    schema = {"properties": {"f": {"type": "string", "format": "binary"}, "g": {"type": "string"}}}
    bound = bind_operation({"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}})
    own = farcall.EndpointSpec(path="/op", parameters={"f": farcall.File})

    def storable(endpoint, name):
        return bound.hooks.file_transport(bound.binding, endpoint, name, file(), None).storable

    described = bound.endpoint("op")
    assert [storable(described, "f"), storable(described, "g"), storable(own, "f")] == [False, True, True]
