"""A client for Python: books that are proven, every trade or a gap, a connection that comes back.

    async with bookcast.client.connect("wss://host") as client:
        async for book in client.order_book("US.AAPL", depth=10):
            print(book.bids[0].price, book.asks[0].price)

It needs ``websockets`` and ``msgspec`` alone, and none of the server.
"""

from bookcast.client.book import Book, checksum
from bookcast.client.client import Client, Why, connect
from bookcast.client.errors import BookcastClientError, Refused, Stopped
from bookcast.client.gaps import Gap
from bookcast.client.line import LineState, LineStatus
from bookcast.client.publication import Publication
from bookcast.client.snapshot import snapshot
from bookcast.client.subscription import GappedCandle, Subscription, Trades
from bookcast.client.tokens import GetToken
from bookcast.client.topic import SubscriptionState
from bookcast.model.market_data import Brokers, Candle, Quote, TimePoint, Trade
from bookcast.model.updates import Position
from bookcast.protocol.v1.messages import BookLevel

__all__ = [
    "Book",
    "BookLevel",
    "BookcastClientError",
    "Brokers",
    "Candle",
    "Client",
    "Gap",
    "GappedCandle",
    "GetToken",
    "LineState",
    "LineStatus",
    "Position",
    "Publication",
    "Quote",
    "Refused",
    "Stopped",
    "Subscription",
    "SubscriptionState",
    "TimePoint",
    "Trade",
    "Trades",
    "Why",
    "checksum",
    "connect",
    "snapshot",
]
