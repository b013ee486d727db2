/** What of a session outlives a connection: subscriptions, positions, tokens, publications. */

import { describe, expect, it } from "vitest";
import type { GapMessage, TradeMessage } from "../src/messages.js";
import { collect, FakePlatform, turns, world } from "./support.js";

const BOOK = { bids: [[10, 5]], asks: [[11, 6]] };
const prices = (items: { trades: readonly { price: number }[] }[]): number[] => items.flatMap(({ trades }) => trades.map(({ price }) => price));

describe("after a lost connection", () => {
  it("the session is resumed from the positions that came, without subscribing again", async () => {
    const { client, server, pass, sent } = world();
    server.publish("A", BOOK);
    const book = client.orderBook("A");
    const tape = collect(client.trades("A"));
    await pass();
    server.trade("A", { price: 1, size: 1 });
    await pass();
    server.drop();
    await pass();
    expect([book.state, book.value]).toEqual(["connecting", BOOK]);
    server.trade("A", { price: 2, size: 1 });
    server.trade("A", { price: 3, size: 1 });
    await pass(1_000);
    expect(sent("subscribe")).toHaveLength(2);
    expect(sent("resume")).toMatchObject([
      { session: "session-1", positions: [{ channel: "orderbook", seq: 1 }, { channel: "trades", seq: 1 }] },
    ]);
    expect(prices(tape.items)).toEqual([1, 2, 3]);
    expect(book.state).toBe("live");
    server.publish("A", { ...BOOK, bids: [] });
    await pass();
    expect(book.value).toEqual({ ...BOOK, bids: [] });
  });

  it("whose session is gone, it subscribes again with since, once per topic", async () => {
    const { client, server, pass, sent } = world();
    server.publish("A", BOOK);
    client.orderBook("A");
    client.quote("A");
    const tape = collect(client.trades("A"));
    await pass();
    server.trade("A", { price: 1, size: 1 });
    await pass();
    server.restart();
    server.trade("A", { price: 2, size: 1 });
    await pass(1_000);
    server.trade("A", { price: 3, size: 1 });
    await pass();
    const since = { epoch: "fake-1", seq: 1 };
    const again = new Map(sent("subscribe").slice(3).map((one) => [one["channel"], one["since"]]));
    expect(again).toEqual(new Map<unknown, unknown>([["orderbook", since], ["quote", undefined], ["trades", since]]));
    expect(sent("subscribe")).toHaveLength(6);
    expect(prices(tape.items)).toEqual([1, 2, 3]);
    expect(tape.items.map(({ gap }) => gap)).toMatchObject([undefined, { from: null, to: null, reason: "epoch" }, undefined]);
  });

  it("who opens and closes all the time isn't turned away for it: to unsubscribe is a message too", async () => {
    const { client, server, pass } = world();
    await pass();
    for (let number = 0; number < 600; number += 1) {
      const quote = client.quote(`S${String(number % 50)}`);
      await pass();
      quote.close();
      await pass();
    }
    expect(server.received.length).toBeLessThanOrEqual(480);
    await pass(20_000);
    expect(server.subscribed).toEqual([]);
  });

  it("a topic that was closed while it had to wait doesn't end its successor", async () => {
    const { client, server, pass } = world();
    await pass();
    server.refuse("A", "rate_limited", "too many messages");
    const closed = client.quote("A");
    await pass(100);
    closed.close();
    await pass(100);
    const quote = client.quote("A");
    await pass(100);
    server.publish("A", { last: 1 }, { channel: "quote" });
    await pass(60_000);
    server.publish("A", { last: 2 }, { channel: "quote" });
    await pass();
    expect([quote.value, quote.state]).toEqual([{ last: 2 }, "live"]);
    expect(client.subscriptions()).toEqual([quote]);
  });

  it("what was closed meanwhile doesn't come back, and what was opened comes", async () => {
    const { client, server, pass } = world();
    const closed = client.orderBook("OLD");
    const shut = client.trades("OLD");
    client.quote("KEPT");
    await pass();
    server.drop();
    await pass();
    closed.close();
    shut.close();
    client.brokers("NEW");
    await pass(1_000);
    expect(server.subscribed.sort()).toEqual(["brokers NEW", "quote KEPT"]);
  });

  it("nothing that was done offline is sent but what is wanted in the end", async () => {
    const { client, server, pass, sent } = world();
    await pass();
    server.isUp = false;
    server.drop();
    await pass(1_000);
    for (let i = 0; i < 50; i++) client.orderBook(`S${i}`).close();
    const kept = client.orderBook("KEPT");
    for (let depth = 1; depth < 30; depth++) client.orderBook("KEPT", { depth }).close();
    server.isUp = true;
    await pass(60_000);
    expect(sent("subscribe")).toMatchObject([{ symbol: "KEPT" }]);
    expect(sent("unsubscribe")).toEqual([]);
    expect(kept.state).toBe("pending");
  });

  it("a session that can't be found for now is asked for again", async () => {
    let refusals = 2;
    const { client, server, pass, sent } = world(
      {},
      {
        relay: (text, direction, pass_) => {
          const message = JSON.parse(text) as { action?: string; id?: number };
          if (direction === "up" && message.action === "resume" && refusals-- > 0) {
            server.say({ type: "error", id: message.id ?? 0, code: "engine_unavailable", message: "Redis is away", retry_after_ms: 700 });
          } else pass_(text);
        },
      },
    );
    const book = client.orderBook("A");
    await pass();
    server.drop();
    await pass(3_000);
    expect(sent("resume")).toHaveLength(1);
    expect(sent("subscribe")).toHaveLength(1);
    expect(book.state).toBe("pending");
  });

  it("a session that is taken over ends the client for good", async () => {
    const { client, server, pass } = world();
    const seen = collect(client.trades("A"));
    await pass();
    server.drop(4501, "another connection resumed the session");
    await pass(100_000);
    expect(client.line).toMatchObject({ state: "stopped", code: 4501, final: true });
    expect(seen.error).toMatchObject({ code: 4501, final: true });
    expect(collect(client.trades("B"))).toMatchObject({});
    await expect(client.quote("B").ready).rejects.toMatchObject({ code: 4501 });
    await expect(client.publish("B", { bids: [], asks: [] })).rejects.toMatchObject({ code: 4501 });
  });

  it("hundreds of topics don't all speak at once", async () => {
    const { client, server, pass, sent } = world();
    for (let i = 0; i < 900; i++) client.trades(`S${i}`);
    await pass();
    const first = sent("subscribe").length;
    expect(first).toBe(400);
    await pass(20_000);
    expect(sent("subscribe")).toHaveLength(900);
    for (let i = 0; i < 900; i++) server.trade(`S${i}`, { price: 1, size: 1 });
    await pass();
    server.restart();
    await pass(1_000);
    expect(sent("subscribe").length).toBeLessThanOrEqual(900 + 440);
    await pass(20_000);
    expect(sent("subscribe").length).toBe(1_800);
    expect(new Set(client.subscriptions().map(({ state }) => state))).toEqual(new Set(["pending"]));
  });
});

