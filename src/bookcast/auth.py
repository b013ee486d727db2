"""Who may connect. HTTP and WebSocket ask here, so that both give the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bookcast.errors import InvalidInput
from bookcast.settings import Settings, is_loopback


class OriginPolicy:
    """Which web pages may connect and call.

    A program sends no Origin and is let through: the check keeps foreign *pages* from using a
    visitor's browser. Development trusts pages of any localhost port, files (``null``) and the
    server's own host; production the server's own host and the list.
    """

    def __init__(self, *, allowed: Sequence[str], development: bool, listens_locally: bool) -> None:
        self._allowed = frozenset(_as_browsers_send(origin) for origin in allowed)
        self._development = development
        self._listens_locally = listens_locally

    @classmethod
    def of(cls, settings: Settings) -> OriginPolicy:
        """Make the policy that the settings ask for."""
        return cls(
            allowed=settings.allowed_origins,
            development=not settings.production,
            listens_locally=is_loopback(settings.host),
        )

    def check(self, origin: str | None, host: str | None) -> None:
        """Let a request pass, given its Origin and Host headers.

        Raises:
            InvalidInput: naming the setting that would allow it.
        """
        if origin is not None and not self._allows(origin.lower(), (host or "").lower()):
            raise InvalidInput(
                "origin_not_allowed",
                f"Pages of {origin} may not use this server; add it to ALLOWED_ORIGINS to allow it",
            )

    def _allows(self, origin: str, host: str) -> bool:
        if "*" in self._allowed or origin in self._allowed:
            return True
        try:
            parts = urlsplit(origin)
            origin_host = parts.hostname or ""
        except ValueError:
            return False
        if self._development:
            if origin == "null" or is_loopback(origin_host):
                return True
            # A name that was made to point at this machine is no proof of being ours: a server
            # for this machine alone is reached under a loopback name.
            if self._listens_locally:
                return False
        return parts.scheme in {"http", "https"} and parts.netloc == host


def _as_browsers_send(origin: str) -> str:
    """Write an origin in lower case and without the port that its scheme implies."""
    origin = origin.lower()
    for scheme, port in (("https://", ":443"), ("http://", ":80")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin
