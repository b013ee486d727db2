"""The client for script tags, in a page of another port in a real Chromium."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.fakes.redis_server import HOST, free_port
from tests.support import PATIENCE, missing

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


NGINX = """
daemon off;
pid {folder}/nginx.pid;
lock_file {folder}/nginx.lock;
error_log stderr;
events {{}}
http {{
  access_log off;
  proxy_temp_path {folder}/proxy;
  client_body_temp_path {folder}/body;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /market/data/ {{
      proxy_pass http://127.0.0.1:{server}/;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
}}
"""


@pytest.fixture
def prefixed(page_server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address below a path of a proxy."""
    if shutil.which("nginx") is None:
        missing("no nginx on the PATH")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, port=port, server=page_server.port))
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(path)], stderr=subprocess.DEVNULL
    )
    wait_until_open(port)
    yield f"http://127.0.0.1:{port}/market/data"
    process.terminate()  # it ends its workers when it is asked to end
    process.wait(PATIENCE)


def wait_until_open(port: int) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
    page.wait_for_function("client.line.state !== 'open'")
    # A symbol that was unsubscribed doesn't come back with the connection.
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


def test_the_script_connects_to_where_it_came_from(page: Page, prefixed: str, site: Site) -> None:
    """Below a proxy's path, with both of its classes; or to where it is told to."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    place = prefixed.replace("http:", "ws:")
    with page.expect_websocket() as opened:
        page.goto(site.serve(PAGE.format(server=prefixed)))
    assert opened.value.url == f"{place}/ws/e2e"
    expect_books(page, "US.AAPL")
    with page.expect_websocket() as opened:
        page.evaluate("globalThis.whole = new Bookcast(); null")
    assert opened.value.url.startswith(f"{place}/ws/")
    bids = page.evaluate("whole.orderBook('US.AAPL', {depth: 3}).ready.then((b) => b.value.bids)")
    assert len(bids) == 3
    with page.expect_websocket() as opened:
        page.evaluate("new WebSocketClient('other', 'http://localhost:1/prefix/').connect()")
    assert opened.value.url == "ws://localhost:1/prefix/ws/other"
    # A page may have classes of such names: they hide ours.
    page.add_script_tag(content="class WebSocketClient {}; class Bookcast {}")
    assert faults == []