describe("one view over the wire", () => {
  it("is the deepest and fastest; each subscription is cut to its own", async () => {
    const { client, server, platform, pass, sent } = world();
    const levels = Array.from({ length: 20 }, (_, i) => [100 - i, 1]);
    server.publish("A", { bids: levels, asks: [] });
    const shallow = client.orderBook("A", { depth: 2, intervalMs: 1_000 });
    await pass();
    const deep = client.orderBook("A", { depth: 10 });
    expect(deep.value).toBeUndefined();
    await pass();
    expect(sent("subscribe")).toMatchObject([{ depth: 2, interval_ms: 1_000 }, { depth: 10 }]);
    expect([shallow.value?.bids.length, deep.value?.bids.length]).toEqual([2, 10]);
    let slow = 0;
    let fast = 0;
    shallow.on("update", () => slow++);
    deep.on("update", () => fast++);
    for (let i = 0; i < 40; i++) {
      server.publish("A", { bids: [[100, i + 2], ...levels.slice(1)], asks: [] });
      await pass(100);
    }
    expect([fast, slow]).toEqual([40, 4]);
    await pass(1_000);
    expect(shallow.value?.bids[0]).toEqual([100, 41]);
    deep.close();
    await pass(1_000);
    expect(sent("subscribe")).toHaveLength(2);
    expect(shallow.value?.bids).toHaveLength(2);
    await pass(5_000);
    expect(sent("subscribe")[2]).toMatchObject({ depth: 2, interval_ms: 1_000 });
    expect(platform.time).toBeGreaterThan(0);
  });

  it("keeps the last proven book while it widens", async () => {
    const { client, server, pass } = world();
    server.publish("A", { bids: [[3, 1], [2, 1], [1, 1]], asks: [] });
    const one = client.orderBook("A", { depth: 1 });
    await pass();
    const states: string[] = [];
    one.on("state", (state) => states.push(state));
    client.orderBook("A");
    expect(one.value?.bids).toEqual([[3, 1]]);
    await pass();
    expect(states).toEqual([]);
    expect(one.value?.bids).toEqual([[3, 1]]);
  });

  it("brings history to a later subscription, and nothing twice to the first", async () => {
    const { client, server, pass, sent } = world();
    for (let i = 1; i <= 5; i++) server.trade("A", { price: i, size: 1 });
    const first = collect(client.trades("A"));
    await pass();
    server.trade("A", { price: 6, size: 1 });
    await pass();
    const second = collect(client.trades("A", { history: 4 }));
    await pass();
    server.trade("A", { price: 7, size: 1 });
    await pass();
    expect(prices(first.items)).toEqual([6, 7]);
    expect(prices(second.items)).toEqual([3, 4, 5, 6, 7]);
    const third = collect(client.trades("A", { history: 2 }));
    await pass();
    expect(prices(third.items)).toEqual([6, 7]);
    expect(sent("subscribe")).toHaveLength(2);
  });
});

