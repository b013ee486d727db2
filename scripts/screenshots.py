"""Takes the screenshots of the live page for the documents.

python -m scripts.screenshots        writes docs/images/page-{desktop,phone}.png
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright

import bookcast

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
SIZES: Final = {"desktop": (1280, 800), "phone": (390, 844)}
SECONDS: Final = 45
"""The page runs for so long, so that its chart of the middle price has a visible line."""


async def main() -> None:
    """Show a simulated market for a while, then take a screenshot at each size."""
    async with bookcast.serve(port=0, feed="simulator") as server, async_playwright() as tools:
        browser = await tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        pages = {}
        for name, (width, height) in SIZES.items():
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark"
            )
            pages[name] = await context.new_page()
            await pages[name].goto(f"{server.http_url}/#US.AAPL")
        await asyncio.sleep(SECONDS)
        for name, page in pages.items():
            await page.screenshot(path=IMAGES / f"page-{name}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
