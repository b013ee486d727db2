import { describe, expect, it, vi } from "vitest";
import { Bookcast, BookcastError } from "../src/index.js";
import { FakeServer } from "../src/testing.js";
import { collect, world } from "./support.js";

const BOOK = { bids: [[10, 5], [9, 4], [8, 3]], asks: [[11, 6], [12, 7]] };

describe("a subscription", () => {
  it("shows the newest book, and each one after it", async () => {
    const { client, server, pass } = world();
    server.publish("US.AAPL", BOOK);
    const book = client.orderBook("US.AAPL", { depth: 2 });
    const seen = collect(book);
    expect(book.value).toBeUndefined();
    expect(book.state).toBe("connecting");
    await pass();
    expect(book.value).toEqual({ bids: [[10, 5], [9, 4]], asks: [[11, 6], [12, 7]] });
    expect(book.state).toBe("live");
    server.publish("US.AAPL", { bids: [[10, 5], [8, 3]], asks: [[11, 1, 2]] });
    await pass(250);
    expect(book.value).toEqual({ bids: [[10, 5], [8, 3]], asks: [[11, 1, 2]] });
    expect([book.epoch, book.seq, book.ageMs]).toEqual(["fake-1", 2, 250]);
    expect(seen.items).toHaveLength(2);
    client.close();
    await pass();
    expect(seen.ended).toBe(true);
  });

  it("of trades gets every one, after its history", async () => {
    const { client, server, pass } = world();
    for (let i = 1; i <= 5; i++) server.trade("US.AAPL", { price: i, size: 1 });
    const tape = client.trades("US.AAPL", { history: 2 });
    await pass();
    server.trade("US.AAPL", { price: 6, size: 1 }, { price: 7, size: 1 });
    await pass();
    const seen = collect(tape);
    await pass();
    expect(seen.items.flatMap(({ trades }) => trades.map(({ price }) => price))).toEqual([4, 5, 6, 7]);
    expect(tape.value?.trades.map(({ price }) => price)).toEqual([6, 7]);
  });

  it("ends its loop after close, and isn't wanted any more", async () => {
    const { client, server, pass, sent } = world();
    const seen = collect(client.quote("US.AAPL"));
    await pass();
    client.subscriptions()[0]?.close();
    await pass();
    expect(seen).toMatchObject({ ended: true, items: [] });
    expect(sent("unsubscribe")).toMatchObject([{ channel: "quote", symbol: "US.AAPL" }]);
    expect(client.subscriptions()).toEqual([]);
    server.drop();
    await pass(1_000);
    expect(server.subscribed).toEqual([]);
    expect(sent("subscribe")).toHaveLength(1);
  });

  it("that is refused throws in its loop, and rejects ready", async () => {
    const { client, server, pass } = world();
    server.refuse("US.NONE", "forbidden", "You have no right to this");
    const book = client.orderBook("US.NONE");
    const seen = collect(book);
    const ready = book.ready.catch((error: unknown) => error);
    await pass();
    expect(seen.error).toBeInstanceOf(BookcastError);
    expect(seen.error).toMatchObject({ code: "forbidden", final: true });
    expect(await ready).toBe(seen.error);
    expect([book.state, book.reason]).toEqual(["refused", "You have no right to this"]);
  });
});

describe("the constructor", () => {
  it("says what to pass where there is no WebSocket", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => new Bookcast("ws://test")).toThrow(/"ws"/);
    vi.unstubAllGlobals();
  });

  it("says what is wrong with an address or an option", () => {
    const { WebSocket } = new FakeServer();
    expect(() => new Bookcast(undefined, { WebSocket })).toThrow(/Name the server/);
    expect(() => new Bookcast("host:8002", { WebSocket })).toThrow(/wss:.*host:8002/);
    expect(() => new Bookcast("ws://host", { WebSocket, maxBuffered: 0 })).toThrow(/maxBuffered/);
  });
});
