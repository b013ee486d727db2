"""Reading a topic over HTTP. A read makes the feed get the topic."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bookcast.auth.gate import Gate
from bookcast.auth.principal import Rights
from bookcast.engine.base import Engine
from bookcast.errors import InvalidInput
from bookcast.feeds.runner import FeedRunner
from bookcast.http import problem, schemas
from bookcast.http.pace import Pace
from bookcast.http.read_demand import ReadInterests
from bookcast.http.read_query import ReadQuery, read_query
from bookcast.http.routes import Json, knock_of
from bookcast.hub.hub import Hub
from bookcast.hub.status import FRESH_MS
from bookcast.limits import RETRY_SECONDS, Refusals
from bookcast.model.feed_state import FeedState
from bookcast.model.market_data import LOSSLESS, Book, Brokers, Candle, Quote, TimePoint, Trades
from bookcast.model.topics import Channel, Topic
from bookcast.model.updates import Update
from bookcast.protocol.base.book import with_whole_numbers
from bookcast.protocol.header import position_fields, server_time, times, topic_fields
from bookcast.protocol.v1 import messages as v1

SETTLE_SECONDS: Final = 0.05
"""Past trades and candles come one by one: a read that waited for the first waits for the rest."""

PENDING_SECONDS: Final = 1.0
"""A reader may retry after this time if nothing is known of the topic yet."""

REFUSED_SECONDS: Final = 1.5
"""How long a read still waits after a refusal: the feed may poll what it can't subscribe to."""

NOT_KEPT: Final = {"Cache-Control": "no-store"}


