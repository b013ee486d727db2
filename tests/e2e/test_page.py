"""The live page, seen through a real browser on a real server."""

from __future__ import annotations

import re

from playwright.sync_api import ConsoleMessage, Error, Page, expect

from .conftest import PageServer

STEADY = 30_000
"""Milliseconds within which a lost connection is back: longer than the longest backoff."""


def expect_live_ladder(page: Page, symbol: str, *, timeout: float = 10_000) -> None:
    """Wait until the symbol's ladder has both sides and the connection is live."""
    expect(page.locator("#connection-text")).to_have_text("Live", timeout=timeout)
    expect(page.locator("#symbol-name")).to_have_text(symbol)
    for side in ("#asks", "#bids"):
        expect(page.locator(f"{side} .price").first).to_have_text(re.compile(r"^[\d,]+\.\d+$"))
        expect(page.locator(f"{side} .size").first).to_have_text(re.compile(r"^[\d,.]+[MBT]?$"))


def expect_change(page: Page, *, timeout: float = 10_000) -> None:
    """Wait until the ladder differs from what it shows now."""
    page.wait_for_function(
        """(before) => document.querySelector("#ladder").innerText !== before""",
        arg=page.locator("#ladder").inner_text(),
        timeout=timeout,
    )


def complaints(page: Page) -> list[str]:
    """Collect the page's errors and warnings from now on."""
    found: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.append(message.text)

    def failed(error: Error) -> None:
        found.append(str(error))

    page.on("console", heard)
    page.on("pageerror", failed)
    return found


def test_first_visit_shows_a_live_ladder(page: Page, page_server: PageServer) -> None:
    """A first visit opens the first symbol known, with bids and asks that change, and no errors."""
    errors = complaints(page)
    page.goto(page_server.url)
    first = page.get_by_role("option").first
    expect(first).to_be_visible()
    expect_live_ladder(page, first.inner_text())
    expect_change(page)
    expect(page.locator("#age")).to_have_text(re.compile(r"^Updated \d\.\d s ago$"))
    expect(page.locator("#spread-points")).to_have_text(re.compile(r"^[\d.]+ bp$"))
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
    assert errors == []


def test_every_panel_says_what_it_shows(page: Page, page_server: PageServer) -> None:
    """Ladder, trades, quote and status have their names and the symbol, and live data."""
    page.goto(f"{page_server.url}/#US.AAPL")
    expect_live_ladder(page, "US.AAPL")
    quote = page.locator("[data-panel=quote][data-symbol='US.AAPL']")
    expect(quote).to_have_text(re.compile(r"Last\s+[\d,]+\.\d\d+\s"))
    trades = page.locator("[data-panel=trades][data-symbol='US.AAPL'] li")
    expect(trades.nth(1)).to_have_text(re.compile(r"^\d\d:\d\d:\d\d[\d,]+\.\d+"))
    status = page.locator("[data-panel=status][data-symbol='US.AAPL']")
    expect(status).to_have_text(re.compile(r"^\s*Live\s+Updated \d\.\d s ago\s*$"))
    page.get_by_role("option", name="US.MSFT").click()
    expect_live_ladder(page, "US.MSFT")
    for panel in ("ladder", "trades", "quote", "status"):
        expect(page.locator(f"[data-panel={panel}]")).to_have_attribute("data-symbol", "US.MSFT")
    expect(page.locator("[data-panel=trades] li").nth(1)).to_be_visible()


def test_the_quote_tells_its_change_and_session(page: Page, page_server: PageServer) -> None:
    """Of a symbol that somebody publishes, with its name; the status says what it waits for."""
    page.goto(f"{page_server.url}/#MY.OWN")
    status = page.locator("[data-panel=status]")
    expect(status).to_contain_text("Waiting")
    expect(page.locator("#reason")).not_to_be_empty()
    figures = {"last": 9.5, "prev_close": 10, "session": "closing_auction", "name": "My Own"}
    page.request.post(f"{page_server.url}/broadcast/quote?symbol=MY.OWN", data=figures)
    quote = page.locator("[data-panel=quote]")
    expect(quote).to_contain_text("9.50")
    expect(quote).to_contain_text("\u22120.50 (\u22125.00%)")
    expect(quote).to_contain_text("Closing auction")
    expect(page.locator("#symbol-about")).to_have_text("My Own")
    page.request.post(
        f"{page_server.url}/broadcast/orderbook?symbol=MY.OWN", data={"bids": [[9, 1]], "asks": []}
    )
    expect(status).to_contain_text(re.compile(r"Live\s+Updated"))
    trades = {"trades": [{"price": 9.5, "size": 70, "side": "sell"}]}
    page.request.post(f"{page_server.url}/broadcast/trades?symbol=MY.OWN", data=trades)
    expect(page.locator("[data-panel=trades] li[data-side=sell]")).to_contain_text("9.50")


def test_best_levels_stand_beside_the_spread(page: Page, page_server: PageServer) -> None:
    """Asks stand above the spread and bids below it, each with its best level nearest."""
    page.goto(f"{page_server.url}/#US.AAPL")
    expect_live_ladder(page, "US.AAPL")
    tops = [
        page.evaluate("(s) => document.querySelector(s).getBoundingClientRect().top", selector)
        for selector in (
            "#asks .row:nth-child(2)",
            "#asks .row:nth-child(1)",
            "#spread",
            "#bids .row:nth-child(1)",
            "#bids .row:nth-child(2)",
        )
    ]
    assert tops == sorted(tops)


