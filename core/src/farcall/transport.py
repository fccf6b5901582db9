"""Gets the files of a call onto the way: inline, written out as text, or through a storage as a link."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from farcall import datauris, signed
from farcall.bodies import BytesBody, PathBody
from farcall.errors import InputError, PluginError
from farcall.files import File
from farcall.hookspecs import Flow
from farcall.jobs import Step
from farcall.outbound import Link, Outbound
from farcall.wire import FilePolicy, FileValue

if TYPE_CHECKING:
    from farcall.engine import Engine
    from farcall.tracking import Tracked

T = TypeVar("T")

HOLDERS: Final = frozenset({File, list})
"""Types of the arguments a file can be in."""
_WAY_OUT: Final = "; connect with storage=, or put the file where the host can fetch it and give its address"


async def travelling(engine: Engine, tracked: Tracked, values: Mapping[str, Any], options: Any) -> Mapping[str, Any]:
    """The arguments with each file as the host takes it; those that go elsewhere first go at the same time.

    Args:
        engine: Of the service.
        tracked: The job that is about to be submitted.
        values: Its arguments, checked.
        options: The provider's own options of the call.

    Raises:
        InputError: A file is too large for the host, or cannot be read.
    """
    outbound = Outbound(tracked, lambda name: engine.tell("uploaded", tracked, file=name))
    ways = [_Way(engine, outbound, name, file, options) for name, file in _files(values)]
    if not ways:
        return values
    tracked.outbound = outbound
    sent = iter(await _together([way.taken() for way in ways]))
    return {
        name: next(sent)
        if isinstance(value, File)
        else [next(sent) if isinstance(item, File) else item for item in value]
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }


def _files(values: Mapping[str, Any]) -> Iterator[tuple[str, File]]:
    for name, value in values.items():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, File):
                yield name, item


async def _together(coming: list[Awaitable[T]]) -> list[T]:
    """What all of them give; none goes on once one has failed."""
    if len(coming) == 1:
        return [await coming[0]]
    tasks = [asyncio.ensure_future(one) for one in coming]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


class _Way:
    """The way of one file, decided as soon as it is named, so that all sizes are known before the first byte goes."""

    def __init__(self, engine: Engine, outbound: Outbound, parameter: str, file: File, options: Any) -> None:
        self._engine = engine
        self._outbound = outbound
        self._parameter = parameter
        self._file = file
        self._value = file.carried()
        endpoint = outbound.tracked.endpoint
        self._policy = engine.provider.file_transport(engine.binding, endpoint, parameter, self._value, options)
        self._number = outbound.expect(0 if self._link else self._value.size)
        self._stores = isinstance(self._policy, FilePolicy) and self._link is None and self._too_large(self._policy)

    @property
    def _link(self) -> str | None:
        """The address that the host fetches itself."""
        policy = self._policy
        handed_on = isinstance(policy, FilePolicy) and policy.links and self._file.public
        return self._file.url if handed_on else None

    async def taken(self) -> FileValue | str:
        """What is sent in the file's place."""
        policy, value = self._policy, self._value
        if not isinstance(policy, FilePolicy):
            return await self._through(policy)
        if self._link is not None:
            return self._link
        if self._stores:
            return await self._stored()
        value = self._outbound.part(self._number, await self._at_hand(), policy.max_inline_bytes)
        if policy.inline == "part":
            return value
        if policy.inline == "data_uri":
            held = value.size is not None and value.size <= datauris.HELD_BYTES
            return await datauris.data_uri(value) if held else self._outbound.text(value)
        raise PluginError(f"{policy.inline!r} is no way to send a file; it is 'part' or 'data_uri'.")

    async def _through(self, flow: Flow[FileValue]) -> FileValue | str:
        """Let the provider upload it to its host."""
        sent = await self._engine.courier.run(flow, Step.FILE)
        self._outbound.moved(self._number, self._value.size or 0)
        self._outbound.tell(self._value.name)
        return sent.url if sent.url is not None and sent.body is None else sent

    def _too_large(self, policy: FilePolicy) -> bool:
        """Whether the file goes to the storage.

        Raises:
            InputError: It would have to, and there is none, or the host takes no address in its place.
        """
        size, most = self._value.size, policy.max_inline_bytes
        if self._engine.storage is None or not policy.storable:
            if most is not None and size is not None and size > most:
                raise InputError(
                    f"{self._outbound.tracked.endpoint.name}: {self._parameter!r} has {size:,} bytes and this host "
                    f"takes at most {most:,} inline{_WAY_OUT if policy.storable else ''}."
                )
            return False
        limits = [limit for limit in (most, self._engine.binding.upload_threshold_bytes) if limit is not None]
        return bool(limits) and (size is None or size > min(limits))

    async def _stored(self) -> str:
        """Put it into the storage; its signed address goes in its place."""
        store = self._engine.storage
        if store is None:
            raise AssertionError("unreachable")
        loop = self._engine.loop
        value = self._value
        url, lasts_s = await store.put(value, lambda sent, _: self._outbound.moved(self._number, sent))
        if (ends := signed.ends(url)) is not None:  # a storage may cut it to whole seconds
            lasts_s = (ends - self._engine.courier.clock.now()).total_seconds()
        self._outbound.links.append(Link(value.name, loop.time() + lasts_s))
        self._outbound.tell(value.name)
        return url

    async def _at_hand(self) -> FileValue:
        """The file; a small one of this machine read now, so that its request goes out in one piece."""
        body = self._value.body
        if not isinstance(body, PathBody) or not self._outbound.small:
            return self._value
        return replace(self._value, body=BytesBody(b"".join([chunk async for chunk in body.chunks()])))
