/** What the client holds while a thousand updates a second come. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { Bookcast } from "../src/index.js";
import { FakeServer } from "../src/testing.js";
import { pause } from "./server.js";

const SECONDS = Number(process.env["BOOKCAST_HEAP_SECONDS"] ?? 20);
const PER_SECOND = 1_000;
const STEP = 10;
const MOST = 1_000_000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heap(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** The slope of the line through points, in units of y for all of x. */
function growth(points: readonly number[]): number {
  const middle = (points.length - 1) / 2;
  const mean = points.reduce((sum, one) => sum + one, 0) / points.length;
  let over = 0;
  let under = 0;
  points.forEach((one, i) => {
    over += (i - middle) * (one - mean);
    under += (i - middle) ** 2;
  });
  return (over / under) * (points.length - 1);
}

it(`grows by less than 1 MB in ${SECONDS} s of ${PER_SECOND} updates a second`, { timeout: (SECONDS + 60) * 2_000 }, async () => {
  const server = new FakeServer({ historySize: 50 });
  const client = new Bookcast("ws://test", { WebSocket: server.WebSocket });
  const book = client.orderBook("A", { depth: 20 });
  const shallow = client.orderBook("A", { depth: 5, intervalMs: 100 });
  const tape = client.trades("A", { history: 20 });
  client.quote("A");
  const counts = { books: 0, trades: 0, slow: 0 };
  book.on("update", () => counts.books++);
  void (async () => {
    for await (const { trades } of tape) counts.trades += trades.length;
  })();
  void (async () => {
    for await (const one of shallow) counts.slow += one.bids.length > 0 ? 1 : 0;
  })();
  await server.settled();
  const begun = performance.now();
  let published = 0;
  const points: number[] = [];
  let nextPoint = begun + 2_000; // whatever is made once is made by then
  while (performance.now() - begun < SECONDS * 1_000) {
    const due = Math.floor(((performance.now() - begun) / 1_000) * PER_SECOND);
    for (; published < due; published++) {
      if (published % 2 === 0) {
        const bids = Array.from({ length: 30 }, (_, i) => [100 - i, ((published * (i + 7)) % 13) + 1]);
        server.publish("A", { bids, asks: [[101, (published % 9) + 1]] });
      } else if (published % 4 === 1) server.trade("A", { price: 100, size: published });
      else server.publish("A", { last: published }, { channel: "quote" });
    }
    if (performance.now() > nextPoint) {
      points.push(heap());
      nextPoint = performance.now() + 1_000;
    }
    await pause(STEP);
  }
  await server.settled();
  expect(counts.books).toBeGreaterThan(published * 0.4);
  expect(counts.trades).toBeGreaterThan(published * 0.2);
  expect(counts.slow).toBeGreaterThan(SECONDS * 5);
  const grown = growth(points);
  console.log(`${published} updates in ${SECONDS} s: the heap grew by ${(grown / 1e6).toFixed(3)} MB`);
  expect(grown).toBeLessThan(MOST);
  client.close();
});
