"""Pushes to subscribers: each when it happens, and the stored ones after a subscription."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tests.fakes.opend.payloads import (
    fill_book,
    fill_brokers,
    fill_candles,
    fill_points,
    fill_quotes,
    fill_trades,
)
from tests.fakes.opend.store import KEPT, Json, Rows
from tests.fakes.opend.wire import (
    PERIOD_OF_SUBTYPE,
    PERIODS,
    PUSH_BASIC_QOT,
    PUSH_BROKER,
    PUSH_KL,
    PUSH_ORDER_BOOK,
    PUSH_RT,
    PUSH_TICKER,
    Key,
    SubType,
    make_body,
)

if TYPE_CHECKING:
    from tests.fakes.opend.connection import Connection
    from tests.fakes.opend.server import OpenD

REALTIME, CACHE = 1, 3
"""Qot_Common.PushDataType: as it happens, and what was stored."""


class Pushes:
    """Stores each push, and writes it to its subscribers."""

    def __init__(self, opend: OpenD) -> None:
        self._opend = opend
        self._store = opend.store

    def book(self, book: Json) -> None:
        """Push an order book, of whole or of odd lots."""
        code, kind = book["code"], book.get("type", 0)
        plain = self._book_body(book, detailed=False)
        detailed = self._book_body(book, detailed=True)
        self._store.books[code, kind] = book
        key = (code, SubType.ORDER_BOOK_ODD if kind else SubType.ORDER_BOOK)
        for connection in self._opend.receivers(key):
            body = detailed if code in connection.detailed else plain
            connection.push(PUSH_ORDER_BOOK, body)

    def quote(self, quote: Json) -> None:
        """Push a quote."""
        self._send((quote["code"], SubType.QUOTE), PUSH_BASIC_QOT, fill_quotes, [quote])
        self._store.quotes[quote["code"]] = quote

    def trades(self, code: str, trades: list[Json], kind: int = REALTIME) -> None:
        """Push trades in one message."""
        self._send((code, SubType.TICKER), PUSH_TICKER, fill_trades, code, trades, kind)
        self._store.trades[code].extend(trades)

    def candles(self, code: str, period: str, candles: list[Json]) -> None:
        """Push candles in one message."""
        self._send((code, PERIODS[period][0]), PUSH_KL, fill_candles, code, period, candles)
        self._store.add_candles(code, period, candles)

    def points(self, code: str, points: list[Json]) -> None:
        """Push points of the day's line in one message."""
        self._send((code, SubType.RT), PUSH_RT, fill_points, code, points)
        self._store.points[code].update((point["time"], point) for point in points)

    def brokers(self, code: str, bids: Rows, asks: Rows) -> None:
        """Push the queues of brokers."""
        brokers = {"bids": bids, "asks": asks}
        self._send((code, SubType.BROKER), PUSH_BROKER, fill_brokers, code, brokers)
        self._store.brokers[code] = brokers

    def first(self, key: Key, connection: Connection) -> Iterator[tuple[int, bytes]]:
        """Yield one subscription's stored pushes: all trades, the newest of every other kind."""
        (code, subtype), store = key, self._store
        match subtype:
            case SubType.ORDER_BOOK | SubType.ORDER_BOOK_ODD:
                if book := store.books.get((code, int(subtype == SubType.ORDER_BOOK_ODD))):
                    detailed = code in connection.detailed
                    yield PUSH_ORDER_BOOK, self._book_body(book, detailed=detailed)
            case SubType.QUOTE:
                if code in store.quotes:
                    yield (
                        PUSH_BASIC_QOT,
                        self._body(PUSH_BASIC_QOT, fill_quotes, [store.quotes[code]]),
                    )
            case SubType.TICKER:
                if trades := store.last_trades(code, KEPT):
                    yield PUSH_TICKER, self._body(PUSH_TICKER, fill_trades, code, trades, CACHE)
            case SubType.RT:
                if points := store.last_points(code, 1):
                    yield PUSH_RT, self._body(PUSH_RT, fill_points, code, points)
            case SubType.BROKER:
                if code in store.brokers:
                    brokers = store.brokers[code]
                    yield PUSH_BROKER, self._body(PUSH_BROKER, fill_brokers, code, brokers)
            case _:
                period = PERIOD_OF_SUBTYPE[subtype]
                if candles := store.last_candles(code, period, 1):
                    yield PUSH_KL, self._body(PUSH_KL, fill_candles, code, period, candles)

    def _send(self, key: Key, protocol: int, fill: Callable[..., None], *what: Any) -> None:
        """Push to all subscribers; the push is built even without any, to find bad data."""
        body = self._body(protocol, fill, *what)
        for connection in self._opend.receivers(key):
            connection.push(protocol, body)

    def _body(self, protocol: int, fill: Callable[..., None], *what: Any) -> bytes:
        return make_body(protocol, lambda s2c: fill(s2c, self._store, *what))

    def _book_body(self, book: Json, *, detailed: bool) -> bytes:
        return make_body(
            PUSH_ORDER_BOOK,
            lambda s2c: fill_book(s2c, self._store, book, None, detailed=detailed),
        )
