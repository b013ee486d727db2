"""Real-time market data from one Futu OpenD feed to thousands of WebSocket clients.

    feeds -> engine -> hub -> sessions -> socket

A feed publishes; the engine gives each update its position and keeps the newest; the hub encodes it
once per view and fans it out; a session turns frames into bytes on one socket. Demand flows back.

Names are loaded when they are first used: who needs the client alone doesn't load the server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bookcast.version import __version__

if TYPE_CHECKING:
    from bookcast import client
    from bookcast.client import checksum, snapshot
    from bookcast.errors import BookcastError, InvalidInput, SettingError, StartupError
    from bookcast.in_thread import ServerThread, serve_in_thread
    from bookcast.ingest.input_types import (
        BookData,
        BrokersData,
        CandleData,
        QuoteData,
        TimePointData,
        TradesData,
    )
    from bookcast.ingest.publisher import Published
    from bookcast.server import Server, serve

__all__ = [
    "BookData",
    "BookcastError",
    "BrokersData",
    "CandleData",
    "InvalidInput",
    "Published",
    "QuoteData",
    "Server",
    "ServerThread",
    "SettingError",
    "StartupError",
    "TimePointData",
    "TradesData",
    "__version__",
    "checksum",
    "client",
    "serve",
    "serve_in_thread",
    "snapshot",
]

_HOMES = {
    "bookcast.client": ("checksum", "snapshot"),
    "bookcast.ingest.input_types": (
        "BookData",
        "BrokersData",
        "CandleData",
        "QuoteData",
        "TimePointData",
        "TradesData",
    ),
    "bookcast.errors": ("BookcastError", "InvalidInput", "SettingError", "StartupError"),
    "bookcast.in_thread": ("ServerThread", "serve_in_thread"),
    "bookcast.ingest.publisher": ("Published",),
    "bookcast.server": ("Server", "serve"),
}


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name == "client":
        return import_module("bookcast.client")
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module 'bookcast' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return [*globals(), *__all__]
