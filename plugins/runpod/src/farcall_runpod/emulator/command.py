"""`farcall runpod-emulator`: Runpod on this machine, to try a worker and its callers before they cost anything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler

from farcall_runpod.emulator import faults
from farcall_runpod.emulator.faults import Fault
from farcall_runpod.emulator.server import HOST, Endpoint, Running

app = typer.Typer(add_completion=False)

_FAULTS = "; ".join(f"{name}: {meaning}" for name, meaning in faults.MEANINGS.items())


@app.command()
def emulate(  # noqa: PLR0913 - each is an option on the command line
    *,
    program: Annotated[
        str, typer.Option("--app", help="The worker: a file that starts itself, or app.py:app.", show_default=False)
    ],
    endpoint_id: Annotated[str, typer.Option(help="The endpoint's id.")] = "emulated",
    port: Annotated[int, typer.Option(help="On which port, 0 for a free one.", min=0, max=65535)] = 8010,
    workers: Annotated[int, typer.Option(help="How many worker processes.", min=1)] = 1,
    api_key: Annotated[str | None, typer.Option(help="The key users must show; else any will do.")] = None,
    python: Annotated[str, typer.Option(help="The interpreter of the workers, if not this one.")] = sys.executable,
    fault: Annotated[
        list[str] | None, typer.Option(help=f"What goes wrong, NAME[@ROUTE]=VALUE; may be repeated. {_FAULTS}.")
    ] = None,
) -> None:
    """Emulate a Runpod serverless endpoint on this machine, with real workers."""
    logging.basicConfig(level="WARNING", format="%(message)s", handlers=[RichHandler(show_path=False)])
    endpoint = Endpoint(
        program=program,
        id=endpoint_id,
        port=port,
        workers=workers,
        api_key=api_key,
        python=python,
        faults=[Fault.of(text) for text in fault or ()],
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(endpoint))


async def _serve(endpoint: Endpoint) -> None:
    running = Running(endpoint)
    await running.start()
    try:
        typer.echo(f"{running.base_url}/{endpoint.id} (this machine only, {HOST}); Ctrl-C ends it")
        await asyncio.Event().wait()
    finally:
        await running.stop()
