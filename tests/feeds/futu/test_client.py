import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from Crypto.PublicKey import RSA

from bookcast import serve
from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.feed_state import Quota
from bookcast.model.market_data import Candle, Level
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.fakes.opend import MARKET_STATE, SUB, Controller
from tests.fakes.opend.wire import GLOBAL_STATE
from tests.feeds.futu.conftest import SOON_CLOSED, RunFeed, Running
from tests.support import AAPL, TSLA, connect, eventually, published_book

AU = Topic("orderbook", Symbol("AU.BHP"))


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


async def test_a_book_of_odd_lots_is_a_topic_of_its_own(
    opend: Controller, run_feed: RunFeed
) -> None:
    """It comes in the same message as the usual book, and takes nothing from it."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        running.feed.want(AAPL._replace(variant="odd"))
        await eventually(lambda: opend.held() == ["US.AAPL:2", "US.AAPL:22"], "both")
        opend.push(book(size=1) | {"type": 1}, book(size=2))
        await eventually(lambda: len(running.published) == 2, "the books")
        sizes = {p.topic.variant: published_book(p).bids[0].size for p in running.published}
        assert sizes == {"odd": 1, "": 2}


async def test_a_refused_code_takes_no_other_down(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenD's own reason is in the log and in the status."""
    opend.refuse(US_TSLA="no quote right for US.TSLA")
    async with run_feed(opend.port) as running:
        running.feed.want(TSLA)
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        await eventually(
            lambda: "OpenD refuses orderbook:US.TSLA: no quote right" in caplog.text, "a log"
        )
        assert running.feed.status().state == "connected"
        assert detail(running) == "OpenD refuses orderbook:US.TSLA: no quote right for US.TSLA"


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
    assert "OpenD has lost orderbook:US.TSLA; subscribing again" in caplog.text


async def test_an_opend_that_accepts_and_says_nothing_is_left_and_tried_again(
    opend: Controller, run_feed: RunFeed
) -> None:
    """What it was asked then, it won't answer when it is back."""
    opend.mute()
    async with run_feed(opend.port, times=FutuTimes(attempt_seconds=0.1)) as running:
        running.feed.want(AAPL)
        await eventually(lambda: "doesn't answer; retrying" in detail(running), "the complaint")
        opend.mute(muted=False)
        await subscribed(opend, "US.AAPL")
        await eventually(lambda: opend.connections() == 1, "one connection")
    await eventually(lambda: opend.connections() == 0, "no connection left behind")


async def test_a_slow_opend_is_waited_for(opend: Controller, run_feed: RunFeed) -> None:
    """Although others are tried beside it meanwhile."""
    opend.slow(0.25)
    async with run_feed(opend.port, times=FutuTimes(attempt_seconds=0.1)) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        await eventually(lambda: opend.connections() == 1, "one connection")


