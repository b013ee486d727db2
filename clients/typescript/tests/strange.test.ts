/** What programs, pages and servers may do that nobody expects: nothing hangs, floods or gets lost. */

import { describe, expect, it } from "vitest";
import type { BookcastError } from "../src/index.js";
import { collect, turns, world, type World } from "./support.js";

const BOOK = { bids: [[10, 5], [9, 4]], asks: [[11, 6], [12, 7]] };
const prices = (items: { trades: readonly { price: number }[] }[]): number[] => items.flatMap(({ trades }) => trades.map(({ price }) => price));

/** A server that answers some of what it is told by an error. */
function refusing(error: (message: Record<string, unknown>) => object | undefined): World {
  const made: World = world(
    {},
    {
      relay: (text, direction, pass) => {
        const message = JSON.parse(text) as Record<string, unknown>;
        const answer = direction === "up" ? error(message) : undefined;
        if (answer === undefined) pass(text);
        else made.server.say({ type: "error", id: message["id"], channel: message["channel"], symbol: message["symbol"], ...answer } as never);
      },
    },
  );
  return made;
}

describe("a listener", () => {
  it("that puts itself back is called for the next event, not again for this one", async () => {
    const { client, server, pass } = world();
    const book = client.orderBook("A");
    let calls = 0;
    let off = (): void => undefined;
    const listener = (): void => {
      if (++calls > 50) return;
      off();
      off = book.on("update", listener);
    };
    off = book.on("update", listener);
    server.publish("A", BOOK);
    await pass();
    expect(calls).toBe(1);
  });

  it("that another one removes isn't called any more", async () => {
    const { client, server, pass } = world();
    const book = client.orderBook("A");
    let calls = 0;
    book.on("update", () => {
      off();
    });
    const off = book.on("update", () => calls++);
    server.publish("A", BOOK);
    await pass();
    expect(calls).toBe(0);
  });

  it.each(["update", "error"] as const)("of %s may close its subscription and open another one", async (name) => {
    const { client, server, pass } = world();
    let calls = 0;
    const open = (): void => {
      const book = client.orderBook("A");
      book.on(name, () => {
        if (++calls > 50) return;
        book.close();
        open();
      });
    };
    open();
    await pass();
    if (name === "update") server.publish("A", BOOK);
    else server.drop(4503, "no");
    await pass();
    expect(calls).toBe(1);
  });

  it("of the line may close the client as soon as it is open: nothing is left, and nothing starts again", async () => {
    const { client, platform, pass, sent } = world();
    client.orderBook("A");
    client.on("line", ({ state }) => {
      if (state === "open") client.close();
    });
    await pass();
    await expect(client.orderBook("B").ready).rejects.toMatchObject({ code: "closed" });
    await pass(60_000);
    expect([client.line.state, platform.timerCount, sent("subscribe")]).toEqual(["stopped", 0, []]);
  });
});

describe("a loop", () => {
  it("that is left before it began, or while it waits, ends, and the next one misses nothing", async () => {
    const { client, server, pass } = world();
    const tape = client.trades("A");
    await pass();
    await tape[Symbol.asyncIterator]().return?.();
    server.trade("A", { price: 1, size: 1 });
    await pass();
    const loop = tape[Symbol.asyncIterator]();
    expect(prices([(await loop.next()).value as never])).toEqual([1]);
    const waiting = loop.next();
    expect(await loop.return?.()).toMatchObject({ done: true });
    expect(await waiting).toMatchObject({ done: true });
    server.trade("A", { price: 2, size: 1 });
    server.trade("A", { price: 3, size: 1 });
    await pass();
    const next = collect(tape);
    await pass();
    expect(prices(next.items)).toEqual([2, 3]);
  });

  it("may ask for several at once", async () => {
    const { client, server, pass } = world();
    const tape = client.trades("A");
    await pass();
    const loop = tape[Symbol.asyncIterator]();
    const both = Promise.all([loop.next(), loop.next()]);
    server.trade("A", { price: 1, size: 1 });
    server.trade("A", { price: 2, size: 1 });
    await pass();
    expect(prices((await both).map(({ value }) => value as never))).toEqual([1, 2]);
  });

  it("that comes after a refusal for now misses nothing that came meanwhile", async () => {
    const { client, server, pass } = world();
    const tape = client.trades("A");
    const refused = collect(tape);
    await pass();
    server.say({ type: "error", code: "feed_refused", message: "no right", channel: "trades", symbol: "A" });
    await pass();
    expect(refused.error).toMatchObject({ code: "feed_refused", final: false });
    expect(collect(tape).items).toEqual([]);
    await pass();
    server.trade("A", { price: 1, size: 1 });
    await pass();
    const again = collect(tape);
    server.trade("A", { price: 2, size: 1 });
    await pass();
    expect(prices(again.items)).toEqual([1, 2]);
  });

  it("at its own pace gets what is held back before it ends with a refusal", async () => {
    const { client, server, pass } = world();
    client.trades("A");
    const seen = collect(client.trades("A", { intervalMs: 5_000 }));
    await pass();
    for (const price of [1, 2, 3]) {
      server.trade("A", { price, size: 1 });
      await pass();
    }
    server.drop(4503, "no");
    await pass();
    expect(prices(seen.items)).toEqual([1, 2, 3]);
    expect(seen.error).toMatchObject({ code: 4503, final: true });
  });
});

