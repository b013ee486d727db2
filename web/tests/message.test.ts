import { expect, it } from "vitest";
import { parseMessage } from "../src/message";

it("reads a book with the time the server gave it", () => {
  const text = JSON.stringify({
    type: "orderbook_update",
    symbol: "AAPL",
    data: { bids: [[1, 2]], asks: [], timestamp: "whenever" },
    timestamp: "2026-01-02T03:04:05.678901+00:00",
  });
  expect(parseMessage(text)).toEqual({
    type: "book",
    symbol: "AAPL",
    book: { bids: [{ price: 1, size: 2, orders: null }], asks: [] },
    serverMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  });
});

it("does without a time", () => {
  expect(parseMessage('{"type":"orderbook_update","symbol":"A","data":{}}')).toMatchObject({ serverMs: null });
});

it.each([
  ['{"type":"subscription_confirmed","symbol":"A"}', { type: "subscribed", symbol: "A" }],
  ['{"type":"unsubscription_confirmed","symbol":"A"}', { type: "unsubscribed", symbol: "A" }],
  ['{"type":"pong"}', { type: "pong" }],
  ['{"type":"error","message":"No"}', { type: "error", message: "No" }],
  ['{"type":"error"}', { type: "error", message: "Unknown error" }],
])("reads %s", (text, expected) => {
  expect(parseMessage(text)).toEqual(expected);
});

it.each(["", "{", "null", "3", "[]", '{"type":"welcome"}', '{"type":"orderbook_update"}'])("ignores %j", (text) => {
  expect(parseMessage(text)).toBeNull();
});
