import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocketClient } from "../src/beginner.js";
import type { BaseMessage } from "../src/messages.js";

/** The end of a connection that a test has in its hands. */
class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: Record<string, string>[] = [];
  closedWith: number | undefined | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, string>);
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  open(): this {
    this.onopen?.({});
    return this;
  }

  say(message: BaseMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  book(symbol: string, price = 1): void {
    const data = { bids: [[price, 1]], asks: [], source: "theirs" };
    this.say({ type: "orderbook_update", symbol, data, timestamp: "2026-01-01T00:00:00.000Z" });
  }

  end(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }

  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (last === undefined) throw new Error("nobody has connected");
    return last;
  }
}

/** Waits until the client connects again, which is within half a minute. */
async function reconnecting(): Promise<FakeSocket> {
  const before = FakeSocket.all.length;
  const begun = Date.now();
  while (FakeSocket.all.length === before) await vi.advanceTimersToNextTimerAsync();
  expect(Date.now() - begun).toBeLessThan(30_000);
  return FakeSocket.last;
}

function client(options = {}): WebSocketClient {
  return new WebSocketClient("me", "ws://server", { WebSocket: FakeSocket, ...options });
}

const subscribe = (symbol: string): object => ({ action: "subscribe", symbol });
const unsubscribe = (symbol: string): object => ({ action: "unsubscribe", symbol });

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("wishes", () => {
  test("count before connect, and before the socket is open", () => {
    const mine = client();
    mine.subscribe("AAPL");
    mine.subscribe("TSLA");
    mine.connect();
    mine.subscribe("MSFT");
    mine.unsubscribe("TSLA");
    expect(FakeSocket.last.sent).toEqual([]);
    FakeSocket.last.open();
    expect(FakeSocket.last.url).toBe("ws://server/ws/me");
    expect(FakeSocket.last.sent.filter((one) => one["symbol"] !== "TSLA")).toEqual([subscribe("AAPL"), subscribe("MSFT")]);
    expect(FakeSocket.last.sent).not.toContainEqual(subscribe("TSLA"));
  });

  test("are said again after each reconnect, without those that were given up meanwhile", async () => {
    const mine = client();
    const seen: string[] = [];
    mine.onOrderBookUpdate = (symbol) => seen.push(symbol);
    mine.subscribe("AAPL");
    mine.subscribe("TSLA");
    mine.connect();
    FakeSocket.last.open().end(1012);
    mine.unsubscribe("TSLA");
    mine.subscribe("MSFT");
    const second = (await reconnecting()).open();
    // The server's session may have it still.
    expect(second.sent).toEqual([unsubscribe("TSLA"), subscribe("AAPL"), subscribe("MSFT")]);
    second.book("TSLA");
    second.book("AAPL");
    expect(seen).toEqual(["AAPL"]);
    second.say({ type: "unsubscription_confirmed", symbol: "TSLA" });
    second.end();
    expect((await reconnecting()).open().sent).toEqual([subscribe("AAPL"), subscribe("MSFT")]);
  });

  test("of an earlier page are ended once, and never shown", () => {
    const mine = client();
    const seen: string[] = [];
    mine.onOrderBookUpdate = (symbol) => seen.push(symbol);
    mine.subscribe("AAPL");
    mine.connect();
    const socket = FakeSocket.last.open();
    socket.book("0700");
    socket.book("0700");
    expect(seen).toEqual([]);
    expect(socket.sent).toEqual([subscribe("AAPL"), unsubscribe("0700")]);
  });

  test("of one symbol under two spellings survive the end of one of them", () => {
    const mine = client();
    mine.subscribe("AAPL");
    mine.subscribe("US.AAPL");
    mine.connect();
    const socket = FakeSocket.last.open();
    mine.unsubscribe("AAPL");
    expect(socket.sent.slice(2)).toEqual([unsubscribe("AAPL"), subscribe("US.AAPL")]);
  });
});

