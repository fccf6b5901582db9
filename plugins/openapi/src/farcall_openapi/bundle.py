"""Puts the files that a document refers to into it, so that every reference is local."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from farcall.hookspecs import Flow
from farcall.spec import Problem
from farcall.wire import Request, Response, origin, without_query

from farcall_openapi import parsing

MOST_FILES: Final = 100
MOST_BYTES: Final = 64 * 1024 * 1024
PLACE: Final = "x-farcall-files"
"""Under which name the files stand in the bundled document."""


class Bundle:
    """One document and the files it refers to.

    Args:
        root: The document; it is not changed.
        url: Where it was fetched, `file://…` for a path; empty if it was handed over, so that nothing is beside it.
        allowed: Origins, beside the document's own, whose files may be fetched.
    """

    def __init__(self, root: Mapping[str, Any], url: str, allowed: frozenset[str]) -> None:
        self._root, self._url, self._allowed = root, url, allowed
        self._places: dict[str, str] = {}
        self._waiting: list[str] = []
        self._files: dict[str, Any] = {}
        self._bytes = 0
        self.problems: list[Problem] = []

    def opened(self) -> Mapping[str, Any]:
        """The document, its references pointing at where the files will stand; itself where none can be had."""
        outward = any(not pointer.startswith("#") for pointer in _pointers(self._root))
        if not outward or not (self._url or self._allowed):
            return self._root
        made: Mapping[str, Any] = self._rewritten(self._root, self._url, "")
        return made

    @property
    def waits(self) -> bool:
        """Whether files are still to be fetched."""
        return bool(self._waiting)

    def filled(self, root: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        """Fetch the files, and return the opened document with them inside."""
        while self._waiting:
            url = self._waiting.pop(0)
            answer = yield Request(method="GET", url=url, headers={"accept": "*/*"}, repeatable=True)
            self._files[self._places[url]] = self._taken(url, answer)
        return {**root, PLACE: self._files}

    def _taken(self, url: str, answer: Response) -> Any:
        self._bytes += len(answer.content)
        if not answer.ok:
            missing = "there is no such file in the document's folder"
            return self._left_out(url, missing if url.startswith("file:") else f"it answered {answer.status}")
        if self._bytes > MOST_BYTES:
            return self._left_out(url, f"the files have more than {MOST_BYTES:,} bytes together")
        try:
            content = parsing.parse(answer.content)
        except parsing.UnreadableError as error:
            return self._left_out(url, str(error))
        return self._rewritten(content, url, f"#/{PLACE}/{self._places[url]}")

    def outside(self, problem: Problem) -> Problem:
        """A problem with the files called by their own names."""
        why = problem.why
        for url, place in self._places.items():
            why = why.replace(f"#/{PLACE}/{place}/", f"{without_query(url)}#/").replace(
                f"#/{PLACE}/{place}'", f"{without_query(url)}'"
            )
        return Problem(problem.where, why)

    def _left_out(self, url: str, why: str) -> dict[str, Any]:
        self.problems.append(Problem(without_query(url), why))
        return {}

    def _rewritten(self, value: Any, url: str, here: str) -> Any:
        """A value with its references pointing into the bundle."""
        if isinstance(value, list):
            return [self._rewritten(item, url, here) for item in value]
        if not isinstance(value, Mapping):
            return value
        made = {name: self._rewritten(item, url, here) for name, item in value.items()}
        if isinstance(pointer := value.get("$ref"), str):
            made["$ref"] = self._pointer(pointer, url, here)
        if isinstance(named := made.get("mapping"), dict) and "propertyName" in made:
            made["mapping"] = {word: self._mapped(place, url, here) for word, place in named.items()}
        return made

    def _mapped(self, place: Any, url: str, here: str) -> Any:
        """A discriminator's word stands for a schema's name or for a reference."""
        plain = not isinstance(place, str) or not any(mark in place for mark in "#/.")
        return place if plain else self._pointer(place, url, here)

    def _pointer(self, pointer: str, url: str, here: str) -> str:
        place, _, fragment = pointer.partition("#")
        if fragment and not fragment.startswith("/"):
            return f"#{fragment}"  # an anchor, which is refused by its name where it is read
        if not place:
            return f"{here}{fragment}" if here else pointer
        target = urljoin(url, place)
        if target == self._url:
            return f"#{fragment}"
        if not self._fetched(target):
            return pointer
        return f"#/{PLACE}/{self._places[target]}{fragment}"

    def _fetched(self, target: str) -> bool:
        """Whether a file is in the bundle, or will be; why not is among the problems."""
        if target in self._places:
            return True
        why = self._refused(target)
        if why and all(problem.where != target for problem in self.problems):
            self.problems.append(Problem(target, why))
        if why:
            return False
        self._places[target] = str(len(self._places))
        self._waiting.append(target)
        return True

    def _refused(self, target: str) -> str:
        if len(self._places) >= MOST_FILES:
            return f"the document refers to more than {MOST_FILES} files"
        if urlsplit(target).scheme == "file":
            return "" if _beside(target, self._url) else "it is no file in the document's own folder"
        if urlsplit(target).scheme not in {"http", "https"}:
            return "it is neither beside the document nor an address"
        known = {*self._allowed, *([origin(self._url)] if self._url.startswith("http") else [])}
        if origin(target) not in known:
            return f"it is at another place than the document; ref_origins=[{origin(target)!r}] allows it"
        return ""


def _beside(target: str, url: str) -> bool:
    """Whether a local file is in the folder of the local document, or below it."""
    folder = urlsplit(url).path.rpartition("/")[0] + "/"
    path = unquote(urlsplit(target).path)
    climbs = ".." in path.split("/") or urlsplit(target).netloc != ""
    return url.startswith("file:") and not climbs and path.startswith(unquote(folder))


def _pointers(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            if isinstance(pointer := item.get("$ref"), str):
                yield pointer
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
