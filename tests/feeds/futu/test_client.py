import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bookcast import serve
from bookcast.errors import StartupError
from bookcast.feeds.futu import client
from bookcast.feeds.futu.decode import decode_order_book
from bookcast.model import Book, Level, Symbol, Topic
from tests.fakes.opend import SUB, Controller
from tests.feeds.futu.conftest import Running
from tests.support import AAPL, PATIENCE, TSLA, connect, eventually

RunFeed = Callable[..., contextlib.AbstractAsyncContextManager[Running]]

US_AAPL = Symbol("US.AAPL")


def book(code: str = "US.AAPL", size: float = 300) -> dict[str, object]:
    return {"code": code, "bids": [[189.5, size, 4]], "asks": [[189.6, 100, 2]]}


async def connected(running: Running) -> None:
    await eventually(lambda: running.feed.status().state == "connected", "the connection")


async def subscribed(opend: Controller, *codes: str) -> None:
    await eventually(lambda: opend.subscriptions() == sorted(codes), f"subscriptions {codes}")


def detail(running: Running) -> str:
    return running.feed.status().detail or ""


async def test_a_book_travels_from_opend_to_a_websocket_client(opend: Controller) -> None:
    """In Futu's own level shape, and with nothing subscribed before somebody wants it."""
    async with (
        serve(port=0, feed="futu", futu_port=opend.port) as server,
        connect(server.ws_url + "me") as ws,
    ):
        await eventually(lambda: opend.connections() == 1, "the feed")
        assert SUB not in opend.requests()
        await ws.subscribe("AAPL")
        await subscribed(opend, "US.AAPL")
        opend.push(book(size=12.5) | {"time": 1_700_000_000.5})
        data = (await ws.hear())["data"]
        assert data["bids"] == [{"price": 189.5, "volume": 12.5, "orders": 4}]
        assert data["asks"] == [{"price": 189.6, "volume": 100, "orders": 2}]


async def test_a_book_pushed_is_published_number_for_number(
    opend: Controller, run_feed: RunFeed
) -> None:
    """With when the exchange and when the feed saw it; fractions stay exact."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        before = time.time() * 1000
        opend.push(book(size=0.125) | {"time": 1_700_000_000.123})
        await eventually(lambda: "US.AAPL" in running.books, "the book")
        got = running.books["US.AAPL"]
        assert got.bids == (Level(189.5, 0.125, 4),)
        assert got.asks == (Level(189.6, 100, 2),)
        assert type(got.asks[0].size) is int
        assert got.exchange_ms == 1_700_000_000_123
        assert got.feed_ms is not None
        assert before - 1 <= got.feed_ms <= time.time() * 1000 + 1


async def test_demand_is_followed(opend: Controller, run_feed: RunFeed) -> None:
    """Nothing is subscribed until wanted, and it is let go when no more."""
    async with run_feed(opend.port) as running:
        await connected(running)
        assert SUB not in opend.requests()
        running.feed.want(AAPL)
        running.feed.want(TSLA)
        await subscribed(opend, "US.AAPL", "US.TSLA")
        await eventually(lambda: running.feed.status().symbols == 2, "the status")
        running.feed.release(AAPL)
        await subscribed(opend, "US.TSLA")
        running.feed.release(TSLA)
        await subscribed(opend)


async def test_the_last_known_book_comes_with_the_subscription(
    opend: Controller, run_feed: RunFeed
) -> None:
    """OpenD pushes it first."""
    opend.push(book("HK.00700"))
    async with run_feed(opend.port) as running:
        running.feed.want(Topic("orderbook", Symbol("HK.00700")))
        await eventually(lambda: "HK.00700" in running.books, "the first push")


async def test_books_of_odd_lots_are_passed_over(opend: Controller, run_feed: RunFeed) -> None:
    """They come in the same message, and would replace the book."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        opend.push(book(size=1) | {"type": 1}, book(size=2))
        await eventually(lambda: "US.AAPL" in running.books, "the book")
        assert running.published == 1
        assert running.books["US.AAPL"].bids[0].size == 2


