"""fastSDK's own lines, on real storages."""

import httpx
import pytest
from farcall import errors
from farcall_compat.fastsdk import AzureBlobStorage, ServiceClient, create_cloud_storage
from media_toolkit import MediaFile


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file.txt").write_bytes(b"chips")
    return str(tmp_path / "file.txt")


@pytest.fixture
def opened(stack):
    """Close a cloud storage at the end."""
    return lambda cloud: stack.enter_context(cloud.storage) and cloud


def fetched(url):
    reply = httpx.get(url)
    assert reply.status_code == 200
    return reply.content


def test_the_readmes_lines_work_with_a_sas(azure_place, path, opened):
    server = azure_place.server
    sas = server.sas(azure_place.name, read=True, write=True, create=True)
    sas_access_token = f"{server.url}/{azure_place.name}?{sas}"
    container = opened(AzureBlobStorage(sas_access_token))
    file_url = container.upload(file=path)
    assert fetched(file_url) == b"chips"
    assert fetched(container.download(file_url)) == b"chips"
    assert MediaFile().from_url(container.download(file_url)).to_bytes() == b"chips"
    assert sas.rpartition("sig=")[2] not in repr(container)


def test_a_connection_string_alone_goes_into_a_container_of_its_own(azure_server, path, opened):
    cloud = opened(create_cloud_storage(azure_connection_string=azure_server.connection_string))
    url = cloud.upload(path, "reports/file.txt")
    assert "/uploads/reports/file.txt?" in url
    assert fetched(cloud.download("reports/file.txt")) == b"chips"
    cloud.delete("reports/file.txt")
    assert not cloud.storage.exists("reports/file.txt")


def test_both_credentials_may_be_given_as_there(azure_place, path, opened):
    server = azure_place.server
    cloud = opened(
        create_cloud_storage(
            azure_sas_access_token=f"{server.url}/{azure_place.name}?{server.sas(azure_place.name, read=True)}",
            azure_connection_string=server.connection_string,
            azure_container=azure_place.name,
        )
    )
    url = cloud.upload(path)
    assert fetched(url) == b"chips"
    assert httpx.put(url, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403


def test_s3_likewise(s3_place, path, opened):
    told = s3_place.options
    cloud = opened(
        create_cloud_storage(
            s3_endpoint_url=told["endpoint_url"],
            s3_access_key_id=told["access_key_id"],
            s3_access_key_secret=told["secret_access_key"],
            s3_bucket=s3_place.name,
        )
    )
    assert fetched(cloud.download(cloud.upload(file=path))) == b"chips"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "Give credentials for Azure"),
        ({"azure_connection_string": "x", "s3_access_key_id": "y"}, "one of them"),
        ({"s3_access_key_id": "y"}, "s3_bucket="),
    ],
)
def test_credentials_for_none_or_both_are_refused(told, said):
    with pytest.raises(errors.UsageError, match=said):
        create_cloud_storage(**told)


def test_a_service_client_sends_large_files_through_the_storage(s3_place, serve, opened):
    from fastapi import FastAPI, Request

    app, api = FastAPI(), FastAPI()
    app.mount("/api", api)

    @api.post("/add_face")
    async def add_face(request: Request) -> dict:
        async with request.form() as form:
            return {name: value if isinstance(value, str) else "inline" for name, value in form.items()}

    told = s3_place.options
    cloud = opened(
        create_cloud_storage(
            s3_endpoint_url=told["endpoint_url"],
            s3_access_key_id=told["access_key_id"],
            s3_access_key_secret=told["secret_access_key"],
            s3_bucket=s3_place.name,
        )
    )
    address = serve(app).url.removeprefix("http://")
    client = ServiceClient(f"{address}/api", cloud_storage=cloud, upload_to_cloud_storage_threshold_mb=0.001)
    client.add_endpoint("add_face", post_params={"face_name": str}, file_params={"img": bytes})
    with client.connect() as svc:
        small = svc.add_face(face_name="harry", img=b"x" * 1000)
        large = svc.add_face(face_name="harry", img=b"x" * 1001)
    assert small["img"] == "inline"
    assert fetched(large["img"]) == b"x" * 1001


@pytest.mark.parametrize("threshold", [-1, True, "10", float("nan")])
def test_a_service_client_with_a_threshold_that_is_none_says_so(threshold):
    with pytest.raises(errors.UsageError, match="number of megabytes, 0 or more"):
        ServiceClient("localhost:1", upload_to_cloud_storage_threshold_mb=threshold)
    with pytest.raises(errors.UsageError, match="cloud_storage= is what create_cloud_storage"):
        ServiceClient("localhost:1", cloud_storage="s3://bucket")


def test_the_readmes_service_client_takes_pictures(serve):
    import numpy as np
    from farcall_compat.fastsdk import ImageFile
    from farcall_server import FastTaskAPI, File

    app = FastTaskAPI()

    @app.task_endpoint("/api/add_face")
    def add_face(face_name: str, img: File) -> list:
        return [face_name, img.name, img.media_type]

    client = ServiceClient(service_url=f"{serve(app).url}/api".removeprefix("http://"))
    client.add_endpoint(endpoint_route="add_face", post_params={"face_name": str}, file_params={"img": ImageFile})
    with client.connect() as svc:
        assert svc.add_face(face_name="harry", img=np.zeros((2, 2, 3), np.uint8)) == ["harry", "image.png", "image/png"]


def test_a_service_client_without_an_address_says_what_is_missing():
    with pytest.raises(errors.UsageError, match="service_url="):
        ServiceClient(upload_to_cloud_storage_threshold_mb=10).connect()
