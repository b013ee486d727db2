"""Rules for the address of Redis, and for settings that need Redis."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources, came_from

PREFIX: Final = re.compile("[A-Za-z0-9_.:-]{1,64}")
SCHEMES: Final = ("redis", "rediss", "unix", "memory")


def url(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require a URL that can be read, whatever characters its password has."""
    if settings.redis_url is not None and (fault := _fault(settings.redis_url)):
        yield f"REDIS_URL{came_from('redis_url', sources)} {fault}"


def prefix(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require a prefix that is valid for keys of a Cluster too."""
    if not PREFIX.fullmatch(settings.redis_prefix):
        yield (
            f"REDIS_PREFIX is {settings.redis_prefix!r}{came_from('redis_prefix', sources)}; write "
            "up to 64 letters, digits and . _ : -"
        )


def ca_file(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require the file of certificates to exist."""
    path = settings.redis_ca_file
    if path is not None and not Path(path).is_file():
        yield f"REDIS_CA_FILE is {path!r}{came_from('redis_ca_file', sources)}, which is no file"


def workers(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require Redis if there are several processes, which share their state through it."""
    if settings.workers > 1 and not settings.shares_redis:
        yield (
            f"WORKERS is {settings.workers}{came_from('workers', sources)}, and several processes "
            "need Redis to share what they know: set REDIS_URL=redis://host:6379, or WORKERS=1"
        )


RULES: Final = (url, prefix, ca_file, workers)


def _fault(address: str) -> str:
    """Return why the URL can't be used, or an empty text. It never repeats the URL."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # an open bracket, or a port that is no number
        parts, port = urlsplit(""), 0
    if "@" in address and (parts.netloc or parts.scheme != "unix"):
        # If the password has an unescaped /, ? or #, the URL is parsed wrongly: the part before it
        # becomes the host, the rest a database, a query or a fragment.
        user, at, _ = parts.netloc.rpartition("@")
        if not at or "@" in user or parts.fragment or "@" in parts.query or port == 0:
            return (
                "can't be read with that user or password; in these write %23 for #, %2F for /, "
                "%3F for ?, %40 for @, %5B for [, %5D for ] and %25 for %"
            )
    named = bool(parts.hostname) or parts.scheme in {"unix", "memory"}
    if parts.scheme not in SCHEMES or not named or port == 0:
        return (
            "is no address of a Redis; write redis://[user:password@]host:6379, or rediss:// for "
            "TLS"
        )
    if parts.scheme in {"redis", "rediss"} and not re.fullmatch("/?[0-9]*/?", parts.path):
        return "has a path that is no number of a database; write redis://host:6379/0"
    return ""
