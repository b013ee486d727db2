"""Publishers: one publication after the other, through the balancer and around it, recorded."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tests.history import tokens
from tests.history.data import PERIOD, book_of, candle_of, trade_of
from tests.history.history import LOCAL, Attempt
from tests.history.modes import Mode

TIMEOUT = 2.0
DIRECTLY = 0.4
"""So many of all go to a node of the publisher's choice, around the balancer."""

TOGETHER = 0.1
"""So many of all are several trades in one request."""

CANDLES = 0.3
"""So many of all are candles, where there are any."""

WITHOUT_RIGHT = 0.03
"""So many are sent with a token that gives no right to publish, where tokens are asked for."""

BOOK = "orderbook"


class Publisher:
    """Publishes books and candles of its own symbol, and trades of that or of one that is shared.

    Args:
        name: unlike all others.
        trades: symbols of trades, one of them chosen each time.
        urls: the balancer's, then those of nodes.
        rate: publications a second.
        clock: seconds since the run began.
        seed: of what it chooses.
        note: is given each attempt.
        modes: of the run.
    """

    def __init__(
        self,
        name: str,
        *,
        trades: Sequence[str],
        urls: Sequence[str],
        rate: float,
        clock: Callable[[], float],
        seed: str,
        note: Callable[[Attempt], None],
        modes: frozenset[Mode] = frozenset(),
    ) -> None:
        self.name = name
        self.symbol = name.upper()
        self._trades = trades
        self._urls = urls
        self._rate = rate
        self._clock = clock
        self._random = random.Random(seed)
        self._note = note
        self._books = itertools.count(1)
        self._candles = itertools.count(1)
        self._ids = itertools.count(1)
        self._modes = modes

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped, then everything once more until it has succeeded."""
        limits = httpx.Limits(max_keepalive_connections=4, keepalive_expiry=2)
        async with httpx.AsyncClient(timeout=TIMEOUT, limits=limits, trust_env=False) as client:
            due = self._clock()
            while not stop.is_set():
                await self._publish_something(client)
                due = max(due + 1 / self._rate, self._clock() - 1)  # it doesn't catch up for long
                if (early := due - self._clock()) > 0:
                    await asyncio.sleep(early)
            await self._publish_last(client)

    async def _publish_something(self, client: httpx.AsyncClient) -> None:
        if "candles" in self._modes and self._random.random() < CANDLES:
            await self._publish(client, self._url(), [self._candle()])
            return
        chance = self._random.random()
        if chance < 0.5:
            await self._publish(client, self._url(), [self._book()])
            return
        count = 3 if chance > 1 - TOGETHER else 1
        symbol = self._random.choice(self._trades)
        await self._publish(client, self._url(), [self._trade(symbol) for _ in range(count)])

    async def _publish_last(self, client: httpx.AsyncClient) -> None:
        makers: list[Callable[[], Attempt]] = [self._book]
        if "candles" in self._modes:
            makers.append(self._candle)
        makers += [lambda symbol=symbol: self._trade(symbol) for symbol in self._trades]  # type: ignore[misc] # no type can be inferred for a lambda with a default
        for make in makers:
            while True:
                attempt = make()
                attempt.final = True
                await self._publish(client, self._urls[0], [attempt])
                if attempt.outcome == "ok" and not attempt.epoch.startswith(LOCAL):
                    break
                attempt.final = False
                await asyncio.sleep(0.1)

    def _url(self) -> str:
        if self._random.random() < DIRECTLY:
            return self._random.choice(self._urls[1:])
        return self._urls[0]

    def _book(self) -> Attempt:
        return Attempt(self.name, f"{BOOK}:{self.symbol}", 0, 0, "unknown", next(self._books))

    def _candle(self) -> Attempt:
        return Attempt(self.name, f"candles:{self.symbol}", 0, 0, "unknown", next(self._candles))

    def _trade(self, symbol: str) -> Attempt:
        id_ = f"{self.name}-{next(self._ids)}"
        return Attempt(self.name, f"trades:{symbol}", 0, 0, "unknown", id=id_)

    async def _publish(
        self, client: httpx.AsyncClient, url: str, attempts: Sequence[Attempt]
    ) -> None:
        began = self._clock()
        client.headers.pop("Authorization", None)
        if "auth" in self._modes:
            may = attempts[0].final or self._random.random() >= WITHOUT_RIGHT
            client.headers["Authorization"] = f"Bearer {tokens.publishing(self.name, may=may)}"
            for attempt in attempts:
                attempt.entitled = may
        for attempt in attempts:
            attempt.began, attempt.via = began, url
            attempt.ended = float("inf")
            self._note(attempt)
        try:
            if len(attempts) == 1:
                await self._publish_one(client, url, attempts[0])
            else:
                await self._publish_together(client, url, attempts)
        except httpx.ConnectError as error:
            _fail(attempts, f"no connection: {error}")
        except httpx.ConnectTimeout as error:
            _fail(attempts, f"no connection in time: {error}")
        except (httpx.TransportError, OSError) as error:
            for attempt in attempts:
                attempt.detail = f"{type(error).__name__}: {error}"
        ended = self._clock()
        for attempt in attempts:
            if attempt.outcome != "unknown":
                attempt.ended = ended

    async def _publish_one(self, client: httpx.AsyncClient, url: str, attempt: Attempt) -> None:
        channel, _, symbol = attempt.topic.partition(":")
        params = {"symbol": symbol} | ({"period": PERIOD} if channel == "candles" else {})
        answer = await client.post(f"{url}/broadcast/{channel}", params=params, json=_data(attempt))
        _judge([attempt], answer)
        if answer.status_code == 200:
            _place(attempt, answer.json())

    async def _publish_together(
        self, client: httpx.AsyncClient, url: str, attempts: Sequence[Attempt]
    ) -> None:
        updates = []
        for attempt in attempts:
            channel, _, symbol = attempt.topic.partition(":")
            updates.append({"channel": channel, "symbol": symbol, "data": _data(attempt)})
        answer = await client.post(f"{url}/broadcast", json={"updates": updates})
        _judge(attempts, answer)
        if answer.status_code == 200:
            for attempt, result in zip(attempts, answer.json()["results"], strict=True):
                _place(attempt, result)


def _data(attempt: Attempt) -> dict[str, Any]:
    channel, _, symbol = attempt.topic.partition(":")
    if channel == "candles":
        return candle_of(attempt.number)
    if attempt.number:
        return book_of(symbol, attempt.number)
    return {"trades": [trade_of(attempt.id)]}


def _fail(attempts: Sequence[Attempt], detail: str) -> None:
    for attempt in attempts:
        attempt.outcome, attempt.detail = "failed", detail


def _judge(attempts: Sequence[Attempt], answer: httpx.Response) -> None:
    """Take note of what an answer other than 200 says."""
    code = answer.status_code
    if code == 200:
        return
    detail = f"{code} {answer.text[:200]}"
    ours = "problem+json" in answer.headers.get("content-type", "")
    if code == 503 and not ours:
        _fail(attempts, "the balancer has no node")
    elif 400 <= code < 500 or (ours and answer.json().get("published") == "nothing"):
        _fail(attempts, detail)
    else:
        # Unknown: our 503 says so; the balancer's 502 and 504 follow a sent request.
        for attempt in attempts:
            attempt.detail = detail


def _place(attempt: Attempt, result: dict[str, Any]) -> None:
    if "seq" in result:
        attempt.outcome, attempt.epoch, attempt.seq = "ok", result["epoch"], result["seq"]
    else:
        attempt.detail = str(result)
