import asyncio
import contextlib
import socket
import threading
import time

import pytest

from bookcast import serve
from bookcast.feeds.futu import client, connection
from bookcast.feeds.futu.decode import decode_order_book
from bookcast.model import Level, Publication, Symbol, Topic
from tests.fakes.opend import SUB, Controller
from tests.feeds.futu.conftest import RunFeed, Running
from tests.support import AAPL, PATIENCE, TSLA, connect, eventually, published_book


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
        await eventually(lambda: "US.AAPL" in running.newest, "the book")
        got, times = running.book("US.AAPL"), running.newest["US.AAPL"]
        assert got.bids == (Level(189.5, 0.125, 4),)
        assert got.asks == (Level(189.6, 100, 2),)
        assert type(got.asks[0].size) is int
        assert times.exchange_ms == 1_700_000_000_123
        assert times.feed_ms is not None
        assert before - 1 <= times.feed_ms <= time.time() * 1000 + 1


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
        await eventually(lambda: "HK.00700" in running.newest, "the first push")


async def test_books_of_odd_lots_are_passed_over(opend: Controller, run_feed: RunFeed) -> None:
    """They come in the same message, and would replace the book."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        opend.push(book(size=1) | {"type": 1}, book(size=2))
        await eventually(lambda: "US.AAPL" in running.newest, "the book")
        assert running.published == 1
        assert running.book("US.AAPL").bids[0].size == 2


async def test_a_refused_code_takes_no_other_down(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenD's own reason is in the log and in the status."""
    opend.refuse(US_TSLA="no quote right for US.TSLA")
    async with run_feed(opend.port) as running:
        running.feed.want(TSLA)
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        await eventually(lambda: "OpenD refuses US.TSLA: no quote right" in caplog.text, "a log")
        assert running.feed.status().state == "connected"
        assert detail(running) == "OpenD refuses US.TSLA: no quote right for US.TSLA"


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
            await eventually(lambda: "US.AAPL" in running.newest, "the book")
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
        await eventually(lambda: "US.AAPL" in running.newest, "data")


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
            "FUTU_HOST is 'localhost', which can't be resolved: Name or service not known; retrying"
        )
        fail = False
        await connected(running)


async def test_a_host_name_that_cannot_be_one_is_said_as_well(run_feed: RunFeed) -> None:
    """Although Python says so in another way."""
    async with run_feed(1, host="x" * 64) as running:
        await eventually(lambda: "FUTU_HOST is 'xxx" in detail(running), "the complaint")


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

    def note(s2c: object, received_ms: float) -> Publication | None:
        made = decode_order_book(s2c, received_ms)
        assert made is not None
        decoded.append(published_book(made).bids[0].size)
        return made

    monkeypatch.setattr(connection, "decode_order_book", note)
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
        assert running.book("US.AAPL").bids[0].size == 1000
        assert running.published == 1
