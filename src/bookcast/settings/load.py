"""Where values come from.

In this order: a flag (or a keyword in process), the environment, a file (``NAME_FILE``, for
secrets), the ``.env`` file, the default of the environment (development or production).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from dotenv import dotenv_values

from bookcast.errors import SettingError, explain
from bookcast.settings.check import check
from bookcast.settings.describe import Description, describe
from bookcast.settings.schema import ALIASES, PRODUCTION_DEFAULTS, Names, Settings


class Loaded(msgspec.Struct, frozen=True):
    """Settings and, for each, where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
) -> Loaded:
    """Read the settings of a server from everywhere they may stand.

    ``flags`` holds field names with the text given, None where a flag wasn't used.

    Raises:
        SettingError: naming the setting, its value and where it came from.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, tuple[str, str]] = {}
    from_file = _read_env_file(env_file)
    for description in describe():
        given = _find(description, flags or {}, environ, from_file)
        if given is not None:
            found[description.field] = given
    defaults = PRODUCTION_DEFAULTS if _text(found, "environment") == "production" else {}
    values = {field: _convert(field, text, source) for field, (text, source) in found.items()}
    sources = {field: source for field, (_, source) in found.items()}
    for field, value in defaults.items():
        if field not in values:
            values[field] = value
            sources[field] = "the default in production"
    settings = Settings(**values)
    check(settings, sources)
    return Loaded(settings, sources)


def from_keywords(**keywords: Any) -> Settings:
    """Make settings in process. The environment isn't read: a program says what it wants.

    Raises:
        SettingError: for an unknown keyword or a wrong value.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(Settings, include_extras=True)
    if keywords.get("environment") == "production":
        values.update(PRODUCTION_DEFAULTS)
    for keyword, value in keywords.items():
        field = ALIASES.get(keyword, keyword)
        if field not in hints:
            known = ", ".join(d.field for d in describe())
            raise SettingError(f"There is no setting {keyword!r}; there are: {known}")
        try:
            values[field] = msgspec.convert(value, hints[field])
        except msgspec.ValidationError as error:
            raise SettingError(_sentence(field, repr(value), "the caller", error)) from None
    settings = Settings(**values)
    check(settings, {})
    return settings


def _text(found: Mapping[str, tuple[str, str]], field: str) -> str | None:
    return found[field][0] if field in found else None


def _read_env_file(path: Path | None) -> Mapping[str, str | None]:
    try:
        return dotenv_values(path) if path is not None and path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"The file {path} can't be read: {error}") from None


def _find(
    description: Description,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    env_file: Mapping[str, str | None],
) -> tuple[str, str] | None:
    """Give the text of a setting and its source, or None. An empty text counts as not set."""
    name = description.environment_name
    if text := flags.get(description.field):
        return text, f"the flag {description.flag}"
    if text := environ.get(name):
        return text, "the environment"
    if description.secret and (path := environ.get(f"{name}_FILE")):
        return _read_secret(name, path), f"the file {path}"
    if text := env_file.get(name):
        return text, ".env"
    if description.secret and (path := env_file.get(f"{name}_FILE")):
        return _read_secret(name, path), f"the file {path}"
    return None


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{name}_FILE is {path!r}, which can't be read: {error}") from None


def _convert(field: str, text: str, source: str) -> Any:
    annotation = get_type_hints(Settings, include_extras=True)[field]
    value: Any = text
    if get_args(annotation)[0] == Names:
        value = tuple(item.strip() for item in text.split(",") if item.strip())
    try:
        return msgspec.convert(value, annotation, strict=False)
    except msgspec.ValidationError as error:
        raise SettingError(_sentence(field, repr(text), source, error)) from None
    except UnicodeEncodeError:
        name = field.upper()
        raise SettingError(f"{name} (from {source}) is not valid UTF-8 text") from None


def _sentence(field: str, value: str, source: str, error: msgspec.ValidationError) -> str:
    description = next(d for d in describe() if d.field == field)
    shown = "a hidden value" if description.secret else value
    if description.choices:
        wanted = f"it must be one of {', '.join(description.choices)}"
    else:
        wanted = explain(error)[1]
    return f"{description.environment_name} is {shown} (from {source}); {wanted}"
