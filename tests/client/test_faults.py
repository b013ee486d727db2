"""The real server, killed under load, and behind a proxy that drops everything for a while.

``BOOKCAST_KILLS`` and ``BOOKCAST_SWALLOWS`` say how often.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest

from bookcast.client import Client, Gap, Subscription, Trades
from bookcast.client.clock import Clock
from bookcast.client.session import Session
from tests.fakes.faulty_proxy import FaultyProxy
from tests.support import command, eventually

KILLS = int(os.environ.get("BOOKCAST_KILLS", "5"))
SWALLOWS = int(os.environ.get("BOOKCAST_SWALLOWS", "1"))
SYMBOLS = ("US.A", "US.B", "HK.00700")


class Traded(NamedTuple):
    """A trade that was certainly published."""

    id: str
    epoch: str
    seq: int


class Server:
    """A server at one address, which is killed and started again."""

    def __init__(self, **settings: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {"FEED": "none", **settings}
        self._stack = ExitStack()
        self._http = httpx.AsyncClient(trust_env=False, timeout=5)

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        options = ("serve", "--port", str(self.port))
        running = command(*options, environ=self._settings)
        self._running = await asyncio.to_thread(self._stack.enter_context, running)

    async def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """End it, by a crash or by a regular stop."""
        await asyncio.to_thread(self._running.end, signal_number)

    async def close(self) -> None:
        """Leave nothing behind."""
        self._stack.close()
        await self._http.aclose()

    async def publish(self, channel: str, symbol: str, data: Any) -> dict[str, Any] | None:
        """Publish over HTTP; return None if it failed or the outcome is unknown."""
        address = f"{self.url}/broadcast/{channel}?symbol={symbol}"
        try:
            answer = await self._http.post(address, json=data)
        except (httpx.HTTPError, AttributeError):
            return None  # anyio's AttributeError: the server was killed as it took the connection
        return answer.json() if answer.is_success else None


class Watch:
    """What a program got of the trades of a symbol."""

    def __init__(self, tape: Subscription[Trades]) -> None:
        self.tape = tape
        self.ids: list[str] = []
        self.gaps: list[Gap] = []
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        async for message in self.tape:
            if message.gap is not None:
                self.gaps.append(message.gap)
            self.ids += [str(trade.id) for trade in message.trades]

    def judge(self, published: list[Traded]) -> int:
        """Check that each trade arrived once or is reported missing; return the missing count."""
        assert len(set(self.ids)) == len(self.ids)
        came = set(self.ids)
        missing = [one for one in published if one.id not in came]
        for one in missing:
            assert any(self._tells(gap, one) for gap in self.gaps), f"{one} without a word"
        return len(missing)

    @staticmethod
    def _tells(gap: Gap, one: Traded) -> bool:
        if gap.from_seq is None or gap.to_seq is None:
            return gap.epoch != one.epoch or gap.reason != "epoch"
        return gap.epoch == one.epoch and gap.from_seq <= one.seq <= gap.to_seq


class Load:
    """Publishes trades and books of some symbols, until it is stopped."""

    def __init__(self, server: Server, symbols: tuple[str, ...], per_second: float) -> None:
        self.traded: dict[str, list[Traded]] = defaultdict(list)
        self._server = server
        self._pause = len(symbols) / per_second
        self._tasks = [asyncio.ensure_future(self._run(symbol)) for symbol in symbols]
        self._is_over = False

    async def _run(self, symbol: str) -> None:
        count = 0
        while not self._is_over:
            count += 1
            name = f"{symbol}-{count}"
            trade = {"price": 1, "size": 1, "id": name}
            place = await self._server.publish("trades", symbol, {"trades": [trade]})
            if place is not None:
                self.traded[symbol].append(Traded(name, place["epoch"], place["seq"]))
            bids = [[100 - level, count * (level + 3) % 7 + 1] for level in range(12)]
            await self._server.publish("orderbook", symbol, {"bids": bids, "asks": [[101, count]]})
            await asyncio.sleep(self._pause)

    async def stop(self) -> None:
        """Stop publishing."""
        self._is_over = True
        await asyncio.gather(*self._tasks)


@pytest.fixture
def subscribed(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, str]]]:
    """Return the subscriptions of each connection."""
    connections: list[list[tuple[str, str]]] = [[]]
    opened, question = Session.opened, Session.question

    def open_(session: Session) -> None:
        connections.append([])
        opened(session)

    def ask(session: Session, asked: Any, *callbacks: Any) -> None:
        if type(asked).__name__ == "Subscribe":
            connections[-1].append((asked.channel, asked.symbol))
        question(session, asked, *callbacks)

    monkeypatch.setattr(Session, "opened", open_)
    monkeypatch.setattr(Session, "question", ask)
    return connections


@asynccontextmanager
async def watching(url: str, *symbols: str) -> AsyncIterator[tuple[Client, list[Watch]]]:
    """Watch trades and books."""
    # A server that starts takes long enough: who comes back needn't wait much longer.
    clock = Clock(asyncio.get_running_loop(), chance=lambda: random.random() / 10)
    async with Client(url, clock=clock) as client:
        watches = [Watch(client.trades(symbol)) for symbol in symbols]
        books = [client.order_book(symbol, depth=10) for symbol in symbols]
        await patiently(lambda: all(one.state != "connecting" for one in client.subscriptions()))
        yield client, watches
        assert len(client.subscriptions()) == len(watches) + len(books)
    await asyncio.gather(*(watch.task for watch in watches))


async def patiently(condition: Callable[[], bool]) -> None:
    """Wait for a client that first has to reconnect."""
    for _ in range(3):
        try:
            return await eventually(condition, "the client is back")
        except AssertionError:
            pass
    return await eventually(condition, "the client is back")


async def surely(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat an action until it succeeds."""
    for _ in range(100):
        if (result := await attempt()) is not None:
            return result
        await asyncio.sleep(0.1)
    raise AssertionError("the server doesn't take it")


