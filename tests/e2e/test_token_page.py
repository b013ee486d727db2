"""The live page of a server that asks for tokens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import jwt
import pytest
from playwright.sync_api import Page, expect

from tests.sessions.world import SECRET

from .conftest import PageServer


@pytest.fixture
def guarded() -> Iterator[PageServer]:
    """Give a server that serves nobody without a token."""
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


def test_without_a_token_the_page_says_why_it_shows_nothing(
    page: Page, guarded: PageServer
) -> None:
    """And doesn't try again and again."""
    page.goto(guarded.url)
    expect(page.locator("#problem-text")).to_contain_text("not authenticated")
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/no-token.png")
