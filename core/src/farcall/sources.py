"""Understands what a user names as a source: a configured name, an address, a binding, a description or an app."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from farcall import config, plugins
from farcall.binding import Binding
from farcall.errors import UsageError
from farcall.hints import did_you_mean
from farcall.provider import provider
from farcall.spec import EndpointSpec
from farcall.wire import Document, Sender, without_query

IN_PROCESS: Final = "http://localhost"
"""The address of an app in this process."""
ASGI_ARGUMENTS: Final = 3  # scope, receive, send


@dataclass(slots=True, kw_only=True)
class Wish:
    """What the user asked for, once the source is understood.

    Args:
        binding: A provider is named; None: it has to be found out.
        url: The address; None where there is none.
        document: A description that was handed over.
        sender: What carries the requests; None: the core's own.
        api_key: The key that was handed over.
        options: What goes to the provider, where no provider is named yet.
    """

    binding: Binding | None = None
    url: str | None = None
    document: Document | None = None
    sender: Sender | None = None
    api_key: str | None = field(default=None, repr=False)
    options: Mapping[str, Any]


def wish_of(  # noqa: PLR0913 - the arguments of connect, in its order
    source: Any,
    *,
    provider: str | None,
    profile: str | None,
    api_key: str | None,
    endpoints: Iterable[EndpointSpec | Mapping[str, Any]] | None,
    sender: Sender | None,
    options: Mapping[str, Any],
) -> Wish:
    """What is meant by the arguments of `connect`.

    Raises:
        UsageError: The source is nothing that can be connected to; close matches are named.
    """
    given = dict(options) if endpoints is None else {**options, "endpoints": endpoints}
    wish = Wish(sender=sender, api_key=api_key, options=given)
    if isinstance(source, str):
        _named(wish, source, provider, profile, given)
        return wish
    if profile is not None:
        raise UsageError("profile= chooses among the profiles of a configured service; the source is none.")
    if isinstance(source, Binding):
        if given or provider is not None:
            raise UsageError("A Binding says everything itself; put provider, endpoints and options into it.")
        wish.binding = source
    elif callable(source):
        wish.sender = sender or _app_sender(source)
        wish.url = given["url"] = str(given.get("url", IN_PROCESS))
    elif source is not None:
        _described(wish, source, given)
    if wish.binding is None and provider is not None:
        wish.binding = Binding(provider=provider, **given)
    if source is None and provider is None:
        raise UsageError(f"connect() needs to know to what: give {_SOURCES}, or provider= with its options.")
    wish.options = given
    return wish


_SOURCES: Final = "a configured name, an address, 'provider:address', a Binding, a description, its Path or an ASGI app"


def _described(wish: Wish, source: Any, given: dict[str, Any]) -> None:
    """A description, as values or in a file."""
    if isinstance(source, Mapping):
        wish.document = Document(content=source)
    elif isinstance(source, PathLike):
        given["spec"] = str(source)
    else:
        raise UsageError(f"A {type(source).__name__} cannot be connected to; give {_SOURCES}.")
    wish.url = given.get("url")


def _named(wish: Wish, source: str, named: str | None, profile: str | None, given: dict[str, Any]) -> None:
    """What a text means: a configured service, then an installed provider's address, then a URL."""
    configuration = config.load()
    if source in configuration.services:
        base = configuration.binding(source, profile)
        if named is not None and named != base.provider:
            raise UsageError(f"{source!r} is configured for the provider {base.provider!r}, not {named!r}.")
        wish.binding = base.changed(given) if given else base
        return
    if profile is not None:
        configuration.binding(source, profile)  # raises, naming the known services
    head, colon, rest = source.partition(":")
    if colon and head in plugins.names("provider"):
        wish.binding = Binding(provider=head, **{_address_option(head): rest, **given})
        return
    wish.url = _url(source, list(configuration.services), named)
    if named is not None:
        wish.binding = Binding(provider=named, **{_address_option(named): wish.url, **given})
    else:
        wish.options = {"url": wish.url, **given}


def _address_option(name: str) -> str:
    """The option an address in a source fills: the first one the provider declares."""
    return next(iter(provider(name).options().model_fields), "url")


def _url(source: str, services: list[str], named: str | None) -> str:
    if source.lower().strip().startswith(("http://", "https://")):
        return checked_address(source.strip())
    host, colon, rest = source.partition(":")
    port = rest.partition("/")[0]
    if colon and port.isdigit() and host:
        return checked_address(f"http://{source}")
    if named is not None:
        return source
    names = [*services, *(f"{name}:" for name in plugins.names("provider"))]
    hint = did_you_mean(source, names)
    if Path(source).exists():
        hint = f" A description in a file is given as Path({source!r})."
    raise UsageError(f"{source!r} is no configured service, no installed provider's address and no URL.{hint}")


def checked_address(url: str) -> str:
    """The address, if it is one that may be kept and shown.

    Raises:
        UsageError: It has no host, a port that is none, or a user name and password in it.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise UsageError(f"{without_query(url)!r} is no address: {error}.") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError('An address holds no user name and password here; give them as api_key="user:password".')
    if not host or port == 0:
        raise UsageError(f"{url!r} is no address: it names no host and port that can be called.")
    return url


def _app_sender(app: Any) -> Sender:
    if len(inspect.signature(app).parameters) != ASGI_ARGUMENTS:
        raise UsageError(f"{app!r} is no ASGI app; give {_SOURCES}.")
    from farcall.sender_asgi import AsgiSender

    return AsgiSender(app)
