"""Files written out as `data:` addresses (RFC 2397) inside JSON and forms, streamed into the body."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote_from_bytes

from farcall.bodies import JoinedBody
from farcall.errors import PluginError
from farcall.wire import Body, FileValue, Request

HELD_BYTES: Final = 256 * 1024
"""A file up to this size is written out at once."""
FORM: Final = "application/x-www-form-urlencoded"


async def data_uri(file: FileValue) -> str:
    """The file written out, held in memory."""
    content = b"" if file.body is None else b"".join([chunk async for chunk in file.body.chunks()])
    return f"data:{file.media_type};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True, slots=True)
class Base64Text:
    """A body as base64.

    Args:
        body: The bytes.
        quoted: Whether it stands in a form, where base64's `+/=` are percent-encoded.
    """

    body: Body
    quoted: bool = False

    @property
    def length(self) -> int | None:
        """Characters; None where it depends on what they are."""
        size = self.body.length
        return None if size is None or self.quoted else (size + 2) // 3 * 4

    @property
    def repeatable(self) -> bool:
        """Whether it can be written again."""
        return self.body.repeatable

    async def chunks(self) -> AsyncIterator[bytes]:
        """The text, piece by piece."""
        rest = b""
        async for chunk in self.body.chunks():
            chunk = rest + chunk if rest else chunk  # noqa: PLW2901 - with what did not make three
            whole = len(chunk) - len(chunk) % 3
            rest = chunk[whole:]
            if whole:
                yield self._written(chunk[:whole])
        if rest:
            yield self._written(rest)

    def _written(self, content: bytes) -> bytes:
        text = base64.b64encode(content)
        return quote_from_bytes(text, safe="").encode() if self.quoted else text


def put_in(request: Request, texts: Mapping[str, Body]) -> Request:
    """A request with bodies where their tokens stand in its own.

    Args:
        request: What the provider wrote.
        texts: Token to the text it stands for.

    Raises:
        PluginError: A token stands nowhere in the body.
    """
    quoted = _content_type(request).startswith(FORM)
    pieces = list(request.body.pieces) if isinstance(request.body, JoinedBody) else [request.body]
    for token, text in texts.items():
        whole = replace(text, quoted=True) if quoted and isinstance(text, Base64Text) else text
        cut = [part for piece in pieces for part in _cut(piece, token.encode(), whole)]
        if len(cut) == len(pieces):
            raise PluginError(
                "The provider wants a file as text and did not write that text into the request's body as it is; "
                "let its farcall_file_transport ask for 'part'."
            )
        pieces = cut
    return replace(request, body=JoinedBody(tuple(pieces)))


def _content_type(request: Request) -> str:
    return next((value for name, value in request.headers.items() if name.lower() == "content-type"), "").lower()


def _cut(piece: bytes | Body, token: bytes, text: Body) -> Iterator[bytes | Body]:
    """A piece, with the text at each place where its token stands."""
    if not isinstance(piece, bytes):
        yield piece
        return
    before, *after = piece.split(token)
    yield before
    for part in after:
        yield text
        yield part
