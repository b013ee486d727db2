"""The Futu feed: the vendor's package on threads of its own, bridged into the event loop.

Three kinds of threads meet here. The event loop decides everything. One :class:`VendorThread` makes
the calls that may block. The vendor's own threads call the hooks of a :class:`Connection`, which
only leave a note: a book in :class:`LatestBooks`, or the connection's new state.

Each connection to OpenD is a new vendor context. A context can reconnect by itself, but waits a
fixed 6 s first, says READY even when it failed to subscribe again, and never tries again after an
OpenD that accepted the connection and then said nothing. So ours ends with its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import queue
import random
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final, Literal

from bookcast.errors import StartupError
from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.feeds.futu.decode import decode_order_book
from bookcast.feeds.futu.subscriptions import Action, Subscribe, SubscriptionPlanner
from bookcast.model import Book, Publication, Symbol, Topic

logger = logging.getLogger(__name__)
vendor_logger = logging.getLogger("bookcast.feeds.futu.vendor")

FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 15.0
"""Seconds between attempts to connect grow from the first to the last of these, with jitter."""

CONNECT_SECONDS: Final = 30.0
"""The vendor gives up connecting after 20 s; this is for the ways in which it doesn't."""

HANDSHAKE_SECONDS: Final = 10.0
"""OpenD answers a new connection within this, or is taken for silent."""

CLOSE_SECONDS: Final = 0.5
"""Closing a context takes a millisecond; the end doesn't wait for one that hangs."""


def require_futu() -> None:
    """Check that the vendor's package is installed, without importing it.

    Raises:
        StartupError: when it isn't.
    """
    if find_spec("futu") is None:
        raise StartupError(
            'FEED=futu needs the package futu-api; install it with: pip install "bookcast[futu]"'
        )


class FutuFeed(Feed):
    """Publishes the order books that are wanted, from the OpenD at ``host``:``port``."""

    name = "futu"

    def __init__(
        self, publish: Publish, *, host: str, port: int, min_subscription_seconds: float = 60.0
    ) -> None:
        super().__init__(publish)
        self._host = host
        self._port = port
        self._address = f"OpenD at {host}:{port}"
        self._planner = SubscriptionPlanner(min_subscription_seconds)
        self._state: Literal["starting", "connected", "disconnected", "stopped"] = "starting"
        self._detail: str | None = None
        self._changed = asyncio.Event()  # demand or the connection
        self._was_connected = False

    def status(self) -> FeedStatus:
        """Tell whether OpenD serves us; ``symbols`` counts the subscriptions held there."""
        return FeedStatus(self.name, self._state, len(self._planner.held), self._detail)

    def want(self, topic: Topic) -> None:
        """Subscribe an order book as soon as possible; this feed has no other channel."""
        if topic.channel == "orderbook":
            self._planner.want(topic.symbol)
            self._changed.set()

    def release(self, topic: Topic) -> None:
        """Let go of an order book as soon as OpenD allows it."""
        if topic.channel == "orderbook":
            self._planner.release(topic.symbol)
            self._changed.set()

    async def run(self) -> None:
        """Stay connected until cancelled; then everything of the vendor's is closed."""
        loop = asyncio.get_running_loop()
        books = LatestBooks(loop)
        thread = VendorThread(loop)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish(books))
                tasks.create_task(self._stay_connected(thread, books))
        finally:
            thread.stop()
            self._state, self._detail = "stopped", None

    async def _publish(self, books: LatestBooks) -> None:
        while True:
            await self.publish(
                [
                    Publication(Topic("orderbook", symbol), book)
                    for symbol, book in await books.take()
                ]
            )

    async def _stay_connected(self, thread: VendorThread, books: LatestBooks) -> None:
        futu = await thread.call(load_futu)
        failures = 0
        while True:
            self._was_connected = False
            begun = asyncio.get_running_loop().time()
            trouble = await self._connect(futu, thread, books)
            # An OpenD that takes us in only to throw us out is knocked at ever less often.
            lasted = asyncio.get_running_loop().time() - begun
            failures = 1 if self._was_connected and lasted > MAX_DELAY else failures + 1
            detail = f"{trouble}; retrying"
            if detail != self._detail:  # said once, not at every attempt
                logger.warning("%s", detail)
            self._state, self._detail = "disconnected", detail
            await asyncio.sleep(retry_delay(failures, random.random()))

    async def _connect(self, futu: Any, thread: VendorThread, books: LatestBooks) -> str:
        """Serve one connection to its end, and tell in words why it ended."""
        try:
            address = await thread.call(lambda: _resolve(self._host))
        except OSError as error:
            return f"The host name {self._host!r} of OpenD can't be resolved: {_reason(error)}"
        connection = Connection(books, self._changed)
        try:
            await thread.call(lambda: connection.open(futu, address, self._port))
            return await self._drive(connection, thread)
        finally:
            self._planner.disconnected()
            await connection.close()

    async def _drive(self, connection: Connection, thread: VendorThread) -> str:
        """Do what the planner wants until the connection is lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        handshaking = checked = False
        while True:
            self._changed.clear()
            wake_at: float | None = deadline
            if connection.state == "lost":
                if connection.silent:
                    return f"{self._address} doesn't answer"
                what = "closed the connection" if self._was_connected else "is not reachable"
                return f"{self._address} {what}"
            if connection.state == "ready":
                self._note_connected()
                if action := self._planner.next_action(loop.time()):
                    if not await self._perform(action, connection, thread):
                        return f"{self._address} doesn't answer"
                    continue
                if self._planner.held and not checked:
                    checked = True
                    await self._check_held(connection, thread)
                    continue
                wake_at = self._planner.next_time()
            elif loop.time() >= deadline:
                return f"{self._address} doesn't answer"
            elif connection.state == "handshaking" and not handshaking:
                handshaking = True
                wake_at = deadline = loop.time() + HANDSHAKE_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake_at):
                    await self._changed.wait()

    def _note_connected(self) -> None:
        if not self._was_connected:
            self._was_connected = True
            self._state, self._detail = "connected", None
            logger.info("connected to %s", self._address)

    async def _perform(self, action: Action, connection: Connection, thread: VendorThread) -> bool:
        """Ask OpenD for what the planner wants; False when it gave no answer."""
        answer = await thread.call(lambda: connection.request(action))
        now = asyncio.get_running_loop().time()
        what = "subscribed" if isinstance(action, Subscribe) else "released"
        if answer == ACCEPTED:
            self._planner.done(action, now)
            logger.info("%s %s", what, ", ".join(action.symbols))
        elif answer == UNANSWERED:
            # When the connection is lost meanwhile, that is the better reason.
            return connection.state == "lost"
        elif symbol := self._planner.refused(action, answer, now):
            seconds = self._planner.refusals[symbol].retry_at - now
            logger.warning("OpenD refuses %s: %s; retrying in %.0f s", symbol, answer, seconds)
        else:
            logger.debug("not %s together: %s: %s", what, ", ".join(action.symbols), answer)
        return True

    async def _check_held(self, connection: Connection, thread: VendorThread) -> None:
        """Compare what OpenD says is subscribed with what it had promised."""
        actual = await thread.call(connection.subscribed)
        if actual is not None and (lost := self._planner.confirm(actual)):
            logger.warning("OpenD has lost %s; subscribing again", ", ".join(lost))


def retry_delay(failures: int, chance: float) -> float:
    """Give the seconds until the next attempt, after ``failures`` in a row; ``chance`` is 0 to 1.

    The jitter keeps many nodes from knocking at a restarted OpenD all at once.
    """
    delay = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10))
    return delay * (0.5 + chance / 2)


def _resolve(host: str) -> str:
    """Give the IPv4 address of a host, the only kind that the vendor connects to."""
    found = socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


class LatestBooks:
    """Carries books from the vendor's thread to the event loop: per symbol only the newest.

    However long the loop is busy, no more than one book per symbol and one wake-up wait for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._books: dict[Symbol, Book] = {}
        self._arrived = asyncio.Event()

    def put(self, symbol: Symbol, book: Book) -> None:
        """Leave a book, from any thread."""
        with self._lock:
            wake = not self._books
            self._books[symbol] = book
        if wake:
            _call_in(self._loop, self._arrived.set)

    async def take(self) -> list[tuple[Symbol, Book]]:
        """Wait until there are books, and take them all."""
        await self._arrived.wait()
        self._arrived.clear()
        with self._lock:
            books, self._books = self._books, {}
        return list(books.items())