describe("trades and final candles", () => {
  it("that wait past maxBuffered go, the oldest first, and the next message says so", async () => {
    const { client, server, pass } = world({ maxBuffered: 3 });
    const tape = client.trades("A");
    const gaps: unknown[] = [];
    tape.on("gap", (gap) => gaps.push(gap));
    await pass();
    for (let i = 1; i <= 10; i++) server.trade("A", { price: i, size: 1 });
    await pass();
    const seen = collect(tape);
    await pass();
    expect(prices(seen.items)).toEqual([8, 9, 10]);
    expect(seen.items[0]?.gap).toMatchObject({ from: 1, to: 7, reason: "consumer" });
    expect(gaps).toHaveLength(1);
    server.trade("A", { price: 11, size: 1 });
    await pass();
    expect(seen.items.at(-1)?.gap).toBeUndefined();
  });

  it("that form are replaced, and final ones are not", async () => {
    const { client, server, pass } = world();
    const candles = client.candles("A", { period: "1m" });
    await pass();
    const publish = (time: number, close: number, final: boolean): void => {
      const data = { time, open: 1, high: 9, low: 1, close, volume: 1, final };
      server.publish("A", data, { channel: "candles", period: "1m" });
    };
    publish(1, 1, false);
    publish(1, 2, false);
    publish(1, 3, true);
    publish(2, 4, false);
    publish(2, 5, true);
    publish(3, 6, false);
    publish(3, 7, false);
    await pass();
    const seen = collect(candles);
    await pass();
    expect(seen.items.map(({ close }) => close)).toEqual([3, 5, 7]);
  });

  it("of two loops, one after the other, none is lost in between", async () => {
    const { client, server, pass } = world();
    const tape = client.trades("A");
    await pass();
    server.trade("A", { price: 1, size: 1 });
    server.trade("A", { price: 2, size: 1 });
    for await (const { trades } of tape) {
      expect(trades[0]?.price).toBe(1);
      break;
    }
    server.trade("A", { price: 3, size: 1 });
    await pass();
    const seen = collect(tape);
    await pass();
    expect(prices(seen.items)).toEqual([2, 3]);
  });

  it("that are missing in the middle are fetched with since", async () => {
    let lose = false;
    const { client, server, pass, sent } = world(
      {},
      {
        relay: (text, _direction, pass_) => {
          if (lose && text.includes('"trade"')) lose = false;
          else pass_(text);
        },
      },
    );
    const tape = client.trades("A");
    const states: string[] = [];
    tape.on("state", (state) => states.push(state));
    const seen = collect(tape);
    await pass();
    server.trade("A", { price: 1, size: 1 });
    await pass();
    lose = true;
    server.trade("A", { price: 2, size: 1 });
    server.trade("A", { price: 3, size: 1 });
    await pass();
    expect(sent("subscribe")[1]).toMatchObject({ since: { epoch: "fake-1", seq: 1 } });
    expect(prices(seen.items)).toEqual([1, 2, 3]);
    expect(states).toContain("syncing");
    expect(tape.state).toBe("live");
  });
});

