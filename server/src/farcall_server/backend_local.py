"""The backend `local`: the app serves from this process, on a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farcall import hookimpl

from farcall_server import places, serving
from farcall_server.hookspecs import Options
from farcall_server.ledger import Ledger

if TYPE_CHECKING:
    from farcall_server.app import FastTaskAPI


@hookimpl
def farcall_serve(app: FastTaskAPI, options: Options) -> None:
    """Serve by uvicorn; without `queue=` the jobs are kept in the user's state directory."""
    if app.queue is None:
        app.store.durable = Ledger(places.default())
    serving.serve(app, host=options.host, port=options.port)
