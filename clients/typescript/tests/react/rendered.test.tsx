// @vitest-environment node
/** Pages that are rendered on a server, where there is no window, no effect and perhaps no WebSocket. */

import { createElement as h, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { expect, it, vi } from "vitest";
import { BookcastProvider, useAge, useBookcast, useCandles, useLine, useOrderBook, useStatus, useTrades } from "../../src/react/index.js";

function Page(): ReactNode {
  const book = useOrderBook("US.AAPL", { select: ({ bids }) => bids[0] });
  const states = [book, useTrades("US.AAPL"), useCandles("US.AAPL", { period: "1m" }), useStatus("US.AAPL"), useLine()];
  const off = useOrderBook("US.AAPL", { enabled: false });
  return h("p", null, [...states, off].map(({ state }) => state).join(" "), ` ${useAge(book)} ${typeof useBookcast()}`);
}

it("are rendered as connecting, and nothing connects", () => {
  const forbidden = vi.fn();
  for (const WebSocket of [undefined, forbidden]) {
    vi.stubGlobal("WebSocket", WebSocket);
    const page = renderToString(h(BookcastProvider, { url: "http://127.0.0.1:1" }, h(Page)));
    expect(page.replaceAll("<!-- -->", "")).toBe("<p>connecting connecting connecting connecting connecting idle undefined undefined</p>");
  }
  vi.unstubAllGlobals();
  expect(forbidden).not.toHaveBeenCalled();
});
