"""A backend, typed as its author writes it."""

from typing import assert_type

import farcall
from farcall_server import FastTaskAPI
from farcall_server.hookspecs import Options
from farcall_server.inprocess import InProcess


@farcall.hookimpl
def farcall_prepare() -> None:
    raise SystemExit(0)


@farcall.hookimpl
def farcall_serve(app: FastTaskAPI, options: Options) -> None:
    inside = InProcess(app)
    assert_type(inside.concurrency, int)
    assert_type(options.host, str | None)
