"""The hooks of the client in a real Chromium, with 50 updates a second from a real server."""

from __future__ import annotations

import subprocess
from typing import Any

from playwright.sync_api import Page, WebSocket

from tests.support import PATIENCE, ROOT, missing

from .conftest import PageServer
from .site import Site

CLIENT = ROOT / "clients" / "typescript"
UPDATES = 150

PAGE = """
import { Profiler, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Bookcast } from "./src/index.ts";
import { BookcastProvider, useOrderBook, useTrades } from "./src/react/index.ts";

const url = "SERVER";
const seen = (globalThis.seen = { commits: 0, frames: 0, best: 0, newest: 0, trades: 0 });

function Books() {
  seen.newest = useOrderBook("MY.OWN").value?.bids[1]?.[1] ?? 0;
  seen.trades = useTrades("MY.OWN", { limit: 1000 }).value?.trades.length ?? 0;
  return <p>{seen.newest}</p>;
}
function Best() {
  const best = useOrderBook("MY.OWN", { select: ({ bids }) => bids[0] });
  if (best.value !== undefined) seen.best += 1;
  return null;
}
createRoot(document.body).render(
  <StrictMode>
    <BookcastProvider url={url}>
      <Profiler id="books" onRender={() => (seen.commits += 1)}>
        {Array.from({ length: 10 }, (_, i) => <Books key={i} />)}
      </Profiler>
      <Best />
    </BookcastProvider>
  </StrictMode>,
);

globalThis.publish = async (count) => {
  const publisher = new Bookcast(url);
  const book = (size) => {
    const data = { bids: [[10, 1], [9, size]], asks: [[11, size]] };
    return publisher.publish("MY.OWN", data, { waitMs: 20000 });
  };
  await book(1);
  while (seen.best === 0 || seen.newest !== 1) await new Promise(requestAnimationFrame);
  const before = { ...seen };
  let isOver = false;
  requestAnimationFrame(function next() {
    seen.frames += 1;
    if (!isOver) requestAnimationFrame(next);
  });
  for (let size = 2; size <= count + 1; size++) {
    void book(size);
    void publisher.publish("MY.OWN", { trades: [{ price: 10, size }] }, { channel: "trades" });
    await new Promise((done) => setTimeout(done, 20));
  }
  while (seen.newest <= count || seen.trades < count) await new Promise(requestAnimationFrame);
  isOver = true;
  publisher.close();
  const [commits, best] = [seen.commits - before.commits, seen.best - before.best];
  return { commits, best, frames: seen.frames };
};
"""


def bundle(source: str) -> str:
    """Bundle a page with the client's sources and React."""
    esbuild = CLIENT / "node_modules" / ".bin" / "esbuild"
    if not (CLIENT / "node_modules" / "react").is_dir():
        missing("the client's tools aren't installed: run 'make setup'")
    result = subprocess.run(
        [esbuild, "--bundle", "--format=esm", "--jsx=automatic", "--loader=tsx"],
        input=source,
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.replace("</script", "<\\/script")


def test_many_components_commit_at_most_once_per_frame(
    page: Page, page_server: PageServer, site: Site
) -> None:
    """On one socket with one subscription per topic; the best bid renders for no deeper level."""
    faults: list[str] = []
    sockets: list[list[str]] = []

    def opened(socket: WebSocket) -> None:
        said: list[str] = []
        sockets.append(said)
        socket.on("framesent", lambda text: said.append(str(text)))

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("websocket", opened)
    script = bundle(PAGE.replace("SERVER", page_server.url))
    page.goto(site.serve(f'<!doctype html><body></body><script type="module">{script}</script>'))
    page.wait_for_function("globalThis.publish !== undefined")
    seen: dict[str, Any] = page.evaluate(f"publish({UPDATES})")
    assert 10 < seen["commits"] <= seen["frames"]
    assert seen["best"] == 0
    [shown, _publisher] = sockets
    assert len([said for said in shown if '"subscribe"' in said]) == 2  # a book, trades
    assert faults == []
