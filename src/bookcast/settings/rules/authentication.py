"""Rules for authentication: what each mode needs, and how long secrets must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources

MIN_SECRET_BYTES: Final = 32
"""As long as the hash (RFC 7518, 3.2). A shorter secret can be guessed from a single token."""


def mode(settings: Settings, _sources: Sources) -> Iterator[str]:
    """Require a mode in production, and the settings that the mode needs."""
    match settings.auth_mode:
        case None if settings.production:
            yield (
                "AUTH_MODE is not set, and in production the server doesn't start open by "
                "accident; choose jwt, keys or proxy, or AUTH_MODE=none to serve everybody who "
                "can reach it"
            )
        case "jwt" if not (
            settings.auth_jwt_secret
            or settings.auth_jwt_secrets_file
            or settings.auth_jwt_public_key_file
            or settings.auth_jwks_url
        ):
            yield (
                "AUTH_MODE is 'jwt', and nothing says what tokens are checked with; set "
                "AUTH_JWT_SECRET, AUTH_JWT_SECRETS_FILE, AUTH_JWT_PUBLIC_KEY_FILE or AUTH_JWKS_URL"
            )
        case "keys" if not settings.auth_api_keys_file:
            yield "AUTH_MODE is 'keys'; name their file with AUTH_API_KEYS_FILE"
        case "proxy" if not settings.trusted_proxies:
            yield (
                "AUTH_MODE is 'proxy'; say with TRUSTED_PROXIES whose word counts, or anybody "
                "could say who they are"
            )


def secret(settings: Settings, _sources: Sources) -> Iterator[str]:
    """Refuse a secret in production that is short enough to be guessed."""
    given = settings.auth_jwt_secret
    if settings.production and given is not None and is_short(given):
        yield too_short("AUTH_JWT_SECRET")


def is_short(given: str) -> bool:
    """Return whether a secret is short enough to be guessed."""
    return len(given.encode()) < MIN_SECRET_BYTES


def too_short(name: str) -> str:
    """Return the error sentence for a secret that is too short."""
    return (
        f"{name} is shorter than {MIN_SECRET_BYTES} bytes, so that whoever has one token can "
        "guess it; make one with: openssl rand -base64 48"
    )


RULES: Final = (mode, secret)
