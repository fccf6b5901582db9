"""A file travels as its host takes it: as a part, written out, as a link, or by a flow of the provider's."""

import asyncio
import base64
import io
import json
from urllib.parse import parse_qs

import pytest
from core.ticks import URL, Host, Ticks, connected, virtual
from farcall import EndpointSpec, File, Parameter, hookimpl
from farcall.bodies import form_body, json_body, multipart_body
from farcall.errors import FileError, InputError, JobFailed, PluginError, Refused, Unreachable
from farcall.hookspecs import Credential
from farcall.testing import reply
from farcall.wire import FilePolicy, FileValue, Request, join

ENDPOINT = EndpointSpec(path="/go", parameters={"photo": File, "more": Parameter(list[File], default=[])})
PHOTO = b"\x89PNG" * 100


class TakesFiles(Ticks):
    """Keeps the calls it is handed."""

    policy = FilePolicy()

    def __init__(self):
        super().__init__()
        self.asked, self.calls = [], []

    @hookimpl
    def farcall_file_transport(self, endpoint, parameter, file, options):
        self.asked.append((endpoint.name, parameter, file.name, file.media_type, file.size))
        self.told = options
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
        plugin.policy = FilePolicy(max_inline_bytes=399, storable=False)
        with pytest.raises(InputError, match=r"at most 399 inline\.$"):
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


@pytest.mark.parametrize(("count", "held"), [(2, True), (12, False)])
@virtual
async def test_small_files_of_this_machine_go_out_in_one_piece_unless_they_are_many(count, held, tmp_path):
    paths = [tmp_path / f"{n}.bin" for n in range(count)]
    for path in paths:
        path.write_bytes(b"x" * 100_000)

    class Parts(TakesFiles):
        @hookimpl
        def farcall_submit(self, binding, call):
            headers, body = multipart_body([("more", file) for file in call.arguments["more"]], call.token)
            return Request(method="POST", url=join(URL, "/jobs"), headers=headers, body=body)

    host = done()
    async with connected(host, Parts(), endpoints=[EndpointSpec(path="/go", parameters={"more": list[File]})]) as svc:
        await svc.go(more=paths)
    body = host.seen[0].request.body
    assert isinstance(body, bytes) == held
    assert (await sent(body)).count(b"x" * 100_000) == count


# --- written out as text -----------------------------------------------------------------------------------------

LARGE = bytes(range(256)) * 4000


class WritesText(TakesFiles):
    """A host that takes files as text."""

    policy = FilePolicy(inline="data_uri")
    kind = "json"

    @hookimpl
    def farcall_submit(self, binding, call):
        if self.kind == "json":
            headers, body = json_body({"input": dict(call.arguments)})
        elif self.kind == "form":
            headers, body = form_body([(name, str(value)) for name, value in call.arguments.items()])
        else:
            headers, body = json_body({"photo": base64.b64encode(b"something else").decode()})
        return Request(method="POST", url=join(URL, "/jobs"), headers=headers, body=body)


def written(content, media_type="image/png"):
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize("size", [len(LARGE), len(LARGE) - 1, len(LARGE) - 2, 262_145])
@virtual
async def test_a_large_file_is_streamed_into_the_json_it_stands_in(size, tmp_path):
    (tmp_path / "photo.png").write_bytes(LARGE[:size])
    plugin, host = WritesText(), done()
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=tmp_path / "photo.png", more=[File.from_bytes(LARGE, name="b.png"), b"small"])
    body = host.seen[0].request.body
    assert not isinstance(body, bytes)
    assert body.repeatable
    content = await sent(body)
    assert body.length == len(content)
    small = written(b"small", "application/octet-stream")
    assert json.loads(content) == {"input": {"photo": written(LARGE[:size]), "more": [written(LARGE), small]}}


@virtual
async def test_a_large_file_is_streamed_into_the_form_it_stands_in():
    plugin, host = WritesText(), done()
    plugin.kind = "form"
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=File.from_bytes(LARGE, name="photo.png"))
    body = host.seen[0].request.body
    assert body.length is None
    assert parse_qs((await sent(body)).decode()) == {"photo": [written(LARGE)]}


@virtual
async def test_a_provider_that_does_not_write_the_text_as_it_is_is_at_fault():
    plugin, host = WritesText(), done()
    plugin.kind = "something else"
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        with pytest.raises(PluginError, match="let its farcall_file_transport ask for 'part'"):
            await svc.go(photo=File.from_bytes(LARGE))
    assert host.seen == []


@virtual
async def test_a_stream_of_unknown_length_is_held_to_the_hosts_limit():
    plugin, host = TakesFiles(), done()
    plugin.policy = FilePolicy(max_inline_bytes=10)
    async with connected(host, plugin, endpoints=[ENDPOINT]) as svc:
        await svc.go(photo=File.from_stream(iter([b"x" * 10])))
        await svc.go(photo=File.from_stream(iter([b"x" * 10, b"x"])))
    assert b"x" * 10 in await sent(host.seen[0].request.body)
    with pytest.raises(InputError, match="more than the 10 bytes this host takes inline"):
        await sent(host.seen[1].request.body)


