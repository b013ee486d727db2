"""One look at a topic, from anywhere: a script, a notebook's running loop, another thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any, Final, Literal, overload

from bookcast.client.book import Book
from bookcast.client.client import DEFAULT_URL, Client, connect
from bookcast.client.errors import BookcastClientError
from bookcast.client.subscription import GappedCandle, Subscription, Trades
from bookcast.client.tokens import GetToken
from bookcast.model.market_data import Brokers, Quote, TimePoint
from bookcast.model.topics import CHANNELS, Channel, Period

HISTORY: Final = 100
"""So many of the newest trades a look at them has."""


@overload
def snapshot(
    symbol: str,
    channel: Literal["orderbook"] = "orderbook",
    *,
    depth: int | None = None,
    variant: Literal["odd"] | None = None,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
) -> Book: ...
@overload
def snapshot(
    symbol: str,
    channel: Literal["quote"],
    *,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
) -> Quote: ...
@overload
def snapshot(
    symbol: str,
    channel: Literal["trades"],
    *,
    history: int = HISTORY,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
) -> Trades: ...
@overload
def snapshot(
    symbol: str,
    channel: Literal["candles"],
    *,
    period: Period,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
) -> GappedCandle: ...
@overload
def snapshot(
    symbol: str,
    channel: Literal["brokers"],
    *,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
) -> Brokers: ...
@overload
def snapshot(
    symbol: str,
    channel: Literal["timeframe"],
    *,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
) -> TimePoint: ...
def snapshot(
    symbol: str,
    channel: Channel = "orderbook",
    *,
    url: str = DEFAULT_URL,
    timeout: float = 5,
    token: str | None = None,
    get_token: GetToken | None = None,
    **options: Any,
) -> Any:
    """Return what is known of a topic now: a book, a quote, the newest trades or candle.

    It works in a thread and a loop of its own, so it may be called where a loop runs; that one
    waits meanwhile.

    Args:
        symbol: for instance ``US.AAPL``.
        channel: what of it.
        url: of the server, as for :func:`~bookcast.client.connect`.
        timeout: seconds until there is an answer.
        token: what the server asks for, where it asks for one.
        get_token: returns a token instead.
        options: ``depth`` and ``variant`` of a book, ``history`` of trades, ``period`` of candles.

    Raises:
        BookcastClientError: ``no_data`` when nothing came in time, with the reason; or what was
            refused.
    """
    if channel not in CHANNELS:
        raise ValueError(f"channel: one of {', '.join(CHANNELS)}, not {channel!r}")
    client = connect(url, token=token, get_token=get_token)
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            with asyncio.Runner() as runner:
                answer.set_result(runner.run(_look(client, symbol, channel, timeout, options)))
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=work, name="bookcast-snapshot", daemon=True).start()
    return answer.result()


async def _look(
    client: Client, symbol: str, channel: Channel, patience: float, options: dict[str, Any]
) -> Any:
    async with client:
        subscription = _subscribe(client, symbol, channel, options)
        try:
            async with asyncio.timeout(patience):
                await subscription.next()
        except TimeoutError:
            state = ": ".join(filter(None, (subscription.state, subscription.reason)))
            raise BookcastClientError(
                "no_data",
                f"Nothing came within {patience:g} s: {state}",
                channel=channel,
                symbol=symbol,
            ) from None
        await asyncio.sleep(0)  # what came with it counts as well
        return subscription.value


def _subscribe(
    client: Client, symbol: str, channel: Channel, options: dict[str, Any]
) -> Subscription[Any]:
    match channel:
        case "orderbook":
            return client.order_book(symbol, **options)
        case "trades":
            return client.trades(symbol, **{"history": HISTORY, **options})
        case "candles":
            return client.candles(symbol, **{"history": 1, **options})
        case "quote":
            return client.quote(symbol, **options)
        case "brokers":
            return client.brokers(symbol, **options)
        case "timeframe":
            return client.timeframe(symbol, **options)
