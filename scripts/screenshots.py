"""Takes the screenshots of the live page and of the React example for the documents.

python -m scripts.screenshots        writes docs/images/{page,dashboard}-{desktop,phone}.png
"""

from __future__ import annotations

import asyncio
import functools
import http.server
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright

import bookcast
from scripts import dashboard

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
SIZES: Final = {
    "page-desktop": (1280, 800),
    "page-phone": (390, 844),
    "dashboard-desktop": (1100, 520),
    "dashboard-phone": (390, 844),
}
SECONDS: Final = 45
"""The page runs for so long, so that its chart of the middle price has a visible line."""


@contextmanager
def example() -> Iterator[str]:
    """Serve the built dashboard, and yield its address."""
    with tempfile.TemporaryDirectory() as folder:
        dashboard.build(Path(folder))
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
            threading.Thread(target=site.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{site.server_port}/"
            site.shutdown()


async def main() -> None:
    """Show a simulated market for a while, then take a screenshot of each page at each size."""
    with example() as place:
        await _take(place)


async def _take(place: str) -> None:
    async with bookcast.serve(port=0, feed="simulator") as server, async_playwright() as tools:
        addresses = {
            "page": f"{server.http_url}/#US.AAPL",
            "dashboard": f"{place}#server={server.http_url}",
        }
        browser = await tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        pages = {}
        for name, (width, height) in SIZES.items():
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark"
            )
            pages[name] = await context.new_page()
            await pages[name].goto(addresses[name.partition("-")[0]])
        await asyncio.sleep(SECONDS)
        for name, page in pages.items():
            await page.screenshot(path=IMAGES / f"{name}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
