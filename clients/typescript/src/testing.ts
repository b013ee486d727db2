/**
 * A bookcast server in memory, for tests of programs that use the client: no network, no timers.
 *
 * ```ts
 * const server = new FakeServer();
 * const client = new Bookcast("ws://test", { WebSocket: server.WebSocket });
 * const book = client.orderBook("US.AAPL");
 * await server.settled();
 * server.publish("US.AAPL", { bids: [[189.9, 300]], asks: [[189.91, 200]] });
 * await server.settled();
 * book.value; // { bids: [[189.9, 300]], asks: [[189.91, 200]] }
 * ```
 */

import { checksum, cutBook, type Book } from "./book.js";
import { mayRetry, type ErrorCode } from "./codes.js";
import {
  changed,
  CLOSED,
  FakeConnection,
  FakeSocket,
  gapOf,
  isKept,
  isLog,
  keyOf,
  later,
  missed,
  nameOf,
  notSubscribed,
  OPEN,
  symbolsOf,
  type Entry,
  type FakeRelay,
  type FakeTopic,
  type FakeView,
  type Told,
} from "./fakes.js";
import type {
  Channel,
  Command,
  Message,
  Period,
  Publish,
  Restored,
  Resume,
  Since,
  State,
  StatusMessage,
  Subscribe,
  Trade,
  Variant,
} from "./messages.js";
import type { SocketConstructor } from "./platform.js";

export interface FakeServerOptions {
  /** Milliseconds since 1970; the real time by default. */
  now?: () => number;
  /** What the welcome promises. No heartbeat is sent but by {@link FakeServer.heartbeat}. */
  heartbeatMs?: number;
  /** Tokens that are good; without it nobody is asked for one. */
  tokens?: (token: string) => { expiresInMs: number | null } | ErrorCode;
  /** Trades and final candles that are kept. */
  historySize?: number;
  /** Sees each message, and passes it on or doesn't: a relay that lies. */
  relay?: FakeRelay;
}

/** What a topic is called, besides its symbol. */
export interface FakeTopicOptions {
  /** A book by default. */
  channel?: Channel;
  period?: Period;
  variant?: Variant;
}

export class FakeServer {
  /** Pass this to the client. */
  readonly WebSocket: SocketConstructor;
  /** What clients said, oldest first. */
  readonly received: Command[] = [];
  /** While false nobody can connect. */
  isUp = true;
  readonly #options: FakeServerOptions;
  readonly #connections = new Set<FakeConnection>();
  readonly #topics = new Map<string, FakeTopic>();
  readonly #refusals = new Map<string, { code: ErrorCode; message: string }>();
  readonly #sessions = new Map<string, Map<string, FakeView>>();
  #epochs = 0;
  #sessionCount = 0;

