"""Real-time market data from one Futu OpenD feed to thousands of WebSocket clients.

    feeds -> engine -> hub -> sessions -> socket

A feed publishes; the engine gives each update its position and keeps the newest; the hub encodes it
once per view and fans it out; a session turns frames into bytes on one socket. Demand flows back.
"""

__version__ = "0.1.0"

from bookcast.app import Server, serve
from bookcast.errors import BookcastError, InvalidInput, SettingError, StartupError

__all__ = [
    "BookcastError",
    "InvalidInput",
    "Server",
    "SettingError",
    "StartupError",
    "__version__",
    "serve",
]
