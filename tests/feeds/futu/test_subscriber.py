import asyncio
from typing import Any

import pytest

from bookcast.feeds.futu import calls, subscriber
from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.market_data import Candle, Trades
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.fakes.opend import (
    KL,
    SNAPSHOT,
    STATIC_INFO,
    SUB,
    SUB_INFO,
    TICKER,
    USER_INFO,
    Controller,
    wire,
)
from tests.feeds.futu.conftest import RunFeed
from tests.support import AAPL, TSLA, eventually

TRADES = Topic("trades", AAPL.symbol)
CANDLES = Topic("candles", AAPL.symbol, "1m")
MSFT = Topic("orderbook", Symbol("US.MSFT"))


def trade(sequence: int, size: float = 10) -> dict[str, object]:
    return {
        "sequence": sequence,
        "time": 1_700_000_000 + sequence,
        "price": 5.5,
        "size": size,
        "dir": 1,
    }


def candle(minute: int, close: float = 5.5) -> dict[str, object]:
    return {
        "time": 1_700_000_040 + 60 * minute,
        "open": 5,
        "high": 6,
        "low": 5,
        "close": close,
        "volume": 100,
        "turnover": 550.5,
    }


def ids(publications: list[Publication]) -> list[object]:
    return [t.id for p in publications if isinstance(p.data, Trades) for t in p.data.trades]


def finals(publications: list[Publication]) -> list[Any]:
    return [p for p in publications if isinstance(p.data, Candle) and p.data.final]


async def held(opend: Controller, *expected: str) -> None:
    await eventually(
        lambda: opend.held() == sorted(expected), f"{expected} instead of {opend.held()}"
    )


async def test_what_the_quota_does_not_allow_waits_and_is_told(run_feed: RunFeed) -> None:
    """With what is used, and when something may come free; then it comes."""
    opend = Controller(quota=1)
    try:
        async with run_feed(opend.port, linger_seconds=60) as running:
            running.feed.want(AAPL)
            await held(opend, "US.AAPL:2")
            running.feed.want(TSLA)
            await eventually(lambda: running.feed.supply(TSLA).quota is not None, "the quota")
            supply = running.feed.supply(TSLA)
            assert supply.state == "pending"
            assert supply.quota is not None
            assert (supply.quota.used, supply.quota.limit, supply.quota.next_free_ms) == (
                1,
                1,
                None,
            )
            assert supply.reason == "the account's quota is used up: 1 of 1 subscriptions"
            running.feed.release(AAPL)
            await held(opend, "US.TSLA:2")
            await eventually(lambda: running.feed.supply(TSLA).state == "live", "its answer")
    finally:
        opend.close()


