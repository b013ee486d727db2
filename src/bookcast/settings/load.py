"""Reads the values of settings.

The first of these sources counts: a flag (or a keyword in process), the environment, a file
(``NAME_FILE``, for secrets), the ``.env`` file, the default of ENVIRONMENT (development or
production).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bookcast.errors import SettingError, explain
from bookcast.settings.check import check
from bookcast.settings.describe import ALIASES, Description, describe, environment_names
from bookcast.settings.env_file import read_env_file
from bookcast.settings.files import read_bytes
from bookcast.settings.names import nearest
from bookcast.settings.schema import PRODUCTION_DEFAULTS, Names, Settings
from bookcast.settings.sources import FROM_FILE


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and the source of each value.

    ``warnings``: likely mistakes in the environment, a sentence each.
    """

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
) -> Loaded:
    """Read the settings of a server from all sources.

    Args:
        flags: the text of each flag by field name; None where a flag wasn't used.
        environ: the environment; None: that of this process.
        env_file: the path of the ``.env`` file; None: there is none.

    Raises:
        SettingError: for a wrong value. It names the setting, the value and its source.
    """
    environ = os.environ if environ is None else environ
    from_file = read_env_file(env_file, environment_names()) if env_file is not None else {}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for description in describe():
        given = _find(description, flags or {}, environ, from_file)
        if given is not None:
            text, sources[description.field] = given
            values[description.field] = _convert(description, text, sources[description.field])
    return Loaded(_made(values, sources), sources, tuple(_misspelt(environ)))


def from_keywords(**keywords: Any) -> Settings:
    """Return settings made from keywords. The environment isn't read.

    Raises:
        SettingError: for an unknown keyword or a wrong value.
    """
    known = {one.field: one for one in describe()}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for keyword, value in keywords.items():
        field = ALIASES.get(keyword, keyword)
        if field not in known:
            meant = nearest(field, environment_names() & {one.upper() for one in known})
            which = (
                f"did you mean {meant.lower()!r}?" if meant else f"there are: {', '.join(known)}"
            )
            raise SettingError(f"There is no setting {keyword!r}; {which}")
        sources[field] = "the caller"
        values[field] = _checked(known[field], value, repr(value), sources[field], strict=True)
    return _made(values, sources)


def _made(values: dict[str, Any], sources: dict[str, str]) -> Settings:
    """Return settings with these values, and for all others the defaults of their ENVIRONMENT.

    Raises:
        SettingError: when they break a rule.
    """
    if values.get("environment") == "production":
        for field, value in PRODUCTION_DEFAULTS.items():
            if field not in values:
                values[field], sources[field] = value, "the default in production"
    settings = Settings(**values)
    check(settings, sources)
    return settings


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    known = environment_names()
    return [
        f"{name} in the environment is no setting; did you mean {meant}?"
        for name in environ
        if name not in known and (meant := nearest(name, known))
    ]


def _find(
    description: Description,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    env_file: Mapping[str, str | None],
) -> tuple[str, str] | None:
    """Return the text and the source of a setting, or None. An empty text counts as not set."""
    name = description.environment_name
    if text := flags.get(description.field):
        return text, f"the flag {description.flag}"
    for place, values in (("the environment", environ), (".env", env_file)):
        if text := values.get(name):
            return text, place
        if description.secret and (path := values.get(f"{name}_FILE")):
            return _read_secret(name, path, place), FROM_FILE + path
    return None


def _read_secret(name: str, path: str, place: str) -> str:
    try:
        text = read_bytes(Path(path)).decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{name}_FILE is {path!r} (from {place}), which can't be read: {error}"
        ) from None
    if not text:
        # The file may be half written. Without the secret, other clients would be let in.
        raise SettingError(f"{name}_FILE is {path!r} (from {place}), which is empty")
    return text


def _convert(description: Description, text: str, source: str) -> Any:
    value: Any = text
    if description.type == Names:
        value = tuple(item.strip() for item in text.split(",") if item.strip())
    elif not description.secret:
        value = text.strip()  # a file with Windows line ends leaves a \r in the environment
    return _checked(description, value, repr(text), source, strict=False)


def _checked(description: Description, value: Any, shown: str, source: str, *, strict: bool) -> Any:
    """Return the value converted to the setting's type. The letter case of words doesn't matter."""
    shown = "a hidden value" if description.secret else shown
    wrong = f"{description.environment_name} is {shown} (from {source})"
    if description.choices and isinstance(value, str):
        words = {word.casefold(): word for word in description.choices}
        value = words.get(value.strip().casefold(), value)
        if value not in description.choices:
            raise SettingError(f"{wrong}; it must be one of {', '.join(description.choices)}")
    try:
        return msgspec.convert(value, description.annotation, strict=strict)
    except msgspec.ValidationError as error:
        raise SettingError(f"{wrong}; {explain(error)[1]}") from None
    except UnicodeEncodeError:
        raise SettingError(
            f"{description.environment_name} (from {source}) is not valid UTF-8 text"
        ) from None
