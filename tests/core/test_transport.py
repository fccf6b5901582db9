"""A file travels as its host takes it: as a part, written out, as a link, or by a flow of the provider's."""

import base64

import pytest
from core.ticks import URL, Host, Ticks, connected, virtual
from farcall import EndpointSpec, File, Parameter, hookimpl
from farcall.errors import InputError, PluginError
from farcall.hookspecs import Credential
from farcall.testing import reply
from farcall.wire import FilePolicy, FileValue, Request, join, multipart_body

ENDPOINT = EndpointSpec(path="/go", parameters={"photo": File, "more": Parameter(list[File], default=[])})
PHOTO = b"\x89PNG" * 100


class TakesFiles(Ticks):
    """Keeps the calls it is handed."""

    policy = FilePolicy()

    def __init__(self):
        super().__init__()
        self.asked, self.calls = [], []

    @hookimpl
    def farcall_file_transport(self, endpoint, parameter, file):
        self.asked.append((endpoint.name, parameter, file.name, file.media_type, file.size))
        return self.policy

    @hookimpl
    def farcall_submit(self, binding, call):
        self.calls.append(call)
        parts = [(name, value) for name, value in call.arguments.items() if isinstance(value, FileValue)]
        headers, body = multipart_body(parts, call.token)
        return Request(method="POST", url=join(URL, "/jobs"), headers=headers, body=body)


def done():
    host = Host()
    host.always["submit"] = reply({"phase": "done"})
    return host


def photo():
    return File.from_bytes(PHOTO, name="photo.png")


async def sent(body):
    return body if isinstance(body, bytes) else b"".join([chunk async for chunk in body.chunks()])


@virtual
async def test_a_file_is_a_part_unless_the_provider_says_otherwise():
    class Plain(TakesFiles):
        farcall_file_transport = None

    plugin, host = Plain(), done()
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=photo())
    body = await sent(host.seen[0].request.body)
    assert b'name="photo"; filename="photo.png"\r\nContent-Type: image/png' in body
    assert PHOTO in body


@virtual
async def test_the_provider_is_asked_for_each_file_and_told_what_it_is():
    plugin = TakesFiles()
    async with connected(done(), plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=photo(), more=[File.from_bytes(b"a", name="a.txt"), File.from_bytes(b"bc", name="b")])
    assert plugin.asked == [
        ("go", "photo", "photo.png", "image/png", 400),
        ("go", "more", "a.txt", "text/plain", 1),
        ("go", "more", "b", "application/octet-stream", 2),
    ]
    assert [file.name for file in plugin.calls[0].arguments["more"]] == ["a.txt", "b"]


@virtual
async def test_a_file_is_written_out_where_the_host_wants_text():
    plugin = TakesFiles()
    plugin.policy = FilePolicy(inline="data_uri")
    async with connected(done(), plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=photo())
    assert plugin.calls[0].arguments["photo"] == "data:image/png;base64," + base64.b64encode(PHOTO).decode()


@virtual
async def test_a_file_above_the_hosts_limit_is_refused_before_anything_is_sent():
    plugin, host = TakesFiles(), done()
    plugin.policy = FilePolicy(max_inline_bytes=399)
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        with pytest.raises(InputError, match=r"'photo' has 400 bytes.*at most 399"):
            await svc.go(photo=photo())
        plugin.policy = FilePolicy(max_inline_bytes=400)
        await svc.go(photo=photo())
    assert len(host.seen) == 1


@virtual
async def test_an_address_is_handed_on_where_the_host_fetches_it_itself():
    plugin, host = TakesFiles(), done()
    plugin.policy = FilePolicy(links=True)
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=File.from_url("http://pictures.test/cat.png"))
    assert plugin.calls[0].arguments["photo"] == "http://pictures.test/cat.png"
    assert len(host.seen) == 1


@virtual
async def test_a_result_file_of_one_call_is_fetched_with_its_services_key_and_sent_with_the_next():
    plugin, host = TakesFiles(), done()
    plugin.policy = FilePolicy(links=True)
    host.next("submit", reply({"phase": "done", "out": {}}))
    host._other = lambda request: _reply(b"bytes of a cat")
    async with connected(host, plugin, endpoints=[ENDPOINT], credential=Credential(secret="k3y")) as svc:
        job = await svc.go.submit(photo=photo())
        file = File.of(job._file(FileValue(name="cat.png", url=join(URL, "/a/b/c/cat.png"), media_type="image/png")))
        await svc.go(photo=file)
        body = await sent(host.seen[-1].request.body)
    assert b"bytes of a cat" in body
    assert URL.encode() not in body


async def _reply(content):
    return reply(content, headers={"content-type": "image/png"})


class Uploads(TakesFiles):
    """Puts the file to the host first."""

    @hookimpl
    def farcall_file_transport(self, file):
        url = join(URL, f"/places/{file.name}")
        answer = yield Request(method="PUT", url=url, body=file.body, repeatable=True)
        return FileValue(name=file.name, url=answer.json()["place"])


@virtual
async def test_a_providers_own_flow_decides_what_is_sent_in_the_files_place():
    plugin, host = Uploads(), done()
    host.next("upload", reply({"place": "http://store.test/1"}))
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=photo())
    assert [seen.kind for seen in host.seen] == ["upload", "submit"]
    assert await sent(host.seen[0].request.body) == PHOTO
    assert plugin.calls[0].arguments["photo"] == "http://store.test/1"


@virtual
async def test_a_policy_nobody_knows_is_an_error():
    plugin = TakesFiles()
    plugin.policy = FilePolicy(inline="pigeon")
    async with connected(done(), plugin, endpoints=[ENDPOINT]) as svc:
        with pytest.raises(PluginError, match="'pigeon' is no way"):
            await svc.go(photo=photo())


@virtual
async def test_arguments_without_a_file_are_not_asked_about():
    plugin = TakesFiles()
    endpoint = EndpointSpec(path="/go", parameters={"n": int, "texts": list[str]})
    async with connected(done(), plugin, endpoints=[endpoint]) as svc:
        await svc.go(n=1, texts=["a"])
    assert plugin.asked == []
    assert plugin.calls[0].arguments == {"n": 1, "texts": ["a"]}
