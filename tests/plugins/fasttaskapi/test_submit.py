import asyncio
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from farcall.bodies import BytesBody
from farcall.errors import InputError
from farcall.files import File
from farcall.spec import EndpointSpec, Parameter, Place
from farcall.wire import FileValue
from plugins.fasttaskapi.asking import APIPOD, FARCALL, FASTTASKAPI, UNKNOWN, bound, submit

from plugins.fasttaskapi import asking

PHOTO = FileValue(name="a.png", media_type="image/png", body=BytesBody(b"\x89PNG"), size=4)
FORMS = [FASTTASKAPI, APIPOD, UNKNOWN]
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=" + "0" * 32}


def form(request):
    return parse_qsl(request.body.decode(), keep_blank_values=True)


def whole(request):
    if isinstance(request.body, bytes):
        return request.body

    async def read():
        return b"".join([chunk async for chunk in request.body.chunks()])

    return asyncio.run(read())


@pytest.mark.parametrize("traits", FORMS)
def test_older_servers_are_sent_a_form(traits):
    request = submit(traits, {"name": "krïnkle", "amount": 2, "big": True, "share": 0.5})
    assert request.headers.items() >= FORM.items()
    assert form(request) == [("name", "krïnkle"), ("amount", "2"), ("big", "true"), ("share", "0.5")]
    assert (request.method, request.url, request.repeatable) == ("POST", f"{asking.URL}/do-it", False)


def test_ours_are_sent_json_and_asked_for_our_own_envelope():
    request = submit(FARCALL, {"name": "x", "options": {"a": [1, None]}, "none": None})
    assert request.headers.items() >= JSON.items()
    assert json.loads(request.body) == {"name": "x", "options": {"a": [1, None]}, "none": None}
    assert request.headers["accept"].startswith("application/vnd.farcall.job+json, application/json")


@pytest.mark.parametrize("traits", [FASTTASKAPI, APIPOD, FARCALL, UNKNOWN])
def test_a_path_is_sent_as_it_is_listed_and_under_the_prefix(traits):
    assert submit(traits, path="/make-fries", url="http://h/api").url == "http://h/api/make-fries"


@pytest.mark.parametrize("traits", FORMS)
def test_a_list_is_a_repeated_field(traits):
    assert form(submit(traits, {"l": [1, 2]})) == [("l", "1"), ("l", "2")]


@pytest.mark.parametrize("traits", [FASTTASKAPI, APIPOD])
@pytest.mark.parametrize("value", [{"a": 1}, [[1]], [{"a": 1}]])
def test_what_a_form_cannot_say_is_an_input_error_that_names_the_host(traits, value):
    with pytest.raises(InputError, match=r"options holds .*(FastTaskAPI|APIPod) servers take forms"):
        submit(traits, {"options": value})


def test_an_unknown_server_is_sent_a_dict_as_json_text_which_ours_reads():
    assert form(submit(UNKNOWN, {"options": {"a": 1}})) == [("options", '{"a":1}')]


@pytest.mark.parametrize("traits", FORMS)
def test_none_is_left_out_of_a_form(traits):
    request = submit(traits, {"a": None, "b": 1}, parameters={"a": Parameter(int | None, default=None)})
    assert form(request) == [("b", "1")]


def test_none_against_another_default_is_an_empty_text_where_that_is_read_as_none():
    declared = {"a": Parameter(str | None, default="x")}
    assert form(submit(UNKNOWN, {"a": None}, parameters=declared)) == [("a", "")]
    assert submit(APIPOD, {"a": None}, parameters=declared).body == b""


@pytest.mark.parametrize("traits", [APIPOD, FARCALL])
def test_a_file_is_a_part_of_a_multipart_body(traits):
    request = submit(traits, {"img": PHOTO, "label": "a", "n": 2}, parameters={"img": File})
    assert request.headers.items() >= MULTIPART.items()
    body = whole(request)
    assert b'name="img"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n' in body
    assert b'name="label"\r\n\r\na\r\n' in body


def test_several_files_are_several_parts_of_one_name():
    assert whole(submit(APIPOD, {"imgs": [PHOTO, PHOTO]})).count(b'name="imgs"; filename="a.png"') == 2


def test_beside_a_file_ours_are_sent_lists_and_dicts_as_json_text():
    body = whole(submit(FARCALL, {"img": PHOTO, "l": [1, 2], "d": {"a": True}}))
    assert b'name="l"\r\n\r\n[1,2]\r\n' in body
    assert b'name="d"\r\n\r\n{"a":true}\r\n' in body


@pytest.mark.parametrize(
    ("traits", "inline"), [(FASTTASKAPI, "data_uri"), (UNKNOWN, "data_uri"), (APIPOD, "part"), (FARCALL, "part")]
)
def test_a_file_travels_as_a_data_uri_where_a_part_breaks(traits, inline):
    endpoint = EndpointSpec(path="/x", parameters={"img": File})
    info = FileValue(name="a.png", media_type="image/png", size=4)
    assert asking.fta().file_transport(bound(traits), endpoint, "img", info).inline == inline