async def test_what_another_program_takes_of_the_quota_is_found_out(
    run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenD's refusal is told as waiting for quota."""
    opend = Controller(quota=2)
    try:
        async with run_feed(opend.port) as running:
            running.feed.want(AAPL)
            await held(opend, "US.AAPL:2")
            opend.set_quota(1)
            running.feed.want(TSLA)
            await eventually(lambda: running.feed.supply(TSLA).quota is not None, "the quota")
            assert running.feed.supply(TSLA).refusal is None
            opend.set_quota(2)
            await held(opend, "US.AAPL:2", "US.TSLA:2")
    finally:
        opend.close()


async def test_every_request_for_data_names_the_broker(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Subscriptions, their end, what was before them, snapshots and lists."""
    opend.define({"code": "CC.BTCUSD", "name": "Bitcoin", "type": 12})
    opend.set_rights(us=1)
    bitcoin = Symbol("CC.BTCUSD")
    topics = [Topic("trades", bitcoin), Topic("candles", bitcoin, "1m"), Topic("quote", bitcoin)]
    async with run_feed(opend.port, firm=calls.FIRMS["FUTUSG"]) as running:
        for topic in (*topics, AAPL):
            running.feed.want(topic)
        await held(opend, *(f"CC.BTCUSD:{kind}" for kind in (1, 4, 11)))
        await eventually(lambda: SNAPSHOT in opend.requests(), "the snapshot of what isn't pushed")
        await running.feed.search("btc")
        for topic in topics:
            running.feed.release(topic)
        await held(opend)
    named: dict[int, set[int]] = {}
    for protocol, body in opend.recorded():
        request = wire.messages(protocol).Request()
        request.ParseFromString(bytes.fromhex(body))
        if "header" in request.c2s.DESCRIPTOR.fields_by_name and protocol != SUB_INFO:
            named.setdefault(protocol, set()).add(request.c2s.header.securityFirm)
    assert {SUB, KL, TICKER, SNAPSHOT, STATIC_INFO} <= set(named)
    assert all(firms == {3} for firms in named.values())


async def test_a_refusal_names_the_missing_right(opend: Controller, run_feed: RunFeed) -> None:
    """In OpenD's words, and in ours."""
    opend.set_rights(us=1)
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await eventually(lambda: running.feed.supply(AAPL).refusal is not None, "the refusal")
        refusal = running.feed.supply(AAPL).refusal or ""
        assert "no quote right for US" in refusal
        assert "the account's right for US stocks is BMP, which has snapshots only" in refusal
        assert USER_INFO in opend.requests()


async def test_an_opend_without_an_answer_about_rights_or_quota_serves_all_the_same(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Not every OpenD knows every request; it isn't asked for ever."""
    opend.ignore(USER_INFO, SUB_INFO)
    opend.refuse(US_TSLA="unknown stock")
    async with run_feed(opend.port, times=FutuTimes(quick_seconds=0.02)) as running:
        for topic in (AAPL, TSLA, MSFT):
            running.feed.want(topic)
        await held(opend, "US.AAPL:2", "US.MSFT:2")
        await eventually(lambda: running.feed.supply(TSLA).refusal == "unknown stock", "a refusal")
        assert opend.requests().count(SUB_INFO) <= 2 * subscriber.MAX_FAILURES


async def test_a_lost_login_loses_no_trades_without_a_word(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Nor candles: when OpenD has it again, what was missed is fetched."""
    async with run_feed(opend.port) as running:
        running.feed.want(TRADES)
        running.feed.want(CANDLES)
        await held(opend, "US.AAPL:11", "US.AAPL:4")
        opend.push_trades("US.AAPL", trade(1))
        opend.push_candles("US.AAPL", "1m", candle(0))
        await eventually(lambda: len(running.published) == 2, "the first")
        opend.login(qot=False)
        opend.store_trades("US.AAPL", trade(2), trade(3))
        opend.store_candles("US.AAPL", "1m", candle(0, 6), candle(1), candle(2))
        opend.login(qot=True)
        opend.push_trades("US.AAPL", trade(4))
        opend.push_candles("US.AAPL", "1m", candle(3))
        await eventually(lambda: ids(running.published) == [1, 2, 3, 4], "the trades")
        await eventually(
            lambda: [p.data.close for p in finals(running.published)] == [6, 5.5, 5.5],
            "the candles",
        )
        assert not any(p.breaks for p in running.published)


async def test_what_comes_after_a_lost_login_begins_anew_when_nothing_can_be_fetched(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Even if OpenD never says that it has it again."""
    async with run_feed(opend.port) as running:
        running.feed.want(TRADES)
        running.feed.want(CANDLES)
        await held(opend, "US.AAPL:11", "US.AAPL:4")
        opend.push_trades("US.AAPL", trade(1))
        opend.push_candles("US.AAPL", "1m", candle(0))
        await eventually(lambda: len(running.published) == 2, "the first")
        opend.login(qot=False)
        opend.push_trades("US.AAPL", trade(5))
        opend.push_candles("US.AAPL", "1m", candle(4))
        await eventually(lambda: len(running.published) == 4, "what is pushed all the same")
        assert [p.breaks for p in running.published] == [False, False, True, True]
        assert finals(running.published) == []


async def test_a_slow_answer_about_the_past_is_waited_for_while_nothing_is_pushed(
    opend: Controller, run_feed: RunFeed
) -> None:
    """A second at least, which OpenD never takes as a rule."""
    opend.store_candles("US.AAPL", "1m", candle(0), candle(1))
    async with run_feed(opend.port) as running:
        await eventually(lambda: running.feed.status().state == "connected", "the connection")
        opend.slow(0.7)
        running.feed.want(CANDLES._replace(variant="5m"))
        opend.store_candles("US.AAPL", "5m", candle(0), candle(5))
        await eventually(lambda: len(running.published) == 2, "the past")
        assert running.published[0].backfill


async def test_past_trades_come_first_and_each_trade_once(
    opend: Controller, run_feed: RunFeed
) -> None:
    """Those from before are for whoever asks for history."""
    opend.store_trades("US.AAPL", trade(1), trade(2))
    async with run_feed(opend.port) as running:
        running.feed.want(TRADES)
        await eventually(lambda: len(running.published) == 2, "the past")
        assert all(p.backfill for p in running.published)
        opend.push_trades("US.AAPL", trade(2), trade(3, 0.25))
        opend.push_trades("US.AAPL", trade(3), trade(4), kind=2)
        await eventually(lambda: len(running.published) == 4, "the trades")
        assert ids(running.published) == [1, 2, 3, 4]
        last = running.published[-1].data
        assert isinstance(last, Trades)
        assert last.trades[0].backfill
        assert not running.published[-1].backfill


async def test_after_a_reconnection_missed_trades_are_fetched(
    opend: Controller, run_feed: RunFeed
) -> None:
    """One that is known proves that none is missing."""
    async with run_feed(opend.port) as running:
        running.feed.want(TRADES)
        await held(opend, "US.AAPL:4")
        opend.push_trades("US.AAPL", trade(1))
        await eventually(lambda: ids(running.published) == [1], "the first")
        opend.drop()
        opend.store_trades("US.AAPL", trade(2), trade(3))
        await eventually(lambda: ids(running.published) == [1, 2, 3], "those missed")
        assert not any(p.breaks for p in running.published)
        missed = running.published[-1].data
        assert isinstance(missed, Trades)
        assert all(t.backfill for t in missed.trades)


async def test_trades_that_nobody_can_fetch_are_a_break(
    opend: Controller, run_feed: RunFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one begins a new epoch, so that everybody hears of the gap."""
    async with run_feed(opend.port) as running:
        running.feed.want(TRADES)
        await held(opend, "US.AAPL:4")
        opend.push_trades("US.AAPL", trade(1))
        await eventually(lambda: ids(running.published) == [1], "the first")
        opend.drop()
        opend.store_trades("US.AAPL", *(trade(n) for n in range(10, 1100)))
        await eventually(lambda: len(ids(running.published)) == 1001, "the newest")
        assert [p.breaks for p in running.published] == [False, True]


async def test_past_candles_come_first_and_only_closed_ones_are_final(
    opend: Controller, run_feed: RunFeed
) -> None:
    """OpenD dates a minute by its end."""
    opend.store_candles("US.AAPL", "1m", candle(0), candle(1), candle(2))
    async with run_feed(opend.port) as running:
        running.feed.want(CANDLES)
        await eventually(lambda: len(running.published) == 3, "the past")
        opend.push_candles("US.AAPL", "1m", candle(2, 7))
        opend.push_candles("US.AAPL", "1m", candle(3))
        await eventually(lambda: len(running.published) == 6, "the news")
        told = [(p.data.time, p.data.final, p.data.close, p.backfill) for p in running.published]  # type: ignore[union-attr] # the kind is known here
        begin = 1_700_000_040_000 - 60_000
        assert told == [
            (begin, True, 5.5, True),
            (begin + 60_000, True, 5.5, True),
            (begin + 120_000, False, 5.5, False),
            (begin + 120_000, False, 7, False),
            (begin + 120_000, True, 7, False),
            (begin + 180_000, False, 5.5, False),
        ]


async def test_a_page_that_is_loaded_again_costs_nothing(
    opend: Controller, run_feed: RunFeed
) -> None:
    """What nobody wants is kept a little longer."""
    async with run_feed(opend.port, linger_seconds=60, min_subscription_seconds=0) as running:
        running.feed.want(AAPL)
        await held(opend, "US.AAPL:2")
        running.feed.release(AAPL)
        running.feed.want(TSLA)
        await held(opend, "US.AAPL:2", "US.TSLA:2")
        running.feed.want(AAPL)
        running.feed.want(MSFT)
        await held(opend, "US.AAPL:2", "US.MSFT:2", "US.TSLA:2")
        assert opend.requests().count(SUB) == 3


async def test_pinned_topics_are_subscribed_whoever_wants_them(
    opend: Controller, run_feed: RunFeed
) -> None:
    """And are never let go."""
    async with run_feed(opend.port, pinned=[AAPL], min_subscription_seconds=0) as running:
        await held(opend, "US.AAPL:2")
        running.feed.want(AAPL)
        running.feed.release(AAPL)
        running.feed.want(TSLA)
        await held(opend, "US.AAPL:2", "US.TSLA:2")


async def test_what_opend_loses_later_is_found_when_it_gives_reason_to_look(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """For instance after it logged in again."""
    async with run_feed(opend.port) as running:
        running.feed.want(AAPL)
        await held(opend, "US.AAPL:2")
        await eventually(lambda: opend.requests().count(SUB_INFO) >= 2, "the first look")
        asked = opend.requests().count(SUB_INFO)
        opend.login(qot=False)
        opend.login(qot=True)
        await eventually(lambda: opend.requests().count(SUB_INFO) > asked, "another look")
        await asyncio.sleep(0)
        assert opend.held() == ["US.AAPL:2"]


async def test_a_bad_code_in_a_batch_breaks_nobody_elses_candles(
    opend: Controller, run_feed: RunFeed
) -> None:
    """What is asked for once more goes on where it was."""
    async with run_feed(opend.port) as running:
        running.feed.want(CANDLES)
        running.feed.want(CANDLES._replace(symbol=TSLA.symbol))
        await held(opend, "US.AAPL:11", "US.TSLA:11")
        opend.push_candles("US.AAPL", "1m", candle(0))
        await eventually(lambda: len(running.published) == 1, "the first")
        opend.refuse(US_TSLA="not any more")
        opend.drop()
        await held(opend, "US.AAPL:11")
        opend.push_candles("US.AAPL", "1m", candle(1))
        await eventually(lambda: len(finals(running.published)) == 1, "the next")
        assert not any(p.breaks for p in running.published)
