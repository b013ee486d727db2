"""Real-time market data from one Futu OpenD feed to thousands of WebSocket clients.

    feeds -> engine -> hub -> sessions -> socket

A feed publishes; the engine gives each update its position and keeps the newest; the hub encodes it
once per view and fans it out; a session turns frames into bytes on one socket. Demand flows back.
"""

from bookcast.errors import BookcastError, InvalidInput, SettingError, StartupError
from bookcast.in_thread import ServerThread, serve_in_thread
from bookcast.ingest.data import (
    BookData,
    BrokersData,
    CandleData,
    QuoteData,
    TimePointData,
    TradesData,
)
from bookcast.ingest.publisher import Published
from bookcast.server import Server, serve
from bookcast.version import __version__

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
    "serve",
    "serve_in_thread",
]