def test_clicking_a_symbol_switches(page: Page, page_server: PageServer) -> None:
    """A click on a listed symbol opens its ladder and puts it in the address."""
    page.goto(f"{page_server.url}/#US.AAPL")
    expect_live_ladder(page, "US.AAPL")
    page.get_by_role("option", name="US.MSFT").click()
    expect_live_ladder(page, "US.MSFT")
    expect_change(page)
    assert page.url.endswith("#US.MSFT")


def test_typing_a_symbol_switches(page: Page, page_server: PageServer) -> None:
    """A part of a symbol and Enter open the match, with the keyboard alone."""
    page.goto(f"{page_server.url}/#US.AAPL")
    expect_live_ladder(page, "US.AAPL")
    page.keyboard.press("/")
    page.keyboard.type("tsl")
    expect(page.get_by_role("option")).to_have_text(["US.TSLA", "TSL"])
    page.keyboard.press("Enter")
    expect_live_ladder(page, "US.TSLA")
    page.go_back()
    expect_live_ladder(page, "US.AAPL")


def test_symbol_without_data_says_that_it_waits(page: Page, page_server: PageServer) -> None:
    """A symbol that the server has no book of is waited for in words."""
    page.goto(page_server.url)
    page.get_by_label("Symbol", exact=True).fill("us.nothing")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Waiting for the first book of US.NOTHING")).to_be_visible()
    page.request.post(
        f"{page_server.url}/broadcast/orderbook?symbol=US.NOTHING",
        data={"bids": [[0.0012, 2.5]], "asks": []},
    )
    expect(page.locator("#bids .price").first).to_have_text("0.0012")
    expect(page.get_by_text("No asks")).to_be_visible()


def test_linked_hash_opens_its_symbol(page: Page, page_server: PageServer) -> None:
    """An address with a symbol opens it, survives a reload, and follows a change of the hash."""
    page.goto(f"{page_server.url}/#US.NVDA")
    expect_live_ladder(page, "US.NVDA")
    page.reload()
    expect_live_ladder(page, "US.NVDA")
    page.goto(f"{page_server.url}/#HK.00700")
    expect_live_ladder(page, "HK.00700")


def test_ladder_comes_back_after_a_server_crash(page: Page, page_server: PageServer) -> None:
    """When the server dies the page says so, and is live again once it is back."""
    page.goto(f"{page_server.url}/#US.MSFT")
    expect_live_ladder(page, "US.MSFT")
    page_server.stop()
    expect(page.locator("#connection-text")).to_have_text(
        re.compile("Reconnecting|Connecting|Offline")
    )
    expect(page.locator("#market")).to_have_class(re.compile("detached"))
    page_server.start()
    expect_live_ladder(page, "US.MSFT", timeout=STEADY)
    expect_change(page)


def test_server_errors_are_shown(page: Page, page_server: PageServer) -> None:
    """The page shows the server's own words, and the user can dismiss them."""
    page.goto(f"{page_server.url}/#HK.")
    expect(page.get_by_role("alert")).to_contain_text("The server says:")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_symbol_that_the_server_does_not_list_is_doubted(
    page: Page, page_server: PageServer
) -> None:
    """After a moment, since a feed may still have it; the page says what to do."""
    page.goto(f"{page_server.url}/#US.AAPLE")
    expect(page.locator("#blank")).to_contain_text("check how it is spelled")
    page.get_by_role("option", name="US.MSFT").click()
    expect_live_ladder(page, "US.MSFT")
    expect(page.locator("#blank")).to_be_hidden()


def test_the_heading_has_room_at_every_width(page: Page, page_server: PageServer) -> None:
    """The symbol, its age and the figures are seen whole, with a long symbol as well."""
    for symbol in ("US.AAPL", "HK_FUTURE.HSImain2512C20000"):
        page.goto(f"{page_server.url}/#{symbol}")
        expect(page.locator("#symbol-name")).to_have_text(symbol)
        for width in (360, 720, 900, 1023, 1024, 1060, 1100, 1101, 1230, 1280):
            page.set_viewport_size({"width": width, "height": 700})
            # Nothing is cut off, stands outside of its frame or is squeezed to a column.
            assert (
                page.evaluate(
                    """() => {
                    const frame = document.querySelector(".instrument").getBoundingClientRect();
                    return ["#symbol-name", "#age-line", ".headline", ".depth"].filter((one) => {
                        const element = document.querySelector(one);
                        const { left, right, width } = element.getBoundingClientRect();
                        const cut = element.scrollWidth > element.clientWidth + 1;
                        return cut || width < 80 || left < frame.left || right > frame.right;
                    });
                }"""
                )
                == []
            ), (symbol, width)
            assert page.locator("#age-line").bounding_box()["height"] < 25, (symbol, width)  # type: ignore[index] # it is visible


def test_phone_width_has_no_horizontal_scroll(page: Page, page_server: PageServer) -> None:
    """On a phone everything fits the width, and the spread is seen without scrolling."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{page_server.url}/#US.AAPL")
    expect_live_ladder(page, "US.AAPL")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(page.locator("#spread")).to_be_in_viewport(ratio=1)


def test_console_snippet_works(page: Page, page_server: PageServer) -> None:
    """The line that the page offers subscribes when it is run as it stands."""
    page.goto(f"{page_server.url}/#US.AAPL")
    expect_live_ladder(page, "US.AAPL")
    with page.expect_console_message(lambda message: "subscription_confirmed" in message.text):
        page.evaluate(f"() => {{ {page.locator('#snippet').inner_text()} }}")


def test_page_needs_nothing_from_elsewhere(page: Page, page_server: PageServer) -> None:
    """Every request of the page goes to the server that it came from."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(page_server.url)
    expect(page.locator("#connection-text")).to_have_text("Live")
    assert addresses
    assert all(address.startswith(page_server.url) for address in addresses)
