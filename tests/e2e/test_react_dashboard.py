"""The example in React, built and opened in a real Chromium, while its server and its line fail."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, ViewportSize, WebSocket, async_playwright, expect
from scripts import dashboard

from tests.auth.keyring import SECRET, sign
from tests.fakes.faulty_proxy import FaultyProxy
from tests.support import missing

from .conftest import CHROMIUM_FLAGS, PageServer
from .site import Site

STEADY = 40_000
"""Milliseconds within which a lost line is back: longer than the longest backoff."""

MOST_LINES = 40
LONGEST_LINE = 150
PHONE: ViewportSize = {"width": 390, "height": 844}
TOPICS = [
    "orderbook HK.00700",
    "orderbook US.AAPL",
    "quote HK.00700",
    "quote US.AAPL",
    "trades US.AAPL",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's files, as they would be put on a web server."""
    if not (dashboard.CLIENT / "node_modules" / "react").is_dir():
        missing("the client's tools aren't installed: run 'make setup'")
    folder = tmp_path_factory.mktemp("dashboard") / "dist"
    dashboard.build(folder)
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path) -> Iterator[str]:
    """Where the example is served."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    site = Site(tmp_path)
    yield site.serve((built / "index.html").read_text())
    site.close()


@pytest.fixture
async def tab() -> AsyncIterator[Page]:
    """An empty tab."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("no chromium on the PATH")
    async with async_playwright() as tools:
        browser = await tools.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield await browser.new_page(viewport=PHONE)
        await browser.close()


def sockets_of(page: Page) -> list[list[dict[str, object]]]:
    """Collect what the page says from now on over each of its sockets."""
    sockets: list[list[dict[str, object]]] = []

    def opened(socket: WebSocket) -> None:
        said: list[dict[str, object]] = []
        sockets.append(said)
        socket.on("framesent", lambda text: said.append(json.loads(text)))

    page.on("websocket", opened)
    return sockets


def subscribed(said: list[dict[str, object]]) -> list[str]:
    """Name what was subscribed over a socket."""
    return sorted(
        f"{one['channel']} {one['symbol']}" for one in said if one["action"] == "subscribe"
    )


async def expect_live(page: Page) -> None:
    """Wait until everything shows, and changes."""
    await expect(page.locator("[data-panel=status]")).to_have_text("bookcast: open", timeout=STEADY)
    for symbol in ("US.AAPL", "HK.00700"):
        ladder = page.locator(f"[data-panel=ladder][data-symbol='{symbol}']")
        await expect(ladder).to_have_attribute("data-state", "live", timeout=STEADY)
        await expect(ladder.locator(".bids")).to_have_count(8)
        await expect(ladder.locator(".asks")).to_have_count(8)
        await expect(ladder.locator("output")).to_have_text(
            re.compile(r"^\d+\.\d\d$"), timeout=STEADY
        )
        await expect(ladder.locator("footer")).to_have_text(re.compile(r"^live\s+· \d+\.\d s old"))
        await expect(ladder).not_to_have_text(await ladder.inner_text(), use_inner_text=True)
    await expect(page.locator("[data-panel=trades] li")).to_have_count(16, timeout=STEADY)


def test_it_has_at_most_forty_lines() -> None:
    """All of the application's code, without blank lines."""
    sources = sorted((dashboard.EXAMPLE / "src").glob("*.ts*"))
    lines = [line for source in sources for line in source.read_text().splitlines()]
    assert len([line for line in lines if line.strip()]) <= MOST_LINES
    assert max(map(len, lines)) <= LONGEST_LINE


async def test_it_lives_through_a_restart_and_a_line_that_is_cut(tab: Page, place: str) -> None:
    """On one socket with one subscription of each topic, also in StrictMode and after each loss."""
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    server = PageServer()
    server.start()
    try:
        async with FaultyProxy(server.port) as proxy:
            sockets = sockets_of(tab)
            await tab.goto(f"{place}#server=http://127.0.0.1:{proxy.port}")
            await expect_live(tab)
            assert [subscribed(said) for said in sockets] == [TOPICS]
            assert await tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]

            proxy.cut()
            await expect(tab.locator("[data-panel=status]")).to_have_attribute(
                "data-state", "open", timeout=STEADY
            )
            await expect_live(tab)
            # The session goes on: nothing is subscribed again.
            assert subscribed(sockets[-1]) == []

            server.stop()
            await expect(tab.locator("[data-panel=ladder][data-state=connecting]")).to_have_count(2)
            # What was true last is still there, marked as old.
            await expect(tab.locator(".bids")).to_have_count(16)
            server.start()
            await expect_live(tab)
            assert subscribed(sockets[-1]) == TOPICS
            assert errors == []
    finally:
        server.stop()


async def test_it_shows_its_token_and_says_when_that_is_refused(tab: Page, place: str) -> None:
    """In the server's own words, and without data."""
    server = PageServer({"AUTH_MODE": "jwt", "AUTH_JWT_SECRET": SECRET})
    server.start()
    try:
        await tab.goto(f"{place}#server={server.url}&token={sign()}")
        await expect_live(tab)
        await tab.goto("about:blank")
        await tab.goto(f"{place}#server={server.url}&token=nonsense")
        status = tab.locator("[data-panel=status]")
        await expect(status).to_have_attribute("data-state", "stopped", timeout=STEADY)
        await expect(status).to_have_text(re.compile(r"bookcast: stopped .*token", re.IGNORECASE))
        await expect(tab.locator("[data-panel=ladder][data-state=refused]")).to_have_count(2)
    finally:
        server.stop()
