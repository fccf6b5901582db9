"""What fits is known before a byte is read, and the fewest, largest files are stored so that the rest does."""

import asyncio
import base64

import pytest
from farcall.errors import FileError, Unreachable
from farcall.files import File
from farcall_fasttaskapi.envelope import render_chunk
from farcall_server.parcels import LINK_BYTES, Parcel
from pydantic_core import to_json

KIB = 1024


class Shelf:
    """In a storage's place: gives each file an address that tells its size."""

    async def put(self, file):
        return f"https://shelf.example/{file.name}/{file.size}", 60.0


class Down:
    """A storage that cannot be reached."""

    async def put(self, file):
        raise Unreachable("nobody there")


def film(size, name="film.mp4"):
    return File.from_bytes(bytes(size), name=name).value


def sizes(packed):
    """The size of each file in a list, negative for those that were stored."""
    return [-file.size if file.url else file.size for file in packed]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {"a": [1, "ü"]},
        film(0),
        [film(1), {"b": film(2)}, film(1000)],
        [File.from_url("https://example.com/film.mp4").value, "x"],
    ],
)
def test_its_size_is_what_it_has_as_json(value):
    parcel = Parcel(value, 0, None)
    assert parcel.size_bytes == len(to_json(render_chunk(asyncio.run(parcel.packed()))))


@pytest.mark.parametrize(
    ("room", "stored"),
    [
        (300 * KIB, [10 * KIB, 100 * KIB, 50 * KIB, 1 * KIB]),
        (200 * KIB, [10 * KIB, -100 * KIB, 50 * KIB, 1 * KIB]),
        (50 * KIB, [10 * KIB, -100 * KIB, -50 * KIB, 1 * KIB]),
        (20 * KIB, [-10 * KIB, -100 * KIB, -50 * KIB, 1 * KIB]),
        (1, [-10 * KIB, -100 * KIB, -50 * KIB, 1 * KIB]),  # an address is not smaller than 1 kB
    ],
)
def test_the_largest_are_stored_until_the_others_fit(room, stored):
    parcel = Parcel([film(abs(size)) for size in stored], room, Shelf())
    packed = asyncio.run(parcel.packed())
    assert sizes(packed) == stored
    assert (parcel.size_bytes <= room) is (room > 1)
    assert len(to_json(render_chunk(packed))) <= parcel.size_bytes


def test_without_a_storage_nothing_is_stored_and_the_size_says_that_it_does_not_fit():
    parcel = Parcel([film(100 * KIB)], 50 * KIB, None)
    assert parcel.size_bytes > 100 * KIB
    assert sizes(asyncio.run(parcel.packed())) == [100 * KIB]


def test_a_file_keeps_its_place_name_and_bytes():
    value = {"big": [film(90 * KIB, "b.mp4")], "small": File.from_bytes(b"chips", name="s.txt").value}
    packed = asyncio.run(Parcel(value, 10 * KIB, Shelf()).packed())
    assert packed["big"][0].url == f"https://shelf.example/b.mp4/{90 * KIB}"
    assert (packed["big"][0].body, packed["small"].name) == (None, "s.txt")
    assert base64.b64decode(packed["small"].body.text) == b"chips"


def test_a_storage_that_fails_is_an_error_that_names_the_file_and_the_reason():
    parcel = Parcel([film(LINK_BYTES), film(90 * KIB, "b.mp4")], 10 * KIB, Down())
    with pytest.raises(FileError, match=r"'b\.mp4' could not be put into the app's storage: nobody there"):
        asyncio.run(parcel.packed())
