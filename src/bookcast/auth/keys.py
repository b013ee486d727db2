"""API keys, of which only hashes are kept, and rights of principals; both come from files."""

from __future__ import annotations

import hashlib
import re
import secrets
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from bookcast.auth.principal import Grant, Principal, read_grant, resolve
from bookcast.errors import InvalidInput, SettingError

PREFIX: Final = "bck_"
"""The beginning of every API key, so that scanners find a leaked one."""

SHA256: Final = re.compile("[0-9a-f]{64}")


class RightsFile:
    """``AUTH_RIGHTS_FILE``: rights of principals, where their token leaves them open."""

    def __init__(
        self, default: Grant | None = None, principals: dict[str, Grant] | None = None
    ) -> None:
        self._default = default or Grant()
        self._principals = principals or {}

    @classmethod
    def read(cls, path: str) -> RightsFile:
        """Read the file.

        Raises:
            SettingError: names the setting and the place in the file.
        """
        tables = _read_tables("AUTH_RIGHTS_FILE", path, {"default", "principals"})
        try:
            default = read_grant(tables.get("default", {}), "default")
            principals = {
                name: read_grant(table, f"principals.{name}")
                for name, table in _named(tables, "principals").items()
            }
        except InvalidInput as error:
            raise SettingError(f"AUTH_RIGHTS_FILE {path}: {error.message}") from None
        return cls(default, principals)

    def grants(self, name: str) -> list[Grant]:
        """Return the grants of a principal: its own grant, then the default one."""
        special = self._principals.get(name)
        return [self._default] if special is None else [special, self._default]


class ApiKeys:
    """``AUTH_API_KEYS_FILE``: keys of publishers, which don't expire."""

    def __init__(self, principals: dict[str, Principal]) -> None:
        self._principals = principals

    @classmethod
    def read(cls, path: str, default_market: str) -> ApiKeys:
        """Read the file.

        Raises:
            SettingError: names the setting and the place in the file.
        """
        found: dict[str, Principal] = {}
        tables = _read_tables("AUTH_API_KEYS_FILE", path, {"keys"})
        try:
            named = _named(tables, "keys")
        except InvalidInput as error:
            raise SettingError(f"AUTH_API_KEYS_FILE {path}: {error.message}") from None
        for name, table in named.items():
            said = dict(table) if isinstance(table, dict) else {}
            digest = said.pop("sha256", None)
            if not isinstance(digest, str) or not SHA256.fullmatch(digest.lower()):
                raise SettingError(
                    f"AUTH_API_KEYS_FILE {path}: keys.{name}.sha256 must be the key's SHA-256 in "
                    "64 hexadecimal digits; 'bookcast key' makes both"
                )
            try:
                grant = read_grant(said, f"keys.{name}")
            except InvalidInput as error:
                raise SettingError(f"AUTH_API_KEYS_FILE {path}: {error.message}") from None
            rights = resolve([grant], "publish", default_market)
            if digest.lower() in found:
                raise SettingError(
                    f"AUTH_API_KEYS_FILE {path}: keys.{name} is the same key as "
                    f"keys.{found[digest.lower()].name}"
                )
            found[digest.lower()] = Principal("key", name, rights, key=digest.lower())
        return cls(found)

    def find(self, key: str) -> Principal | None:
        """Return the principal of a key. Hashes are compared, so that timing reveals nothing."""
        return self._principals.get(_hash(key))

    def of(self, digest: str) -> Principal | None:
        """Return the principal whose key has this hash; None: the file has no such key now."""
        return self._principals.get(digest)


def make_key() -> tuple[str, str]:
    """Return a new key and its hash. The key is random enough for a plain hash to hide it."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, _hash(key)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def _named(tables: dict[str, Any], name: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise InvalidInput("invalid_data", f"{name} must be tables: [{name}.NAME]")
    return table


def read_secrets(path: str) -> dict[str, str]:
    """Return the secrets of ``AUTH_JWT_SECRETS_FILE`` by their ``kid``.

    Raises:
        SettingError: names the setting and the place in the file.
    """
    setting = "AUTH_JWT_SECRETS_FILE"
    tables = _read_tables(setting, path, {"secrets"})
    try:
        secrets_by_kid = _named(tables, "secrets")
    except InvalidInput:
        secrets_by_kid = {}
    if not secrets_by_kid:
        raise SettingError(f'{setting} {path} holds no secret; write [secrets] and kid = "secret"')
    for kid, secret in secrets_by_kid.items():
        if not isinstance(secret, str) or not secret:
            raise SettingError(f"{setting} {path}: secrets.{kid} must be a text, and not empty")
    return secrets_by_kid


def _read_tables(setting: str, path: str, known: set[str]) -> dict[str, Any]:
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{setting} is {path!r}, which can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{setting} {path} is not TOML: {error}") from None
    unknown = set(tables) - known
    if unknown:
        raise SettingError(
            f"{setting} {path} has {', '.join(sorted(unknown))}; there are "
            f"{', '.join(f'[{name}]' for name in sorted(known))}"
        )
    return tables


def key_table(name: str, digest: str, grant: Grant) -> str:
    """Return the lines of ``AUTH_API_KEYS_FILE`` for a key."""
    lines = [f"[keys.{_toml(name)}]", f'sha256 = "{digest}"']
    for field, value in msgspec.to_builtins(grant).items():
        lines.append(f"{field} = {_toml(value)}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """Return a value as TOML. Texts, numbers and lists of them are the same as in JSON."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
