"""Where the server is."""

from __future__ import annotations

import ipaddress
import re
import secrets
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PATH: Final = re.compile(r"(?P<prefix>.*?)(?:/ws(?:/(?P<id>[^/]*))?)?/?")


def socket_address(url: str, client_id: str | None) -> str:
    """Return the address of the WebSocket.

    Args:
        url: a server, under a prefix or not, or the whole address up to ``/ws/{id}``; http stands
            for ws.
        client_id: the client's name; by default that of the address, else a random one.

    Raises:
        ValueError: when the address names no server, or the name is none.
    """
    named: Any = client_id
    if named is not None and (not isinstance(named, str) or not named):
        raise ValueError(f"client_id: text such as 'my-desk', not {named!r}")
    try:
        parts = urlsplit(url)
        scheme, host, _ = _SCHEMES[parts.scheme], parts.hostname, parts.port
    except (KeyError, ValueError):
        scheme, host = "", None
    match = _PATH.fullmatch(parts.path) if host else None
    if match is None:
        raise ValueError(f"Name the server, for instance 'wss://host/prefix', not {url!r}")
    name = quote(client_id, safe="") if client_id is not None else match["id"] or random_id()
    return urlunsplit((scheme, parts.netloc, f"{match['prefix']}/ws/{name}", parts.query, ""))


def random_id() -> str:
    """Return a name that nobody else has."""
    return f"py-{secrets.token_hex(8)}"


def is_local(address: str) -> bool:
    """Return whether an address is of this machine, which no proxy can reach for us."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
