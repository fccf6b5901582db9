import pytest
from farcall.jobs import Chunk, Step
from farcall.wire import StreamEvent
from plugins.fasttaskapi.asking import APIPOD, read

CHAT = '{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hel"}}]}'


# Pieces of apipod 1.0.33's streams, recorded 2026-11-23.
@pytest.mark.parametrize(
    ("piece", "values"),
    [
        ("tok0 tok1 ", ["tok0 tok1 "]),
        ("data: aGVsbG8=\n\n", [b"hello"]),
        ("data: aGVsbG8=\n\ndata: aGVsbG8=\n\n", [b"hello", b"hello"]),
        ("data: {'i': 0}\n\n", [{"i": 0}]),
        ("data: {'i': None, 'b': True}\n\n", [{"i": None, "b": True}]),
        (f"data: {CHAT}\n\ndata: [DONE]\n\n", [{"choices": [{"index": 0, "delta": {"content": "Hel"}}]}]),
        ("data: {\"error\": 'genkaput'}\n\n", []),
        (": keepalive\n\n", []),
        ("", []),
        ("data: is what I like\n", ["data: is what I like\n"]),
        ("data: <object at 0x1>\n\n", ["<object at 0x1>"]),
        ("a\n\n", ["a\n\n"]),
    ],
)
def test_each_kind_of_piece_is_read(piece, values):
    chunks = read(StreamEvent(data=piece), Step.STREAM, APIPOD)
    assert all(isinstance(chunk, Chunk) and chunk.job_id == "j1" for chunk in chunks)
    said = [chunk.value for chunk in chunks]
    for value in said:
        if isinstance(value, dict):
            value.pop("id", None), value.pop("object", None)
    assert said == values


def test_a_huge_piece_is_not_parsed_as_python():
    piece = "data: " + "(" * 100_000 + "\n\n"
    assert read(StreamEvent(data=piece), Step.STREAM, APIPOD)[0].value == "(" * 100_000
