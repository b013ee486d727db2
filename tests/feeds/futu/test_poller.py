import msgspec
import pytest

from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.market_data import Level
from bookcast.model.topics import Symbol, Topic
from tests.fakes.opend import Controller
from tests.feeds.futu.conftest import RunFeed
from tests.support import AAPL, TSLA, eventually


async def test_a_suspended_symbol_is_halted(opend: Controller, run_feed: RunFeed) -> None:
    """By its quote, or by a look at what is suspiciously quiet."""
    times = FutuTimes(quiet_seconds=0.001, halts_seconds=0.1)
    quote = {"last": 1, "open": 1, "high": 1, "low": 1, "prev_close": 1, "volume": 0, "turnover": 0}
    opend.snapshot({"code": "US.TSLA", "suspended": True} | quote)
    opend.snapshot({"code": "US.AAPL"} | quote)
    async with run_feed(opend.port, times=times) as running:
        running.feed.want(AAPL._replace(channel="quote"))
        running.feed.want(TSLA)
        await eventually(lambda: opend.subscriptions() == ["US.AAPL", "US.TSLA"], "both")
        opend.push_quotes({"code": "US.AAPL", "suspended": True} | quote)
        await eventually(lambda: running.feed.supply(TSLA).state == "halted", "the look")
        opend.push_quotes({"code": "US.AAPL"} | quote)
        await eventually(lambda: running.feed.supply(AAPL).state != "halted", "the end")


async def test_where_push_is_not_allowed_snapshots_are_polled(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Quotes, and books of one level; a symbol without a snapshot takes no other's."""
    quote = {"last": 5.5, "open": 5, "high": 6, "low": 5, "prev_close": 5, "volume": 10}
    sides = {"turnover": 55.5, "bid": 5.4, "ask": 5.6, "bid_size": 100, "ask_size": 200}
    opend.set_rights(us=1)
    opend.snapshot({"code": "US.AAPL", **quote, **sides})
    async with run_feed(opend.port) as running:
        for topic in (AAPL, AAPL._replace(channel="quote"), TSLA):
            running.feed.want(topic)
        await eventually(
            lambda: len({p.topic.channel for p in running.published}) == 2, "the snapshots"
        )
        supply = running.feed.supply(AAPL)
        assert (supply.source, supply.state, supply.every_ms) == ("snapshot", "live", 1000)
        by_channel = {p.topic.channel: p.data for p in running.published}
        [bid], [ask] = by_channel["orderbook"].bids, by_channel["orderbook"].asks  # type: ignore[union-attr] # the kind is known here
        assert (bid, ask) == (Level(5.4, 100), Level(5.6, 200))
        assert by_channel["quote"].bid == 5.4  # type: ignore[union-attr] # the kind is known here
        assert running.feed.supply(TSLA).state == "pending"
        opend.set_rights(us=3)
        count = len(running.published)
        await eventually(lambda: len(running.published) >= count + 2, "the next round")


@pytest.mark.parametrize(
    ("part", "said", "known"),
    [
        ("option", {"strike": 5, "delta": 0, "net_oi": 0}, {"strike": 5, "delta": 0, "net_oi": 0}),
        ("future", {"prev_settle": 17, "oi": 3}, {"prev_settle": 17, "oi": 3, "oi_change": 0}),
        ("warrant", {"iv": 20.5}, {"iv": 20.5, "premium": 0, "delta": 0}),
    ],
)
async def test_a_polled_quote_has_the_figures_of_its_kind(
    opend: Controller,
    run_feed: RunFeed,
    part: str,
    said: dict[str, float],
    known: dict[str, float],
) -> None:
    """As one that is pushed does."""
    opend.refuse(HK_12345="no right")
    opend.snapshot({"code": "HK.12345", "last": 0.5, "status": 1, part: said})
    quote = Topic("quote", Symbol("HK.12345"))
    async with run_feed(opend.port) as running:
        running.feed.want(quote)
        await eventually(lambda: bool(running.published), "the snapshot")
        figures = getattr(running.published[0].data, part)
        assert msgspec.structs.asdict(figures).items() >= known.items()