def test_a_data_uri_goes_into_a_plain_form_field():
    uri = "data:image/png;base64,iVBORw=="
    request = submit(FASTTASKAPI, {"img": uri}, parameters={"img": Parameter(File, place=Place.FILE)})
    assert request.headers.items() >= FORM.items()
    assert form(request) == [("img", uri)]


def test_a_file_inside_json_travels_as_a_data_uri():
    endpoint = EndpointSpec(path="/x", parameters={"file": Parameter(File, place=Place.JSON)})
    info = FileValue(name="a.png", media_type="image/png", size=4)
    assert asking.fta().file_transport(bound(APIPOD), endpoint, "file", info).inline == "data_uri"


def test_a_standard_schema_of_apipod_is_json_at_the_bodys_root():
    messages = [{"role": "user", "content": "hi"}]
    request = submit(APIPOD, {"messages": messages}, parameters={"messages": Parameter(list, place=Place.JSON)})
    assert request.headers.items() >= JSON.items()
    assert json.loads(request.body) == {"messages": messages}


def test_a_body_that_is_one_value_is_sent_bare():
    request = submit(
        FARCALL,
        {"body": [1, 2]},
        parameters={"body": Parameter(list, place=Place.JSON)},
        traits={"root": "body"},
    )
    assert json.loads(request.body) == [1, 2]


def test_declared_places_are_honoured():
    declared = {
        "item": Parameter(str),
        "q": Parameter(list[int], place=Place.QUERY),
        "off": Parameter(bool, place=Place.QUERY),
        "none": Parameter(str | None, place=Place.QUERY),
        "x_trace": Parameter(str, place=Place.HEADER, alias="X-Trace"),
        "who": Parameter(str, place=Place.COOKIE),
        "n": Parameter(int),
    }
    values = {"item": "a/b", "q": [1, 2], "off": False, "none": None, "x_trace": "t", "who": "me;x", "n": 3}
    request = submit(FARCALL, values, path="/items/{item}", parameters=declared)
    assert request.url == f"{asking.URL}/items/a%2Fb?q=1&q=2&off=false"
    assert request.headers["X-Trace"] == "t"
    assert request.headers["cookie"] == "who=me%3Bx"
    assert json.loads(request.body) == {"n": 3}


def test_a_header_with_a_line_break_is_an_input_error():
    with pytest.raises(InputError, match="header"):
        submit(FARCALL, {"h": "a\r\nX: y"}, parameters={"h": Parameter(str, place=Place.HEADER)})


def test_a_file_outside_the_body_is_an_input_error():
    with pytest.raises(InputError, match="place='file'"):
        submit(APIPOD, {"f": PHOTO}, parameters={"f": Parameter(File, place=Place.QUERY)})


def test_a_number_json_cannot_say_is_an_input_error():
    with pytest.raises(InputError):
        submit(FARCALL, {"a": float("nan")})


def test_a_get_of_an_older_server_reads_its_form_and_of_an_unknown_one_either():
    assert form(submit(APIPOD, {"q": "yy"}, method="GET")) == [("q", "yy")]
    request = submit(UNKNOWN, {"q": "yy"}, method="GET")
    assert form(request) == parse_qsl(urlsplit(request.url).query) == [("q", "yy")]


def test_a_get_without_arguments_has_no_body():
    request = submit(FARCALL, method="GET", job=False)
    assert request.body == b""
    assert "content-type" not in request.headers


@pytest.mark.parametrize(
    ("traits", "wait_s", "prefer"),
    [(FARCALL, 2.5, "wait=3"), (FARCALL, 900, "wait=60"), (FARCALL, None, None), (APIPOD, 5, None), (UNKNOWN, 5, None)],
)
def test_only_ours_are_asked_to_wait_for_the_end(traits, wait_s, prefer):
    request = submit(traits, wait_s=wait_s)
    assert request.headers.get("prefer") == prefer
    assert request.silence_s == 60 + (int(prefer[5:]) if prefer else 0)


def test_an_endpoint_whose_reply_is_the_result_may_be_silent_for_an_hour():
    assert submit(FARCALL, wait_s=5, job=False).silence_s == 3600
    assert "prefer" not in submit(FARCALL, wait_s=5, job=False).headers


def test_submitting_leaves_the_arguments_as_they_were():
    arguments = {"a": [1], "b": {"c": 2}}
    submit(FARCALL, arguments)
    assert arguments == {"a": [1], "b": {"c": 2}}


@pytest.mark.parametrize("arguments", [{"n": 1}, {"photo": PHOTO}])
def test_a_key_says_whether_it_was_drawn_for_this_call_or_chosen_by_the_caller(arguments):
    drawn = submit(FARCALL, arguments, key=asking.TOKEN)
    chosen = submit(FARCALL, arguments, key="mine")
    assert drawn.headers["idempotency-key"] == f"once-{asking.TOKEN}"
    assert chosen.headers["idempotency-key"] == "mine"
    assert drawn.repeatable
    assert chosen.repeatable
    assert "idempotency-key" not in submit(FARCALL, arguments).headers
