"""One connection to OpenD: a context of the vendor's, whose hooks only leave a note."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, Final, Literal

from bookcast.feeds.futu.books import LatestBooks
from bookcast.feeds.futu.decode import decode_order_book
from bookcast.feeds.futu.subscriptions import Action, Subscribe
from bookcast.feeds.futu.thread import VendorThread, call_in

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 0.5
"""Closing a context takes a millisecond; the end doesn't wait for one that hangs."""

ACCEPTED: Final = ""
UNANSWERED: Final = "no answer"
"""What :meth:`Connection.request` gives besides OpenD's own words of refusal."""


class Connection:
    """One vendor context for one connection to OpenD; it doesn't reconnect.

    The methods run on other threads than the event loop's; ``state`` may be read on any.

    Attributes:
        state: ``lost`` is final.
        silent: whether it was lost because OpenD answered nothing any more.
    """

    def __init__(self, books: LatestBooks, changed: asyncio.Event) -> None:
        self.state: Literal["connecting", "handshaking", "ready", "lost"] = "connecting"
        self.silent = False
        self._books = books
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._context: Any = None
        self._futu: Any = None
        self._closed = False
        self._warned = False

    def open(self, futu: Any, address: str, port: int) -> None:
        """Begin to connect; the hooks tell how it goes."""
        self._futu = futu
        context = _context_class(futu)(self, address, port)
        context.set_handler(_handler_class(futu)(self))
        # Calls fail after this when the connection has gone, where they would wait for ever.
        context.set_sync_query_connect_timeout(2)
        self._context = context
        if self._closed:  # cancelled before there was a context to close
            context.close()

    async def close(self) -> None:
        """Close the context; that also ends a call which still waits for an answer."""
        self._closed = True
        if self._context is not None:
            # On its own thread: the usual one may be in that call.
            thread = VendorThread(self._loop, "bookcast-futu-close")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await thread.call(self._context.close)
            thread.stop()

    def request(self, action: Action) -> str:
        """Ask OpenD; give ACCEPTED, UNANSWERED, or its reason to refuse. Takes up to 12 s."""
        subtypes = [self._futu.SubType.ORDER_BOOK]
        if isinstance(action, Subscribe):
            code, message = self._context.subscribe(list(action.symbols), subtypes)
        else:
            code, message = self._context.unsubscribe(list(action.symbols), subtypes)
        if code == self._futu.RET_OK:
            return ACCEPTED
        # The vendor tells its own troubles and OpenD's words apart by nothing but the text.
        if self.state == "lost" or str(message) in _VENDOR_TROUBLES:
            return UNANSWERED
        return str(message) or "no reason given"

    def subscribed(self) -> set[str] | None:
        """Ask OpenD which books this connection has subscribed; None when it doesn't say."""
        code, answer = self._context.query_subscription(is_all_conn=False)
        if code != self._futu.RET_OK:
            return None
        return set(answer["sub_list"].get(self._futu.SubType.ORDER_BOOK, ()))

    def become(self, state: Literal["handshaking", "ready", "lost"]) -> None:
        """Note a change, from any thread."""
        if self.state != "lost":
            self.state = state
            call_in(self._loop, self._changed.set)

    def receive(self, push: Any) -> None:
        """Take a ``Qot_UpdateOrderBook.Response`` on the vendor's callback thread."""
        if push.retType != 0:
            logger.warning("OpenD pushed an error: %s (%d)", push.retMsg, push.retType)
            return
        try:
            decoded = decode_order_book(push.s2c, time.time() * 1000)
        except Exception:  # the vendor would swallow it
            # Once: what can't be decoded comes many times a second.
            if not self._warned:
                self._warned = True
                logger.exception("an order book of OpenD can't be decoded")
            return
        if decoded is not None:
            self._books.put(decoded)


_VENDOR_TROUBLES: Final = frozenset(
    {
        "PacketErr.Timeout",
        "Timeout",
        "Disconnect",
        "Abnormal event timeout",
        "Connect timeout",
        "Context status bad",
    }
)


def _context_class(futu: Any) -> Any:
    class Context(futu.OpenQuoteContext):  # type: ignore[misc]  # the vendor's are untyped
        """Tells a connection what happens, on threads where no call may wait for an answer."""

        def __init__(self, connection: Connection, host: str, port: int) -> None:
            self._connection = connection
            super().__init__(host=host, port=port, is_async_connect=True)

        def on_connect(self, *arguments: Any) -> None:
            # One of the vendor's callers forgets the first argument, the connection's id.
            info = arguments[-1]
            super().on_connect(info.conn_id, info)
            if info.msg or info.err.value:
                self.close()  # or it would try again by itself
                self._connection.become("lost")
            else:
                self._connection.become("handshaking")

        def on_api_socket_reconnected(self) -> tuple[int, str]:
            self._connection.become("ready")
            return futu.RET_OK, ""

        def on_disconnect(self, conn_id: int, reason: Any, msg: str) -> None:
            self.close()  # before the vendor's own part, which would begin to reconnect
            super().on_disconnect(conn_id, reason, msg)
            self._connection.silent = reason.name == "KeepAliveFail"
            self._connection.become("lost")

    return Context


def _handler_class(futu: Any) -> Any:
    class Handler(futu.OrderBookHandlerBase):  # type: ignore[misc]  # the vendor's are untyped
        """Reads the protobuf message itself: the vendor's dictionaries cost 30 times as much."""

        def __init__(self, connection: Connection) -> None:
            super().__init__()
            self._connection = connection

        def on_recv_rsp(self, rsp_pb: Any) -> tuple[int, None]:
            self._connection.receive(rsp_pb)
            return futu.RET_OK, None

    return Handler
