"""Public OpenAPI documents, out of the packages that ship them."""

import hashlib
import shutil
import sys
import tarfile
import zipfile
from dataclasses import dataclass

from rivals.environments import HERE, KEPT, run


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

    def read(self):
        """The document's bytes; the package is fetched if it is not here yet."""
        archive = _archive(self.registry, self.package)
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(self.file)
        with tarfile.open(archive) as packed:
            return packed.extractfile(self.file).read()


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