describe("history", () => {
  it.each([[[0, 2, 5]], [[5, 0, 2]], [[2, 5, 0]], [[0, 5, 2]]])("goes to who asked for it, in any order: %j", async (counts) => {
    const { client, server, pass } = world();
    for (let price = 1; price <= 8; price++) server.trade("A", { price, size: 1 });
    const seen: { items: { trades: readonly { price: number }[] }[] }[] = [];
    for (const history of counts) {
      seen.push(collect(client.trades("A", { history })));
      await pass();
    }
    server.trade("A", { price: 9, size: 1 });
    await pass();
    expect(seen.map(({ items }) => prices(items))).toEqual(counts.map((count) => [4, 5, 6, 7, 8, 9].slice(5 - count)));
  });
});

describe("a closed client", () => {
  it("asks for no token again, though the last call of getToken fails later", async () => {
    let fail: (error: Error) => void = () => undefined;
    let calls = 0;
    const { client, platform, pass } = world({
      getToken: () => {
        calls++;
        return new Promise((_, reject) => (fail = reject));
      },
    });
    await pass();
    client.close();
    fail(new Error("late"));
    await pass(100_000);
    expect([client.line.state, calls, platform.timerCount]).toEqual(["stopped", 1, 0]);
  });

  it("leaves no timer, whatever was on its way", async () => {
    const { client, server, platform, pass } = refusing(({ symbol }) =>
      symbol === "LATER" ? { code: "rate_limited", message: "slowly", retry_after_ms: 300_000 } : undefined,
    );
    client.orderBook("LATER");
    const deep = client.orderBook("A", { depth: 9 });
    client.orderBook("A", { depth: 2, intervalMs: 5_000 });
    client.trades("A", { intervalMs: 5_000 });
    client.trades("A");
    for (let i = 0; i < 3; i++) {
      await pass(100);
      server.publish("A", { ...BOOK, bids: [[10, i + 1]] });
      server.trade("A", { price: 1, size: 1 });
    }
    deep.close();
    await pass(100);
    const publication = client.publish("A", BOOK as never, { waitMs: 100_000 });
    client.close();
    await expect(publication).rejects.toMatchObject({ code: "closed", final: true });
    expect(platform.timerCount).toBe(0);
  });
});