class Reads:
    """The reads of all channels.

    Args:
        engine: has the topics' data.
        hub: judges the status of topics.
        feeder: has the state of topics at the feed.
        readers: keeps the topics of reads wanted.
        gate: authenticates readers.
        refusals: counts refusals by reason.
        default_market: the market of symbols without one.
        linger_seconds: a topic that a publisher updated within this time needs no feed.
        now: returns seconds since 1970.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        hub: Hub,
        feeder: FeedRunner,
        readers: ReadInterests,
        gate: Gate,
        refusals: Refusals,
        default_market: str,
        linger_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._hub = hub
        self._feeder = feeder
        self._readers = readers
        self._gate = gate
        self._refusals = refusals
        self._default_market = default_market
        self._linger_ms = linger_seconds * 1000
        self._now = now
        self._pace = Pace()

    def of(self, channel: Channel) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a channel."""

        async def endpoint(request: Request) -> Response:
            try:
                return Json(await self._read(channel, request), headers=NOT_KEPT)
            except InvalidInput as error:
                self._refusals.note(error)
                refusal = problem.of(error.about(channel, request.path_params["symbol"]))
                refusal.headers.update(NOT_KEPT)
                return refusal

        return endpoint

    async def _read(self, channel: Channel, request: Request) -> schemas.Known:
        caller, rights = await self._gate.require(knock_of(request), "read")
        requested_symbol = request.path_params["symbol"]
        query = read_query(channel, requested_symbol, request.query_params, self._default_market)
        topic, who = query.topic, caller.account
        rights.check("read", topic)
        if self._readers.holds(topic):
            await self._engine.prepare([topic])  # its log may still have to be read
        newest = await self._engine.snapshot(topic)
        if self._creates_demand(request, topic, newest) and self._demand(topic, who, newest):
            if query.wait_seconds and not (newest and self._readers.has_news(topic)):
                newest = await self._wait(request, query, who, newest)
            self._check_supply(topic, requested_symbol, rights, newest)
        if newest is None:
            raise self._unknown(topic, requested_symbol, rights)
        newest = self._pace.newest(who, newest, rights.min_interval_ms)
        return await self._answer(newest, query, requested_symbol, rights)

    # Demand

    def _creates_demand(self, request: Request, topic: Topic, newest: Update | None) -> bool:
        """Return whether a read makes the feed get its topic."""
        # Else any page could make its visitors' browsers read topics, and use up the quota.
        is_foreign = "cross-site" in request.headers.getlist("Sec-Fetch-Site")
        if request.method != "GET" or is_foreign or not self._feeder.may_serve(topic):
            return False
        if newest is None or not _is_from_outside(newest):
            return True
        return self._age_ms(newest) > self._linger_ms

    def _age_ms(self, update: Update) -> float:
        return self._now() * 1000 - update.server_ms

    def _demand(self, topic: Topic, who: str, newest: Update | None) -> bool:
        """Make the feed get a topic. Return False if it can't, but known data can be returned.

        Raises:
            InvalidInput: too many topics are read already, and no usable data are known.
        """
        try:
            self._readers.read(topic, who, newest.position if newest is not None else None)
        except InvalidInput:
            # Data of other publishers, and fresh data, can be returned even so.
            if newest is None or not (_is_from_outside(newest) or self._age_ms(newest) <= FRESH_MS):
                raise
            return False
        return True

    async def _wait(
        self, request: Request, query: ReadQuery, who: str, newest: Update | None
    ) -> Update | None:
        """Wait for the first update since the topic is wanted. Return the newest update then."""
        topic, loop = query.topic, asyncio.get_running_loop()
        refused_at = math.inf

        async def is_vain() -> bool:
            nonlocal refused_at
            supply = self._feeder.supply(topic)
            if supply is not None:
                if _refusal(supply):
                    refused_at = min(refused_at, loop.time())
                if loop.time() >= refused_at + REFUSED_SECONDS or supply.quota is not None:
                    return True
                if newest is not None and supply.state in {"closed", "halted", "feed_down"}:
                    return True
            return await request.is_disconnected()

        came = await self._readers.wait(topic, who, query.wait_seconds, is_vain)
        if came and topic.channel in LOSSLESS:
            await asyncio.sleep(SETTLE_SECONDS)
        return await self._engine.snapshot(topic) or newest

    def _check_supply(
        self, topic: Topic, requested_symbol: str, rights: Rights, newest: Update | None
    ) -> None:
        """Refuse a read if the feed can't get its topic.

        Raises:
            InvalidInput: reads may take no more of the feed's quota, or the feed refused the topic.
        """
        supply = self._feeder.supply(topic)
        if supply is None or _is_from_outside(newest):
            return
        if supply.quota is not None and self._engine.want(topic) != "subscribed":
            free_ms = supply.quota.next_free_ms
            raise InvalidInput(
                "too_many_reads",
                f"{requested_symbol} can't be read now: {supply.reason}",
                path="symbol",
                retry_after=RETRY_SECONDS if free_ms is None else max(1.0, free_ms / 1000),
                reason="reads_of_quota",
            )
        if newest is None and (refusal := _refusal(supply)):
            meant = [one for one in supply.did_you_mean if rights.allows_symbol(one)]
            question = f"; did you mean {' or '.join(meant)}?" if meant else ""
            raise InvalidInput(
                "feed_refused",
                f"{requested_symbol}: {refusal}{question}",
                path="symbol",
                retry_after=RETRY_SECONDS,
            )

    def _unknown(self, topic: Topic, requested_symbol: str, rights: Rights) -> InvalidInput:
        """Return the error for a topic without data."""
        engine = self._engine.status()
        if engine.state == "away":
            return InvalidInput(
                "engine_unavailable",
                f"{engine.detail}; whether {topic.channel} {requested_symbol} is known "
                "can't be told",
                path="symbol",
                retry_after=PENDING_SECONDS,
            )
        what = f"Nothing has been published of {topic.channel} {requested_symbol} yet"
        if (lacking := self._feeder.lacking(topic)) is not None:
            meant, has = lacking.hints(topic.symbol, rights.allows_symbol)
            what += f", and the feed {lacking.feed} lacks it"
            what += f"; it has, for instance, {', '.join(has)}" if has else ""
            what += f"; did you mean {' or '.join(meant)}?" if meant else ""
        supply = self._feeder.supply(topic)
        if supply is not None and supply.reason is not None:
            what += f"; {supply.source or 'the feed'}: {supply.reason}"
        return InvalidInput("unknown_symbol", what, path="symbol", retry_after=PENDING_SECONDS)

    # Answers

    async def _answer(
        self, newest: Update, query: ReadQuery, requested_symbol: str, rights: Rights
    ) -> schemas.Known:
        topic = newest.topic
        status = self._hub.judge(newest, await self._engine.find_gone(topic))
        quota = status.quota
        head: dict[str, Any] = {
            **topic_fields(topic, requested_symbol),
            **position_fields(newest.position),
            "ts": times(newest),
            "as_of": server_time(newest),
            "age_ms": status.age_ms or 0.0,
            "state": status.state,
            "reason": status.reason,
            "source": status.source or self._feed_of(newest),
            "every_ms": status.every_ms,
            "quota": v1.Quota(**quota._asdict()) if quota is not None else None,
        }
        match newest.data:
            case Book():
                depth = rights.depth(query.depth)
                return schemas.KnownBook(
                    **head,
                    depth=depth,
                    timestamp=server_time(newest),
                    data=with_whole_numbers(newest, depth),
                )
            case Quote() as quote:
                return schemas.KnownQuote(**head, data=quote)
            case Brokers() as brokers:
                return schemas.KnownBrokers(**head, data=brokers)
            case TimePoint() as point:
                return schemas.KnownTimePoint(**head, data=point)
            case Trades():
                past = await self._past(newest)
                trades = [
                    trade
                    for one in past
                    if isinstance(one.data, Trades)
                    for trade in one.data.trades
                ]
                return schemas.KnownTrades(**head, data=schemas.TradeList(trades[-query.limit :]))
            case Candle():
                candles = _by_time(await self._past(newest))
                return schemas.KnownCandles(
                    **head, data=schemas.CandleList(candles[-query.limit :])
                )

    def _feed_of(self, newest: Update) -> str | None:
        """Return the name of the feed that an update came from; None: it is a publisher's.

        The feed may not have reported the state of the topic yet.
        """
        if _is_from_outside(newest):
            return None
        return next((feed.name for feed in self._feeder.statuses()), None)

    async def _past(self, newest: Update) -> Sequence[Update]:
        """Return the known updates of a topic up to one of them, oldest first."""
        past = [
            one
            for one in await self._engine.past(newest.topic)
            if one.server_ms <= newest.server_ms and not one.position.is_past(newest.position)
        ]
        if not past or past[-1].position != newest.position:
            past.append(newest)  # the log keeps only the newest state of a forming candle
        return past


def _is_from_outside(update: Update | None) -> bool:
    """Return whether a publisher sent this update. An update of a feed has the feed's time."""
    return update is not None and update.feed_ms is None


def _refusal(supply: FeedState) -> str | None:
    """Return why a feed can't get a topic at all; None: it can, or may later."""
    return supply.refusal if supply.state == "pending" else None


def _by_time(updates: Sequence[Update]) -> list[Candle]:
    """Return candles ordered by time, each in its newest state."""
    candles = {one.data.time: one.data for one in updates if isinstance(one.data, Candle)}
    return [candles[time] for time in sorted(candles)]
