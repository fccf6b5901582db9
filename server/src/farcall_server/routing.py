"""Where a handler is served: on a bare route, or on one of FastAPI's, which solves dependencies first."""

from __future__ import annotations

from collections.abc import Sequence

from farcall.errors import UsageError
from fastapi import FastAPI
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from farcall_server.routes import Endpoint, Handler


def add(
    app: FastAPI,
    path: str,
    handler: Handler,
    methods: Sequence[str],
    dependencies: Sequence[Depends] = (),
    *,
    shown: bool = False,
) -> None:
    """Serve a handler.

    Args:
        app: Whose own dependencies apply, too.
        path: Where, with templates as Starlette writes them.
        handler: What answers.
        methods: In capitals.
        dependencies: Solved before it.
        shown: Whether FastAPI describes what the dependencies take.

    Raises:
        UsageError: A dependency takes a part of the body.
    """
    if not (dependencies or app.router.dependencies):
        app.router.routes.append(Route(path, Endpoint(handler), methods=list(methods), include_in_schema=False))
        return

    async def behind_dependencies(request: Request) -> Response:
        return await handler(request)

    for method in methods:  # FastAPI describes a route of several methods under one operation id, and warns of it
        app.add_api_route(
            path,
            behind_dependencies,
            methods=[method],
            dependencies=list(dependencies),
            include_in_schema=shown,
            response_model=None,
        )
        route = app.router.routes[-1]
        if isinstance(route, APIRoute) and route.body_field is not None:
            app.router.routes.pop()
            raise UsageError(
                f"{path}: a dependency takes a part of the body, which holds the function's arguments. Let it take a "
                "header, a cookie or a query parameter, or the Request itself."
            )


def check_free(app: FastAPI, path: str, methods: Sequence[str]) -> None:
    """Nothing else is served there.

    Raises:
        UsageError: Something is.
    """
    for route in app.router.routes:
        if isinstance(route, Route) and route.path == path and (route.methods or set()) & set(methods):
            raise UsageError(f"{path} is served already; give one of the two another path.")
