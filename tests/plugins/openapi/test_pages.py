"""Lists that come page by page (`farcall_next_page`), as services in use give them, on sockets."""

import asyncio

import farcall
import pytest
from farcall.errors import ConfigError, InputError, ProtocolError, ServerFault, UsageError
from farcall_openapi.paging import next_link
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse

ALL = list(range(1, 8))
PAGES = [[1, 2, 3], [4, 5, 6], [7]]


def listing(app, path="/things"):
    """Register a handler as the endpoint `things`."""
    return app.get(path, operation_id="things")


@pytest.fixture
def app():
    made = FastAPI()
    made.asked = []

    @made.middleware("http")
    async def keep(request, onward):
        made.asked.append(request)
        return await onward(request)

    return made


def pages(serve, app, *, given=None, **options):
    with farcall.connect(serve(app).url, api_key="s3cret", **options) as svc:
        return list(svc.things.pages(**(given or {})))


def test_link_headers_are_followed_with_key_and_headers(serve, app):
    @listing(app)
    def things(response: Response, page: int = 1, x_tenant: str = Header("")):
        if page < 3:
            response.headers["link"] = f'</things?page=1>; rel="first", <?page={page + 1}>; rel="next"'
        return PAGES[page - 1]

    assert pages(serve, app, given={"x_tenant": "me"}) == PAGES
    seen = [request for request in app.asked if request.url.path == "/things"]
    assert {(r.headers["authorization"], r.headers["x-tenant"]) for r in seen} == {("Bearer s3cret", "me")}


BODIES = {
    "next": lambda link, items: {"results": items, "next": link},
    "links.next": lambda link, items: {"data": items, "links": {"next": link}},
    "_links.next.href": lambda link, items: {"_links": {"next": {"href": link}} if link else {}, "items": items},
    "@odata.nextLink": lambda link, items: {"value": items, **({"@odata.nextLink": link} if link else {})},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_addresses_in_bodies_are_followed(serve, app, body):
    @listing(app)
    def things(request: Request, at: int = 0):
        link = str(request.url.replace(query=f"at={at + 1}&opaque=%2F")) if at < 2 else None
        return body(link, PAGES[at])

    found = pages(serve, app)
    assert [next(value for value in page.values() if isinstance(value, list)) for page in found] == PAGES


@pytest.mark.parametrize(("parameter", "field"), [("cursor", "next_cursor"), ("pageToken", "nextPageToken")])
def test_cursors_are_given_back(serve, app, parameter, field):
    @listing(app)
    def things(request: Request):
        at = int(request.query_params.get(parameter, 0))
        return {"items": PAGES[at], field: str(at + 1) if at < 2 else ""}

    document = app.openapi()
    document["paths"]["/things"]["get"]["parameters"] = [
        {"name": parameter, "in": "query", "schema": {"type": "string"}}
    ]
    assert [page["items"] for page in pages(serve, app)] == PAGES


def test_offset_and_limit_count_the_items(serve, app):
    @listing(app)
    def things(offset: int = 0, limit: int = 3):
        return ALL[offset : offset + limit]

    assert pages(serve, app, given={"limit": 2}) == [[1, 2], [3, 4], [5, 6], [7]]
    assert pages(serve, app, given={"limit": 4, "offset": 2}) == [[3, 4, 5, 6], [7]]
    assert pages(serve, app) == [*PAGES, []]


def test_page_numbers_count_on(serve, app):
    @listing(app)
    def things(page: int = 1, per_page: int = 3):
        return {"total": 7, "things": ALL[(page - 1) * per_page : page * per_page]}

    assert [page["things"] for page in pages(serve, app, given={"per_page": 3})] == PAGES


def test_the_binding_says_what_no_name_tells(serve, app):
    @listing(app)
    def things(von: int = 0):
        return {"inhalt": {"dinge": ALL[von : von + 3], "mehr": []}, "fehler": []}

    said = {"items": "inhalt.dinge", "offset_parameter": "von"}
    assert [page["inhalt"]["dinge"] for page in pages(serve, app, pages=said)] == [*PAGES, []]


def test_where_the_items_are_not_clear_it_is_asked_for(serve, app):
    @listing(app)
    def things(offset: int = 0):
        return {"a": [1], "b": [2]}

    with pytest.raises(UsageError, match=r"pages=\{'items'"):
        pages(serve, app)


def test_a_list_that_tells_of_no_further_page_has_one(serve, app):
    @listing(app)
    def things():
        return ALL

    assert pages(serve, app) == [ALL]


def test_another_origin_gets_neither_key_nor_headers(serve, app):
    other = FastAPI()
    other.seen = []

    @other.get("/more")
    def more(request: Request):
        other.seen.append(dict(request.headers))
        return {"results": [2], "next": None}

    place = serve(other).url

    @listing(app)
    def things(x_secret: str = Header("")):
        return {"results": [1], "next": f"{place}/more"}

    assert [page["results"] for page in pages(serve, app, given={"x_secret": "h1dden"})] == [[1], [2]]
    assert "s3cret" not in str(other.seen)
    assert "h1dden" not in str(other.seen)


def test_pages_that_lead_round_end_in_an_error(serve, app):
    @listing(app)
    def things(cursor: str = ""):
        return {"items": [1], "next_cursor": "again"}

    with pytest.raises(ProtocolError, match="leads back to an earlier one"):
        pages(serve, app)


def test_a_page_is_asked_for_when_it_is_wanted_and_one_that_fails_raises(serve, app):
    @listing(app)
    def things(offset: int = 0):
        return JSONResponse({"detail": "too deep"}, 500) if offset else ALL

    with farcall.connect(serve(app).url) as svc:
        before = len(app.asked)
        coming = svc.things.pages()
        assert next(coming) == ALL
        assert len(app.asked) == before + 1
        with pytest.raises(ServerFault, match="too deep"):
            next(coming)
        with pytest.raises(InputError):
            next(svc.things.pages(offset="x"))


def test_the_asynchronous_face_has_them_too(serve, app):
    @listing(app)
    def things(offset: int = 0, limit: int = 3):
        return ALL[offset : offset + limit]

    async def collect():
        async with farcall.connect_async(serve(app).url) as svc:
            return [page async for page in svc.things.options(timeout_s=20).pages(limit=3)]

    assert asyncio.run(collect()) == PAGES


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ("<a>; rel=next", "a"),
        ('<a>; title="x, <b>; rel=next"; rel="prev", <c>; rel="last next"', "c"),
        ("<a>; rel=prev", ""),
        ("nonsense <", ""),
        ("<" * 10_000, ""),
        ("<a>; " + "x=y; " * 5_000, ""),
    ],
)
def test_a_link_header_is_read_as_rfc_8288_says_and_junk_takes_no_time(header, link):
    assert next_link(header) == link


def test_an_unknown_setting_of_pages_is_refused():
    with pytest.raises(ConfigError, match="curser"):
        farcall.connect({"openapi": "3.1.0", "paths": {}}, provider="openapi", url="http://h", pages={"curser": "x"})