describe("books", () => {
  test("come as published to a method that is assigned, or overridden", () => {
    const seen: unknown[] = [];
    class Mine extends WebSocketClient {
      override onOrderBookUpdate(symbol: string, data: unknown): void {
        seen.push([symbol, data]);
      }
    }
    const mine = new Mine("me", "ws://server", { WebSocket: FakeSocket });
    mine.subscribe("AAPL");
    mine.connect();
    FakeSocket.last.open().book("AAPL", 5);
    expect(seen).toEqual([["AAPL", { bids: [[5, 1]], asks: [], source: "theirs" }]]);
    mine.onOrderBookUpdate = (symbol) => seen.push(symbol);
    FakeSocket.last.book("AAPL");
    expect(seen[1]).toBe("AAPL");
  });

  test("go to the console until somebody wants them", () => {
    const log = vi.spyOn(console, "log").mockReturnValue();
    const mine = client();
    mine.subscribe("AAPL");
    mine.connect();
    FakeSocket.last.open().book("AAPL");
    expect(log).toHaveBeenCalledWith("AAPL", { bids: [[1, 1]], asks: [], source: "theirs" });
  });

  test("and all other messages pass through handleMessage, on which the connection doesn't depend", async () => {
    const kinds: string[] = [];
    const mine = client();
    mine.handleMessage = ({ type }) => kinds.push(type);
    mine.subscribe("AAPL");
    mine.connect();
    const socket = FakeSocket.last.open();
    socket.say({ type: "subscription_confirmed", symbol: "AAPL" });
    socket.book("AAPL");
    await vi.advanceTimersByTimeAsync(14_000);
    expect(socket.sent.at(-1)).toEqual({ action: "ping" });
    socket.say({ type: "pong" });
    await vi.advanceTimersByTimeAsync(6_000);
    expect(mine.line?.state).toBe("open");
    expect(kinds).toEqual(["subscription_confirmed", "orderbook_update", "pong"]);
  });

  test("that the page can't bear don't end the connection", async () => {
    const mine = client();
    mine.onOrderBookUpdate = () => {
      throw new Error("of the page");
    };
    mine.subscribe("AAPL");
    mine.connect();
    FakeSocket.last.open().book("AAPL");
    expect(mine.line?.state).toBe("open");
    await expect(vi.advanceTimersByTimeAsync(0)).rejects.toThrow("of the page");
  });
});

describe("the connection", () => {
  test("is tried again after any number of failures", async () => {
    client().connect();
    for (let count = 1; count < 30; count += 1) {
      FakeSocket.last.end();
      await reconnecting();
    }
  });

  test("is given up when its peer is silent, with a code that keeps the session", async () => {
    const mine = client();
    mine.subscribe("AAPL");
    mine.connect();
    const socket = FakeSocket.last.open();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(socket.sent).toContainEqual({ action: "ping" });
    expect(socket.closedWith).toBe(4000);
  });

  test("ends with a goodbye, and what is wanted is remembered", () => {
    const mine = client();
    mine.subscribe("AAPL");
    mine.connect();
    mine.connect();
    expect(FakeSocket.all.length).toBe(1);
    const first = FakeSocket.last.open();
    mine.disconnect();
    expect(first.closedWith).toBe(undefined);
    expect(mine.line?.state).toBe("stopped");
    mine.connect();
    expect(FakeSocket.last.open().sent).toEqual([subscribe("AAPL")]);
  });

  test("is over where coming back is of no use, and the page is told", async () => {
    const errors: string[] = [];
    const mine = client();
    mine.onError = (message) => errors.push(message);
    mine.connect();
    const socket = FakeSocket.last.open();
    socket.say({ type: "error", message: "Say who you are" });
    socket.end(4503, "not authenticated");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all.length).toBe(1);
    expect(errors).toEqual(["Say who you are", "stopped for good: not authenticated"]);
  });

  test("shows a token first, and a new one when that has expired", async () => {
    let count = 0;
    const mine = client({ getToken: () => `token ${++count}` });
    mine.subscribe("AAPL");
    mine.connect();
    await vi.advanceTimersByTimeAsync(0);
    const socket = FakeSocket.last.open();
    expect(socket.sent).toEqual([{ action: "authenticate", token: "token 1" }]);
    mine.subscribe("TSLA");
    socket.say({ type: "authenticated" });
    expect(socket.sent.slice(1)).toEqual([subscribe("AAPL"), subscribe("TSLA")]);
    socket.end(4010, "the token has expired");
    expect((await reconnecting()).open().sent).toEqual([{ action: "authenticate", token: "token 2" }]);
  });

  test("goes on where nobody asks for the token that it shows", async () => {
    const errors: string[] = [];
    const mine = client({ getToken: () => "t" });
    mine.onError = (message) => errors.push(message);
    mine.subscribe("AAPL");
    mine.connect();
    await vi.advanceTimersByTimeAsync(0);
    const socket = FakeSocket.last.open();
    socket.say({ type: "error", message: "Unknown action" });
    expect(mine.line?.state).toBe("open");
    expect(socket.sent.slice(1)).toEqual([subscribe("AAPL")]);
    expect(errors).toEqual([]);
  });

  test("shows another token where one that was good is refused, and ends where a new one is", async () => {
    let count = 0;
    const mine = client({ getToken: () => `token ${++count}` });
    mine.onError = () => undefined;
    mine.connect();
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.open().say({ type: "authenticated" });
    FakeSocket.last.end(4503);
    const second = (await reconnecting()).open();
    expect(second.sent).toEqual([{ action: "authenticate", token: "token 2" }]);
    second.end(4503);
    expect(mine.line).toMatchObject({ state: "stopped", final: true, code: 4503 });
  });

  test("needs a WebSocket, and says what to pass where there is none", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => {
      new WebSocketClient("me").connect();
    }).toThrow(/pass one, \{ WebSocket \}/);
    vi.unstubAllGlobals();
  });
});
