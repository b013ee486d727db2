/** The real server, killed under load, and behind a relay that swallows everything for a while. */

import { describe, expect, it, type TestContext } from "vitest";
import { WebSocket } from "ws";
import { Bookcast, type DebugEvent, type Gap, type Subscription, type Trades } from "../src/index.js";
import type { SocketConstructor } from "../src/platform.js";
import { freePort, hasServer, pause, Relay, Server, until } from "./server.js";

const KILLS = Number(process.env["BOOKCAST_KILLS"] ?? 5);
const SWALLOWS = Number(process.env["BOOKCAST_SWALLOWS"] ?? 1);

/** What each connection said, by the number of the connection. */
const subscribed: string[][] = [];

class Watched extends WebSocket {
  readonly #said: string[] = [];

  constructor(url: string, protocols?: string[]) {
    super(url, protocols);
    subscribed.push(this.#said);
  }

  override send(text: unknown): void {
    const command = JSON.parse(String(text)) as { action: string; channel?: string; symbol?: string; symbols?: string[] };
    if (command.action === "subscribe") {
      for (const symbol of command.symbols ?? [command.symbol]) this.#said.push(`${command.channel} ${symbol}`);
    }
    super.send(text as string);
  }
}

interface Watch {
  tape: Subscription<Trades>;
  ids: string[];
  gaps: Gap[];
}

function watch(client: Bookcast, symbol: string): Watch {
  const tape = client.trades(symbol);
  const watched: Watch = { tape, ids: [], gaps: [] };
  void (async () => {
    for await (const { trades, gap } of tape) {
      if (gap !== undefined) watched.gaps.push(gap);
      for (const { id } of trades) watched.ids.push(String(id));
    }
  })();
  return watched;
}

interface Published {
  id: string;
  epoch: string;
  seq: number;
}

/** Publishes trades and books of some symbols until it is stopped; returns what was published for sure. */
function load(server: Server, symbols: readonly string[], perSecond: number): { trades: Map<string, Published[]>; stop(): Promise<void> } {
  const trades = new Map<string, Published[]>(symbols.map((symbol) => [symbol, []]));
  let count = 0;
  let running = true;
  const loops = symbols.map(async (symbol) => {
    while (running) {
      const id = `${symbol}-${count++}`;
      const place = await server.publish("trades", symbol, { trades: [{ price: 1, size: 1, id }] });
      if (place !== undefined) trades.get(symbol)?.push({ id, ...place });
      const levels = Array.from({ length: 12 }, (_, i) => [100 - i, ((count * (i + 3)) % 7) + 1]);
      await server.publish("orderbook", symbol, { bids: levels, asks: [[101, count]] });
      await pause((1_000 * symbols.length) / perSecond);
    }
  });
  return {
    trades,
    stop: async () => {
      running = false;
      await Promise.all(loops);
    },
  };
}

/** Each trade came once, or a gap tells of it. */
function judge({ ids, gaps }: Watch, published: readonly Published[], from: number): { missing: number } {
  expect(new Set(ids).size, "no trade comes twice").toBe(ids.length);
  const got = new Set(ids);
  let missing = 0;
  for (const { id, epoch, seq } of published.slice(from)) {
    if (got.has(id)) continue;
    missing += 1;
    const told = gaps.some((gap) =>
      gap.from === null || gap.to === null ? gap.epoch !== epoch : gap.epoch === epoch && gap.from <= seq && seq <= gap.to,
    );
    expect(told, `${id}, ${seq} of ${epoch}, is missing without a word`).toBe(true);
  }
  return { missing };
}

/** `test`: what it leaves is ended with it, since another one runs beside it. */
async function open(url: string, symbols: readonly string[], test: TestContext): Promise<{ client: Bookcast; watches: Watch[] }> {
  const said: string[] = [];
  const debug = ({ at, text, symbol }: DebugEvent): void => {
    said.push(`${new Date(at).toISOString()} ${symbol ?? ""} ${text}`);
    if (said.length > 60) said.shift();
  };
  const client = new Bookcast(url, { WebSocket: Watched as unknown as SocketConstructor, debug });
  test.onTestFailed(() => {
    console.log(said.join("\n"));
  });
  test.onTestFinished(() => {
    client.close();
  });
  const watches = symbols.map((symbol) => watch(client, symbol));
  for (const symbol of symbols) client.orderBook(symbol, { depth: 10 });
  await until("the first connection", () => client.subscriptions().every(({ state }) => state !== "connecting"));
  return { client, watches };
}

describe.runIf(hasServer).concurrent("a real server", () => {
  it(`that is killed ${KILLS} times under load costs no trade that isn't told, and one subscription per topic`, { timeout: 60_000 + KILLS * 30_000 }, async (test) => {
    const symbols = ["US.A", "US.B", "HK.00700"];
    const server = new Server(await freePort());
    test.onTestFinished(() => server.kill());
    await server.start();
    subscribed.length = 0;
    const { client, watches } = await open(server.url, symbols, test);
    const publisher = load(server, symbols, 150);
    for (let i = 0; i < KILLS; i++) {
      await pause(500 + Math.random() * 500);
      await server.kill(i % 3 === 2 ? "SIGTERM" : "SIGKILL");
      if (i % 2 === 1) await pause(700);
      await server.start();
      await until("coming back", () => client.line.state === "open");
    }
    await pause(500);
    await publisher.stop();
    const last = new Map<string, number>();
    for (const symbol of symbols) {
      const place = await server.publish("orderbook", symbol, { bids: [[50, 1]], asks: [[51, 2]] });
      last.set(symbol, place?.seq ?? 0);
      const trade = await server.publish("trades", symbol, { trades: [{ price: 2, size: 1, id: `${symbol}-last` }] });
      expect(trade).toBeDefined();
    }
    await until("the last trade", () => watches.every(({ ids, tape }) => ids.includes(`${tape.symbol}-last`)));
    const books = client.subscriptions().filter(({ channel }) => channel === "orderbook");
    await until("the last book", () => books.every(({ seq, symbol }) => seq === last.get(symbol)));
    for (const book of books) expect([book.state, book.value]).toEqual(["live", { bids: [[50, 1]], asks: [[51, 2]] }]);
    let came = 0;
    let missing = 0;
    for (const one of watches) {
      ({ missing: missing } = { missing: missing + judge(one, publisher.trades.get(one.tape.symbol) ?? [], 0).missing });
      came += one.ids.length;
    }
    console.log(`${KILLS} kills: ${came} trades came, ${missing} are told to be missing, ${subscribed.length} connections tried`);
    expect(came).toBeGreaterThan(50);
    for (const said of subscribed) expect(said.length, `twice in ${said.join()}`).toBe(new Set(said).size);
  });

  it(`behind a relay that swallows everything for 8 s, ${SWALLOWS} times, goes on without a hole`, { timeout: 60_000 + SWALLOWS * 60_000 }, async (test) => {
    const server = new Server(await freePort(), { HEARTBEAT_MS: "1000" });
    test.onTestFinished(() => server.kill());
    await server.start();
    const relay = new Relay(server.port);
    test.onTestFinished(() => {
      relay.stop();
    });
    await relay.start();
    const { client, watches } = await open(`http://127.0.0.1:${relay.port}`, ["US.A"], test);
    const publisher = load(server, ["US.A"], 50);
    for (let i = 0; i < SWALLOWS; i++) {
      await pause(500);
      relay.swallows = true;
      await pause(8_000);
      relay.swallows = false;
      await until("coming back", () => client.subscriptions().every(({ state }) => state === "live"));
    }
    await publisher.stop();
    await server.publish("trades", "US.A", { trades: [{ price: 2, size: 1, id: "last" }] });
    await until("the last trade", () => watches.every(({ ids }) => ids.includes("last")));
    for (const one of watches) expect(judge(one, publisher.trades.get("US.A") ?? [], 0).missing).toBe(0);
    console.log(`${SWALLOWS} times 8 s: ${watches[0]?.ids.length} trades came, each once`);
  });
});
