/** A client of a bookcast server: subscriptions over one connection that comes back by itself. */

import { randomId, socketAddress } from "./address.js";
import type { Book } from "./book.js";
import { BookcastError, pauseOf } from "./errors.js";
import type { LineStatus } from "./line.js";
import type {
  Brokers,
  Candle,
  Channel,
  Period,
  Publication,
  PublishedMessage,
  Quote,
  TimePoint,
  Trade,
  Variant,
  WhyMessage,
} from "./messages.js";
import { ownWebSocket, platform, type Platform, type SocketConstructor } from "./platform.js";
import type { Gap, Position } from "./position.js";
import { Session } from "./session.js";
import { Subscription } from "./subscription.js";
import type { GetToken } from "./token.js";
import type { View } from "./view.js";

/** One decision of the client, in words. */
export interface DebugEvent {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly text: string;
  readonly channel?: Channel | undefined;
  readonly symbol?: string | undefined;
  readonly period?: Period | undefined;
  readonly variant?: Variant | undefined;
}

export interface BookcastOptions {
  /** A name for this client in the server's log; random by default. */
  clientId?: string | undefined;
  /** Returns a token. It is called when one is needed, once at a time, and again if it fails. */
  getToken?: GetToken | undefined;
  /** Where the runtime has none: the class of the package `ws`. */
  WebSocket?: SocketConstructor | undefined;
  /** Trades or final candles that wait for a loop; past that the oldest go. 10,000 by default. */
  maxBuffered?: number | undefined;
  /** Is told each decision, in words. */
  debug?: ((event: DebugEvent) => void) | undefined;
}

export interface PaceOptions {
  /** At most one update in so many milliseconds. */
  intervalMs?: number | undefined;
}

export interface BookOptions extends PaceOptions {
  /** Levels on each side; all by default. */
  depth?: number | null | undefined;
  /** What comes over the wire: changes (`delta`, the default) or whole books. */
  mode?: "full" | "delta" | undefined;
  /** `odd`: the book of odd lots. */
  variant?: Variant | undefined;
}

export interface EventOptions extends PaceOptions {
  /** So many past ones first. */
  history?: number | undefined;
}

export interface CandleOptions extends EventOptions {
  period: Period;
}

/** Trades that came together, oldest first. `gap`: what is missing before them. */
export interface Trades {
  readonly trades: readonly Trade[];
  readonly gap?: Gap;
}

/** A candle. `gap`: final ones that are missing before it. */
export type CandleItem = Candle & { readonly gap?: Gap };

export interface PublishOptions {
  channel?: Channel | undefined;
  /** Of candles. */
  period?: Period | undefined;
  /** With the same key the same data are published once, however often they are sent. */
  idempotencyKey?: string | undefined;
  /** Wait so long for a line, and send again what has no answer. By default it fails at once. */
  waitMs?: number | undefined;
}

/** What became of the updates of a topic: the server's answer, and this client's own view of it. */
export type Why = WhyMessage & {
  client: { state: string; reason: string | undefined; line: LineStatus; wire: View | undefined };
};

interface ClientEvents {
  line: [status: LineStatus];
  error: [error: BookcastError];
}

export class Bookcast {
  readonly #platform: Platform;
  readonly #session: Session;
  readonly #maxBuffered: number;

