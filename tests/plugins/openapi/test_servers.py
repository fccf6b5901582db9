"""Which address a service has."""

import pytest
from farcall.binding import Binding
from farcall.errors import UsageError
from farcall.provider import provider
from farcall.spec import EndpointSpec, ServiceSpec

DOCUMENT = {"openapi": "3.0.3", "paths": {"/a": {"get": {"operationId": "a"}}}}
AT = "http://h:1/docs/openapi.json"


@pytest.mark.parametrize(
    ("stated", "url", "fetched", "base"),
    [
        # the user's address wins
        ("https://other.test/v1", "http://h:1", AT, "http://h:1"),
        ("https://other.test/v1", "http://h:1/x", AT, "http://h:1/x"),
        (None, "http://h:1/x", AT, "http://h:1/x"),
        ("/v1", "http://h:1/x", AT, "http://h:1/x"),
        # without a path it takes the stated one of the same origin
        ("/v1", "http://h:1", AT, "http://h:1/v1"),
        ("../v1/", "http://h:1", AT, "http://h:1/v1"),
        ("http://h:1/v1", "http://h:1", AT, "http://h:1/v1"),
        ("/", "http://h:1", AT, "http://h:1"),
        # the document's own address is none for the service
        ("https://other.test/v1", AT, AT, "https://other.test/v1"),
        ("/v1", AT, AT, "http://h:1/v1"),
        (None, AT, AT, "http://h:1"),
        (None, "http://h:1/swagger", "http://h:1/swagger", "http://h:1"),
        # no address of the user's
        ("https://other.test/v1/", None, "", "https://other.test/v1"),
        ("https://other.test:443/v1", None, AT, "https://other.test:443/v1"),
        ("/v1", None, "", ""),
        ("ftp://h/", None, "", ""),
        (None, None, "", ""),
    ],
)
def test_the_base_address(bind, stated, url, fetched, base):
    document = {**DOCUMENT, "servers": [{"url": stated}]} if stated else DOCUMENT
    service = bind(document, url=url, fetched=fetched)
    assert service.spec.traits["url"] == base
    if base:
        assert service.hooks.facts(service.binding).url == base
        assert service.request("a").url == f"{base}/a"


def test_no_address_at_all_says_what_to_give(bind):
    service = bind(DOCUMENT, url=None)
    with pytest.raises(UsageError, match="url="):
        service.hooks.facts(service.binding)


SERVERS = [
    {"url": "https://one.test"},
    {
        "url": "https://{region}.test:{port}/{base}",
        "variables": {
            "region": {"default": "eu", "enum": ["eu", "us"]},
            "port": {"default": 8443},
            "base": {"default": "v2"},
        },
    },
]


def test_a_server_is_chosen_by_number_and_its_variables_have_defaults(bind):
    service = bind({**DOCUMENT, "servers": SERVERS}, url=None, server=1)
    assert service.request("a").url == "https://eu.test:8443/v2/a"


def test_server_variables_may_be_given(bind):
    service = bind({**DOCUMENT, "servers": SERVERS}, url=None, server=1, server_variables={"region": "us"})
    assert service.request("a").url == "https://us.test:8443/v2/a"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"server": 2}, "server=2: the document names 2"),
        (
            {"server": 1, "server_variables": {"regoin": "us"}},
            "regoin is none of this server's .region, port, base",
        ),
        ({"server": 1, "server_variables": {"region": "xx"}}, "region is one of eu, us, not 'xx'"),
    ],
)
def test_a_wrong_choice_of_server_says_what_there_is(bind, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        bind({**DOCUMENT, "servers": SERVERS}, url=None, **options)


def test_choosing_among_no_servers_is_refused(bind):
    with pytest.raises(UsageError, match="names no servers"):
        bind(DOCUMENT, server=1)


@pytest.mark.parametrize("servers", [{"url": "x"}, [7], [{"url": 7}], [{"url": "http://{x}/"}]])
def test_malformed_servers_are_a_problem_and_the_given_address_serves(bind, servers):
    service = bind({**DOCUMENT, "servers": servers})
    assert [problem.where for problem in service.spec.problems] == ["servers"]
    assert service.request("a").url == "http://service.test/a"


def test_an_operation_may_have_a_server_of_its_own(bind):
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.test"}],
        "paths": {
            "/a": {
                "get": {
                    "operationId": "a",
                    "servers": [{"url": "https://upload.test/{v}", "variables": {"v": {"default": "x"}}}],
                },
                "post": {"operationId": "b"},
            },
            "/c": {"servers": [{"url": "/v9"}], "get": {"operationId": "c"}},
        },
    }
    service = bind(document, url=None, fetched="https://api.test/openapi.json")
    assert service.request("a").url == "https://upload.test/x/a"
    assert service.request("b").url == "https://api.test/a"
    assert service.request("c").url == "https://api.test/v9/c"


def test_a_users_own_address_holds_for_those_operations_too(bind):
    document = {
        **DOCUMENT,
        "paths": {"/a": {"get": {"operationId": "a", "servers": [{"url": "https://up.test"}]}}},
    }
    assert bind(document).request("a").url == "http://service.test/a"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("h.test/api/", "http://h.test/api"),
        ("https://h.test", "https://h.test"),
    ],
)
def test_an_address_without_a_scheme_means_http(given, meant):
    assert provider("openapi").options()(url=given).url == meant


@pytest.mark.parametrize("url", ["ftp://h", "http://", "://", ""])
def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(ValueError, match="no http or https address"):
        provider("openapi").options()(url=url)


def test_endpoints_the_user_wrote_need_no_document():
    hooks = provider("openapi")
    endpoints = (
        EndpointSpec(path="/items/{id}", method="GET", parameters={"id": int, "q": str}),
        EndpointSpec(path="/add", parameters={"a": int, "b": int}),
    )
    binding = Binding(provider="openapi").described(
        options=hooks.options()(url="http://h:1"), service=ServiceSpec(endpoints=endpoints)
    )
    from farcall.hookspecs import Call

    get = hooks.submit(binding, Call(endpoint=endpoints[0], arguments={"id": 7, "q": "x"}))
    post = hooks.submit(binding, Call(endpoint=endpoints[1], arguments={"a": 1, "b": 2}))
    assert get.url == "http://h:1/items/7?q=x"
    assert (post.url, post.body, post.headers["content-type"]) == (
        "http://h:1/add",
        b'{"a":1,"b":2}',
        "application/json",
    )
