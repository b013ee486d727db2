"""Which host names this server answers to, and which web pages may use it.

Names and origins are normalised before they are compared: letter case, a default port, a final dot
or slash and the two schemes of a WebSocket make no difference.
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
"""A page's origin has the scheme of HTTP; some programs write that of WebSocket instead."""

_PORTS: Final = {"http": 80, "https": 443}

MAX_SHOWN: Final = 256
"""A refusal repeats this much of an origin or host. A host name has at most 253 characters."""

_HOST: Final = r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{0,5}))?"
_NETLOC: Final = re.compile(_HOST)
_ORIGIN: Final = re.compile(rf"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://{_HOST}/?")
_FILE: Final = re.compile(r"(?i)null|file:.*")


class Origin(NamedTuple):
    """The origin of a page (RFC 6454). ``port`` None: not given, and without a default."""

    scheme: str
    name: str
    port: int | None

    @classmethod
    def of(cls, text: str) -> Origin | None:
        """Return an origin, also one with non-ASCII letters; None if it isn't a site's origin."""
        found = _ORIGIN.fullmatch(text)
        if found is None or is_file(text):
            return None
        scheme = found["scheme"].lower()
        scheme = _SCHEMES.get(scheme, scheme)
        port = int(found["port"]) if found["port"] else _PORTS.get(scheme)
        return cls(scheme, canonical(found["name"]), port)


def is_file(origin: str) -> bool:
    """Return whether an Origin header is that of a page without a site: a file, a sandbox."""
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
    """Decides which web pages may connect and call.

    A program sends no Origin and is always allowed: the check keeps foreign *pages* from using a
    visitor's browser. In development, pages of any localhost port, files (``null``, ``file://``)
    and the server's own host are allowed; in production, the server's own host and the listed
    origins.
    """

    def __init__(self, *, allowed: Sequence[str], development: bool, listens_locally: bool) -> None:
        self._all = "*" in allowed
        self._allowed = frozenset(Origin.of(origin) for origin in allowed) - {None}
        self._development = development
        self._listens_locally = listens_locally

    @classmethod
    def of(cls, settings: Settings) -> OriginPolicy:
        """Return the policy for the settings."""
        return cls(
            allowed=settings.allowed_origins,
            development=not settings.production,
            listens_locally=is_loopback(settings.address),
        )

    def check(self, origin: str | None, host: str | None) -> None:
        """Check that the origin of a request is allowed, given its Host header.

        Raises:
            InvalidInput: names the setting that would allow it, if there is one.
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
        """Check that a page is listed by name: a browser adds cookies to the requests of any page.

        Raises:
            InvalidInput: names the setting that would allow it.
        """
        if not self.knows(origin, host):
            raise InvalidInput(
                "origin_not_allowed",
                f"A cookie or a proxy's word counts for pages of this server and of "
                f"ALLOWED_ORIGINS alone, not for {(origin or 'who says no Origin')[:MAX_SHOWN]}",
            )

    def knows(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page is the server's own, or is listed by its name."""
        return origin is not None and (self._lists(origin) or _is_same(origin, host or ""))

    def _allows(self, origin: str, host: str) -> bool:
        if self._all or self._lists(origin):
            return True
        if self._development:
            page = _page(origin)
            if is_file(origin) or (page is not None and _is_local(page.name)):
                return True
            # In DNS rebinding, a foreign name points at this machine, so a matching name proves
            # nothing. A server that listens only locally is reached under a loopback name.
            if self._listens_locally:
                return False
        return _is_same(origin, host)

    def _lists(self, origin: str) -> bool:
        return _page(origin) in self._allowed


class HostPolicy:
    """Decides which host names a request may be for.

    In DNS rebinding, a foreign page's name points at this machine. For the browser, the page and
    the server then have the same origin: only the name gives it away.
    """

    def __init__(self, *, allowed: Sequence[str], loopback_only: bool) -> None:
        self._allowed = frozenset(_name_in(name) for name in allowed)
        self._loopback_only = loopback_only

    @classmethod
    def of(cls, settings: Settings) -> HostPolicy:
        """Return the policy for the settings."""
        local = not settings.production and is_loopback(settings.address)
        return cls(allowed=settings.allowed_hosts, loopback_only=local)

    def check(self, host: str, *, proxied: bool = False) -> None:
        """Check that the Host header has an allowed name. A trusted proxy may serve under any name.

        Raises:
            InvalidInput: names the setting that would allow it.
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
    """Return a header's origin. Browsers write names in ASCII; other letters may be lookalikes."""
    return Origin.of(header) if header.isascii() else None


def _is_local(name: str) -> bool:
    return is_loopback(name) or name.endswith(".localhost")


def _name_in(host: str) -> str:
    """Return the canonical name of a host that may have a port; empty if it isn't a host.

    An IPv6 address may lack its brackets, as in a list of hosts.
    """
    found = _NETLOC.fullmatch(host)
    if found is not None:
        return canonical(found["name"])
    return canonical(host) if ":" in host and _NETLOC.fullmatch(f"[{host}]") else ""


def _is_same(origin: str, host: str) -> bool:
    """Return whether a page comes from the requested host; no port means the scheme's default."""
    page, asked = _page(origin), _NETLOC.fullmatch(host)
    if page is None or asked is None or not host.isascii() or page.scheme not in _PORTS:
        return False
    port = int(asked["port"]) if asked["port"] else _PORTS[page.scheme]
    return (page.name, page.port) == (canonical(asked["name"]), port)
