"""The files of one call on their way out: how much of them has gone, and which links to them run out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from farcall.datauris import Base64Text, put_in
from farcall.errors import FarcallError, InputError
from farcall.jobs import Snapshot, State
from farcall.wire import Body, FileValue, Request

if TYPE_CHECKING:
    from farcall.tracking import Tracked

COUNTS_BYTES: Final = 1 << 20
"""From how many bytes on the files of a call count in its job's progress."""
SHARE: Final = 0.2
"""What part of a job's progress its upload is, where it counts; the rest is the host's own."""
STEP: Final = 0.01
"""The part of the upload after which it is told again."""


@dataclass(frozen=True, slots=True)
class Link:
    """A signed address that was sent in a file's place, good until `until` on the loop's clock."""

    name: str
    until: float


@dataclass(slots=True)
class Outbound:
    """The files of one call.

    Args:
        tracked: The call's job.
        tell: Told the name of each file that has reached its host or storage.
        inline: Names of the files that travel with the submission.
        links: Addresses that were sent in the place of files.
    """

    tracked: Tracked
    tell: Callable[[str], None]
    inline: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    _texts: dict[str, Body] = field(default_factory=dict)
    _sent: list[int] = field(default_factory=list)
    _gone: int = 0
    _total: int = 0
    _known: bool = True
    _told: float = 0.0
    _own: Snapshot | None = None

    # --- progress -------------------------------------------------------------------------------------------------

    def expect(self, size: int | None) -> int:
        """Count a file in; returns its number."""
        self._known &= size is not None
        self._total += size or 0
        self._sent.append(0)
        return len(self._sent) - 1

    @property
    def counts(self) -> bool:
        """Whether the upload is large enough, and known well enough, to be told."""
        return self._known and self._total >= COUNTS_BYTES

    @property
    def small(self) -> bool:
        """Whether all files of the call together may be held in memory."""
        return self._total < COUNTS_BYTES

    def moved(self, number: int, sent: int) -> None:
        """Take in that so many bytes of a file have gone; those of a second try are not counted again."""
        if sent <= self._sent[number]:
            return
        self._gone += sent - self._sent[number]
        self._sent[number] = sent
        if not self.counts or self.tracked.accepted or self.tracked.ended:
            return
        part = min(1.0, self._gone / self._total)
        if part - self._told >= STEP or part == 1.0:
            self._told = part
            self._own = replace(self.tracked.snapshot, progress=part * SHARE, message="uploading")
            self.tracked.see(self._own)

    def seen(self, snapshot: Snapshot) -> Snapshot:
        """A look at the job with the upload's share in it, and with the addresses that have run out."""
        if snapshot is self._own:
            return snapshot
        if self.counts:
            rest = snapshot.progress or 0.0
            done = 1.0 if snapshot.state is State.SUCCEEDED else SHARE + (1.0 - SHARE) * rest
            snapshot = replace(snapshot, progress=done)
        if snapshot.state is State.FAILED and (note := self._run_out()):
            snapshot = replace(snapshot, error=f"{snapshot.error or snapshot.message or 'no reason given'}. {note}")
        return snapshot

    def blamed(self, error: FarcallError) -> FarcallError:
        """The error of a refused submission, with the addresses that have run out."""
        if note := self._run_out():
            error.args = (f"{str(error).rstrip('.')}. {note}",)
        return error

    def _run_out(self) -> str:
        now = asyncio.get_running_loop().time()
        late = [link.name for link in self.links if link.until <= now]
        if not late:
            return ""
        return (
            f"The signed address of {', '.join(map(repr, late))} had run out before this was known, perhaps before the "
            "service fetched it; open the storage with a larger link_s."
        )

    # --- bytes ----------------------------------------------------------------------------------------------------

    def part(self, number: int, file: FileValue, most_bytes: int | None) -> FileValue:
        """The file as it travels: counted where that is told, held to the limit where its size is unknown."""
        self.inline.append(file.name)
        if file.body is None or (not self.counts and file.size is not None):
            return file
        counted = _Counted(file.body, lambda sent: self.moved(number, sent), most_bytes, file.name)
        return replace(file, body=counted)

    def text(self, file: FileValue) -> str:
        """A `data:` address that stands for the file's; the file is put in its place when the request is sent."""
        token = secrets.token_hex(16)
        if file.body is not None:
            self._texts[token] = Base64Text(file.body)
        return f"data:{file.media_type};base64,{token}"

    def into(self, request: Request) -> Request:
        """The request with the files in the place of their texts.

        Raises:
            PluginError: The provider wrote a text nowhere into the body.
        """
        return put_in(request, self._texts) if self._texts else request

    def arrived(self) -> None:
        """The host has taken the submission, and with it the files inside."""
        for name in self.inline:
            self.tell(name)
        self._texts.clear()
        if not self.counts and not self.links:
            self.tracked.outbound = None  # nothing more is to be told


@dataclass(frozen=True, slots=True)
class _Counted:
    """A body that tells how much of it has gone."""

    body: Body
    moved: Callable[[int], None]
    most_bytes: int | None
    name: str

    @property
    def length(self) -> int | None:
        return self.body.length

    @property
    def repeatable(self) -> bool:
        return self.body.repeatable

    async def chunks(self) -> AsyncIterator[bytes]:
        sent = 0
        async for chunk in self.body.chunks():
            sent += len(chunk)
            if self.most_bytes is not None and sent > self.most_bytes:
                raise InputError(f"{self.name!r} has more than the {self.most_bytes:,} bytes this host takes inline.")
            yield chunk
            self.moved(sent)
