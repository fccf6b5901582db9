"""Keeps files in a folder that a web server serves: `farcall.open_storage("folder://site", path=…, url=…)`."""

import mimetypes
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from farcall.errors import FileError, UsageError
from farcall.hookspecs import hookimpl
from farcall.storage_driver import PIECE_BYTES, StorageDriver, StoredFile, UploadLost, checked, split_url
from pydantic import BaseModel


class Options(BaseModel):
    path: Path
    url: str


class Folder(StorageDriver):
    def __init__(self, root: Path, url: str) -> None:
        self.root, self.parts, self.url = root, root / ".parts", url

    def address(self, key: str) -> str:
        return f"{self.url}/{quote(key)}"

    def sign(self, key: str, method: str, expires_s: float) -> str:
        if method != "GET":
            raise UsageError("A folder's web server takes no files.")
        return self.address(key)  # nobody guesses it, but it never ends

    def begin(self, key: str, media_type: str) -> str:
        (self.parts / (upload := secrets.token_hex(16))).mkdir(parents=True)
        return upload

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        if not (self.parts / upload).is_dir():
            raise UploadLost
        (self.parts / upload / str(number)).write_bytes(content)
        return str(number)

    def finish(self, key: str, upload: str, receipts: Sequence[str], media_type: str) -> None:
        if not all((self.parts / upload / receipt).is_file() for receipt in receipts):
            raise UploadLost
        with (whole := self.parts / upload / "whole").open("wb") as out:
            out.writelines((self.parts / upload / receipt).read_bytes() for receipt in receipts)
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        whole.replace(self.root / key)
        self.abort(key, upload)

    def abort(self, key: str, upload: str) -> None:
        shutil.rmtree(self.parts / upload, ignore_errors=True)

    def head(self, key: str) -> StoredFile | None:
        place, kind = self.root / key, mimetypes.guess_type(key)[0] or "application/octet-stream"
        return StoredFile(key=key, size=place.stat().st_size, media_type=kind) if place.is_file() else None

    def read(self, key: str, start: int, end: int, etag: str) -> Iterator[bytes]:
        if self.head(key) is None:
            raise FileError(f"The file {key!r} is gone.")
        with (self.root / key).open("rb") as file:
            file.seek(start)
            yield from iter(lambda: file.read(min(PIECE_BYTES, end - file.tell())), b"")

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        keys = (p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if self.parts not in p.parents)
        yield from (found for key in sorted(keys) if key.startswith(prefix) and (found := self.head(key)))


@hookimpl
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    told, (_, prefix) = checked(Options, options, "folder"), split_url(url)
    return Folder(told.path / prefix, f"{told.url.rstrip('/')}/{quote(prefix)}".rstrip("/"))
