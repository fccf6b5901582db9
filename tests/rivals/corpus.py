"""Public OpenAPI documents, out of the packages that ship them."""

import hashlib
import shutil
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from rivals.environments import HERE, KEPT, run

DOCUMENTS = (".json", ".yaml", ".yml")
LARGEST_BESIDE = 100_000


@dataclass(frozen=True)
class Source:
    """Where a document comes from: a line of corpus.txt.

    Args:
        registry: `npm` or `pypi`.
        package: With its exact version: `@scalar/galaxy@0.6.12`, `prance==26.7.19.0`.
        file: Its path in the package's archive.
    """

    registry: str
    package: str
    file: str

    def __str__(self):
        return f"{self.package}:{self.file.removeprefix('package/')}"

    def unpacked(self, folder):
        """The document's path below a folder, with the small files that lie beside it and it may refer to."""
        near = str(PurePosixPath(self.file).parent) + "/"
        for name, size, read in _members(_archive(self.registry, self.package)):
            if name == self.file or (name.startswith(near) and name.endswith(DOCUMENTS) and size <= LARGEST_BESIDE):
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(read())
        return folder / self.file


def _members(archive):
    """Name, bytes and reader of every file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                yield info.filename, info.file_size, partial(wheel.read, info)
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isfile():
                yield member.name, member.size, packed.extractfile(member).read


def sources():
    lines = (HERE / "corpus.txt").read_text().splitlines()
    return [Source(*line.split(" ")) for line in lines if not line.startswith("#")]


def _archive(registry, package):
    folder = KEPT / "corpus" / hashlib.sha256(package.encode()).hexdigest()[:12]
    whole = folder / "whole"
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run([*_FETCH[registry], str(folder), package])
        whole.touch()  # so that a download that was broken off is made anew
    (archive,) = (path for path in folder.iterdir() if path != whole)
    return archive


_FETCH = {
    "npm": ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination"],
    "pypi": [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--only-binary", ":all:", "-d"],
}
