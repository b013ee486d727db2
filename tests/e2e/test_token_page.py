"""The live page of a server that requires tokens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import jwt
import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.sessions.world import SECRET

from .conftest import PageServer


@pytest.fixture
def guarded() -> Iterator[PageServer]:
    """Yield a server that requires a token from every client."""
    server = PageServer({"AUTH_MODE": "jwt", "AUTH_JWT_SECRET": SECRET, "AUTH_TIMEOUT": "0.5"})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_the_page_shows_what_a_token_in_its_address_allows(page: Page, guarded: PageServer) -> None:
    """It takes the token out of the address, and keeps it for the tab."""
    claims = {"sub": "alice", "exp": time.time() + 60, "bookcast": {"max_depth": 3}}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    page.goto(f"{guarded.url}/#token={token}&US.AAPL")
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#bids .price").nth(2)).not_to_be_empty()
    expect(page.locator("#bids .price").nth(3)).to_be_empty()
    assert page.url == f"{guarded.url}/#US.AAPL"
    page.reload()
    expect(page.locator("#connection-text")).to_have_text("Live")


def token_for(seconds: float) -> str:
    """Sign a token."""
    return jwt.encode({"sub": "alice", "exp": time.time() + seconds}, SECRET, algorithm="HS256")


def sockets_of(page: Page) -> list[WebSocket]:
    """Collect the WebSockets that a page opens from now on."""
    found: list[WebSocket] = []

    def opened(socket: WebSocket) -> None:
        found.append(socket)

    page.on("websocket", opened)
    return found


@pytest.mark.parametrize(
    ("shown", "status", "advice"),
    [
        ("", "Token needed", "This server asks for a token. Put #token= and your token"),
        ("#token=nonsense", "Token needed", "take this token"),
        ("#token={expired}", "Token expired", "Put #token= and a new token"),
    ],
)
def test_the_page_says_what_to_do_for_a_token_and_stops_trying(
    page: Page, guarded: PageServer, shown: str, status: str, advice: str
) -> None:
    """Until another one is put into its address, without a reload."""
    sockets = sockets_of(page)
    page.goto(f"{guarded.url}/{shown.format(expired=token_for(-60))}")
    expect(page.locator("#problem-text")).to_contain_text(advice)
    expect(page.locator("#connection-text")).to_have_text(status)
    opened = len(sockets)
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/{status}-{advice[:4]}.png")
    page.wait_for_timeout(1500)  # several times the first delay
    assert len(sockets) == opened == 1
    page.evaluate(f"location.hash = '#token={token_for(60)}'")
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#bids .price").first).not_to_be_empty()
    assert "token" not in page.url


def test_a_token_that_expires_ends_the_page_s_connection_for_good(
    page: Page, guarded: PageServer
) -> None:
    """It knows no other one, and says so."""
    sockets = sockets_of(page)
    page.goto(f"{guarded.url}/#token={token_for(2)}&US.AAPL")
    expect(page.locator("#bids .price").first).not_to_be_empty()
    expect(page.locator("#problem-text")).to_contain_text("The token has expired", timeout=20_000)
    expect(page.locator("#connection-text")).to_have_text("Token expired")
    assert len(sockets) == 1


@pytest.mark.parametrize("scope", ["", "publish"])
def test_the_page_says_why_a_token_shows_nothing(
    page: Page, guarded: PageServer, scope: str
) -> None:
    """It is believed, but may not read: there is no list of symbols, and so nothing is chosen."""
    claims = {"sub": "alice", "exp": time.time() + 60, "scope": scope}
    page.goto(f"{guarded.url}/#token={jwt.encode(claims, SECRET, algorithm='HS256')}")
    expect(page.locator("#problem-text")).to_contain_text("takes the scope 'read'")
