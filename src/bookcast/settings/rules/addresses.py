"""Rules for the address to listen on, and for networks, host names and origins."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources, came_from

ORIGIN: Final = re.compile(
    r"(?!(?i:file):)[a-zA-Z][a-zA-Z0-9+.-]*://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?"
)
"""The origin of a page as browsers send it. A slash at the end is accepted too."""

HOST: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{0,5})?|[0-9a-fA-F.]*:[0-9a-fA-F:.]+")
"""A name or address as in a Host header. An IPv6 address may lack its brackets."""


def networks(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require networks in CIDR notation, or single addresses."""
    for field in ("publish_allow", "admin_allow", "trusted_proxies"):
        for network in getattr(settings, field):
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                yield (
                    f"{field.upper()} has {network!r}{came_from(field, sources)}; a network is "
                    "written like 10.0.0.0/8, 192.0.2.7 or fd00::/8"
                )


def host(settings: Settings, sources: Sources) -> Iterator[str]:
    """Refuse a star, which means all addresses in other programs."""
    if settings.host == "*":
        yield f"HOST is '*'{came_from('host', sources)}; 0.0.0.0 listens everywhere"


def origins(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require origins as browsers send them, or a star, which allows all."""
    for origin in settings.allowed_origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            yield (
                f"ALLOWED_ORIGINS has {origin!r}{came_from('allowed_origins', sources)}; an origin "
                "is scheme://host or scheme://host:port, with no path and no wildcard"
            )


def hosts(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require names or addresses, as a Host header has them."""
    for name in settings.allowed_hosts:
        if not HOST.fullmatch(name):
            yield (
                f"ALLOWED_HOSTS has {name!r}{came_from('allowed_hosts', sources)}; write names or "
                "addresses, with no scheme, path or wildcard; without it production answers to all"
            )
