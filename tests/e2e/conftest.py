"""A real server as its own process, and a real Chromium to look at its page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bookcast.http import client_script
from tests.support import missing

from .site import Site

BUILT_PAGE = Path(__file__).parents[2] / "src" / "bookcast" / "web" / "index.html"
CHROMIUM_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_TIMEOUT = 20.0
STOP_TIMEOUT = 15.0


class PageServer:
    """The server under test. It keeps its port over a restart."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self.port = 0
        self._environ = environ or {}
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and return once it says where it serves."""
        command = [sys.executable, "-m", "bookcast", "serve", "--feed", "simulator"]
        process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environ},
        )
        self._process = process
        log: list[str] = []
        serving = threading.Event()
        threading.Thread(target=self._read_log, args=(process, log, serving), daemon=True).start()
        if not serving.wait(START_TIMEOUT) or not self.port:
            self.stop()
            pytest.fail("the server didn't say where it serves:\n" + "".join(log))

    def stop(self) -> None:
        """Kill the process as a crash would, by its own id."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT)
            self._process = None

    def _read_log(
        self, process: subprocess.Popen[str], log: list[str], serving: threading.Event
    ) -> None:
        """Read the log to its end, so that the server never blocks on a full pipe."""
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                log.append(line)
                found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
                if found and not serving.is_set():
                    self.port = int(found[1])
                    serving.set()
        serving.set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium from the system.

    It goes with its module: Playwright's event loop must not run beside other tests' own.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("no chromium on the PATH: install it to test the page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page_server() -> Iterator[PageServer]:
    """A server with the simulator's market on a free port."""
    if not BUILT_PAGE.is_file():
        missing("the page isn't built: run npm run build in web/")
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own for each test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty tab."""
    return context.new_page()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A page of another port, that may load the client."""
    if not client_script.FILE.is_file():
        missing("the client isn't built: run 'make setup'")
    site = Site(tmp_path)
    yield site
    site.close()
