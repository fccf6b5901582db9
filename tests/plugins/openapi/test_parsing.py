"""YAML documents: what is read, and what is refused before it costs anything."""

import time

import pytest
from farcall_openapi import parsing
from farcall_openapi.parsing import LARGEST_YAML_BYTES, UnreadableError, parse


def test_what_stands_without_quotes_is_what_yaml_1_2_says():
    text = b"a: no\nb: 1:30\nc: 0x1F\nd: 1e3\ne: ~\nf:\ng: TRUE\nh: 010\ni: .5\nj: '7'\nk: 3.1.0\nl: -2\nm: 0o17"
    assert parse(text) == {
        "a": "no", "b": "1:30", "c": 31, "d": 1000.0, "e": None, "f": None, "g": True, "h": 10, "i": 0.5,
        "j": "7", "k": "3.1.0", "l": -2, "m": 15,
    }  # fmt: skip


def test_dates_stay_text():
    assert parse(b"a: 2020-01-31\nb: 2001-12-14t21:59:43.10-05:00") == {
        "a": "2020-01-31",
        "b": "2001-12-14t21:59:43.10-05:00",
    }


def test_names_are_text_as_in_json():
    assert parse(b"responses: {200: ok, true: b, null: c}") == {"responses": {"200": "ok", "true": "b", "null": "c"}}


def test_aliases_and_merges_are_written_out():
    text = b"x: &x {q: 1, r: 1}\ny: {<<: *x, q: 2}\nz: {<<: [{q: 3}, *x]}\nw: *x"
    assert parse(text) == {
        "x": {"q": 1, "r": 1},
        "y": {"q": 2, "r": 1},
        "z": {"q": 3, "r": 1},
        "w": {"q": 1, "r": 1},
    }


def test_json_with_tabs_and_a_byte_order_mark_is_read():
    assert parse(b'{\n\t"a": [1, null]\n}') == {"a": [1, None]}
    assert parse(b"\xef\xbb\xbfa: 1") == {"a": 1}


LAUGHS = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)
)
MERGES = b"a0: &a0 {k: v}\n" + b"".join(
    b"a%d: &a%d {<<: [%s]}\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "more than 1,000,000 values"),
        (MERGES, "more than 1,000,000 values"),
        (b"a: &a [*a]", "leads back into itself"),
        (b"a: " + b"[" * 300 + b"]" * 300, "nested more than 200 deep"),
        (b"[" * 100_000, "no JSON: recursion limit"),
        (b"- " * 50_000, "nested more than 200 deep|maximum nesting"),
        (b"a: !!python/object/apply:os.system ['true']", "JSON does not know"),
        (b"a: !!timestamp 2020-01-01", "JSON does not know"),
        (b"a: !!int x", "where a number stands"),
        (b"{[1]: 2}", "a name that is no text"),
        (b"{<<: 7}", "names something that is no object"),
        (b"a: b: c", "neither JSON nor YAML"),
        (b"", "it is empty"),
        (b'{"a": {', "no JSON: EOF while parsing"),
        (b"x: " + b"y" * LARGEST_YAML_BYTES, "YAML is read up to"),
        (b'{"a": ' + b" " * LARGEST_YAML_BYTES, "no JSON"),
        (b"a: 1\n---\nb: 2\n", "neither JSON nor YAML"),
        (b"\xff\xfe\xfd", "neither JSON nor YAML"),
    ],
)
def test_what_is_no_document_or_a_trap_is_refused_at_once(text, why):
    began = time.process_time()
    with pytest.raises(UnreadableError, match=why):
        parse(text)
    assert time.process_time() - began < 1.0


def test_a_wall_of_values_is_given_up_before_a_tree_is_made_of_it(monkeypatch):
    monkeypatch.setattr(parsing, "MOST_NODES", 1000)
    monkeypatch.setattr(parsing, "_measure", lambda _: pytest.fail("a tree was made"))
    with pytest.raises(UnreadableError, match="more than 1,000 values"):
        parse(b"- 1\n" * 5000)