@pytest.mark.timeout(120 + KILLS * 60)
async def test_kills_under_load_cost_no_trade_that_isnt_told(
    subscribed: list[list[tuple[str, str]]],
) -> None:
    """No trade comes twice, and each topic is subscribed to once on each connection."""
    server = Server()
    await server.start()
    dice = random.Random()
    try:
        async with watching(server.url, *SYMBOLS) as (client, watches):
            load = Load(server, SYMBOLS, 150)
            for number in range(KILLS):
                await asyncio.sleep(0.5 + dice.random() / 2)
                await server.kill(signal.SIGTERM if number % 3 == 2 else signal.SIGKILL)
                await server.start()
                await patiently(lambda: client.state == "open")
            await asyncio.sleep(0.5)
            await load.stop()
            book = {"bids": [[50, 1]], "asks": [[51, 2]]}
            last = {}
            for symbol in SYMBOLS:
                trade = {"price": 2, "size": 1, "id": f"{symbol}-last"}
                last[symbol] = await surely(partial(server.publish, "orderbook", symbol, book))
                await surely(partial(server.publish, "trades", symbol, {"trades": [trade]}))
            await patiently(
                lambda: all(f"{watch.tape.symbol}-last" in watch.ids for watch in watches)
            )
            books: list[Subscription[Any]] = [
                one for one in client.subscriptions() if one.channel == "orderbook"
            ]
            await patiently(lambda: all(one.seq == last[one.symbol]["seq"] for one in books))
            shown = [(one.state, one.value.bids[0].price) for one in books if one.value]
            assert shown == [("live", 50)] * 3
            missing = [watch.judge(load.traded[watch.tape.symbol]) for watch in watches]
    finally:
        await server.close()
    came = sum(len(watch.ids) for watch in watches)
    print(f"{KILLS} kills: {came} trades came, {sum(missing)} are told to be missing")
    assert came > 20
    for said in subscribed:
        assert len(said) == len(set(said))


@pytest.mark.timeout(120 + SWALLOWS * 60)
async def test_a_proxy_that_swallows_everything_for_a_while_costs_nothing() -> None:
    """The line is given up, and every trade of that time follows."""
    server = Server(HEARTBEAT_MS="1000")
    await server.start()
    try:
        async with FaultyProxy(server.port) as proxy:  # noqa: SIM117 - its port is known then
            async with watching(f"http://127.0.0.1:{proxy.port}", "US.A") as (client, [watch]):
                load = Load(server, ("US.A",), 50)
                for _ in range(SWALLOWS):
                    await asyncio.sleep(0.5)
                    lost: list[str] = []
                    stop = client.on_state(lambda status, lost=lost: lost.append(status.state))  # type: ignore[misc] # mypy can't infer a lambda's default
                    proxy.stall()
                    await eventually(lambda lost=lost: "waiting" in lost, "the line is given up")  # type: ignore[misc] # the same
                    proxy.flow()
                    stop()
                    await patiently(
                        lambda: all(one.state == "live" for one in client.subscriptions())
                    )
                await load.stop()
                last = {"trades": [{"price": 2, "size": 1, "id": "last"}]}
                await surely(lambda: server.publish("trades", "US.A", last))
                await patiently(lambda: "last" in watch.ids)
                assert watch.judge(load.traded["US.A"]) == 0
    finally:
        await server.close()
    print(f"{SWALLOWS} times: {len(watch.ids)} trades came, each once")
