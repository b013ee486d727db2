"""HTTP requests that bookcast makes itself. It uses no proxy for addresses of this machine."""

from __future__ import annotations

import ipaddress
import json
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from bookcast.version import __version__


def fetch_json(url: str, *, timeout: float, proxies: bool = True) -> Any:
    """Return the decoded JSON answer of a URL. It blocks.

    The proxy of the environment (``HTTP_PROXY``, ``HTTPS_PROXY``) is used, but not for addresses of
    this machine: they mean another machine to the proxy. With ``proxies=False`` none is ever used.
    Redirects aren't followed.

    Raises:
        OSError: when there is no answer, or an error status.
        ValueError: when the answer isn't JSON, or the URL is invalid.
    """
    direct = not proxies or is_this_machine(urlsplit(url).hostname or "")
    # None: the proxies of the environment.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({} if direct else None), _NoRedirect
    )
    request = urllib.request.Request(  # noqa: S310 - callers have checked the scheme
        url, headers={"Accept": "application/json", "User-Agent": f"bookcast/{__version__}"}
    )
    with opener.open(request, timeout=timeout) as answer:
        return json.loads(answer.read())


def is_this_machine(host: str) -> bool:
    """Return whether a name or address can only mean this machine."""
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
        """Don't follow it: the answer counts as an error."""