describe("a book", () => {
  it("that takes a delta whose number was spoilt doesn't take all that follows for old", async () => {
    let spoil = false;
    const { client, server, pass, sent } = world(
      {},
      {
        relay: (text, _direction, pass_) => {
          const isSpoilt = spoil && text.includes("orderbook_delta");
          if (isSpoilt) spoil = false;
          pass_(isSpoilt ? text.replace(/"seq":\d+/, '"seq":1000000') : text); // the checksum doesn't cover it
        },
      },
    );
    const book = client.orderBook("A");
    await pass();
    for (let size = 1; size < 8; size++) {
      spoil = size === 4;
      server.publish("A", { bids: [[10, size]], asks: [] });
      await pass(10);
    }
    await pass(5_000);
    expect(sent("resync")).toHaveLength(1);
    expect(book.state).toBe("live");
    expect(book.value?.bids).toEqual([[10, 7]]);
  });

  it("whose deltas never agree is asked for ever more seldom", async () => {
    const { client, server, pass, sent } = world(
      {},
      { relay: (text, _direction, pass_) => { pass_(text.replace(/"checksum":\d+/, '"checksum":1')); } },
    );
    const book = client.orderBook("A");
    await pass();
    for (let i = 0; i < 600; i++) {
      server.publish("A", { bids: [[10, i + 1]], asks: [] });
      await pass(100);
    }
    expect(sent("resync").length).toBeLessThan(8);
    expect(["live", "syncing"]).toContain(book.state);
  });

  it.each([
    null,
    7,
    {},
    { bids: 3, asks: [] },
    { bids: [[1]], asks: [] },
    { bids: [["1", 2]], asks: [] },
    { bids: [[1, -2]], asks: [] },
    { bids: [null], asks: [] },
  ])("that is none (%j) is never shown, and asked for again", async (data) => {
    const { client, server, pass, sent } = world();
    server.publish("A", BOOK);
    const book = client.orderBook("A");
    await pass();
    server.say({ type: "orderbook_update", channel: "orderbook", symbol: "A", epoch: "fake-1", seq: 9, ts: [null, null, 1], data: data as never });
    await pass();
    expect(sent("resync")).toHaveLength(1);
    expect(book.value).toEqual(BOOK);
    await pass(3_000);
    expect(book.state).toBe("live");
  });
});

describe("messages that make no sense", () => {
  it("change nothing and break nothing", async () => {
    const { client, server, pass } = world();
    server.publish("A", BOOK);
    const book = client.orderBook("A");
    const tape = collect(client.trades("A"));
    await pass();
    for (const type of ["welcome", "subscription_confirmed", "orderbook_update", "orderbook_delta", "trade", "gap", "status", "resumed", "error", "authenticated", "going_awry", "pong", "heartbeat", "published", "why", "__proto__"]) {
      server.say({ type } as never);
      server.say({ type, channel: "orderbook", symbol: "A", id: {}, epoch: 3, seq: "x", ts: 1, data: [], view: null, restored: 1 } as never);
      server.say({ type, channel: "trades", symbol: "A", epoch: null, seq: null, from_seq: "1", data: { trades: [null] } } as never);
    }
    await pass(90_000);
    server.publish("A", { ...BOOK, asks: [] });
    server.trade("A", { price: 1, size: 1 });
    await pass(10_000);
    expect(book.value).toEqual({ ...BOOK, asks: [] });
    expect(prices(tape.items)).toEqual([1]);
  });
});

