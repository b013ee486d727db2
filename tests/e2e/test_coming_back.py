"""Clients that come back, in a real browser: which close ends a session, and what was missed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.support import PATIENCE

from .conftest import PageServer

CLIENT = """() => {
window.open_client = (id, protocol) => new Promise((resolve, reject) => {
  const ws = new WebSocket(`ws://${location.host}/ws/${id}`, protocol);
  const heard = [];
  const waiting = [];
  ws.onmessage = (event) => {
    heard.push(JSON.parse(event.data));
    for (const look of [...waiting]) look();
  };
  ws.onerror = reject;
  const until = (found) => new Promise((done) => {
    const look = () => {
      const message = heard.find(found);
      if (message !== undefined) { waiting.splice(waiting.indexOf(look), 1); done(message); }
    };
    waiting.push(look);
    look();
  });
  ws.onopen = () => resolve({
    ws, heard, until,
    say: (message) => ws.send(JSON.stringify(message)),
    kind: (type) => until((message) => message.type === type),
    close: (...how) => new Promise((done) => { ws.onclose = done; ws.close(...how); }),
    trades: () => heard.filter((one) => one.type === "trade")
      .flatMap((one) => one.data.trades.map((trade) => trade.size)),
  });
});
window.publish = (channel, data) => fetch(`/broadcast/${channel}?symbol=US.MINE`, {
  method: "POST", body: JSON.stringify(data), headers: {"Content-Type": "application/json"},
}).then((answer) => { if (!answer.ok) throw new Error(answer.status); });
window.trade = (size) => publish("trades", {trades: [{price: 1, size}]});
window.book = (size) => publish("orderbook", {bids: [[1, size]], asks: []});
}"""

V1 = """async (how) => {
  const first = await open_client("me", "bookcast.v1");
  const {session} = await first.kind("welcome");
  first.say({action: "subscribe", symbol: "US.MINE", channel: "trades"});
  await first.kind("subscription_confirmed");
  await trade(1);
  const {epoch, seq} = await first.kind("trade");
  const closed = await first.close(...how);
  await trade(2); await trade(3); await trade(4);
  const again = await open_client("me", "bookcast.v1");
  const position = {channel: "trades", symbol: "US.MINE", epoch, seq};
  again.say({action: "resume", session, positions: [position]});
  const answer = await again.until((one) => one.type === "resumed" || one.type === "error");
  if (answer.type === "error")
    again.say({action: "subscribe", symbol: "US.MINE", channel: "trades", since: {epoch, seq}});
  await trade(5);
  await again.until(() => again.trades().includes(5));
  await again.close();
  const confirmed = again.heard.find((one) => one.type === "subscription_confirmed");
  return {
    code: closed.code, answer: answer.code ?? answer.type, trades: again.trades(),
    recovered: answer.restored?.[0].recovered ?? confirmed?.recovered,
  };
}"""

BASE = """async ([how, comesBack]) => {
  const first = await open_client("me", "bookcast.base");
  first.say({action: "subscribe", symbol: "US.MINE"});
  await first.kind("subscription_confirmed");
  await book(1);
  await first.kind("orderbook_update");
  await first.close(...how);
  await book(2);
  const again = await open_client("me", "bookcast.base");
  again.say({action: "ping"});
  await again.kind("pong");
  await book(3);
  if (comesBack)
    await again.until((one) => one.type === "orderbook_update" && one.data.bids[0][1] === 3);
  again.say({action: "subscribe", symbol: "US.OTHER"});
  await again.kind("subscription_confirmed");
  await again.close();
  return again.heard.filter((one) => one.type === "orderbook_update")
    .map((one) => one.data.bids[0][1]);
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    """One server for all: each test leaves nothing behind, or says what."""
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client_page(page: Page, server: PageServer) -> Page:
    """A page of the server's, without its own script, that can open WebSockets."""
    page.goto(f"{server.url}/livez")
    page.evaluate(CLIENT)
    return page


def sessions(server: PageServer) -> Any:
    """Return the number of connected clients, and of sessions that wait."""
    return httpx.get(f"{server.url}/stats", trust_env=False).json()["sessions"]


@pytest.mark.parametrize("how", [[4000], [4999, "no answer"]])
def test_a_watchdogs_close_loses_no_session_and_no_trade(client_page: Page, how: list[Any]) -> None:
    """Subscriptions are there again, and the trades that came meanwhile, each once."""
    assert client_page.evaluate(V1, how) == {
        "code": how[0],
        "answer": "resumed",
        "recovered": True,
        "trades": [2, 3, 4, 5],
    }


@pytest.mark.parametrize("how", [[], [1000]])
def test_after_a_goodbye_the_position_is_enough(client_page: Page, how: list[Any]) -> None:
    """The session is gone and the server says so; with ``since`` nothing is lost."""
    answer = client_page.evaluate(V1, how)
    assert answer == {
        "code": how[0] if how else 1005,
        "answer": "unknown_session",
        "recovered": True,
        "trades": [2, 3, 4, 5],
    }


@pytest.mark.parametrize(("how", "sizes"), [([4000], [2, 3]), ([], []), ([1000], [])])
def test_a_base_client_finds_its_books_after_a_watchdogs_close(
    client_page: Page, how: list[Any], sizes: list[int]
) -> None:
    """Without a word from it; after a goodbye it begins with nothing."""
    assert client_page.evaluate(BASE, [how, bool(sizes)]) == sizes


def test_a_page_that_is_left_leaves_nothing_behind(client_page: Page, server: PageServer) -> None:
    """The browser closes with 1001."""
    client_page.evaluate(
        """async () => {
          const one = await open_client("leaves", "bookcast.v1");
          one.say({action: "subscribe", symbol: "US.MINE"});
          await one.kind("subscription_confirmed");
          const other = await open_client("stays", "bookcast.v1");
          other.say({action: "subscribe", symbol: "US.MINE"});
          await other.kind("subscription_confirmed");
          await other.close(4000);
        }"""
    )
    client_page.goto("about:blank")
    deadline = time.monotonic() + PATIENCE
    while (now := sessions(server))["connected"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert now["parked"] == 1
