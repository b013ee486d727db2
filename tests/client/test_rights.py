"""A real server that asks for tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bookcast import Server, serve
from bookcast.client import Refused, Stopped, connect
from tests.auth.keyring import SECRET, sign
from tests.support import PATIENCE, eventually


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Run one that knows a book."""
    options: dict[str, Any] = {"auth_mode": "jwt", "auth_jwt_secret": SECRET, "auth_clock_skew": 0}
    async with serve(port=0, **options) as running:
        await running.publish("US.A", {"bids": [[10, 5]], "asks": []})
        yield running


async def test_new_tokens_are_shown_before_the_old_ones_expire(server: Server) -> None:
    """On the same connection, and no trade is missed."""
    calls: list[int] = []

    def get_token() -> str:
        calls.append(1)
        return sign(exp=int(time.time()) + 3)

    async with connect(server.http_url, get_token=get_token) as client:
        states: list[str] = []
        tape = client.trades("US.A")
        await eventually(lambda: tape.state != "connecting", "the subscription")
        client.on_state(lambda status: states.append(status.state))
        count = 0
        while len(calls) < 3:
            count += 1
            data: Any = {"trades": [{"price": 1, "size": 1, "id": count}]}
            await server.publish("US.A", data, channel="trades")
            await asyncio.sleep(0.05)
        ids: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while len(ids) < count:
                message = await tape.next()
                assert message.gap is None
                ids += [trade.id for trade in message.trades]
        assert ids == list(range(1, count + 1))
        assert states == []


@pytest.mark.parametrize("seconds", [60, -60])
async def test_a_wrong_token_ends_the_client_with_a_typed_error(
    server: Server, seconds: int
) -> None:
    """One that is another issuer's, or has expired and is the only one."""
    key = "another secret of thirty-two bytes or more" if seconds > 0 else SECRET
    token = sign(key=key, exp=int(time.time()) + seconds)
    async with connect(server.http_url, token=token) as client:
        with pytest.raises(Stopped) as stopped:
            async with asyncio.timeout(PATIENCE):
                await client.order_book("US.A").next()
        assert stopped.value.final
        assert stopped.value.code == ("invalid_token" if seconds > 0 else "token_expired")
        with pytest.raises(Stopped):
            await client.publish("US.A", {"bids": [], "asks": []}, wait=5)


async def test_without_a_token_it_says_what_to_pass(server: Server) -> None:
    """In the error of each iteration."""
    async with connect(server.http_url) as client:
        quote = client.quote("US.A")
        for _ in range(2):
            with pytest.raises(Stopped, match="get_token"):
                await anext(quote)


async def test_what_a_token_has_no_right_to_is_refused_and_nothing_else(server: Server) -> None:
    """The other subscription goes on."""
    token = sign(bookcast={"channels": ["orderbook"]})
    async with connect(server.http_url, token=token) as client:
        book = client.order_book("US.A")
        with pytest.raises(Refused) as refused:
            async with asyncio.timeout(PATIENCE):
                await client.quote("US.A").next()
        assert (refused.value.code, refused.value.final) == ("forbidden", True)
        assert (refused.value.channel, refused.value.symbol) == ("quote", "US.A")
        assert (await book.next()).bids[0].price == 10
