"""Whole numbers, from every kind of publisher to every kind of reader."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support import PATIENCE, Client, connect, nodes

V1: Any = ["bookcast.v1"]

PUBLISHED: list[tuple[str, bytes, str]] = [
    (
        "/broadcast/Orderbook?symbol=HK.1",
        b'{"bids":[[134.0,5.0,2.0],[1.335e2,1e3]],"asks":[{"price":135.00,"volume":7.0}]}',
        '"data":{"bids":[[134,5,2],[133.5,1000]],"asks":[[135,7]]}',
    ),
    (
        "/broadcast/quote?symbol=HK.1",
        (
            b'{"last":134.0,"turnover":-0.0,"session":"PRE","option":{"strike":100.0,"days_left":3.0},'
            b'"future":{"oi":2.0}}'
        ),
        (
            '"data":{"last":134,"turnover":0,"session":"pre","option":{"strike":100,"days_left":3},'
            '"future":{"oi":2}}'
        ),
    ),
    (
        "/broadcast/trades?symbol=HK.1",
        (
            b'{"trades":[{"price":134.0,"size":1e2,"side":"BUY","id":7.0,'
            b'"timestamp":"2026-01-05T09:30:00Z"}]}'
        ),
        '{"trades":[{"price":134,"size":100,"side":"buy","timestamp":1767605400000,"id":7}]}',
    ),
    (
        "/broadcast/candles?symbol=HK.1&period=1H",
        (
            b'{"time":1767600000000.0,"open":0.3,"high":0.3,"low":0.1,"close":0.30000000000000004,'
            b'"volume":5.0}'
        ),
        (
            '"data":{"time":1767600000000,"open":0.3,"high":0.30000000000000004,"low":0.1,'
            '"close":0.30000000000000004,"volume":5,"final":false}'
        ),
    ),
    (
        "/broadcast/brokers?symbol=HK.1",
        b'{"bids":[{"id":1.0,"name":"One","pos":2.0,"size":100.0}],"asks":[]}',
        '"data":{"bids":[{"id":1,"name":"One","pos":2,"size":100}],"asks":[]}',
    ),
    (
        "/broadcast/timeframe?symbol=HK.1",
        b'{"time":1767600000000.0,"price":134.0,"average":133.0}',
        '"data":{"time":1767600000000,"price":134,"average":133}',
    ),
]


async def raw(client: Client, kind: str) -> str:
    """Return the text of the next message of a type."""
    while True:
        text = await asyncio.wait_for(client.connection.recv(), PATIENCE)
        if f'"type":"{kind}"' in str(text):
            return str(text)


async def newest(url: str, path: str) -> str:
    """Return the first state that a new client gets of what was published under a path."""
    address = urlsplit(path)
    channel, query = address.path.rpartition("/")[2], parse_qs(address.query)
    more = {"period": query["period"][0]} if "period" in query else {}
    kind = {"orderbook": "orderbook_update", "trades": "trade", "candles": "candle_update"}.get(
        channel.lower(), f"{channel}_update"
    )
    wanted: dict[str, Any] = {"action": "subscribe", "channel": channel, "symbol": "HK.1", **more}
    if channel == "trades":
        wanted["history"] = 1.0
    async with connect(f"{url}me", subprotocols=V1) as client:
        await client.say(wanted)
        return await raw(client, kind)


async def base_book(url: str) -> str:
    async with connect(f"{url}you") as client:
        await client.subscribe("HK.1")
        return await raw(client, "orderbook_update")


async def test_whole_numbers_are_written_as_integers_at_every_node(redis_url: str) -> None:
    """In every channel, live and from what Redis keeps; base clients get a book as it was."""
    async with nodes(redis_url, 2) as [here, there], httpx.AsyncClient(trust_env=False) as http:
        for path, text, written in PUBLISHED:
            head = {"Content-Type": "application/json"}
            answer = await http.post(f"{here.http_url}{path}", content=text, headers=head)
            assert answer.status_code == 200, answer.text
            for node in (here, there):
                assert written in await newest(node.ws_url, path)
        for node in (here, there):
            assert f'"data":{PUBLISHED[0][1].decode()}' in await base_book(node.ws_url)
            book = (await http.get(f"{node.http_url}/books/HK.1")).text
            assert '"data":{"bids":[[134,5,2],[133.5,1000]],"asks":[{"price":135,' in book