async def test_a_bad_host_name_is_said_and_tried_again(
    opend: Controller, run_feed: RunFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's package would never come back from it."""
    resolve = socket.getaddrinfo
    fail = True

    def getaddrinfo(*arguments: object, **more: object) -> object:
        if fail:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve("127.0.0.1", *arguments[1:], **more)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with run_feed(opend.port, host="name.example") as running:
        await eventually(lambda: running.feed.status().state == "disconnected", "the complaint")
        assert detail(running) == (
            "FUTU_HOST is 'name.example', which can't be resolved: Name or service not known; "
            "retrying"
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
        assert time.monotonic() - began < FutuTimes().connect_seconds
    await eventually(lambda: opend.connections() == 0, "the end of the connection")
    await eventually(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("bookcast-futu")],
        "the end of the feed's thread",
    )
    assert [t for t in threading.enumerate() if not t.daemon] == [threading.main_thread()]


async def test_a_closed_market_is_told(opend: Controller, run_feed: RunFeed) -> None:
    """And a break as well; an unknown state closes nothing."""
    opend.set_markets(US=6, HK=4)
    hk = Topic("orderbook", Symbol("HK.00700"))
    async with run_feed(opend.port, times=SOON_CLOSED) as running:
        for topic in (AAPL, hk, AU):
            running.feed.want(topic)
        await subscribed(opend, "AU.BHP", "HK.00700", "US.AAPL")
        await eventually(lambda: running.feed.supply(AAPL).state == "closed", "the state")
        assert running.feed.supply(AAPL).reason == "the market is closed"
        assert running.feed.supply(hk).reason == "the market has its lunch break"
        assert running.feed.supply(AU).state == "live"


FUTURE = Topic("orderbook", Symbol("HK.HSImain"))
CALL = Topic("quote", Symbol("US.AAPL260914C332500"))
PUT = Topic("quote", Symbol("US.AAPL260914P300000"))
LATER = Topic("quote", Symbol("US.AAPL260918C332500"))
TENCENT = Topic("orderbook", Symbol("HK.00700"))


async def test_a_securitys_own_state_is_asked_for(opend: Controller, run_feed: RunFeed) -> None:
    """Futures, options and single stocks keep other hours than their market."""
    opend.set_markets(HK=6, HKFuture=17, US=6)
    opend.set_states({"HK.HSImain": 13, "US.AAPL": 37})
    async with run_feed(opend.port, times=SOON_CLOSED) as running:
        for topic in (FUTURE, AAPL, TENCENT, CALL):
            running.feed.want(topic)
        await eventually(lambda: MARKET_STATE in opend.requests(), "the request")
        await eventually(lambda: running.feed.supply(TENCENT).state == "closed", "the market")
        await eventually(lambda: running.feed.supply(CALL).state == "closed", "the option")
        await eventually(lambda: running.feed.supply(FUTURE).state == "live", "the future")
        assert running.feed.supply(AAPL).state == "live"
        assert opend.requests().count(MARKET_STATE) <= 4


async def test_what_comes_in_a_closed_market_is_not_closed(
    opend: Controller, run_feed: RunFeed
) -> None:
    """OpenD's word for its state may be wrong, or trading goes on all the same."""
    opend.set_markets(HKFuture=17)
    async with run_feed(opend.port) as running:
        running.feed.want(FUTURE)
        await subscribed(opend, "HK.HSImain")
        for _ in range(5):  # the first push doesn't come at once
            await asyncio.sleep(0.5)
            assert running.feed.supply(FUTURE).state == "live"
        opend.push(book("HK.HSImain"))
        await asyncio.sleep(0.1)
        assert running.feed.supply(FUTURE).state == "live"
        await asyncio.sleep(1.2)
        assert running.feed.supply(FUTURE).state == "live"


async def test_what_comes_makes_a_closed_topic_live(opend: Controller, run_feed: RunFeed) -> None:
    """It was quiet before."""
    opend.set_markets(HKFuture=17)
    async with run_feed(opend.port, times=SOON_CLOSED) as running:
        running.feed.want(FUTURE)
        await eventually(lambda: running.feed.supply(FUTURE).state == "closed", "the state")
        opend.push(book("HK.HSImain"))
        await eventually(lambda: running.feed.supply(FUTURE).state == "live", "the book")


async def test_options_wait_for_the_quota_of_options(run_feed: RunFeed) -> None:
    """A full quota of stocks doesn't hold them up, and theirs doesn't hold up stocks."""
    opend = Controller(quota=1, option_quota=1)
    try:
        async with run_feed(opend.port) as running:
            feed = running.feed
            for topic in (AAPL, CALL):
                feed.want(topic)
            await eventually(lambda: opend.held() == sorted(["US.AAPL:2", f"{CALL.symbol}:1"]), "")
            for topic in (TSLA, LATER, PUT):
                feed.want(topic)
            await eventually(lambda: f"{PUT.symbol}:1" in opend.held(), "one of the same chain")
            assert feed.supply(TSLA).quota == Quota(1, 1, None, "stock")
            assert feed.supply(LATER).quota == Quota(1, 1, None, "option")
            assert "options" in (feed.supply(LATER).reason or "")
            opend.set_option_quota(2)
            await eventually(lambda: f"{LATER.symbol}:1" in opend.held(), "the room")
            assert feed.supply(TSLA).state == "pending"
    finally:
        opend.close()


async def test_a_full_quota_of_options_that_was_not_told_is_no_refusal(
    opend: Controller, run_feed: RunFeed
) -> None:
    """OpenD is asked again when it refuses, and the topic waits."""
    async with run_feed(opend.port) as running:
        running.feed.want(CALL)
        await eventually(lambda: f"{CALL.symbol}:1" in opend.held(), "the first")
        opend.set_option_quota(1)
        running.feed.want(LATER)
        await eventually(lambda: running.feed.supply(LATER).quota is not None, "the quota")
        assert running.feed.supply(LATER).refusal is None
        assert running.feed.supply(LATER).state == "pending"


async def test_an_opend_that_tells_nothing_of_options_decides_alone(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Older ones don't; a full quota of stocks doesn't hold options up then either."""
    opend.set_option_quota(None)
    opend.set_quota(1)
    async with run_feed(opend.port) as running:
        for topic in (AAPL, CALL, LATER):
            running.feed.want(topic)
        await eventually(lambda: len(opend.held()) == 3, "all of them")


async def test_books_of_hong_kong_are_limited_with_the_sf_right(
    opend: Controller, run_feed: RunFeed
) -> None:
    """To fifty securities; their brokers come with them, their quotes besides."""
    opend.set_rights(hk=4)
    codes = [Symbol(f"HK.{number:05}") for number in range(1, 52)]
    async with run_feed(opend.port) as running:
        feed = running.feed
        for code in codes:
            feed.want(Topic("orderbook", code))
        await eventually(lambda: len(opend.held()) == 50, "fifty books")
        last = Topic("orderbook", codes[-1])
        full = Quota(50, 50, None, "sf_book")
        await eventually(lambda: feed.supply(last).quota == full, "the reason of the last one")
        for topic in (Topic("brokers", codes[0]), Topic("quote", codes[-1])):
            feed.want(topic)
        await eventually(lambda: len(opend.held()) == 52, "what isn't limited")
        feed.release(Topic("orderbook", codes[1]))
        await eventually(lambda: f"{codes[-1]}:2" in opend.held(), "the place that came free")


async def test_a_right_that_falls_to_one_level_is_told(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Books go on, with their best level; other channels have nothing to tell."""
    async with run_feed(opend.port) as running:
        quote = Topic("quote", AAPL.symbol)
        for topic in (AAPL, quote):
            running.feed.want(topic)
        await eventually(lambda: len(opend.held()) == 2, "both")
        opend.set_rights(us=2)
        await eventually(lambda: running.feed.supply(AAPL).reason is not None, "the reason")
        supply = running.feed.supply(AAPL)
        assert supply.state == "live"
        assert "fell from Level 2 to Level 1" in (supply.reason or "")
        assert running.feed.supply(quote).reason is None


async def test_what_was_refused_is_asked_for_when_a_right_comes(
    opend: Controller, run_feed: RunFeed
) -> None:
    """At once."""
    opend.set_rights(us_option=5)
    async with run_feed(opend.port) as running:
        running.feed.want(CALL)
        await eventually(lambda: running.feed.supply(CALL).refusal is not None, "the refusal")
        assert "US options is none" in (running.feed.supply(CALL).refusal or "")
        opend.set_rights(us_option=3)
        await eventually(lambda: opend.held() == [f"{CALL.symbol}:1"], "the subscription")


async def test_a_lost_login_is_told_and_its_end_too(opend: Controller, run_feed: RunFeed) -> None:
    """Although the connection to OpenD stays."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        opend.kick("logged in on a phone")
        await eventually(lambda: running.feed.supply(AAPL).state == "feed_down", "the loss")
        # The notice is heard first; what OpenD says when it is asked then soon takes its place.
        assert running.feed.supply(AAPL).reason in {
            (
                "this account was logged in elsewhere, which takes its quote rights over: "
                "logged in on a phone"
            ),
            "OpenD isn't logged in to the quote servers: logged in on a phone",
        }
        assert running.feed.status().state == "disconnected"
        opend.login(qot=True)
        await eventually(lambda: running.feed.supply(AAPL).state == "live", "the login")
        assert running.feed.status().state == "connected"


async def test_an_answer_from_before_a_lost_login_does_not_deny_it(
    opend: Controller, run_feed: RunFeed
) -> None:
    """The notice overtakes an answer that is on its way."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        opend.slow(0.3)
        await eventually(lambda: opend.requests().count(GLOBAL_STATE) == 1, "the question")
        opend.kick("logged in on a phone")
        await eventually(lambda: running.feed.status().state == "disconnected", "the loss")
        # It is asked once more, since what is answered first can't be relied on.
        await eventually(lambda: opend.requests().count(GLOBAL_STATE) == 2, "the second question")
        assert running.feed.status().state == "disconnected"


async def test_an_opend_that_is_not_logged_in_is_told(opend: Controller, run_feed: RunFeed) -> None:
    """From the beginning."""
    opend.login(qot=False)
    async with run_feed(opend.port) as running:
        await eventually(lambda: "isn't logged in" in detail(running), "the complaint")


async def test_a_right_that_is_taken_over_is_told(opend: Controller, run_feed: RunFeed) -> None:
    """What is pushed no more can't be live."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await subscribed(opend, "US.AAPL")
        opend.set_rights(us=1)
        await eventually(lambda: running.feed.supply(AAPL).state == "feed_down", "the loss")
        assert "US stocks is BMP" in (running.feed.supply(AAPL).reason or "")
        opend.set_rights(us=3)
        await eventually(lambda: running.feed.supply(AAPL).state == "live", "the return")


async def test_the_next_opend_takes_over_when_one_is_lost(run_feed: RunFeed) -> None:
    """A standby is left alone until then, and serves until it is lost itself."""
    primary, standby = Controller(), Controller()
    try:
        async with run_feed(primary.port, standby.port) as running:
            running.feed.want(AAPL)
            await subscribed(primary, "US.AAPL")
            assert standby.requests() == []
            primary.stop_listening()
            await subscribed(standby, "US.AAPL")
            primary.listen()
            standby.push(book())
            await eventually(lambda: "US.AAPL" in running.newest, "a book of the standby")
            assert primary.connections() == 0
            standby.stop_listening()
            await subscribed(primary, "US.AAPL")
    finally:
        primary.close()
        standby.close()


async def test_an_encrypted_opend_is_served_from_its_key(tmp_path: Path) -> None:
    """Which one setting names; everything else is the same."""
    key = tmp_path / "key.pem"
    key.write_bytes(RSA.generate(1024).export_key())
    opend = Controller(rsa_key_file=key)
    try:
        async with (
            serve(
                port=0, feed="moomoo", futu_port=opend.port, futu_rsa_key_file=str(key)
            ) as server,
            connect(server.ws_url + "me") as ws,
        ):
            await ws.subscribe("AAPL")
            await subscribed(opend, "US.AAPL")
            opend.push(book(size=3))
            assert (await ws.hear())["data"]["bids"][0]["volume"] == 3
    finally:
        opend.close()


async def test_a_slow_engine_gets_the_newest_book_and_every_trade(
    opend: Controller, run_feed: RunFeed
) -> None:
    """What came while it was busy is not queued, unless each one counts."""
    trades = Topic("trades", AAPL.symbol)
    async with run_feed(opend.port) as running:
        busy = asyncio.Event()
        publish = running.feed.publish

        async def wait_first(publications: Sequence[Publication]) -> None:
            await publish(publications)
            await busy.wait()

        running.feed.publish = wait_first
        running.feed.want(AAPL)
        running.feed.want(trades)
        await eventually(lambda: opend.held() == ["US.AAPL:2", "US.AAPL:4"], "both")
        opend.push(book(size=0.5))
        await eventually(lambda: len(running.published) == 1, "the first")
        opend.push(*(book(size=size) for size in range(1, 1001)))
        for number in range(20):
            opend.push_trades(
                "US.AAPL", {"sequence": number, "time": 1.0, "price": 1, "size": 1, "dir": 1}
            )
        await eventually(lambda: len(running.feed._inbox._events) == 20, "the trades")
        busy.set()
        await eventually(lambda: len(running.published) == 22, "all")
        assert running.book("US.AAPL").bids[0].size == 1000


async def test_the_last_candle_of_a_session_is_final_when_the_market_closes(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Not with the first one of the next session; and OpenD may correct it."""
    times = FutuTimes(markets_seconds=0.1, endings_seconds=0.05, corrections_seconds=0.3)
    topic = Topic("candles", Symbol("HK.00700"), "1m")
    last = {"time": time.time() // 60 * 60, "open": 5, "high": 6, "low": 5, "close": 5.5}
    async with run_feed(opend.port, times=times) as running:
        running.feed.want(topic)
        await subscribed(opend, "HK.00700")
        opend.push_candles("HK.00700", "1m", last | {"volume": 7})

        def told() -> list[tuple[object, ...]]:
            candles = [one.data for one in running.published if isinstance(one.data, Candle)]
            return [(candle.volume, candle.final, candle.revised) for candle in candles]

        await eventually(lambda: told() == [(7, False, False)], f"forming {told()}")
        opend.set_markets(HK=6)
        await eventually(lambda: told()[1:] == [(7, True, False)], f"final {told()}")
        opend.push_candles("HK.00700", "1m", last | {"volume": 8})
        await eventually(lambda: told()[2:] == [(8, True, True)], f"revised {told()}")