async def test_a_refused_code_takes_no_other_down(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenD's own reason is in the log."""
    opend.refuse(US_TSLA="no quote right for US.TSLA")
    async with run_feed(opend.port) as running:
        running.feed.want(TSLA)
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        await eventually(lambda: "OpenD refuses US.TSLA: no quote right" in caplog.text, "a log")


async def test_what_opend_will_not_let_go_of_stays(run_feed: RunFeed) -> None:
    """It goes on being held, and published."""
    opend = Controller(min_seconds=3600)
    try:
        async with run_feed(opend.port) as running:
            running.feed.want(AAPL)
            await subscribed(opend, "US.AAPL")
            running.feed.release(AAPL)
            await eventually(lambda: opend.requests().count(SUB) == 2, "the attempt")
            opend.push(book())
            await eventually(lambda: "US.AAPL" in running.books, "the book")
            assert running.feed.status().symbols == 1
    finally:
        opend.close()


async def test_a_feed_starts_without_opend_and_finds_it_later(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """It says once that OpenD isn't reachable, and goes on trying."""
    opend.stop_listening()
    async with run_feed(opend.port) as running:
        assert running.feed.status().state == "starting"
        running.feed.want(AAPL)
        await eventually(lambda: running.feed.status().state == "disconnected", "the complaint")
        assert detail(running) == f"OpenD at 127.0.0.1:{opend.port} is not reachable; retrying"
        opend.listen()
        await subscribed(opend, "US.AAPL")
        await connected(running)
        assert running.feed.status().detail is None
    assert caplog.text.count("is not reachable") == 1
    assert running.feed.status().state == "stopped"


async def test_after_a_drop_everything_wanted_is_subscribed_again(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Also what came to be wanted meanwhile, and although OpenD refuses some of it now."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        running.feed.want(TSLA)
        await subscribed(opend, "US.AAPL", "US.TSLA")
        opend.refuse(US_TSLA="no quota left")
        opend.drop()
        await eventually(lambda: running.feed.status().state == "disconnected", "the loss")
        assert running.feed.status().symbols == 0
        running.feed.want(Topic("orderbook", Symbol("US.MSFT")))
        await subscribed(opend, "US.AAPL", "US.MSFT")
        opend.push(book(size=7))
        await eventually(lambda: "US.AAPL" in running.books, "data")


async def test_a_subscription_that_opend_confirmed_but_lost_is_made_again(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenD is asked what it really has."""
    opend.lose("US.TSLA")
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        running.feed.want(TSLA)
        await subscribed(opend, "US.AAPL", "US.TSLA")
    assert "OpenD has lost US.TSLA; subscribing again" in caplog.text


async def test_an_opend_that_accepts_and_says_nothing_is_left_and_tried_again(
    opend: Controller, run_feed: RunFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's package would wait for it for ever."""
    monkeypatch.setattr(client, "HANDSHAKE_SECONDS", 0.2)
    opend.mute()
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await eventually(lambda: "doesn't answer; retrying" in detail(running), "the complaint")
        opend.mute(muted=False)
        await subscribed(opend, "US.AAPL")
    await eventually(lambda: opend.connections() == 0, "no connection left behind")


async def test_a_network_that_cannot_be_reached_is_tried_again(run_feed: RunFeed) -> None:
    """There, connecting fails on the spot, which the vendor's package forgets to tell."""
    # A stream can't go to a broadcast address, which the kernel says at once.
    async with run_feed(9, host="255.255.255.255") as running:
        await eventually(lambda: "is not reachable; retrying" in detail(running), "the complaint")


async def test_a_bad_host_name_is_said_and_tried_again(
    opend: Controller, run_feed: RunFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's package would never come back from it."""
    resolve = socket.getaddrinfo
    fail = True

    def getaddrinfo(*arguments: object, **more: object) -> object:
        if fail:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(*arguments, **more)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with run_feed(opend.port, host="localhost") as running:
        await eventually(lambda: running.feed.status().state == "disconnected", "the complaint")
        assert detail(running) == (
            "The host name 'localhost' of OpenD can't be resolved: "
            "Name or service not known; retrying"
        )
        fail = False
        await connected(running)


@pytest.mark.parametrize("state", ["starting", "connected", "unreachable", "mute", "silent"])
async def test_the_feed_ends_at_once_whatever_opend_does(
    opend: Controller, run_feed: RunFeed, state: str
) -> None:
    """No thread is left that would hold the process up, and no connection."""
    if state == "unreachable":
        opend.stop_listening()
    if state == "mute":
        opend.mute()
    async with run_feed(opend.port) as running:
        match state:
            case "unreachable":
                await eventually(lambda: "not reachable" in detail(running), "the complaint")
            case "mute":
                await eventually(lambda: opend.requests() != [], "the handshake")
            case "connected":
                await connected(running)
            case "silent":
                await connected(running)
                opend.mute()
                running.feed.want(AAPL)
                await eventually(lambda: SUB in opend.requests(), "a call without an answer")
        began = time.monotonic()
        assert running.task is not None
        running.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running.task
        assert time.monotonic() - began < 1
    await eventually(lambda: opend.connections() == 0, "the end of the connection")
    await eventually(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("bookcast-futu")],
        "the end of the feed's thread",
    )
    assert [t for t in threading.enumerate() if not t.daemon] == [threading.main_thread()]


async def test_a_stalled_loop_finds_only_the_newest_book_of_each_symbol(
    opend: Controller, run_feed: RunFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came while it was busy is not queued."""
    decoded: list[float] = []

    def note(s2c: object, received_ms: float) -> tuple[Symbol, Book] | None:
        made = decode_order_book(s2c, received_ms)
        assert made is not None
        decoded.append(made[1].bids[0].size)
        return made

    monkeypatch.setattr(client, "decode_order_book", note)
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        opend.push(*(book(size=size) for size in range(1, 1001)))
        # The loop stands still until the vendor's thread has decoded the last book.
        deadline = time.monotonic() + PATIENCE
        while len(decoded) < 1000:
            assert time.monotonic() < deadline
            time.sleep(0.01)  # noqa: ASYNC251 - standing still is the point
        await eventually(lambda: running.published > 0, "the newest book")
        assert running.books["US.AAPL"].bids[0].size == 1000
        assert running.published == 1


async def test_books_wait_one_for_each_symbol() -> None:
    """And wake the loop once."""
    books = client.LatestBooks(asyncio.get_running_loop())
    first, second = Book((), (), feed_ms=1), Book((), (), feed_ms=2)
    other = Symbol("US.TSLA")

    def vendor() -> None:
        books.put(US_AAPL, first)
        books.put(other, first)
        books.put(US_AAPL, second)

    threading.Thread(target=vendor).start()
    got: dict[Symbol, Book] = {}
    while got.get(US_AAPL) is not second:
        got.update(await asyncio.wait_for(books.take(), PATIENCE))
    assert got == {US_AAPL: second, other: first}


async def test_an_error_pushed_instead_of_a_book_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """It isn't raised, where the vendor's package would swallow it; nor is a fault of ours."""
    books = client.LatestBooks(asyncio.get_running_loop())
    connection = client.Connection(books, asyncio.Event())
    connection.receive(SimpleNamespace(retType=-1, retMsg="no right"))
    assert "OpenD pushed an error: no right (-1)" in caplog.text
    for _ in range(3):
        connection.receive(SimpleNamespace(retType=0, s2c=None))
    assert caplog.text.count("can't be decoded") == 1


class Vendor:
    """As much of the vendor's package as a context needs, without a network."""

    RET_OK = 0

    class OpenQuoteContext:
        """It notes what is called."""

        def __init__(self, **options: object) -> None:
            self.calls: list[str] = []

        def on_disconnect(self, *_arguments: object) -> None:
            self.calls.append("vendor's own part")

        def close(self) -> None:
            self.calls.append("close")


@pytest.mark.parametrize(("reason", "silent"), [("KeepAliveFail", True), ("RemoteClose", False)])
async def test_a_lost_connection_is_final_and_says_why(reason: str, silent: bool) -> None:
    """It is closed before the vendor's own part, which would begin to reconnect."""
    connection = client.Connection(client.LatestBooks(asyncio.get_running_loop()), asyncio.Event())
    context = client._context_class(Vendor)(connection, "127.0.0.1", 11111)
    assert context.on_api_socket_reconnected() == (0, "")
    assert connection.state == "ready"
    context.on_disconnect(1, SimpleNamespace(name=reason), "")
    assert context.calls == ["close", "vendor's own part"]
    connection.become("ready")
    assert (connection.state, connection.silent) == ("lost", silent)


@pytest.mark.parametrize("failures", [1, 2, 5, 1000])
def test_attempts_grow_rarer_up_to_a_cap_and_with_jitter(failures: int) -> None:
    """However long OpenD stays away."""
    least, most = client.retry_delay(failures, 0), client.retry_delay(failures, 1)
    assert 0 < least == most / 2
    assert most == min(client.MAX_DELAY, client.FIRST_DELAY * 2 ** (min(failures, 20) - 1))


IMPORT_AND_RUN = """
import asyncio, os, signal, sys
from bookcast.feeds.futu import FutuFeed
assert "futu" not in sys.modules
before = signal.getsignal(signal.SIGINT), os.environ.get("HOME")

async def publish(_): pass

async def main():
    feed = FutuFeed(publish, host="127.0.0.1", port=int(sys.argv[1]))
    task = asyncio.create_task(feed.run())
    while feed.status().state != "connected":
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main())
assert "futu" in sys.modules
assert (signal.getsignal(signal.SIGINT), os.environ.get("HOME")) == before
"""


@pytest.mark.parametrize("with_home", [True, False])
def test_the_vendor_touches_neither_home_nor_signals_nor_output(
    opend: Controller, tmp_path: Path, with_home: bool
) -> None:
    """With a home folder or without, also where warnings are errors; and the process ends."""
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_AND_RUN, str(opend.port)],
        capture_output=True,
        text=True,
        env=environ | ({"HOME": str(tmp_path)} if with_home else {}),
        timeout=PATIENCE * 3,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


async def test_the_vendors_log_is_ours_at_debug_level(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """Its warnings are details to us."""
    caplog.set_level(logging.DEBUG, "bookcast.feeds.futu.vendor")
    opend.stop_listening()
    async with run_feed(opend.port) as running:
        await eventually(lambda: running.feed.status().state == "disconnected", "the complaint")
    found = [record for record in caplog.records if record.name == "bookcast.feeds.futu.vendor"]
    assert any("Connect fail" in record.getMessage() for record in found)
    assert {record.levelno for record in found} == {logging.DEBUG}


def test_a_missing_package_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(client, "find_spec", lambda _name: None)
    with pytest.raises(StartupError, match=r'pip install "bookcast\[futu\]"$'):
        client.require_futu()
