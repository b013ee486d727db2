import { expect, it } from "vitest";
import { hashFromSymbol, socketAddress, symbolFromHash } from "../src/address";

it.each(["US.AAPL", "HK.00700", "a b/c#d", "100%"])("keeps %j in the address", (symbol) => {
  expect(symbolFromHash(hashFromSymbol(symbol))).toBe(symbol);
});

it("finds no symbol in an empty hash, and takes a broken one as it is", () => {
  expect(symbolFromHash("")).toBeNull();
  expect(symbolFromHash("#")).toBeNull();
  expect(symbolFromHash("#100%")).toBe("100%");
});

it.each([
  ["http://127.0.0.1:8002/#US.AAPL", "ws://127.0.0.1:8002/ws/me"],
  ["https://example.com/?x=1", "wss://example.com/ws/me"],
  ["https://example.com/books/", "wss://example.com/books/ws/me"],
])("finds the WebSocket beside %s", (page, expected) => {
  expect(socketAddress(page, "me")).toBe(expected);
});
