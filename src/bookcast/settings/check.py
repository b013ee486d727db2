"""The rules that no single type can express."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bookcast.errors import InvalidInput, SettingError
from bookcast.model import parse_symbol
from bookcast.settings.schema import Names, Settings

ORIGIN: Final = re.compile(
    r"(?!(?i:file):)[a-zA-Z][a-zA-Z0-9+.-]*://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?"
)
"""What a browser may send as the origin of a page, which people also end with a slash."""

HOST: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{0,5})?|[0-9a-fA-F.]*:[0-9a-fA-F:.]+")
"""A name or address, as a Host header has it; an IPv6 address may lack its brackets."""

MIN_SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: as long as the hash. A shorter one can be guessed from a single token."""

MAX_SIMULATED: Final = 100_000
"""Symbols that the simulator may be asked for by number."""

REDIS_PREFIX: Final = re.compile("[A-Za-z0-9_.:-]{1,64}")
REDIS_SCHEMES: Final = ("redis", "rediss", "unix", "memory")


def check(settings: Settings, sources: Mapping[str, str]) -> None:
    """Hold the rules that no single type can express.

    Raises:
        SettingError: naming the setting that breaks one.
    """
    if settings.production and settings.auth_mode is None:
        raise SettingError(
            "AUTH_MODE is not set, and in production the server doesn't start open by accident; "
            "choose jwt, keys or proxy, or AUTH_MODE=none to serve everybody who can reach it"
        )
    _check_authentication(settings)
    _check_redis(settings, sources)
    for field in ("publish_allow", "admin_allow", "trusted_proxies"):
        _check_networks(field, getattr(settings, field), _from(sources, field))
    _check_symbols(settings, _from(sources, "simulator_symbols"))
    if settings.host == "*":
        raise SettingError(f"HOST is '*'{_from(sources, 'host')}; 0.0.0.0 listens everywhere")
    for origin in settings.allowed_origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise SettingError(
                f"ALLOWED_ORIGINS has {origin!r}{_from(sources, 'allowed_origins')}; an origin is "
                "scheme://host or scheme://host:port, with no path and no wildcard"
            )
    for name in settings.allowed_hosts:
        if not HOST.fullmatch(name):
            raise SettingError(
                f"ALLOWED_HOSTS has {name!r}{_from(sources, 'allowed_hosts')}; write names or "
                "addresses, with no scheme, path or wildcard; without it production answers to all"
            )


def _check_redis(settings: Settings, sources: Mapping[str, str]) -> None:
    if settings.redis_url is not None:
        fault = _redis_url_fault(settings.redis_url)
        if fault:
            raise SettingError(f"REDIS_URL{_from(sources, 'redis_url')} {fault}")
    if not REDIS_PREFIX.fullmatch(settings.redis_prefix):
        raise SettingError(
            f"REDIS_PREFIX is {settings.redis_prefix!r}{_from(sources, 'redis_prefix')}; write up "
            "to 64 letters, digits and . _ : -"
        )
    ca_file = settings.redis_ca_file
    if ca_file is not None and not Path(ca_file).is_file():
        raise SettingError(
            f"REDIS_CA_FILE is {ca_file!r}{_from(sources, 'redis_ca_file')}, which is no file"
        )
    if settings.workers > 1 and not settings.shares_redis:
        raise SettingError(
            f"WORKERS is {settings.workers}{_from(sources, 'workers')}, and several processes need "
            "Redis to share what they know: set REDIS_URL=redis://host:6379, or WORKERS=1"
        )


def _redis_url_fault(url: str) -> str:
    """Return why the URL can't be used, or an empty text. It never repeats the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an open bracket, or a port that is no number
        parts, port = urlsplit(""), 0
    if "@" in url and (parts.netloc or parts.scheme != "unix"):
        # Where a password has one of these as it is, the URL means something else: the part before
        # it is taken for a host, the rest for a database, a query or a fragment.
        user, at, _ = parts.netloc.rpartition("@")
        if not at or "@" in user or parts.fragment or "@" in parts.query or port == 0:
            return (
                "can't be read with that user or password; in these write %23 for #, %2F for /, "
                "%3F for ?, %40 for @, %5B for [, %5D for ] and %25 for %"
            )
    named = bool(parts.hostname) or parts.scheme in {"unix", "memory"}
    if parts.scheme not in REDIS_SCHEMES or not named or port == 0:
        return (
            "is no address of a Redis; write redis://[user:password@]host:6379, or rediss:// for "
            "TLS"
        )
    if parts.scheme in {"redis", "rediss"} and not re.fullmatch("/?[0-9]*/?", parts.path):
        return "has a path that is no number of a database; write redis://host:6379/0"
    return ""


def _check_authentication(settings: Settings) -> None:
    match settings.auth_mode:
        case "jwt" if not (
            settings.auth_jwt_secret
            or settings.auth_jwt_secrets_file
            or settings.auth_jwt_public_key_file
            or settings.auth_jwks_url
        ):
            raise SettingError(
                "AUTH_MODE is 'jwt', and nothing says what tokens are checked with; set "
                "AUTH_JWT_SECRET, AUTH_JWT_SECRETS_FILE, AUTH_JWT_PUBLIC_KEY_FILE or AUTH_JWKS_URL"
            )
        case "keys" if not settings.auth_api_keys_file:
            raise SettingError("AUTH_MODE is 'keys'; name their file with AUTH_API_KEYS_FILE")
        case "proxy" if not settings.trusted_proxies:
            raise SettingError(
                "AUTH_MODE is 'proxy'; say with TRUSTED_PROXIES whose word counts, or anybody "
                "could say who they are"
            )
    secret = settings.auth_jwt_secret
    if settings.production and secret is not None and len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingError(
            f"AUTH_JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes, so that whoever has one "
            "token can guess it; make one with: openssl rand -base64 48"
        )


def _check_networks(field: str, networks: Names, source: str) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise SettingError(
                f"{field.upper()} has {network!r}{source}; a network is written like 10.0.0.0/8, "
                "192.0.2.7 or fd00::/8"
            ) from None


def _check_symbols(settings: Settings, source: str) -> None:
    names = settings.simulator_symbols
    shown = f"SIMULATOR_SYMBOLS is {','.join(names)!r}{source}"
    if not names:
        raise SettingError(f"{shown}; name at least one symbol, or a number of them")
    if len(names) == 1 and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", names[0]):
        if not names[0].isdecimal() or not 1 <= int(names[0]) <= MAX_SIMULATED:
            raise SettingError(f"{shown}; a number must be a whole one from 1 to {MAX_SIMULATED}")
        return
    for name in names:
        try:
            parse_symbol(name, settings.default_market)
        except InvalidInput as error:
            raise SettingError(f"{shown}; {error.message}") from None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from(sources: Mapping[str, str], field: str) -> str:
    return f" (from {sources[field]})" if field in sources else ""