describe("a token", () => {
  const good = (token: string): { expiresInMs: number | null } | "invalid_token" => (token.startsWith("good") ? { expiresInMs: 20_000 } : "invalid_token");

  it("is shown in band, and renewed in band before it expires", async () => {
    const platform = new FakePlatform();
    let calls = 0;
    let running = 0;
    const { client, server, pass, sent } = world(
      {
        getToken: async () => {
          expect(++running).toBe(1);
          await turns(3);
          running--;
          return `good-${++calls}`;
        },
      },
      { tokens: good },
      platform,
    );
    server.publish("A", BOOK);
    const book = client.orderBook("A");
    await pass();
    expect(book.state).toBe("live");
    for (let i = 0; i < 30; i++) {
      await pass(10_000);
      server.say({ type: "token_expiring", in_ms: 10_000 });
      server.say({ type: "token_expiring", in_ms: 10_000 });
    }
    await pass();
    expect(client.line.state).toBe("open");
    expect(sent("authenticate")).toHaveLength(31 + 30);
    expect(calls).toBe(31);
    expect(server.connectionCount).toBe(1);
    expect(sent("subscribe")).toHaveLength(1);
  });

  it("that is refused ends the client with a typed error", async () => {
    const { client, pass, sent } = world({ getToken: () => "bad" }, { tokens: good });
    const seen = collect(client.orderBook("A"));
    const errors: unknown[] = [];
    client.on("error", (error) => errors.push(error));
    await pass(100_000);
    expect(client.line).toMatchObject({ state: "stopped", code: 4503, final: true });
    expect(seen.error).toMatchObject({ code: "invalid_token", final: true });
    expect(errors).toContainEqual(expect.objectContaining({ code: "invalid_token" }));
    expect(sent("authenticate")).toHaveLength(1);
  });

  it("that is refused only because it has grown old is replaced", async () => {
    const platform = new FakePlatform();
    let calls = 0;
    let revoked = "";
    const { client, server, pass } = world(
      { getToken: () => `good-${++calls}` },
      { tokens: (token) => (token === revoked ? "invalid_token" : { expiresInMs: null }) },
      platform,
    );
    await pass();
    revoked = "good-1";
    server.drop();
    await pass(5_000);
    expect(client.line.state).toBe("open");
    expect(calls).toBe(2);
  });

  it("that has expired by the server's word is replaced, however often", async () => {
    let calls = 0;
    const { client, pass } = world({ getToken: () => `t-${++calls}` }, { tokens: () => (calls < 4 ? "token_expired" : { expiresInMs: null }) });
    await pass(60_000);
    expect(client.line.state).toBe("open");
    expect(calls).toBe(4);
  });

  it("that can't be had is tried again, and touches nothing else", async () => {
    let calls = 0;
    const { client, server, pass } = world(
      {
        getToken: () => {
          calls += 1;
          if (calls === 2) throw new Error("no network");
          if (calls === 3) return Promise.reject(new Error("503"));
          if (calls === 4) return "";
          return "good";
        },
      },
      { tokens: good },
    );
    const errors: unknown[] = [];
    client.on("error", (error) => errors.push(error));
    server.publish("A", BOOK);
    const book = client.orderBook("A");
    await pass();
    server.say({ type: "token_expiring", in_ms: 10_000 });
    await pass(1);
    expect([client.line.state, book.state]).toEqual(["open", "live"]);
    await pass(20_000);
    expect(calls).toBe(5);
    expect(errors).toHaveLength(3);
    expect(server.connectionCount).toBe(1);
  });

  it("that takes long holds up the first connection, and nothing gives up", async () => {
    const platform = new FakePlatform();
    const getToken = (): Promise<string> => new Promise((resolve) => { platform.after(40_000, () => { resolve("good"); }); });
    const { client, pass, sent } = world({ getToken }, { tokens: good }, platform);
    await pass(39_000);
    expect([client.line.state, sent("authenticate").length]).toEqual(["connecting", 0]);
    await pass(2_000);
    expect(client.line.state).toBe("open");
  });

  it("that the server asks for and nobody has ends the client, saying so", async () => {
    const { client, pass } = world({}, { tokens: good });
    await pass();
    expect(client.line).toMatchObject({ state: "stopped", final: true });
    expect(client.line.reason).toMatch(/getToken/);
  });
});

describe("publishing", () => {
  it("tells the position", async () => {
    const { client, pass } = world();
    await pass();
    const published = client.publish("A", { trades: [{ price: 1, size: 1 }] }, { channel: "trades" });
    await pass();
    expect(await published).toEqual({ epoch: "fake-1", seq: 1 });
  });

  it("fails at once while there is no line, and says so", async () => {
    const { client, server, pass, sent } = world();
    server.isUp = false;
    await pass();
    await expect(client.publish("A", BOOK as never)).rejects.toMatchObject({ code: "not_connected", final: false });
    server.isUp = true;
    await pass(60_000);
    expect(sent("publish")).toEqual([]);
  });

  it("waits when it is told to, and sends again what has no answer under the same key", async () => {
    let lose = true;
    const { client, server, pass } = world(
      {},
      {
        relay: (text, _direction, pass_) => {
          if (lose && text.includes('"published"')) {
            lose = false;
            server.drop();
          } else pass_(text);
        },
      },
    );
    const published = client.publish("A", BOOK as never, { waitMs: 20_000 });
    await pass(10_000);
    expect((await published).seq).toBe(2);
    const keys = server.received.flatMap((one) => (one.action === "publish" ? [one.idempotency_key] : []));
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
  });
});

