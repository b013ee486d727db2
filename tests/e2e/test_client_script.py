"""The client for script tags, in a page of another port in a real Chromium."""

from __future__ import annotations

from playwright.sync_api import Page

from .conftest import PageServer
from .site import Site

STEADY = 30_000
"""Milliseconds within which a lost connection is back: longer than the longest backoff."""

PAGE = """
<!doctype html>
<script src="{server}/client.js"></script>
<script>
  const books = {{}}, errors = [];
  const client = new WebSocketClient("e2e");
  client.onOrderBookUpdate = (symbol, data) => (books[symbol] ??= []).push(data);
  client.onError = (message) => errors.push(message);
  client.subscribe("US.AAPL");
  client.subscribe("US.MSFT");
  client.connect();
</script>
"""


def expect_books(page: Page, symbol: str, more_than: int = 0) -> None:
    """Wait until there are more books of a symbol than so many."""
    page.wait_for_function(
        "([symbol, count]) => books[symbol]?.length > count",
        arg=[symbol, more_than],
        timeout=STEADY,
    )


def test_a_page_of_another_port_gets_books_before_and_after_a_restart(
    page: Page, page_server: PageServer, site: Site
) -> None:
    """It loads the script from the server, and subscribes before it connects."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    url = site.serve(PAGE.format(server=page_server.url))
    page.goto(url)
    expect_books(page, "US.AAPL", 2)
    expect_books(page, "US.MSFT", 2)
    levels = page.evaluate("books['US.AAPL'].at(-1).bids")
    assert set(levels[0]) == {"price", "volume", "orders"}
    page_server.stop()
    page.wait_for_function("client.line.state === 'waiting'")
    # What is no longer wanted doesn't come back with the connection.
    page.evaluate("client.unsubscribe('US.MSFT'); client.subscribe('US.NVDA')")
    before: dict[str, int] = page.evaluate(
        "Object.fromEntries(Object.entries(books).map(([symbol, all]) => [symbol, all.length]))"
    )
    page_server.start()
    expect_books(page, "US.NVDA", 2)
    expect_books(page, "US.AAPL", before["US.AAPL"] + 2)
    assert page.evaluate("books['US.MSFT'].length") == before["US.MSFT"]
    # The restarted server serves the script as well.
    page.goto(url)
    expect_books(page, "US.AAPL", 2)
    assert page.evaluate("errors") == []
    assert faults == []


def test_the_script_says_to_its_page_what_is_wrong(
    page: Page, page_server: PageServer, site: Site
) -> None:
    """A sentence of the server's comes to onError, and a fault of the page stays the page's."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(site.serve(PAGE.format(server=page_server.url)))
    page.evaluate("client.subscribe(' ')")
    page.wait_for_function("errors.length > 0")
    assert "symbol" in page.evaluate("errors[0]")
    with page.expect_event("pageerror"):
        page.evaluate("client.onOrderBookUpdate = () => { throw new Error('of the page') }; null")
    assert page.evaluate("client.line.state") == "open"
    assert set(faults) == {"of the page"}
