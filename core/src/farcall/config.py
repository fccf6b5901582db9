"""farcall.toml: the services and storages the user has named, and where they are under which profile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from farcall.binding import Binding
from farcall.errors import ConfigError
from farcall.hints import did_you_mean
from farcall.spec import EndpointSpec

FILE_NAME: Final = "farcall.toml"
PREFIX: Final = "FARCALL_"
OWN: Final = ("endpoints", "spec", "storage", "upload_threshold_bytes", "file_params", "busy_patience_s")
"""What of a service is the core's; everything else beside `provider` and `profiles` is the provider's."""


class _Place(BaseModel):
    """Where a service is; what is not the core's own is an option of its provider."""

    model_config = ConfigDict(extra="allow", frozen=True)

    provider: str | None = None
    endpoints: tuple[EndpointSpec, ...] = ()
    spec: str | None = None
    storage: str | None = None
    upload_threshold_bytes: Annotated[int, Field(strict=True, ge=0)] | None = None
    file_params: Mapping[str, str] = {}
    busy_patience_s: float = 60.0

    @property
    def own(self) -> dict[str, Any]:
        """The core's own settings, those that were written."""
        return {key: getattr(self, key) for key in OWN if key in self.model_fields_set}

    @property
    def options(self) -> dict[str, Any]:
        """The provider's options, as written."""
        return dict(self.model_extra or {})


class ProfileConfig(_Place):
    """What changes of a service under a profile."""


class ServiceConfig(_Place):
    """A service the user has named.

    Args:
        provider: An installed provider's name.
        endpoints: What it offers; empty: it is asked.
        spec: Where its description is; None: it is asked.
        storage: Name of the storage that takes its large files; None: none.
        upload_threshold_bytes: Files above it go to the storage; None: only those above the host's own limit.
        file_params: Name to `File` or a media type's name, for parameters that are files.
        profiles: Profile name to what is different under it.
    """

    profiles: Mapping[str, ProfileConfig] = {}


class StorageConfig(BaseModel):
    """A storage the user has named; everything beside `provider` is that storage's own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    provider: str


class Config(BaseModel):
    """All that farcall.toml and the `FARCALL_*` variables say.

    Args:
        services: Name to service.
        storages: Name to storage.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: Mapping[str, ServiceConfig] = {}
    storages: Mapping[str, StorageConfig] = {}
    _source: str = PrivateAttr(FILE_NAME)

    def binding(self, name: str, profile: str | None = None) -> Binding:
        """The named service under a profile.

        A profile that names a provider drops the service's provider options; endpoints, spec and storage stay
        unless the profile gives others.

        Args:
            name: A configured service.
            profile: One of its profiles; empty: none of them; None: what `FARCALL_PROFILE` says, else none.

        Raises:
            ConfigError: The service or the profile is not known, or neither names a provider.
        """
        if name not in self.services:
            known = _known("services", name, self.services)
            raise ConfigError(f"{self._source} has no service {name!r}.{known}")
        service = self.services[name]
        place = self._profile(name, service, profile)
        provider = place.provider or service.provider
        if provider is None:
            raise ConfigError(f'{self._source}: services.{name} names no provider; add provider = "…".')
        options = place.options if place.provider else {**service.options, **place.options}
        return Binding(provider=provider, **{**service.own, **place.own}, **options)

    def _profile(self, name: str, service: ServiceConfig, profile: str | None) -> ProfileConfig:
        wanted = os.environ.get("FARCALL_PROFILE") if profile is None else profile
        if not wanted:
            return ProfileConfig()
        if wanted not in service.profiles:
            asked = "" if profile else " (FARCALL_PROFILE asks for it)"
            known = _known("profiles", wanted, service.profiles)
            raise ConfigError(f"{self._source}: services.{name} has no profile {wanted!r}{asked}.{known}")
        return service.profiles[wanted]


def load() -> Config:
    """Read the user's configuration anew; without a farcall.toml, what the `FARCALL_*` variables say.

    Raises:
        ConfigError: The file or a variable is wrong; the sentence names it and the place in it.
    """
    path = find()
    content = {} if path is None else _read(path)
    overrides = dict(_overrides())
    for keys, (variable, text) in overrides.items():
        _set(content, keys, _scalar(text), variable)
    source = FILE_NAME if path is None else str(path)
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, source, {k: v for k, (v, _) in overrides.items()})) from error
    config._source = source  # noqa: SLF001 - its own
    return config


def find() -> Path | None:
    """The farcall.toml in force: `FARCALL_CONFIG`, else upward from the working directory, else the user's.

    Returns:
        Its path; None if there is none.

    Raises:
        ConfigError: `FARCALL_CONFIG` names no file.
    """
    if named := os.environ.get("FARCALL_CONFIG"):
        if not Path(named).is_file():
            raise ConfigError(f"FARCALL_CONFIG names {named!r}, which is no file.")
        return Path(named)
    here = Path.cwd()
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "farcall"
    files = (folder / FILE_NAME for folder in (here, *here.parents, home))
    return next((file for file in files if file.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # TOMLDecodeError says line and column; UnicodeDecodeError the byte
        raise ConfigError(f"{path} is no TOML: {error}.") from error


def _overrides() -> Iterator[tuple[tuple[str, ...], tuple[str, str]]]:
    """Each `FARCALL_A__B=text` as (("a", "b"), (variable, text)), in the order of their names."""
    for variable, text in sorted(os.environ.items()):
        if variable.startswith(PREFIX) and "__" in variable:
            yield tuple(variable.removeprefix(PREFIX).lower().split("__")), (variable, text)


def _set(content: dict[str, Any], keys: tuple[str, ...], value: Any, variable: str) -> None:
    table = content
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{variable} looks inside {key!r}, which is a value and no table.")
    table[keys[-1]] = value


def _scalar(text: str) -> Any:
    """A TOML number, boolean or quoted text; anything else is the text itself."""
    import tomllib

    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed["value"]
    return value if len(parsed) == 1 and isinstance(value, bool | int | float | str) else text


def _explain(error: ValidationError, source: str, variables: Mapping[tuple[str, ...], str]) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        place = tuple(str(key) for key in fault["loc"])
        culprit = next((v for keys, v in variables.items() if keys == place[: len(keys)]), source)
        lines.append(f"{culprit}: {'.'.join(place)}: {fault['msg']}.")
    return "\n".join(lines)


def _known(what: str, name: str, known: Mapping[str, object]) -> str:
    hint = did_you_mean(name, known)
    return f"{hint} Its {what}: {', '.join(sorted(known))}." if known else f" It has no {what}."
