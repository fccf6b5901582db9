"""A server that cannot start says why in a sentence."""

from __future__ import annotations

import sys

from farcall.errors import FarcallError
from starlette.types import Message, Send


def plainly(send: Send) -> Send:
    """What an app says of its start and end, with an error of ours as its sentence alone, without the traceback."""

    async def said(message: Message) -> None:
        error = sys.exception()  # which Starlette is telling of now
        if message["type"] == "lifespan.startup.failed" and isinstance(error, FarcallError):
            message = {**message, "message": str(error)}
        await send(message)

    return said