# --- through a storage -------------------------------------------------------------------------------------------


class Cellar:
    """A storage that keeps what it is given, each file for a virtual second."""

    def __init__(self, lasts_s=3600.0):
        self.kept, self.now, self.most, self.closed = {}, 0, 0, False
        self.lasts_s = lasts_s
        self.fault = None

    async def put(self, file, progress):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(1)
            if self.fault:
                raise self.fault
            self.kept[file.name] = await sent(file.body)
        finally:
            self.now -= 1
        return f"https://cellar.test/{file.name}?signed", self.lasts_s

    async def close(self):
        self.closed = True


@virtual
async def test_what_is_above_the_threshold_or_the_hosts_limit_goes_through_the_storage():
    plugin, host, cellar = TakesFiles(), done(), Cellar()
    async with connected(host, plugin, endpoints=[ENDPOINT], upload_threshold_bytes=100) as svc:
        svc._engine.storage = cellar
        await svc.go(photo=File.from_bytes(b"x" * 101, name="a"), more=[b"x" * 100])
        plugin.policy = FilePolicy(max_inline_bytes=50)
        await svc.go(photo=File.from_bytes(b"y" * 51, name="b"))
        await svc.go(photo=File.from_stream(io.BytesIO(b"z" * 50), name="c"))
        await svc.go(photo=File.from_stream(iter([b"z"]), name="d"))
    assert cellar.kept == {"a": b"x" * 101, "b": b"y" * 51, "d": b"z"}
    arguments = [call.arguments for call in plugin.calls]
    assert arguments[0]["photo"] == "https://cellar.test/a?signed"
    assert isinstance(arguments[0]["more"][0], FileValue)
    assert arguments[1]["photo"] == "https://cellar.test/b?signed"
    assert isinstance(arguments[2]["photo"], FileValue)
    assert cellar.closed


@virtual
async def test_files_go_up_side_by_side_and_before_the_submission():
    plugin, host, cellar = TakesFiles(), done(), Cellar()
    async with connected(host, plugin, endpoints=[ENDPOINT], upload_threshold_bytes=0) as svc:
        svc._engine.storage = cellar
        files = [File.from_bytes(b"x", name=str(n)) for n in range(3)]
        await svc.go(photo=files[0], more=files[1:])
    assert cellar.most == 3
    assert host.seen[0].at == 1.0
    assert plugin.calls[0].arguments["more"] == ["https://cellar.test/1?signed", "https://cellar.test/2?signed"]


@pytest.mark.parametrize("fault", [Unreachable("the storage is down"), FileError("403")])
@virtual
async def test_a_storage_that_fails_is_told_and_nothing_is_submitted(fault):
    plugin, host, cellar = TakesFiles(), done(), Cellar()
    cellar.fault = fault
    async with connected(host, plugin, endpoints=[ENDPOINT], upload_threshold_bytes=0) as svc:
        svc._engine.storage = cellar
        with pytest.raises(type(fault), match=str(fault)):
            await svc.go(photo=photo(), more=[photo()])
    assert host.seen == []
    assert cellar.now == 0


@pytest.mark.parametrize(("lasts_s", "said"), [(0.0, True), (50.0, False)])
@virtual
async def test_an_address_that_had_run_out_is_named_when_the_submission_is_refused(lasts_s, said):
    host = Host()
    host.next("submit", reply({"why": "the photo cannot be fetched"}, status=422))
    async with connected(host, TakesFiles(), endpoints=[ENDPOINT], upload_threshold_bytes=0) as svc:
        svc._engine.storage = Cellar(lasts_s)
        with pytest.raises(Refused, match="answered 422") as caught:
            await svc.go(photo=photo())
    assert ("signed address of 'photo.png' had run out" in str(caught.value)) == said


@pytest.mark.parametrize(("lasts_s", "said"), [(5.0, True), (50.0, False)])
@virtual
async def test_an_address_that_had_run_out_is_named_when_the_job_fails(lasts_s, said):
    host = Host(takes_s=10.0)
    host.next("submit", reply({"phase": "waiting", "ticket": "t1"}))
    host.always["look"] = lambda request: reply(
        {"phase": "broken" if asyncio.get_running_loop().time() > 10 else "working", "ticket": "t1", "why": "HTTP 403"}
    )
    async with connected(host, TakesFiles(), endpoints=[ENDPOINT], upload_threshold_bytes=0) as svc:
        svc._engine.storage = Cellar(lasts_s)
        with pytest.raises(JobFailed) as caught:
            await svc.go(photo=photo())
    assert "HTTP 403" in str(caught.value)
    assert ("signed address of 'photo.png' had run out" in str(caught.value)) == said
    assert "cellar" not in str(caught.value)
