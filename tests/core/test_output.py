"""A job's output: kept whole while it is small, its latest pieces when it is not."""

import pytest
from farcall import output
from farcall.errors import ProtocolError
from farcall.output import Output


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(output, "MOST_BYTES", 10_000)


def test_a_small_output_is_kept_whole():
    pieces = Output()
    for number in range(1000):
        pieces.add({"n": number})
    assert pieces.whole() == [{"n": number} for number in range(1000)]
    assert (len(pieces), pieces[7], pieces.missing(0)) == (1000, {"n": 7}, None)


def test_of_a_long_output_the_latest_pieces_are_kept_under_their_numbers(small):
    pieces = Output()
    for number in range(1000):
        pieces.add(f"{number}")
    assert (len(pieces), pieces[999], pieces.whole()) == (1000, "999", None)
    assert isinstance(pieces.missing(0), ProtocolError)
    first = next(number for number in range(1000) if pieces.missing(number) is None)
    assert first > 800
    assert [pieces[number] for number in range(first, 1000)] == [str(number) for number in range(first, 1000)]


def test_the_last_piece_is_kept_however_big_it_is(small):
    pieces = Output()
    pieces.add("a")
    pieces.add("b" * 50_000)
    assert pieces[1] == "b" * 50_000
    pieces.add("c")
    assert (pieces[2], len(pieces)) == ("c", 3)