class VendorThread:
    """One daemon thread for calls that may block, one after the other.

    A thread pool won't do: the interpreter joins its threads at exit, and a call to a silent OpenD,
    or to a name server, may take long.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str = "bookcast-futu") -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a function there and give its result; when cancelled, it runs to its end anyway."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._calls.put((future, function))
        return await future

    def stop(self) -> None:
        """End the thread once it has made its calls."""
        self._calls.put(None)

    def _run(self) -> None:
        while call := self._calls.get():
            future, function = call
            try:
                result, error = function(), None
            except Exception as caught:  # noqa: BLE001 - it is raised again where it was awaited
                result, error = None, caught
            _call_in(self._loop, _settle, future, result, error)


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
            _call_in(self._loop, self._changed.set)

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
            self._books.put(*decoded)


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


_loading = threading.Lock()


def load_futu() -> Any:
    """Import the vendor's package without its side effects. Takes 0.4 s the first time.

    Call it off the main thread, where the package would install a SIGINT handler that ends the
    process on the spot.
    """
    with _loading:
        if "futu" not in sys.modules:
            # setDaemon() and the like, which must not become errors where warnings are.
            warnings.filterwarnings("ignore", module=r"(.*[/\\])?futu[./\\]")
            _load_vendor_log()
        futu = importlib.import_module("futu")
        futu.SysConfig.set_all_thread_daemon(all_daemon=True)
        return futu


def _load_vendor_log() -> None:
    """Import the one module of the vendor's that writes files, and take its files from it.

    It opens a log below the home folder as soon as it is imported, and fails without one. So it is
    loaded ahead of its package, with the home folder elsewhere for the millisecond that it takes.
    """
    name = "futu.common.ft_logger"
    package = find_spec("futu")
    assert package is not None
    assert package.origin is not None
    spec = spec_from_file_location(name, Path(package.origin).parent / "common" / "ft_logger.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    sys.modules[name] = module
    variable = "appdata" if os.name == "nt" else "HOME"
    home = os.environ.get(variable)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[variable] = folder
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        finally:
            if home is None:
                del os.environ[variable]
            else:
                os.environ[variable] = home
        log = module.logger
        log.file_logger.removeHandler(log.fileHandler)
        log.fileHandler.close()
    log.file_logger.addHandler(_Forward())
    # Below its levels, the vendor formats nothing: two lines a push would be 40% of the feed's CPU.
    log.file_level = logging.WARNING
    log.enable_console_log(enable=False)
    log.console_level = logging.CRITICAL + 1


class _Forward(logging.Handler):
    """Passes the vendor's log on as details: what an operator should know, this module says."""

    def emit(self, record: logging.LogRecord) -> None:
        vendor_logger.debug("%s", record.getMessage(), exc_info=record.exc_info)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():  # cancelled
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    """Have the loop call a function, from any thread; a closed loop has no use for it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
