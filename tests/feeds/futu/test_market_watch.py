from __future__ import annotations

from bookcast.feeds.futu import market_watch
from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.topics import Symbol, Topic
from tests.fakes.opend import MARKET_STATE, Controller
from tests.feeds.futu.conftest import RunFeed
from tests.support import AAPL, TSLA, eventually


async def test_a_changed_market_has_its_securities_asked_for_again(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Within the next look, not within a minute."""
    times = FutuTimes(first_push_seconds=0.5, markets_seconds=0.1)
    async with run_feed(opend.port, times=times) as running:
        running.feed.want(AAPL)
        await eventually(lambda: MARKET_STATE in opend.requests(), "the first request")
        opend.set_markets(US=6)
        await eventually(lambda: opend.requests().count(MARKET_STATE) == 2, "another one")
        await eventually(lambda: running.feed.supply(AAPL).state == "closed", "the answer")


async def test_polled_symbols_have_states_too(opend: Controller, run_feed: RunFeed) -> None:
    """A snapshot that doesn't change in a closed market is no news."""
    opend.set_rights(us=1)
    opend.set_states({"US.AAPL": 6})
    opend.snapshot({"code": "US.AAPL", "last": 5, "time": 1_700_000_000, "prev_close": 5})
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await eventually(lambda: running.feed.supply(AAPL).source == "snapshot", "the snapshots")
        await eventually(lambda: MARKET_STATE in opend.requests(), "the request")
        closed = running.feed._account.market(AAPL.symbol).closed
        await eventually(
            lambda: running.feed._account.market(AAPL.symbol).closed is not None, f"{closed}"
        )
        assert running.feed.supply(AAPL).state == "live", "the first snapshot has just come"


async def test_an_opend_that_does_not_know_the_request_serves_all_the_same(
    opend: Controller, run_feed: RunFeed
) -> None:
    """The market's state stands in, and OpenD isn't asked for ever."""
    times = FutuTimes(first_push_seconds=0.5, optional_seconds=0.05)
    opend.ignore(MARKET_STATE)
    opend.set_markets(US=6, HK=3)
    hk = Topic("orderbook", Symbol("HK.00700"))
    async with run_feed(opend.port, times=times) as running:
        for topic in (AAPL, TSLA, hk):
            running.feed.want(topic)
        await eventually(
            lambda: opend.requests().count(MARKET_STATE) == market_watch.MAX_FAILURES, "the tries"
        )
        await eventually(lambda: running.feed.supply(AAPL).state == "closed", "the market's state")
        assert running.feed.supply(hk).state == "live"