  constructor(options: FakeServerOptions = {}) {
    this.#options = options;
    const server = this; // eslint-disable-line @typescript-eslint/no-this-alias -- the class below has a `this` of its own
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        later(() => {
          server.#connect(this);
        });
      }
    };
    this.#epochs = 1;
  }

  /** How many clients are connected. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** The topics that somebody is subscribed to, as `orderbook US.AAPL`. */
  get subscribed(): string[] {
    const keys = [...this.#connections].flatMap((connection) => [...connection.views.keys()]);
    return [...new Set(keys)].map((key) => key.replace("  ", " "));
  }

  /** Publishes data of a channel, by default a book, to whoever is subscribed. */
  publish(symbol: string, data: unknown, options: FakeTopicOptions = {}): { epoch: string; seq: number } {
    const topic = this.#topic({ channel: "orderbook", symbol, ...options });
    const entry = { seq: ++topic.seq, at: this.#now(), data };
    const first = topic.newest === undefined && this.#epochs > 1;
    topic.newest = entry;
    topic.status = undefined;
    if (isKept(topic, data)) {
      topic.log.push(entry);
      while (topic.log.length > (this.#options.historySize ?? 1_000)) topic.lost = topic.log.shift()?.seq ?? 0;
    }
    for (const connection of this.#connections) {
      const view = connection.views.get(keyOf(topic.name));
      if (view === undefined) continue;
      if (first && isLog(topic) && view.last !== undefined) connection.say(gapOf(topic, null, null, "epoch"));
      this.#show(connection, topic, view, entry);
    }
    return { epoch: topic.epoch, seq: topic.seq };
  }

  /** Publishes trades. */
  trade(symbol: string, ...trades: (Partial<Trade> & { price: number; size: number })[]): { epoch: string; seq: number } {
    const timestamp = this.#now();
    return this.publish(symbol, { trades: trades.map((one) => ({ side: "buy", timestamp, ...one })) }, { channel: "trades" });
  }

  /** Sends the status of a topic. */
  status(symbol: string, state: State, reason?: string, options: FakeTopicOptions = {}): void {
    const topic = this.#topic({ channel: "orderbook", symbol, ...options });
    topic.status = { state, ...(reason !== undefined && { reason }) };
    for (const connection of this.#connections) {
      if (connection.views.has(keyOf(topic.name))) connection.say(this.#statusOf(topic));
    }
  }

  /** From now on subscriptions of a symbol are answered with an error. */
  refuse(symbol: string, code: ErrorCode = "forbidden", message = "refused by the test"): void {
    this.#refusals.set(symbol, { code, message });
    for (const connection of this.#connections) {
      for (const [key] of connection.views) {
        const topic = this.#topics.get(key);
        if (topic?.name.symbol !== symbol) continue;
        const { channel } = topic.name;
        if (!mayRetry(code)) connection.views.delete(key);
        connection.say({ type: "error", code, message, channel, symbol });
      }
    }
  }

  /** Ends all connections: with a close code, or as a network that fails does. */
  drop(code = 1006, reason = ""): void {
    for (const connection of [...this.#connections]) connection.end(code, reason);
  }

  /** Ends all connections and forgets everything, as a server without Redis that starts anew. */
  restart(): void {
    this.drop();
    this.#sessions.clear();
    this.newEpoch();
  }

  /** Begins a new epoch, of which nothing is known. */
  newEpoch(): void {
    this.#epochs += 1;
    for (const topic of this.#topics.values()) {
      topic.epoch = `fake-${this.#epochs}`;
      topic.seq = topic.lost = 0;
      topic.newest = undefined;
      topic.log = [];
    }
  }

  /** Sends all clients a message of your own. */
  say(message: Message): void {
    for (const connection of this.#connections) connection.say(message);
  }

  heartbeat(): void {
    this.say({ type: "heartbeat", server_time: this.#now() });
  }

  /** Fulfilled when everything that was said has come, and what follows from it. */
  async settled(): Promise<void> {
    for (let i = 0; i < 100; i++) await Promise.resolve();
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #connect(socket: FakeSocket): void {
    if (socket.readyState === CLOSED) return;
    if (!this.isUp) {
      socket.end(1006, "");
      return;
    }
    const relay = this.#options.relay ?? ((text, _direction, pass) => {
      pass(text);
    });
    const session = `session-${++this.#sessionCount}`;
    const connection = new FakeConnection(socket, session, relay);
    connection.isServed = this.#options.tokens === undefined;
    this.#connections.add(connection);
    socket.peer = {
      receive: (text) => {
        relay(text, "up", (passed) => {
          if (this.#connections.has(connection)) this.#receive(connection, passed);
        });
      },
      gone: (code) => {
        this.#connections.delete(connection);
        const isGoodbye = code === undefined || code === 1000 || code === 1001;
        if (!isGoodbye) this.#sessions.set(connection.session, connection.views);
      },
    };
    socket.readyState = OPEN;
    socket.onopen?.({ type: "open" });
    connection.say({
      type: "welcome",
      protocol: "bookcast.v1",
      client_id: decodeURIComponent(new URL(socket.url).pathname.replace(/^.*\//, "")),
      session,
      heartbeat_ms: this.#options.heartbeatMs ?? 3_600_000,
      server_time: this.#now(),
      ...(!connection.isServed && { authenticate_within_ms: 10_000 }),
    });
  }

  #receive(connection: FakeConnection, text: string): void {
    let command: Command;
    try {
      command = JSON.parse(text) as Command;
    } catch {
      connection.say({ type: "error", code: "invalid_json", message: "not valid JSON" });
      return;
    }
    this.received.push(command);
    const id = command.id === undefined ? {} : { id: command.id };
    if (command.action !== "ping" && command.action !== "authenticate" && !connection.isServed) {
      connection.say({ type: "error", ...id, code: "unauthenticated", message: "Authenticate first" });
      return;
    }
    switch (command.action) {
      case "ping":
        connection.say({ type: "pong", ...id, server_time: this.#now() });
        break;
      case "authenticate":
        this.#authenticate(connection, command.token, id);
        break;
      case "subscribe":
        for (const symbol of symbolsOf(command)) this.#subscribe(connection, command, symbol, id);
        break;
      case "unsubscribe":
        for (const symbol of symbolsOf(command)) {
          const name = nameOf(command, symbol);
          connection.views.delete(keyOf(name));
          connection.say({ type: "unsubscription_confirmed", ...id, ...name });
        }
        break;
      case "resync":
        this.#resync(connection, command, id);
        break;
      case "why":
        this.#why(connection, command, id);
        break;
      case "list": {
        const subscriptions = [...connection.views].map(([key, { depth, mode, interval_ms }]) => ({
          ...this.#name(key),
          view: { depth, mode, interval_ms },
        }));
        connection.say({ type: "list", ...id, subscriptions });
        break;
      }
      case "publish": {
        const { channel, symbol, data, period }: Publish = command;
        const place = this.publish(symbol, data, { channel, ...(period && { period }) });
        connection.say({ type: "published", ...id, channel, symbol, ...place });
        break;
      }
      case "resume":
        this.#resume(connection, command, id);
        break;
      default:
        connection.say({ type: "error", code: "unknown_action", message: "Unknown action" });
    }
  }

  #authenticate(connection: FakeConnection, token: string, id: { id?: string | number | null }): void {
    const verdict = this.#options.tokens?.(token) ?? "not_supported";
    if (typeof verdict === "object") {
      connection.isServed = true;
      connection.say({ type: "authenticated", ...id, expires_in_ms: verdict.expiresInMs });
      return;
    }
    connection.say({ type: "error", ...id, code: verdict, message: `the token isn't good: ${verdict}` });
    if (!connection.isServed) connection.end(verdict === "token_expired" ? 4010 : 4503, verdict);
  }

  #subscribe(connection: FakeConnection, command: Subscribe, symbol: string, id: { id?: string | number | null }): void {
    const name = nameOf(command, symbol);
    const refusal = this.#refusals.get(symbol);
    if (refusal !== undefined && !mayRetry(refusal.code)) {
      connection.say({ type: "error", ...id, ...refusal, channel: name.channel, symbol });
      return;
    }
    const topic = this.#topic(name);
    const view: FakeView = {
      depth: command.depth ?? null,
      mode: command.mode ?? "full",
      interval_ms: command.interval_ms ?? 0,
      last: undefined,
    };
    connection.views.set(keyOf(name), view);
    const seen = { depth: view.depth, mode: view.mode, interval_ms: view.interval_ms };
    const confirm = (place: { epoch: string; seq: number } | null, recovered?: boolean): void => {
      connection.say({
        type: "subscription_confirmed",
        ...id,
        ...name,
        view: seen,
        epoch: place?.epoch ?? null,
        seq: place?.seq ?? null,
        ...(recovered !== undefined && { recovered }),
      });
    };
    const since = command.since ?? undefined;
    if (isLog(topic)) this.#startLog(connection, topic, view, since, command.history ?? 0, confirm);
    else {
      const { newest, epoch } = topic;
      confirm(newest === undefined ? null : { epoch, seq: newest.seq }, since && since.epoch === epoch);
      const hasIt = since !== undefined && since.epoch === epoch && since.seq === newest?.seq && view.mode === "full";
      if (newest !== undefined && !hasIt) this.#show(connection, topic, view, newest);
    }
    if (topic.newest === undefined || topic.status !== undefined) connection.say(this.#statusOf(topic));
    if (refusal !== undefined) connection.say({ type: "error", ...refusal, channel: name.channel, symbol });
  }

  /** Begins with trades or candles: after a position, so many back, or with the next. */
  #startLog(
    connection: FakeConnection,
    topic: FakeTopic,
    view: FakeView,
    since: Since | undefined,
    history: number,
    confirm: (place: { epoch: string; seq: number } | null, recovered?: boolean) => void,
  ): void {
    const { epoch, newest, log } = topic;
    view.last = since && { ...since, book: undefined };
    if (newest === undefined) {
      confirm(null, since && since.epoch === epoch);
      return;
    }
    if (since === undefined) {
      const past = history > 0 ? log.slice(-history) : [];
      const begins = (past[0]?.seq ?? topic.seq + 1) - 1;
      view.last = { epoch, seq: begins, book: undefined };
      confirm({ epoch, seq: begins });
      for (const entry of past) this.#show(connection, topic, view, entry);
      return;
    }
    const { gap, entries } = missed(topic, since);
    if (since.epoch !== epoch) confirm({ epoch, seq: (entries[0]?.seq ?? topic.seq + 1) - 1 }, false);
    else confirm(since, gap === undefined);
    if (gap !== undefined) connection.say(gap);
    for (const entry of entries) this.#show(connection, topic, view, entry);
  }

  #resume(connection: FakeConnection, command: Resume, id: { id?: string | number | null }): void {
    const left = this.#sessions.get(command.session);
    for (const other of [...this.#connections]) {
      // One that hasn't noticed that its line is dead loses the session to this one.
      if (left === undefined && other.session === command.session && other !== connection) {
        other.end(4501, "another connection resumed the session");
        this.#resume(connection, command, id);
        return;
      }
    }
    if (left === undefined) {
      connection.say({ type: "error", ...id, code: "unknown_session", message: "This session isn't known here" });
      return;
    }
    this.#sessions.delete(command.session);
    const positions = new Map((command.positions ?? []).map((one) => [keyOf(one), one]));
    const restored: Restored[] = [];
    const shows: (() => void)[] = [];
    for (const [key, view] of left) {
      const topic = this.#topics.get(key);
      const had = positions.get(key);
      positions.delete(key);
      if (topic === undefined) continue;
      connection.views.set(key, view);
      const { epoch, newest } = topic;
      const same = had !== undefined && had.epoch === epoch;
      const found = isLog(topic) && had !== undefined ? missed(topic, had) : undefined;
      const seen = { depth: view.depth, mode: view.mode, interval_ms: view.interval_ms };
      const goesOn = same && found?.gap === undefined;
      const place = goesOn ? { epoch, seq: had.seq } : { epoch, seq: newest?.seq ?? 0 };
      restored.push({ ...topic.name, view: seen, ...(newest === undefined ? { epoch: null, seq: null } : place), recovered: goesOn });
      shows.push(() => {
        if (topic.newest === undefined) connection.say(this.#statusOf(topic));
        if (found?.gap !== undefined && newest !== undefined) connection.say(found.gap);
        for (const entry of found?.entries ?? (isLog(topic) ? topic.log : [])) this.#show(connection, topic, view, entry);
        if (isLog(topic) || newest === undefined) return;
        const hasIt = same && had.seq === newest.seq && view.last?.seq === newest.seq;
        if (!hasIt) {
          view.last = undefined;
          this.#show(connection, topic, view, newest);
        }
      });
    }
    const refused = [...positions.values()].map(({ channel, symbol }) => ({ channel, symbol, code: "not_subscribed" as const }));
    connection.say({ type: "resumed", ...id, session: connection.session, restored, refused });
    for (const show of shows) show();
  }

  #resync(connection: FakeConnection, command: Told & { symbol: string }, id: { id?: string | number | null }): void {
    const name = nameOf(command, command.symbol);
    const view = connection.views.get(keyOf(name));
    const topic = this.#topics.get(keyOf(name));
    if (view === undefined || topic === undefined) {
      connection.say(notSubscribed(id, name));
      return;
    }
    view.last = undefined;
    if (topic.newest !== undefined && !isLog(topic)) this.#show(connection, topic, view, topic.newest);
  }

  #why(connection: FakeConnection, command: Told & { symbol: string }, id: { id?: string | number | null }): void {
    const name = nameOf(command, command.symbol);
    const topic = this.#topics.get(keyOf(name));
    if (topic === undefined || !connection.views.has(keyOf(name))) {
      connection.say(notSubscribed(id, name));
      return;
    }
    const counts = { received: topic.seq, sent: topic.seq, conflated: 0, queued: 0, gapped: 0, unchanged: 0 };
    const { state } = this.#statusOf(topic);
    connection.say({ type: "why", ...id, ...name, ...counts, state, limited_by: "none", last_update_ms: topic.newest?.at ?? null });
  }

  /** Sends an update in a view: whole, or what changed since the last one. */
  #show(connection: FakeConnection, topic: FakeTopic, view: FakeView, entry: Entry): void {
    const { name, epoch } = topic;
    const { seq, at, data } = entry;
    const head = { ...name, epoch, seq, ts: [null, null, at] };
    const last = view.last?.epoch === epoch ? view.last : undefined;
    let book: Book | undefined;
    let message: object | undefined;
    if (name.channel === "orderbook") {
      book = cutBook(data as Book, view.depth);
      message = { type: "orderbook_update", ...head, data: book };
      if (view.mode === "delta" && last?.book !== undefined) {
        const changes = { bids: changed(last.book.bids, book.bids, -1), asks: changed(last.book.asks, book.asks, 1) };
        if (changes.bids.length + changes.asks.length === 0) return;
        message = { type: "orderbook_delta", ...head, prev_seq: last.seq, checksum: checksum(book), data: changes };
      }
    } else if (name.channel === "trades") message = { type: "trade", ...head, prev_seq: seq - 1, data };
    else message = { type: TYPES[name.channel], ...head, data };
    view.last = { epoch, seq, book };
    connection.say(message as Message);
  }

  #statusOf(topic: FakeTopic): StatusMessage {
    const { name, newest, status } = topic;
    const age_ms = newest === undefined ? null : this.#now() - newest.at;
    const state = newest === undefined ? "pending" : "live";
    return { type: "status", ...name, age_ms, state, ...(state === "pending" && { reason: "nothing has been published yet" }), ...status };
  }

  #topic(name: FakeTopic["name"]): FakeTopic {
    const key = keyOf(name);
    let topic = this.#topics.get(key);
    if (topic === undefined) {
      const epoch = `fake-${this.#epochs}`;
      topic = { name, epoch, seq: 0, newest: undefined, log: [], lost: 0, status: undefined };
      this.#topics.set(key, topic);
    }
    return topic;
  }

  #name(key: string): FakeTopic["name"] {
    return this.#topics.get(key)?.name ?? { channel: "orderbook", symbol: key };
  }
}

const TYPES = {
  quote: "quote_update",
  candles: "candle_update",
  brokers: "brokers_update",
  timeframe: "timeframe_update",
} as const;
