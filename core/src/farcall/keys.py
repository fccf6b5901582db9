"""The user's keys: where they are looked for, and to whom they may be shown."""

from __future__ import annotations

import ipaddress
import os
from collections import UserDict
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from farcall.errors import UsageError
from farcall.hookspecs import Credential, ProviderFacts
from farcall.wire import origin


class ApiKeys(UserDict[str, str]):
    """Keys by origin (`https://gpu.lan:8000`, shown there only) or provider name. The repr shows no key."""

    def __setitem__(self, place: str, key: str) -> None:
        if not isinstance(key, str) or not key:
            raise UsageError(f"The key for {place!r} must be a text that is not empty.")
        super().__setitem__(_spelt(place), key)

    def __getitem__(self, place: str) -> str:
        return super().__getitem__(_spelt(place))

    def __delitem__(self, place: str) -> None:
        super().__delitem__(_spelt(place))

    def __contains__(self, place: object) -> bool:
        return isinstance(place, str) and super().__contains__(_spelt(place))

    def __repr__(self) -> str:
        return f"ApiKeys({', '.join(f'{place!r}: …' for place in sorted(self))})"


class Settings:
    """What holds for every service of this process.

    >>> settings.api_keys["https://gpu.lan:8000"] = "s3cret"
    >>> settings
    Settings(api_keys=ApiKeys('https://gpu.lan:8000': …))
    """

    def __init__(self) -> None:
        self._api_keys = ApiKeys()

    @property
    def api_keys(self) -> ApiKeys:
        """Keys by origin or by provider name."""
        return self._api_keys

    @api_keys.setter
    def api_keys(self, keys: Mapping[str, str]) -> None:
        self._api_keys = ApiKeys(keys)

    def __repr__(self) -> str:
        return f"Settings(api_keys={self._api_keys!r})"


settings = Settings()
"""What holds for every service of this process."""


def find_key(provider: str, url: str, facts: ProviderFacts, *, argument: str | None = None) -> Credential | None:
    """The key to show to a service: the argument, else the user's settings, else the environment.

    A key kept under the provider's name or in the environment is meant for the provider: it goes to the
    provider's own origins and to this machine, never to an address that a configuration file made up.

    Args:
        provider: The provider's name.
        url: The service's address.
        facts: The provider's; its `origins` and `key_names` are read.
        argument: What the caller handed over; None: nothing.

    Returns:
        The key; None if there is none for this address.

    Raises:
        UsageError: It is no text that a header can hold.
    """
    if argument is not None and not isinstance(argument, str):
        raise UsageError(f"api_key is a text; not a {type(argument).__name__}.")
    places = [("the argument api_key", argument), *_kept(provider, url, facts)]
    place, found = next(((place, key) for place, key in places if key), ("", None))
    if found is not None and has_controls(found):
        raise UsageError("The key holds a line end or another control character; strip() what was read from a file.")
    return None if found is None else Credential(secret=found, place=place)


def key_place(provider: str, url: str, facts: ProviderFacts) -> str | None:
    """Where the key comes from that `find_key` finds without an argument, in a user's words; None: nowhere."""
    return next((place for place, key in _kept(provider, url, facts) if key), None)


def _kept(provider: str, url: str, facts: ProviderFacts) -> Iterator[tuple[str, str | None]]:
    """The places where a key for this address may be kept, the first one first, and what is there."""
    place = origin(url)
    yield f"farcall.settings.api_keys[{place!r}]", settings.api_keys.get(place)
    if is_trusted(url, facts):
        yield f"farcall.settings.api_keys[{provider!r}]", settings.api_keys.get(provider)
        yield from ((name, os.environ.get(name)) for name in facts.key_names)


def has_controls(text: str) -> bool:
    """Whether a text holds a line end or another control character, which no header may."""
    return any(ord(c) < 32 or ord(c) == 127 for c in text)


def is_trusted(url: str, facts: ProviderFacts) -> bool:
    """Whether an address is the provider's own or on this machine, so that its key may go there."""
    return origin(url) in map(origin, facts.origins) or _is_loopback(urlsplit(url).hostname or "")


def where_looked(provider: str, url: str, facts: ProviderFacts) -> str:
    """What to tell a user whose service wants a key that `find_key` did not find."""
    place = origin(url)
    for_place = f"farcall.settings.api_keys[{place!r}]"
    for_provider = [f"farcall.settings.api_keys[{provider!r}]", *facts.key_names]
    looked = f"{place} wants a key. Looked at the argument api_key, {for_place}"
    if is_trusted(url, facts):
        choices = " or ".join(reversed(for_provider))
        return f"{looked}, {', '.join(for_provider)}. Set {choices}."
    owner = " and ".join(facts.origins) or "this machine"
    return (
        f"{looked}. Not at {', '.join(for_provider)}: such a key goes only to {owner}. "
        f'Set one for this address: {for_place} = "…".'
    )


def _spelt(place: str) -> str:
    if "://" not in place:
        if ":" in place or "/" in place:
            raise UsageError(f"{place!r} is neither a provider nor an origin like 'https://gpu.lan:8000'.")
        return place
    try:
        return origin(place)
    except ValueError as error:
        raise UsageError(f"{place!r} is no origin: {error}.") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
