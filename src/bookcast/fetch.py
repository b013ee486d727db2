"""HTTP requests that this program makes itself. This machine is asked past proxies."""

from __future__ import annotations

import ipaddress
import json
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from bookcast.version import __version__


def fetch_json(url: str, *, timeout: float, proxies: bool = True) -> Any:
    """Return what the URL answers with, as JSON; this blocks.

    The proxy of the environment (``HTTP_PROXY``, ``HTTPS_PROXY``) is used, except for this machine:
    a proxy would ask its own. With ``proxies=False`` it is never used. Redirects aren't followed.

    Raises:
        OSError: when there is no answer, or one of an error.
        ValueError: for an answer that isn't JSON, or a URL that is none.
    """
    direct = not proxies or is_this_machine(urlsplit(url).hostname or "")
    # None: what the environment has.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({} if direct else None), _NoRedirect
    )
    request = urllib.request.Request(  # noqa: S310 - callers have checked the scheme
        url, headers={"Accept": "application/json", "User-Agent": f"bookcast/{__version__}"}
    )
    with opener.open(request, timeout=timeout) as answer:
        return json.loads(answer.read())


def is_this_machine(host: str) -> bool:
    """Return whether a name or address can only be this machine's."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        ip = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback or (mapped or ip).is_unspecified


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Refuse it: the answer counts as an error."""
