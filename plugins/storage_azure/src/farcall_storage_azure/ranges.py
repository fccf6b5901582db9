"""Reads a range of a blob as it comes in; the SDK alone holds all of it in memory, twice, before it gives any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from azure.core.pipeline import PipelineResponse
from azure.core.rest import HttpResponse
from azure.storage.blob import BlobClient

THERE: Final = frozenset({200, 206})


class _Answered(Exception):
    """Carries an answer out of the SDK once its head is there, before its body is read."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__()
        self.answer = answer


def answer(blob: BlobClient, start: int, length: int, **condition: Any) -> HttpResponse:
    """The answer to one request for a range, of which only the head has been read; whoever gets it closes it.

    Args:
        blob: Where.
        start: The first byte.
        length: Bytes; the client's `max_single_get_size` at most.
        condition: What the SDK's `download_blob` takes besides: `etag`, `match_condition`.

    Raises:
        AzureError: There is no such range, or none that meets the condition; what may pass was tried again.
    """
    try:
        blob.download_blob(start, length, raw_response_hook=_escape, **condition)
    except _Answered as answered:
        return answered.answer
    raise AssertionError("unreachable: the SDK calls its hook with every answer")


def pieces(answer: HttpResponse) -> Iterator[bytes]:
    """The bytes as they are stored, each piece of the client's `connection_data_block_size` at most.

    Raises:
        AzureError: The connection broke.
    """
    with answer:
        yield from answer.iter_raw()


def _escape(response: PipelineResponse[Any, HttpResponse]) -> None:
    if response.http_response.status_code in THERE:
        raise _Answered(response.http_response)
