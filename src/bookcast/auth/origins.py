"""Which names this server answers to, and which web pages may use it.

Names and origins are compared by what they mean: letter case, a default port, a dot or a slash at
the end and the two schemes of a WebSocket make no difference.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from bookcast.auth.addresses import is_loopback
from bookcast.errors import InvalidInput
from bookcast.settings import Settings

_SCHEMES: Final = {"ws": "http", "wss": "https"}
"""A page's origin has the scheme of HTTP; some programs write that of the WebSocket."""

_PORTS: Final = {"http": 80, "https": 443}

MAX_SHOWN: Final = 256
"""So much of an origin or host is repeated in a refusal. A name has at most 253 characters."""

_HOST: Final = r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{0,5}))?"
_NETLOC: Final = re.compile(_HOST)
_ORIGIN: Final = re.compile(rf"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://{_HOST}/?")
_FILE: Final = re.compile(r"(?i)null|file:.*")


class Origin(NamedTuple):
    """The origin of a page (RFC 6454). ``port`` None: none is said, and there is no default."""

    scheme: str
    name: str
    port: int | None

    @classmethod
    def of(cls, text: str) -> Origin | None:
        """Read an origin, also in national letters; None when it isn't one, or that of no site."""
        found = _ORIGIN.fullmatch(text)
        if found is None or is_file(text):
            return None
        scheme = found["scheme"].lower()
        scheme = _SCHEMES.get(scheme, scheme)
        port = int(found["port"]) if found["port"] else _PORTS.get(scheme)
        return cls(scheme, canonical(found["name"]), port)


def is_file(origin: str) -> bool:
    """Return whether an Origin header is a file's, a sandbox's or another of no site."""
    return _FILE.fullmatch(origin) is not None


def canonical(name: str) -> str:
    """Return the canonical form of a host name or address."""
    name = name.strip("[]").lower()
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return str(mapped or ip)
    name = name.removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


class OriginPolicy:
    """Which web pages may connect and call.

    A program sends no Origin and is let through: the check keeps foreign *pages* from using a
    visitor's browser. Development trusts pages of any localhost port, files (``null``, ``file://``)
    and the server's own host; production the server's own host and the list.
    """

    def __init__(self, *, allowed: Sequence[str], development: bool, listens_locally: bool) -> None:
        self._all = "*" in allowed
        self._allowed = frozenset(Origin.of(origin) for origin in allowed) - {None}
        self._development = development
        self._listens_locally = listens_locally

    @classmethod
    def of(cls, settings: Settings) -> OriginPolicy:
        """Make the policy that the settings ask for."""
        return cls(
            allowed=settings.allowed_origins,
            development=not settings.production,
            listens_locally=is_loopback(settings.address),
        )

    def check(self, origin: str | None, host: str | None) -> None:
        """Check that the origin of a request is allowed, given its Host header.

        Raises:
            InvalidInput: naming the setting that would allow it, if there is one.
        """
        if origin is None or self._allows(origin, host or ""):
            return
        origin = origin[:MAX_SHOWN]
        if is_file(origin):
            what = (
                f"Pages without a site of their own (Origin: {origin}) may not use this server: "
                "serve the page over HTTP"
            )
        elif _page(origin) is None:
            what = (
                f"The Origin header is {origin or 'empty'}, which isn't scheme://host as in "
                "ALLOWED_ORIGINS"
            )
        else:
            what = (
                f"Pages of {origin} may not use this server; add it to ALLOWED_ORIGINS to allow it"
            )
        raise InvalidInput("origin_not_allowed", what)

    def check_strictly(self, origin: str | None, host: str | None) -> None:
        """Check that a page is known by name: a browser adds cookies to the requests of any page.

        Raises:
            InvalidInput: naming the setting that would allow it.
        """
        if not self.knows(origin, host):
            raise InvalidInput(
                "origin_not_allowed",
                f"A cookie or a proxy's word counts for pages of this server and of "
                f"ALLOWED_ORIGINS alone, not for {(origin or 'who says no Origin')[:MAX_SHOWN]}",
            )

    def knows(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page is the server's own, or stands in the list by its name."""
        return origin is not None and (self._lists(origin) or _is_same(origin, host or ""))

    def _allows(self, origin: str, host: str) -> bool:
        if self._all or self._lists(origin):
            return True
        if self._development:
            page = _page(origin)
            if is_file(origin) or (page is not None and _is_local(page.name)):
                return True
            # A name that was made to point at this machine is no proof of being ours: a server
            # for this machine alone is reached under a loopback name.
            if self._listens_locally:
                return False
        return _is_same(origin, host)

    def _lists(self, origin: str) -> bool:
        return _page(origin) in self._allowed


class HostPolicy:
    """Which host names a request may be for.

    A page whose name was made to point at this machine (DNS rebinding) is of the same origin as
    what it finds here: only the name gives it away.
    """

    def __init__(self, *, allowed: Sequence[str], loopback_only: bool) -> None:
        self._allowed = frozenset(_name_in(name) for name in allowed)
        self._loopback_only = loopback_only

    @classmethod
    def of(cls, settings: Settings) -> HostPolicy:
        """Make the policy that the settings ask for."""
        local = not settings.production and is_loopback(settings.address)
        return cls(allowed=settings.allowed_hosts, loopback_only=local)

    def check(self, host: str, *, proxied: bool = False) -> None:
        """Check that the Host header is a name of ours. A trusted proxy may serve under any name.

        Raises:
            InvalidInput: naming the setting that would allow it.
        """
        if not self._allowed and (proxied or not self._loopback_only):
            return
        name = _name_in(host) if host.isascii() else ""
        if not host or (name and name in self._allowed):
            return
        if self._loopback_only and _is_local(name):
            return
        raise InvalidInput(
            "host_not_allowed",
            f"This server isn't known as {host[:MAX_SHOWN]}; add the name to ALLOWED_HOSTS if it "
            "is",
        )


def _page(header: str) -> Origin | None:
    """Read an Origin header. Browsers write names in ASCII: other letters only look like them."""
    return Origin.of(header) if header.isascii() else None


def _is_local(name: str) -> bool:
    return is_loopback(name) or name.endswith(".localhost")


def _name_in(host: str) -> str:
    """Return the canonical name of a host that may have a port; empty when it isn't one.

    An IPv6 address may lack its brackets, as in a list of hosts.
    """
    found = _NETLOC.fullmatch(host)
    if found is not None:
        return canonical(found["name"])
    return canonical(host) if ":" in host and _NETLOC.fullmatch(f"[{host}]") else ""


def _is_same(origin: str, host: str) -> bool:
    """Return whether a page comes from the host that was asked; without a port, its scheme's."""
    page, asked = _page(origin), _NETLOC.fullmatch(host)
    if page is None or asked is None or not host.isascii() or page.scheme not in _PORTS:
        return False
    port = int(asked["port"]) if asked["port"] else _PORTS[page.scheme]
    return (page.name, page.port) == (canonical(asked["name"]), port)