describe("a server", () => {
  it("may send types of messages that nobody knows yet", async () => {
    const { client, server, pass } = world();
    const book = client.orderBook("A");
    server.publish("A", BOOK);
    await pass();
    const before = server.received.length;
    const news = { type: "news", data: { headline: "x" } };
    server.say(news as never);
    server.say({ ...news, channel: "news", symbol: "A" } as never);
    server.say({ ...news, channel: "orderbook", symbol: "A", epoch: "fake-1", seq: 9 } as never);
    await pass();
    expect([book.state, book.value, server.received.length]).toEqual(["live", BOOK, before]);
  });

  it("may send an error about what nobody here wants, or without a channel: it is told", async () => {
    const { client, server, pass } = world();
    const errors: unknown[] = [];
    client.on("error", ({ code }) => errors.push(code));
    const book = client.orderBook("A");
    await pass();
    for (const about of [{ symbol: "A" }, { symbol: "B", channel: "orderbook" }, { channel: "orderbook" }]) {
      server.say({ type: "error", code: "brand_new", message: "?", ...about } as never);
    }
    await pass();
    expect([errors, book.state]).toEqual([["brand_new", "brand_new", "brand_new"], "pending"]);
  });

  it.each([0, -5, 1, "soon", "5", null, Number.MAX_VALUE])("that asks to wait for %s isn't flooded, and not given up", async (retry_after_ms) => {
    let left = 200;
    const { client, pass, sent } = refusing(({ action }) =>
      action === "subscribe" && left-- > 0 ? { code: "rate_limited", message: "slowly", retry_after_ms } : undefined,
    );
    const book = client.orderBook("A");
    await pass(10_000);
    expect(left).toBeGreaterThanOrEqual(98);
    left = 0;
    await pass(3_600_000);
    expect([book.state, sent("subscribe").length]).toEqual(["pending", 1]);
  });

  it("may refuse for a reason that nobody knows yet: for good, or for as long as it says", async () => {
    const { client, pass } = refusing(({ action, symbol }) =>
      action === "subscribe" && left-- > 0 ? { code: "maintenance", message: "?", ...(symbol === "A" && { retry_after_ms: 500 }) } : undefined,
    );
    let left = 2;
    const [later, never] = [client.orderBook("A"), client.orderBook("B")];
    await pass(10_000);
    expect([later.state, never.state]).toEqual(["pending", "refused"]);
    await expect(never.ready).rejects.toMatchObject({ code: "maintenance", final: true });
  });

  it("may refuse for now what is closed and opened again meanwhile", async () => {
    let left = 1;
    const { client, server, pass } = refusing(({ action }) =>
      action === "subscribe" && left-- > 0 ? { code: "internal_error", message: "?", retry_after_ms: 3_000 } : undefined,
    );
    const closed = client.orderBook("A");
    await pass(100);
    closed.close();
    await pass(100);
    const book = client.orderBook("A");
    await pass(5_000);
    server.publish("A", BOOK);
    await pass(100);
    expect([book.value, client.subscriptions(), server.subscribed]).toEqual([BOOK, [book], ["orderbook A"]]);
  });

  it.each([3e9, 1e300])("may announce its end for a time that no timer knows: %s", async (reconnect_in_ms) => {
    const { client, server, pass } = world();
    await pass(11_000);
    server.say({ type: "going_away", reconnect_in_ms });
    await pass(100);
    expect(client.line.state).toBe("open");
  });
});

describe("what is sent", () => {
  it("stays within the limits of a server, though a thousand topics are closed at once", async () => {
    const { client, pass, sent } = world();
    const all = Array.from({ length: 1_000 }, (_, i) => client.quote(`S${i}`));
    await pass(30_000);
    for (const one of all) one.close();
    await pass();
    expect(sent("unsubscribe").length).toBeLessThanOrEqual(400);
    await pass(30_000);
    expect(sent("unsubscribe")).toHaveLength(1_000);
    expect(client.subscriptions()).toEqual([]);
  });

  it("stays within them, though a thousand views get narrower at once", async () => {
    const { client, pass, sent } = world();
    for (let i = 0; i < 900; i++) client.orderBook(`S${i}`, { depth: 3 });
    const deep = Array.from({ length: 900 }, (_, i) => client.orderBook(`S${i}`, { depth: 5 }));
    await pass(30_000);
    const before = sent("subscribe").length;
    for (const one of deep) one.close();
    await pass(5_000);
    expect(sent("subscribe").length - before).toBeLessThanOrEqual(440);
    await pass(60_000);
    expect(sent("subscribe").length - before).toBe(900);
  });

  it("is one ping, however often the page wakes", async () => {
    const { client, platform, pass, sent } = world();
    await pass(9_000);
    for (let i = 0; i < 1_000; i++) platform.page("wake");
    await pass();
    expect([sent("ping").length, client.line.state]).toEqual([1, "open"]);
  });

  it("can be read: what isn't JSON is refused at once", async () => {
    const { client, pass } = world();
    await pass();
    const circular: Record<string, unknown> = { bids: [], asks: [] };
    circular["self"] = circular;
    for (const data of [circular, { bids: [[1n, 2]], asks: [] }]) {
      let error: unknown;
      client.publish("A", data as never, { waitMs: 1_000 }).catch((told: unknown) => (error = told));
      await turns();
      expect(error).toBeInstanceOf(TypeError);
    }
  });

  it("is wrong for nobody else: an option that isn't a number is refused, an unknown mode is the usual one", async () => {
    const { client, pass, sent, server } = world();
    const book = client.orderBook("A", { mode: "full" });
    await pass();
    client.orderBook("A", { mode: "bogus" as never });
    await pass();
    expect([book.state, sent("subscribe").map(({ mode }) => mode)]).toEqual(["pending", ["full", "delta"]]);
    for (const depth of ["5", 2.5, 0, NaN, true]) expect(() => client.orderBook("A", { depth: depth as never })).toThrow(TypeError);
    server.isUp = false;
    server.drop();
    await pass();
    let error: BookcastError | undefined;
    client.publish("A", BOOK as never, { waitMs: NaN }).catch((told: unknown) => (error = told as BookcastError));
    await turns();
    expect(error?.code).toBe("not_connected");
  });
});