  /** `url`: the server, `wss://host/prefix`, or all of the address; in a page, its own by default. */
  constructor(url?: string, options?: BookcastOptions);
  // Tests bring their own surroundings.
  constructor(url?: string, options: BookcastOptions = {}, surroundings: Platform = platform) {
    const { clientId, getToken, WebSocket = ownWebSocket(), maxBuffered = 10_000, debug } = options;
    if (WebSocket === undefined) {
      throw new TypeError('There is no WebSocket: pass { WebSocket } of "ws"');
    }
    this.#platform = surroundings;
    this.#maxBuffered = whole("maxBuffered", maxBuffered, 1, Infinity);
    const page = (globalThis as { location?: { href?: string } }).location?.href;
    this.#session = new Session({
      url: socketAddress(url, clientId, page),
      protocols: ["bookcast.v1"],
      WebSocket,
      platform: surroundings,
      getToken,
    });
    if (debug !== undefined) {
      this.#session.events.on("note", (text, about) => {
        debug({ at: surroundings.now(), text, ...about });
      });
    }
    this.#session.line.start();
  }

  /** How the connection stands. */
  get line(): LineStatus {
    return this.#session.line.status;
  }

  /** An order book, kept from deltas that are proven. */
  orderBook(symbol: string, options?: BookOptions): Subscription<Book> {
    return this.#subscribe("orderbook", symbol, options);
  }

  quote(symbol: string, options?: PaceOptions): Subscription<Quote> {
    return this.#subscribe("quote", symbol, options);
  }

  /** Every trade, in order; what is missing is told as a gap. */
  trades(symbol: string, options?: EventOptions): Subscription<Trades> {
    return this.#subscribe("trades", symbol, options);
  }

  /** Every final candle, and the newest state of the one that forms. */
  candles(symbol: string, options: CandleOptions): Subscription<CandleItem> {
    return this.#subscribe("candles", symbol, options);
  }

  brokers(symbol: string, options?: PaceOptions): Subscription<Brokers> {
    return this.#subscribe("brokers", symbol, options);
  }

  /** The newest minute of the day's line. */
  timeframe(symbol: string, options?: PaceOptions): Subscription<TimePoint> {
    return this.#subscribe("timeframe", symbol, options);
  }

  /** All subscriptions that aren't closed. */
  subscriptions(): Subscription<unknown>[] {
    return [...this.#session.wire.topics.values()].flatMap((topic) => topic.subscriptions);
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: (...given: ClientEvents[Name]) => void): () => void {
    return this.#session.events.on(name, listener);
  }

  /**
   * Publishes data of a channel, by default a book. Fails while there is no line, unless it is told
   * to wait; then it is sent with a key, so that it can be sent again and is published once.
   */
  async publish<C extends Channel = "orderbook">(
    symbol: string,
    data: Publication[C],
    options: PublishOptions & { channel?: C | undefined } = {},
  ): Promise<Position> {
    const { channel = "orderbook", period, waitMs = 0, idempotencyKey: key = waitMs > 0 ? randomId() : undefined } = options;
    const until = this.#platform.now() + waitMs;
    for (;;) {
      while (!this.#session.line.isOpen) await this.#change(until);
      try {
        const { epoch, seq } = await this.#session.ask<PublishedMessage>({
          action: "publish",
          channel,
          symbol,
          data,
          period,
          idempotency_key: key,
        });
        return { epoch, seq };
      } catch (error) {
        if (!(error instanceof BookcastError)) throw error;
        const pause = pauseOf(error, 0);
        if (error.final || key === undefined || this.#platform.now() + pause >= until) throw error;
        this.#session.note(`publishing again: ${error.message}`, { channel, symbol });
        if (this.line.state === "open") await new Promise<void>((resolve) => this.#platform.after(pause, resolve));
      }
    }
  }

  /** Why updates of a subscription do or don't arrive. */
  async why(subscription: Subscription<unknown>): Promise<Why> {
    const { state, reason, source } = subscription;
    while (!this.#session.line.isOpen) await this.#change(0);
    const answer = await this.#session.ask<WhyMessage>({ action: "why", ...source.name });
    return { ...answer, client: { state, reason, line: this.line, wire: source.asked } };
  }

  /** Ends everything, with a goodbye to the server. */
  close(): void {
    for (const subscription of this.subscriptions()) subscription.close();
    this.#session.line.stop();
  }

  #subscribe<V>(
    channel: Channel,
    symbol: string,
    options: BookOptions & EventOptions & { period?: Period | undefined } = {},
  ): Subscription<V> {
    const { depth = null, mode, intervalMs = 0, history = 0, period, variant } = options;
    // What one subscription asks for wrongly must not be asked for the others of its topic.
    const view: View = {
      depth: depth === null ? null : whole("depth", depth, 1, 1_000),
      mode: channel === "orderbook" && mode !== "full" ? "delta" : "full",
      intervalMs: whole("intervalMs", intervalMs, 0, 60_000),
      history: whole("history", history, 0, 10_000),
    };
    const topic = this.#session.wire.topic({ channel, symbol, period, variant });
    const subscription = new Subscription<V>(topic, view, this.#platform, this.#maxBuffered);
    topic.join(subscription);
    if (this.line.state === "stopped") subscription.refuse(this.#session.ending);
    return subscription;
  }

  /** Waits until then for a change of a line that isn't open. */
  async #change(until: number): Promise<void> {
    const { state, reason = state } = this.line;
    if (state === "stopped") throw this.#session.ending;
    const left = until - this.#platform.now();
    if (!(left > 0)) throw new BookcastError("not_connected", `no connection: ${reason}`);
    await new Promise<void>((resolve) => {
      const cancel = this.#platform.after(left, resolve);
      const off = this.on("line", () => {
        off();
        cancel();
        resolve();
      });
    });
  }
}

function whole(name: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most && Math.floor(value) === value) return value;
  throw new TypeError(`${name}: a whole number from ${least} to ${most}, not ${value}`);
}
