"""The address that a caller connects from, also behind proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

IPV6_SUBSCRIBER_BITS: Final = 64
"""One household or host has an IPv6 network with this many bits."""


class Networks:
    """Networks in CIDR notation, or single addresses."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        """Read the networks.

        Raises:
            ValueError: for text that isn't a network, with a message for people.
        """
        self._networks = tuple(ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
        self.contains = lru_cache(maxsize=4096)(self._contains)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _contains(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks)


@lru_cache(maxsize=4096)  # connections with equal addresses then share one string
def plain(address: str) -> str | None:
    """Return an address without port, zone or IPv4-in-IPv6 form; None if it isn't an address."""
    address = address.strip().strip('"')
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def client_address(peer: str, forwarded: Sequence[str], proxies: Networks) -> str:
    """Return the client's address: the last one that isn't a trusted proxy's.

    ``forwarded``: the X-Forwarded-For headers. Each proxy appends the address that connected to it.
    The client itself may have written what comes before its own address.
    """
    address = peer
    hops = [hop for header in forwarded for hop in header.split(",")]
    while hops and proxies.contains(address):
        hop = plain(hops.pop())
        if hop is None:
            break
        address = hop
    return address


def neighbourhood(address: str) -> str:
    """Return what counts as one address: for IPv6, the /64 network of one subscriber."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/{IPV6_SUBSCRIBER_BITS}", strict=False))
    except ValueError:
        return address
