import { Bookcast, type BookcastError, type LineStatus, type Trades } from "@bookcast/client";
import { FakeServer } from "@bookcast/client/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Live } from "../src/live";

let server: FakeServer;
let token: string;
let clients: Bookcast[];
let lines: LineStatus[];
let books: number[];
let trades: Trades[];
let errors: BookcastError[];
let live: Live;

beforeEach(() => {
  server = new FakeServer();
  token = "good";
  clients = [];
  [lines, books, trades, errors] = [[], [], [], []];
  live = new Live(
    {
      open: () => {
        const held = token;
        const client = new Bookcast("ws://test", { WebSocket: server.WebSocket, getToken: () => held });
        clients.push(client);
        return client;
      },
      onLine: (line) => lines.push(line),
      onBook: ({ bids }) => books.push(bids[0]?.[0] ?? NaN),
      onQuote: () => undefined,
      onTrades: (more) => trades.push(more),
      onError: (error) => errors.push(error),
    },
    2,
  );
});

afterEach(() => {
  for (const client of clients) client.close();
});

function withTokens(verdict: "token_expired" | "invalid_token"): void {
  server = new FakeServer({ tokens: (shown) => (shown === "good" ? { expiresInMs: null } : verdict) });
}

it("shows one symbol at a time", async () => {
  server.publish("A", { bids: [[1, 1]], asks: [] });
  server.publish("B", { bids: [[2, 1]], asks: [] });
  for (const price of [1, 2, 3]) server.trade("A", { price, size: 1 });
  live.show("A");
  live.connect();
  await server.settled();
  live.show("B");
  await server.settled();
  server.publish("A", { bids: [[3, 1]], asks: [] });
  server.publish("B", { bids: [[4, 1]], asks: [] });
  await server.settled();
  expect(books).toEqual([1, 2, 4]);
  expect(trades.flatMap((each) => each.trades.map(({ price }) => price))).toEqual([2, 3]);
  expect(server.connectionCount).toBe(1);
  expect(live.line.state).toBe("open");
});

it("stops at a token that has expired, until it connects with another one", async () => {
  withTokens("token_expired");
  token = "old";
  live.show("A");
  live.connect();
  await server.settled();
  expect(live.line).toMatchObject({ state: "stopped", code: 4010 });
  expect(server.connectionCount).toBe(0);
  token = "good";
  live.connect();
  await server.settled();
  server.publish("A", { bids: [[5, 1]], asks: [] });
  await server.settled();
  expect([live.line.state, books]).toEqual(["open", [5]]);
});

it("tells what the server says of a token before it stops", async () => {
  withTokens("invalid_token");
  token = "wrong";
  live.connect();
  await server.settled();
  expect(lines.at(-1)).toMatchObject({ state: "stopped", code: 4503 });
  expect(errors.map(({ code }) => code)).toEqual(["invalid_token"]);
});

it("tells why a symbol is refused, once", async () => {
  server.refuse("NO", "invalid_symbol", "That is no symbol");
  live.connect();
  live.show("NO");
  await server.settled();
  expect(errors.map(({ message }) => message)).toEqual(["That is no symbol"]);
});

it("follows no client that it has let go of", async () => {
  live.connect();
  await server.settled();
  live.refuse(4503, "told elsewhere");
  expect(lines.at(-1)).toMatchObject({ state: "stopped", reason: "told elsewhere" });
  const told = lines.length;
  clients[0]?.close();
  await server.settled();
  expect(lines).toHaveLength(told);
});
