/** What the server for tests is made of: its topics, what its clients see of them, and sockets in memory. */

import type { Book } from "./book.js";
import type { BookLevel, Candle, Channel, ErrorMessage, GapMessage, Message, Period, SeenAs, State, Variant } from "./messages.js";
import type { Socket } from "./platform.js";

export interface Entry {
  readonly seq: number;
  readonly at: number;
  readonly data: unknown;
}

export interface FakeTopic {
  readonly name: { channel: Channel; symbol: string; period?: Period; variant?: Variant };
  epoch: string;
  seq: number;
  newest: Entry | undefined;
  /** Of trades and candles. */
  log: Entry[];
  lost: number;
  status: { state: State; reason?: string } | undefined;
}

export interface FakeView extends SeenAs {
  /** What the client was sent last. */
  last: { epoch: string; seq: number; book: Book | undefined } | undefined;
}

export type Told = { channel?: unknown; symbol?: unknown; period?: unknown; variant?: unknown };

/** Sees each message, and passes it on or doesn't. */
export type FakeRelay = (text: string, direction: "up" | "down", pass: (text: string) => void) => void;

export const OPEN = 1;
export const CLOSED = 3;

/** The client's end of a connection in memory. */
export class FakeSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onerror: Socket["onerror"] = null;
  onclose: Socket["onclose"] = null;
  readyState = 0;
  peer: { receive(text: string): void; gone(code: number | undefined): void } | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[] = [],
  ) {}

  send(text: string): void {
    if (this.readyState === 0) throw new Error("it isn't open yet");
    later(() => {
      this.peer?.receive(text);
    });
  }

  close(code?: number): void {
    if (this.readyState === CLOSED) return;
    later(() => {
      this.end(code ?? 1005, "");
    });
    const { peer } = this;
    later(() => {
      this.peer = undefined;
      peer?.gone(code);
    });
  }

  /** The connection is gone. */
  end(code: number, reason: string): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }
}

/** The server's end. */
export class FakeConnection {
  readonly views = new Map<string, FakeView>();
  isServed = true;

  constructor(
    readonly socket: FakeSocket,
    readonly session: string,
    readonly relay: FakeRelay,
  ) {}

  say(message: Message): void {
    this.relay(JSON.stringify(message), "down", (text) => {
      later(() => {
        if (this.socket.readyState === OPEN) this.socket.onmessage?.({ data: text });
      });
    });
  }

  end(code: number, reason: string): void {
    const { peer } = this.socket;
    this.socket.peer = undefined;
    peer?.gone(code);
    later(() => {
      this.socket.end(code, reason);
    });
  }
}

export function later(callback: () => void): void {
  void Promise.resolve().then(callback);
}

export function keyOf({ channel, symbol, period, variant }: Told): string {
  return [channel, period ?? variant ?? "", symbol].join(" ");
}

export function nameOf(told: Told, symbol: string): FakeTopic["name"] {
  const { channel = "orderbook", period, variant } = told as { channel?: Channel; period?: Period; variant?: Variant };
  return { channel, symbol, ...(period && { period }), ...(variant && { variant }) };
}

export function symbolsOf({ symbol, symbols }: { symbol?: string; symbols?: string[] }): string[] {
  return symbols ?? (symbol === undefined ? [] : [symbol]);
}

export function isLog(topic: FakeTopic): boolean {
  return topic.name.channel === "trades" || topic.name.channel === "candles";
}

export function isKept(topic: FakeTopic, data: unknown): boolean {
  return topic.name.channel === "trades" || (topic.name.channel === "candles" && (data as Candle).final);
}

export function gapOf(topic: FakeTopic, from: number | null, to: number | null, reason: GapMessage["reason"]): GapMessage {
  return { type: "gap", ...topic.name, epoch: topic.epoch, from_seq: from, to_seq: to, reason };
}

/** What came after a position, and what of it isn't kept. */
export function missed(topic: FakeTopic, since: { epoch: string; seq: number }): { gap: GapMessage | undefined; entries: Entry[] } {
  if (topic.newest === undefined) return { gap: undefined, entries: [] };
  if (since.epoch !== topic.epoch) return { gap: gapOf(topic, null, null, "epoch"), entries: topic.log };
  const entries = topic.log.filter((entry) => entry.seq > since.seq);
  const gap = since.seq < topic.lost ? gapOf(topic, since.seq + 1, topic.lost, "overflow") : undefined;
  return { gap, entries };
}

export function notSubscribed(id: { id?: string | number | null }, { channel, symbol }: FakeTopic["name"]): ErrorMessage {
  return { type: "error", ...id, code: "not_subscribed", message: "This connection isn't subscribed to it", channel, symbol };
}

/** The levels that turn one side into another; those that are gone have size 0. */
export function changed(before: readonly BookLevel[], after: readonly BookLevel[], order: 1 | -1): BookLevel[] {
  const old = new Map(before.map((level) => [level[0], level]));
  const changes = after.filter((level) => {
    const same = JSON.stringify(old.get(level[0])) === JSON.stringify(level);
    old.delete(level[0]);
    return !same;
  });
  for (const price of old.keys()) changes.push([price, 0]);
  return changes.sort((one, other) => (one[0] - other[0]) * order);
}