describe("the rest", () => {
  it("a gap of the server's comes as an event and with the next trades", async () => {
    const { client, server, pass } = world({}, { historySize: 2 });
    const tape = client.trades("A");
    const seen = collect(tape);
    const gaps: unknown[] = [];
    tape.on("gap", (gap) => gaps.push(gap));
    await pass();
    server.trade("A", { price: 1, size: 1 });
    await pass();
    server.drop();
    for (let i = 2; i <= 6; i++) server.trade("A", { price: i, size: 1 });
    await pass(1_000);
    const gap = { from: 2, to: 4, reason: "overflow" };
    expect(gaps).toMatchObject([gap]);
    expect(seen.items.map((one) => one.gap)).toMatchObject([undefined, gap, undefined]);
    expect(prices(seen.items)).toEqual([1, 5, 6]);
  });

  it("statuses are told, with their reasons", async () => {
    const { client, server, pass } = world();
    server.publish("A", BOOK);
    const book = client.orderBook("A");
    const states: string[] = [];
    book.on("state", (state, { reason }) => states.push(`${state}: ${reason ?? ""}`));
    await pass();
    server.status("A", "feed_down", "OpenD is gone");
    await pass();
    server.status("A", "live");
    await pass();
    expect(states.slice(-2)).toEqual(["feed_down: OpenD is gone", "live: "]);
  });

  it("a symbol that the feed refuses throws, and comes when the feed has it after all", async () => {
    const { client, server, pass } = world();
    server.refuse("A", "feed_refused", "Unknown stock. AA");
    const book = client.orderBook("A");
    const seen = collect(book);
    await pass();
    expect(seen.error).toMatchObject({ code: "feed_refused", final: false });
    expect(book.state).toBe("refused");
    server.publish("A", BOOK);
    await pass();
    expect([book.state, book.value]).toEqual(["live", BOOK]);
    const again = collect(book);
    await pass();
    expect(again).toMatchObject({ items: [BOOK], ended: false, error: undefined });
  });

  it("why has the server's answer and the client's", async () => {
    const { client, pass } = world();
    const book = client.orderBook("A", { depth: 5 });
    await pass();
    const why = client.why(book);
    await pass();
    expect(await why).toMatchObject({ type: "why", state: "pending", client: { state: "pending", wire: { depth: 5 }, line: { state: "open" } } });
  });

  it("a listener that throws stops nobody else", async () => {
    const { client, server, pass } = world();
    const book = client.orderBook("A");
    const thrown: unknown[] = [];
    const listener = (error: unknown): unknown => thrown.push(error);
    process.once("uncaughtException", listener);
    book.on("update", () => {
      throw new Error("a listener's own");
    });
    let updates = 0;
    book.on("update", () => updates++);
    await pass();
    server.publish("A", BOOK);
    await pass();
    expect(updates).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.removeListener("uncaughtException", listener);
    expect(thrown).toHaveLength(1);
  });

  it("an unwanted topic that a session brings back is unsubscribed once", async () => {
    const { client, server, pass, sent } = world();
    const book = client.orderBook("A");
    await pass();
    book.close();
    await pass();
    const message = { channel: "orderbook" as const, symbol: "A", epoch: "e", seq: 1, ts: [null, null, 1] as [null, null, number] };
    for (let i = 0; i < 50; i++) server.say({ type: "orderbook_update", ...message, data: { bids: [], asks: [] } });
    await pass();
    expect(sent("unsubscribe")).toHaveLength(2); // when it was closed, and when it came nonetheless
    expect(client.subscriptions()).toEqual([]);
  });

  it("a hole is never passed over, whatever the gap or trade claims", async () => {
    const { client, server, pass } = world();
    const seen = collect(client.trades("A"));
    await pass();
    for (let i = 1; i <= 4; i++) server.trade("A", { price: i, size: 1 });
    await pass();
    const name = { channel: "trades" as const, symbol: "A" };
    server.say({ type: "gap", ...name, epoch: "fake-1", from_seq: 1, to_seq: 3, reason: "overflow" } satisfies GapMessage);
    server.say({ type: "trade", ...name, epoch: "fake-1", seq: 9, prev_seq: 7, ts: [null, null, 1], data: { trades: [] } } satisfies TradeMessage);
    await pass();
    for (let i = 5; i <= 6; i++) server.trade("A", { price: i, size: 1 });
    await pass(10_000);
    expect(prices(seen.items)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seen.items.every(({ gap }) => gap === undefined)).toBe(true);
  });
});
