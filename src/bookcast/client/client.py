"""A client of a bookcast server: subscriptions over one connection that comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

from bookcast.client.address import random_id, socket_address
from bookcast.client.book import Book
from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError, Refused, Stopped
from bookcast.client.line import LineState, LineStatus
from bookcast.client.listeners import listen
from bookcast.client.publication import Publication, command_of, command_of_update, is_text
from bookcast.client.session import Session
from bookcast.client.subscription import (
    GappedCandle,
    Subscription,
    Trades,
)
from bookcast.client.tokens import GetToken
from bookcast.client.topic import Name, SubscriptionState
from bookcast.client.view import Mode, View
from bookcast.client.websocket import Opener, WebSockets
from bookcast.client.wire import MAX_BYTES
from bookcast.errors import CloseCode
from bookcast.model.market_data import Brokers, Quote, TimePoint
from bookcast.model.topics import PERIODS, Channel, Period
from bookcast.model.updates import Position
from bookcast.protocol.v1.messages import MAX_DEPTH, MAX_HISTORY, MAX_INTERVAL_MS, WhyMessage
from bookcast.protocol.v1.messages import Why as AskWhy

if TYPE_CHECKING:
    from bookcast.ingest.input_types import (
        BookInput,
        BrokersInput,
        CandleInput,
        QuoteInput,
        TimePointInput,
        TradesInput,
    )

DEFAULT_URL: Final = "ws://localhost:8002"
MAX_BUFFERED: Final = 10_000
AGAIN_IN: Final = 1.0
"""Seconds until a publication that was refused for now is sent again, unless the server says."""


class Why(WhyMessage, frozen=True, kw_only=True, tag_field="type", tag="why"):
    """What became of the updates of a topic: the server's answer, and this client's own view.

    ``client_state`` and ``client_reason`` are the subscription's, ``line`` is the connection,
    ``asked`` what the server was asked for on behalf of all subscriptions of the topic.
    """

    client_state: SubscriptionState
    client_reason: str | None
    line: LineStatus
    asked: View | None


class Client:
    """A client; :func:`connect` makes one. It connects when it is entered (``async with``)."""

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        token: str | None = None,
        get_token: GetToken | None = None,
        max_buffered: int = MAX_BUFFERED,
        sockets: Opener | None = None,
        clock: Clock | None = None,
    ) -> None:
        if token is not None and get_token is not None:
            raise ValueError("Pass a token or get_token, not both")
        _check_token(token, get_token)
        self.address = socket_address(url, client_id)
        """The address of the WebSocket."""
        self._token = token
        self._get_token = get_token if token is None else lambda: token
        self._max_buffered = _whole("max_buffered", max_buffered, 1, 2**63)
        self._sockets = sockets
        self._clock = clock
        self._begun: Session | None = None
        self._is_closed = False
        self._on_state: list[Callable[[LineStatus], object]] = []
        self._on_error: list[Callable[[BookcastClientError], object]] = []

    async def __aenter__(self) -> Self:
        """Begin to connect. Subscriptions wait for the connection, and so does a publication."""
        if self._begun is not None:
            raise RuntimeError("A client is entered once: make another one")
        clock = self._clock or Clock(asyncio.get_running_loop())
        self._sockets = self._sockets or WebSockets(clock.loop)
        self._begun = Session(
            self.address,
            sockets=self._sockets,
            clock=clock,
            get_token=self._get_token,
            token_is_fixed=self._token is not None,
        )
        self._begun.on_line = self._on_state
        self._begun.on_error = self._on_error
        self._begun.line.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End everything, with a goodbye to the server. Iterations end."""
        if self._begun is not None and not self._is_closed:
            self._is_closed = True
            for subscription in self.subscriptions():
                subscription.close()
            self._begun.line.stop()
            assert self._sockets is not None  # there is a session
            await self._sockets.finish()

    @property
    def line(self) -> LineStatus:
        """How the connection stands, and why."""
        return self._begun.line.status if self._begun is not None else LineStatus("connecting")

    @property
    def state(self) -> LineState:
        """How the connection stands: ``connecting``, ``open``, ``waiting`` or ``stopped``."""
        return self.line.state

    def on_state(self, listener: Callable[[LineStatus], object]) -> Callable[[], None]:
        """Call back with each new status of the connection. Return what ends that."""
        return listen(self._on_state, listener)

    def on_error(self, listener: Callable[[BookcastClientError], object]) -> Callable[[], None]:
        """Call back with each error that nobody waits for. Return what ends that.

        They are logged as well, by the logger ``bookcast.client``.
        """
        return listen(self._on_error, listener)

    def order_book(
        self,
        symbol: str,
        *,
        depth: int | None = None,
        mode: Mode = "delta",
        interval_ms: int = 0,
        variant: Literal["odd"] | None = None,
    ) -> Subscription[Book]:
        """Subscribe to an order book, kept from deltas that are proven.

        Args:
            symbol: for instance ``US.AAPL``.
            depth: levels on each side; all by default.
            mode: what comes over the wire: changes, or whole books.
            interval_ms: at most one update in so many milliseconds.
            variant: ``odd``: the book of odd lots.
        """
        view = View(_depth(depth), _mode(mode), _interval(interval_ms), 0)
        return self._subscribe(Name("orderbook", symbol, variant=_variant(variant)), view)

    def quote(self, symbol: str, *, interval_ms: int = 0) -> Subscription[Quote]:
        """Subscribe to the basic figures of a symbol."""
        return self._subscribe_plainly("quote", symbol, interval_ms)

    def trades(
        self, symbol: str, *, history: int = 0, interval_ms: int = 0
    ) -> Subscription[Trades]:
        """Subscribe to every trade, in order; what is missing is told as a gap.

        Args:
            symbol: for instance ``US.AAPL``.
            history: so many past ones first.
            interval_ms: at most one message in so many milliseconds.
        """
        return self._subscribe_plainly("trades", symbol, interval_ms, history)

    def candles(
        self, symbol: str, *, period: Period, history: int = 0, interval_ms: int = 0
    ) -> Subscription[GappedCandle]:
        """Subscribe to every final candle, and the newest state of the one that forms."""
        if period not in PERIODS:
            raise ValueError(f"period: one of {', '.join(PERIODS)}, not {period!r}")
        return self._subscribe_plainly("candles", symbol, interval_ms, history, period)

    def brokers(self, symbol: str, *, interval_ms: int = 0) -> Subscription[Brokers]:
        """Subscribe to the brokers in the queues of both sides."""
        return self._subscribe_plainly("brokers", symbol, interval_ms)

    def timeframe(self, symbol: str, *, interval_ms: int = 0) -> Subscription[TimePoint]:
        """Subscribe to the newest minute of the day's line."""
        return self._subscribe_plainly("timeframe", symbol, interval_ms)

    def subscriptions(self) -> list[Subscription[Any]]:
        """Return all subscriptions that aren't closed."""
        topics = self._begun.wire.topics.values() if self._begun is not None else ()
        everyone = [one for topic in topics for one in topic.subscriptions]
        return [one for one in everyone if isinstance(one, Subscription)]

    @overload
    async def publish(
        self,
        symbol: str | None,
        data: BookInput,
        *,
        channel: Literal["orderbook"] = "orderbook",
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position: ...
    @overload
    async def publish(
        self,
        symbol: str | None,
        data: QuoteInput,
        *,
        channel: Literal["quote"],
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position: ...
    @overload
    async def publish(
        self,
        symbol: str | None,
        data: TradesInput,
        *,
        channel: Literal["trades"],
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position: ...
    @overload
    async def publish(
        self,
        symbol: str | None,
        data: CandleInput,
        *,
        channel: Literal["candles"],
        period: Period | None = None,
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position: ...
    @overload
    async def publish(
        self,
        symbol: str | None,
        data: BrokersInput,
        *,
        channel: Literal["brokers"],
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position: ...
    @overload
    async def publish(
        self,
        symbol: str | None,
        data: TimePointInput,
        *,
        channel: Literal["timeframe"],
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position: ...
    @overload
    async def publish(
        self, updates: Sequence[Publication], /, *, wait: float = 0
    ) -> list[Position | BookcastClientError]: ...
    async def publish(
        self,
        symbol: str | Sequence[Publication] | None,
        data: Any = None,
        *,
        channel: Channel = "orderbook",
        period: Period | None = None,
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Position | list[Position | BookcastClientError]:
        """Publish data of a channel, or many updates at once. Return their positions.

        It fails at once while there is no connection, unless it is told to ``wait``; then it is
        sent with a key, so that it can be sent again and is published once.

        Args:
            symbol: None where futu-api's ``code`` is in the data. Or a list of updates, each a dict
                with ``symbol``, ``channel``, ``data``, ``period`` and ``idempotency_key``; then an
                error takes the place of the position of each that wasn't published.
            data: what the channel takes, see :mod:`bookcast.ingest.input_types`; JSON text as well.
            channel: of the data.
            period: of candles.
            idempotency_key: with the same key the same data are published once, however often.
            wait: seconds to wait for a connection, and to send again what has no answer.

        Raises:
            Refused: when the server doesn't take it; the sentence says what is wrong, and where.
            BookcastClientError: ``not_connected``, or ``no_answer``: nobody knows.
        """
        if symbol is None or isinstance(symbol, str):
            command = command_of(symbol, data, channel, period, idempotency_key)
            return await self._publish(command, wait)
        publishing = [self._publish_of_many(update, wait) for update in _updates(symbol)]
        return list(await asyncio.gather(*publishing))

    def publish_threadsafe(
        self,
        symbol: str | None,
        data: Any,
        *,
        channel: Channel = "orderbook",
        period: Period | None = None,
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Future[Position]:
        """Publish from another thread, for instance from a vendor's callback.

        The data are read before it returns. The future has the position, or the error.
        """
        try:
            command = command_of(symbol, data, channel, period, idempotency_key)
            loop = self._session.clock.loop
            publishing = self._publish(command, wait)
            try:
                return asyncio.run_coroutine_threadsafe(publishing, loop)
            except RuntimeError as error:
                publishing.close()
                raise Stopped("closed", f"the client has ended: {error}", final=True) from None
        except BookcastClientError as error:
            failed: Future[Position] = Future()
            failed.set_exception(error)
            return failed

    async def why(self, subscription: Subscription[Any]) -> Why:
        """Return why updates of a subscription do or don't arrive."""
        await self._until_open(0)
        topic = subscription.topic
        named = {name: value for name, value in topic.name._asdict().items() if value is not None}
        answer = await self._session.ask(AskWhy(**named))
        told = {name: getattr(answer, name) for name in answer.__struct_fields__}
        return Why(
            **told,
            client_state=subscription.state,
            client_reason=subscription.reason,
            line=self.line,
            asked=topic.asked,
        )

    @property
    def _session(self) -> Session:
        if self._begun is None:
            raise BookcastClientError(
                "not_connected", "Enter the client first: async with connect(…) as client"
            )
        return self._begun

    def _subscribe_plainly(
        self,
        channel: Channel,
        symbol: str,
        interval_ms: int,
        history: int = 0,
        period: Period | None = None,
    ) -> Subscription[Any]:
        history = _whole("history", history, 0, MAX_HISTORY)
        view = View(None, "full", _interval(interval_ms), history)
        return self._subscribe(Name(channel, symbol, period), view)

    def _subscribe(self, name: Name, view: View) -> Subscription[Any]:
        session = self._session
        topic = session.wire.topic(name._replace(symbol=_symbol(name.symbol)))
        subscription: Subscription[Any] = Subscription(topic, view, self._max_buffered)
        topic.join(subscription)
        if self._is_closed:
            subscription.close()
        elif self.state == "stopped":
            subscription.refuse(session.ending)
        return subscription

    async def _publish_of_many(
        self, update: Publication, wait: float
    ) -> Position | BookcastClientError:
        try:
            return await self._publish(command_of_update(update), wait)
        except BookcastClientError as error:
            return error

    async def _publish(self, command: Mapping[str, Any], wait: float) -> Position:
        session = self._session
        until = session.clock.now() + wait * 1000
        if wait > 0:
            command = {"idempotency_key": random_id(), **command}
        while True:
            await self._until_open(until)
            try:
                answer = await session.ask(dict(command))
            except BookcastClientError as error:
                self._raise_if_too_big(command, error)
                pause = error.retry_after or (AGAIN_IN if isinstance(error, Refused) else 0.0)
                is_in_time = session.clock.now() + pause * 1000 < until
                if error.final or "idempotency_key" not in command or not is_in_time:
                    raise
                session.note(f"publishing again: {error}")
                await asyncio.sleep(pause)
            else:
                return Position(answer.epoch, answer.seq)

    def _raise_if_too_big(self, command: Mapping[str, Any], error: BookcastClientError) -> None:
        """Refuse what the server has closed the connection for: it would do so again."""
        status, size = self.line, len(bytes(command["data"]))
        if error.code == "no_answer" and status.code == CloseCode.TOO_BIG and size > MAX_BYTES:
            raise Refused(
                "body_too_large",
                f"The data are {size} bytes, more than the server takes: {status.reason}",
                final=True,
                channel=command["channel"],
                symbol=command["symbol"],
            ) from None

    async def _until_open(self, until: float) -> None:
        """Wait until then for a connection; for the outcome of the first attempt in any case."""
        session = self._session
        while not session.line.is_open:
            status = session.line.status
            if status.state == "stopped":
                raise session.ending
            is_first = status == LineStatus("connecting")
            left = (until - session.clock.now()) / 1000
            if left <= 0 and not is_first:
                raise BookcastClientError(
                    "not_connected", f"there is no connection: {status.reason or status.state}"
                )
            changed = asyncio.Event()
            stop = self.on_state(lambda _status, event=changed: event.set())  # type: ignore[misc] # mypy can't infer a lambda's default
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), None if is_first else left)
            finally:
                stop()


def connect(
    url: str = DEFAULT_URL,
    *,
    client_id: str | None = None,
    token: str | None = None,
    get_token: GetToken | None = None,
    max_buffered: int = MAX_BUFFERED,
) -> Client:
    """Return a client of a server.

    It connects when it is entered::

        async with bookcast.client.connect("wss://host/prefix") as client:
            async for book in client.order_book("US.AAPL", depth=10):
                print(book.bids[0].price)

    Args:
        url: a server, under a prefix or not, or the whole address up to ``/ws/{id}``; http stands
            for ws.
        client_id: a name for this client in the server's log; random by default.
        token: what the server asks for, where it asks for one.
        get_token: returns a token instead, each time that one is needed.
        max_buffered: trades or final candles that wait for the program; past that the oldest go.

    Raises:
        ValueError: when an option makes no sense.
    """
    return Client(
        url, client_id=client_id, token=token, get_token=get_token, max_buffered=max_buffered
    )


def _check_token(token: Any, get_token: Any) -> None:
    if token is not None and (not isinstance(token, str) or not token):
        kind = "empty" if token == "" else type(token).__name__
        raise ValueError(f"token: text, not {kind}")
    if get_token is not None and not callable(get_token):
        kind = type(get_token).__name__
        raise ValueError(f"get_token: a function that returns a token, not {kind}")


def _updates(updates: Any) -> Iterable[Publication]:
    if not isinstance(updates, Iterable) or isinstance(updates, Mapping | bytes):
        kind = type(updates).__name__
        raise Refused(
            "invalid_symbol",
            f"Publish data of a symbol, or a list of updates, not {kind}",
            final=True,
        )
    return updates


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}: a whole number from {least} to {most}, not {value!r}")
    return value


def _symbol(symbol: Any) -> str:
    if not isinstance(symbol, str) or not symbol or not is_text(symbol):
        raise ValueError(f"symbol: text such as 'US.AAPL', not {symbol!r}")
    return symbol


def _depth(depth: int | None) -> int | None:
    return None if depth is None else _whole("depth", depth, 1, MAX_DEPTH)


def _interval(interval_ms: int) -> int:
    return _whole("interval_ms", interval_ms, 0, MAX_INTERVAL_MS)


def _mode(mode: Mode) -> Mode:
    if mode not in ("full", "delta"):
        raise ValueError(f"mode: 'full' or 'delta', not {mode!r}")
    return mode


def _variant(variant: str | None) -> str | None:
    if variant not in (None, "odd"):
        raise ValueError(f"variant: 'odd' or None, not {variant!r}")
    return variant
