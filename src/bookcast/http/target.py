"""A request's target in one normal form, which all other code reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ABSOLUTE: Final = re.compile(
    rb"(?i:https?|wss?)://"
    rb"(?P<host>(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]*)?)"
    rb"(?P<rest>(?:[/?][^#]*)?)"
)
_SLASHES: Final = re.compile(rb"/{2,}")


def plain_target(
    url: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """Return a request's target as path and query, and its headers with the right Host.

    A host in the target has precedence over the Host header (RFC 9112, 3.2.2). Repeated slashes and
    one at the end are removed: they arise where an address that ends with a slash and a path that
    begins with one are joined. Encoded slashes (%2F) stay.
    """
    found = _ABSOLUTE.fullmatch(url)
    if found is not None:
        others = [(name, value) for name, value in headers if name != b"host"]
        url, headers = found["rest"], [(b"host", found["host"]), *others]
    elif not url.startswith(b"/"):
        return url, headers
    path, mark, query = url.partition(b"?")
    path = _SLASHES.sub(b"/", path).rstrip(b"/") or b"/"
    return path + mark + query, headers
