"""Which names this server answers to, and which web pages may use it."""

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

    def check_strictly(self, origin: str | None, host: str | None) -> None:
        """Let a page pass that is known by name, for what a browser shows whoever asks it to.

        Raises:
            InvalidInput: naming the setting that would allow it.
        """
        allowed = origin is not None and (
            origin.lower() in self._allowed or _is_same(origin.lower(), (host or "").lower())
        )
        if not allowed:
            raise InvalidInput(
                "origin_not_allowed",
                f"A cookie or a proxy's word counts for pages of this server and of "
                f"ALLOWED_ORIGINS alone, not for {origin or 'who says no Origin'}",
            )

    def _allows(self, origin: str, host: str) -> bool:
        if "*" in self._allowed or origin in self._allowed:
            return True
        if self._development:
            if origin == "null" or is_loopback(_name_in(origin.partition("://")[2])):
                return True
            # A name that was made to point at this machine is no proof of being ours: a server
            # for this machine alone is reached under a loopback name.
            if self._listens_locally:
                return False
        return _is_same(origin, host)


class HostPolicy:
    """Which host names a request may be for.

    A page whose name was made to point at this machine (DNS rebinding) is of the same origin as
    what it finds here: only the name gives it away.
    """

    def __init__(self, *, allowed: Sequence[str], loopback_only: bool) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._loopback_only = loopback_only

    @classmethod
    def of(cls, settings: Settings) -> HostPolicy:
        """Make the policy that the settings ask for."""
        local = not settings.production and is_loopback(settings.host)
        return cls(allowed=settings.allowed_hosts, loopback_only=local)

    def check(self, host: str, *, proxied: bool = False) -> None:
        """Let a request pass, given its Host header; a trusted proxy may serve under any name.

        Raises:
            InvalidInput: naming the setting that would allow it.
        """
        if not self._allowed and (proxied or not self._loopback_only):
            return
        name = _name_in(host.lower())
        if name in self._allowed or not host or (self._loopback_only and _is_local(name)):
            return
        raise InvalidInput(
            "host_not_allowed",
            f"This server isn't known as {host}; add the name to ALLOWED_HOSTS if it is",
        )


def _is_local(name: str) -> bool:
    return is_loopback(name) or name.endswith(".localhost")


def _name_in(host: str) -> str:
    """Give a host without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_same(origin: str, host: str) -> bool:
    scheme, separator, netloc = origin.partition("://")
    return bool(separator) and scheme in {"http", "https"} and netloc == host


def _as_browsers_send(origin: str) -> str:
    """Write an origin in lower case and without the port that its scheme implies."""
    origin = origin.lower()
    for scheme, port in (("https://", ":443"), ("http://", ":80")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin
