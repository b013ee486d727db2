/** What a user holds: one topic in one view, as it is now, as events, or as an async iteration. */

import { cutBook, type Book } from "./book.js";
import { Emitter } from "./emitter.js";
import { BookcastError } from "./errors.js";
import type { Channel, Period, State, Variant } from "./messages.js";
import type { Platform } from "./platform.js";
import { joinGaps, type Gap, type Position } from "./position.js";
import { Queue, valueOf, type Item } from "./queue.js";
import { weightOf, type Batch } from "./tape.js";
import type { Name } from "./topic.js";
import type { View } from "./view.js";

/** `connecting`: the line is down; `syncing`: the newest isn't proven; the rest is the server's word. */
export type SubscriptionState = State | "connecting" | "syncing" | "refused";

export interface SubscriptionEvents<V> {
  update: [value: V, subscription: Subscription<V>];
  state: [state: SubscriptionState, subscription: Subscription<V>];
  gap: [gap: Gap, subscription: Subscription<V>];
  error: [error: BookcastError, subscription: Subscription<V>];
}

/** What a subscription needs of the topic that it belongs to. */
export interface Source {
  readonly name: Name;
  /** What the server was asked for. */
  readonly asked: View | undefined;
  /** When its newest update came, in milliseconds since 1970 of this side's clock. */
  readonly updatedAt: number | undefined;
  /** Over the wire it comes as slowly as a subscription wants it. */
  isSlow(intervalMs: number): boolean;
  stateOf(subscription: Subscription<unknown>): [state: SubscriptionState, reason: string | undefined];
  leave(subscription: Subscription<unknown>): void;
}

export class Subscription<V> implements AsyncIterable<V> {
  declare readonly channel: Channel;
  /** As it was asked for. */
  declare readonly symbol: string;
  /** Of candles. */
  declare readonly period: Period | undefined;
  /** `odd` for the book of odd lots. */
  declare readonly variant: Variant | undefined;
  /** The newest that is proven; undefined before the first. Of trades and candles, the last that came. */
  value: V | undefined;
  /** @internal */
  readonly view: View;
  /** @internal Where it stands; of trades and candles everything up to here was delivered. */
  position: Position | undefined;
  /** @internal It gets nothing before the history that it asked for. */
  waits = false;
  /** @internal Takes what comes before the first loop, and between two of them. */
  idle: Queue<V> | undefined;
  /** @internal Why it was refused last, if nothing came since. */
  error: BookcastError | undefined;
  /** @internal */
  readonly source: Source;
  /** Fulfilled with the first value; rejected when there won't be one. */
  readonly ready: Promise<this>;
  readonly #platform: Platform;
  readonly #maxBuffered: number;
  readonly #events = new Emitter<SubscriptionEvents<V>>();
  readonly #queues = new Set<Queue<V>>();
  #settle!: (error?: Error) => void;
  #shownAt = -Infinity;
  #cancelPace: (() => void) | undefined;
  #held: (() => void) | undefined;
  readonly #items: Item<V>[] = [];
  #last: Item<V> | undefined;
  #gap: Gap | undefined;
  #isClosed = false;
  #listens = false;
  #told: string | undefined;

  /** @internal */
  constructor(source: Source, view: View, platform: Platform, maxBuffered: number) {
    Object.assign(this, source.name);
    this.source = source;
    this.view = view;
    this.#platform = platform;
    this.#maxBuffered = maxBuffered;
    this.ready = new Promise((resolve, reject) => {
      this.#settle = (error) => {
        if (error) reject(error);
        else resolve(this);
      };
    });
    this.ready.catch(() => undefined); // who doesn't await it isn't told twice
    this.#keep();
  }

  get state(): SubscriptionState {
    return this.source.stateOf(this)[0];
  }

  /** Why it is in this state, in words, where there is something to say. */
  get reason(): string | undefined {
    return this.source.stateOf(this)[1];
  }

  /** How long ago the newest update came, by the server's clock. */
  get ageMs(): number | undefined {
    const at = this.source.updatedAt;
    return at === undefined ? undefined : Math.max(0, this.#platform.now() - at);
  }

  get epoch(): string | undefined {
    return this.position?.epoch;
  }

  get seq(): number | undefined {
    return this.position?.seq;
  }

  /** Calls back at each event. Returns what ends that. */
  on<Name extends keyof SubscriptionEvents<V>>(
    name: Name,
    listener: (...given: SubscriptionEvents<V>[Name]) => void,
  ): () => void {
    // Who listens doesn't loop: nothing has to wait for a loop.
    if (name === "update") {
      this.#listens = true;
      this.idle = undefined;
    }
    return this.#events.on(name, listener);
  }

  /**
   * The newest state, each time that there is a newer one; of trades and candles everything, in order.
   * Waits while the line is down. Ends after `close`, and throws a `BookcastError` after a refusal.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<V> {
    const queue = this.idle ?? this.#queue();
    this.idle = undefined;
    if (!this.#isLossless && this.#last !== undefined) queue.push(this.#last);
    if (this.#isClosed || this.error !== undefined) {
      this.#keep();
      queue.end(this.error);
    } else this.#queues.add(queue);
    return this.#loop(queue);
  }

  /** Ends the subscription. The topic is unsubscribed when nobody else wants it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopPace();
    this.#settle(new BookcastError("closed", "closed", { final: true }));
    for (const queue of this.#queues) queue.end();
    this.#queues.clear();
    this.idle = undefined;
    this.source.leave(this);
  }

  /** @internal Shows a newer state. */
  show(value: unknown, position: Position): void {
    this.#paced(() => {
      const shown = this.channel === "orderbook" ? cutBook(value as Book, this.view.depth) : value;
      const { epoch, seq } = (this.position = position);
      this.#deliver({ value: shown as V, weight: 0, epoch, from: seq, to: seq });
    });
  }

  /** @internal Takes trades or a candle. What it has already, it passes over. */
  take(batch: Batch): void {
    const { epoch, prev, seq, trades, candle } = batch;
    if (this.waits || (this.position?.epoch === epoch && seq <= this.position.seq)) return;
    this.position = batch;
    const value = (trades === undefined ? candle : { trades }) as V;
    this.#items.push({ value, weight: weightOf(batch), epoch, from: prev + 1, to: seq, gap: this.#gap });
    this.#gap = undefined;
    this.#paced(() => {
      for (const item of joined(this.#items.splice(0))) this.#deliver(item);
    });
  }

  /** @internal Something won't come. */
  miss(gap: Gap): void {
    if (this.waits) return;
    this.#gap = joinGaps(this.#gap, gap);
    this.#events.emit("gap", gap, this);
  }

  /** @internal The server or the line refuses it. */
  refuse(error: BookcastError): void {
    if (this.#held !== undefined) this.#showHeld();
    if (this.#isClosed) return;
    this.error = error;
    this.#settle(error);
    for (const queue of this.#queues) queue.end(error);
    this.#queues.clear();
    this.#keep();
    this.#events.emit("error", error, this);
    this.tellState();
  }

  /** @internal It is accepted, perhaps after a refusal, and so much history has been asked for. */
  accept(history: number, { position }: { position: Position | undefined }): void {
    this.error = undefined;
    if (this.view.history > history || !this.#isLossless) return;
    this.waits = false;
    this.position ??= position; // what came before is for those who ask for more history
  }

  /** @internal Tells a change of the state, where there is one. */
  tellState(): void {
    if (this.#isClosed) return;
    const now = this.source.stateOf(this);
    const told = now.join();
    if (told === this.#told) return;
    this.#told = told;
    this.#events.emit("state", now[0], this);
  }

  get #isLossless(): boolean {
    return this.channel === "trades" || this.channel === "candles";
  }

  #queue(): Queue<V> {
    return new Queue<V>(this.#isLossless ? this.#maxBuffered : 1, (gap) => {
      this.#events.emit("gap", gap, this);
    });
  }

  /** Keeps what comes until the next loop. */
  #keep(queue = this.#queue()): void {
    if (this.#isLossless && !this.#listens) this.idle ??= queue;
  }

  /** No generator, which would end neither before it began nor while it waits. */
  #loop(queue: Queue<V>): AsyncIterableIterator<V> {
    let isLeft = false;
    const next = async (): Promise<IteratorResult<V, undefined>> => {
      while (!isLeft) {
        const item = queue.take();
        if (item !== undefined) return { value: valueOf(item), done: false };
        if (queue.ending === undefined) await queue.change();
        else {
          isLeft = true;
          if (queue.ending) throw queue.ending;
        }
      }
      return { value: undefined, done: true };
    };
    let last: Promise<IteratorResult<V, undefined> | undefined> = Promise.resolve(undefined);
    const loop: AsyncIterableIterator<V> = {
      next: () => (last = last.then(next, next)),
      return: () => {
        isLeft = true;
        // The next loop goes on where this one was left.
        if (this.#queues.delete(queue) && this.#queues.size === 0) this.#keep(queue);
        queue.wake?.();
        return loop.next();
      },
      [Symbol.asyncIterator]: () => loop,
    };
    return loop;
  }

  #deliver(item: Item<V>): void {
    if (this.#isClosed) return;
    this.#last = item;
    this.error = undefined; // it comes after all
    this.value = valueOf(item);
    this.#settle();
    this.idle?.push(item);
    for (const queue of this.#queues) queue.push(item);
    this.#events.emit("update", this.value, this);
    this.tellState();
  }

  /** Shows something at this subscription's own pace, if the wire's is faster. */
  #paced(show: () => void): void {
    const interval = this.source.isSlow(this.view.intervalMs) ? 0 : this.view.intervalMs;
    this.#held = show;
    if (this.#cancelPace !== undefined) return;
    const left = this.#shownAt + interval - this.#platform.now();
    if (left > 0) this.#cancelPace = this.#platform.after(left, this.#showHeld);
    else this.#showHeld();
  }

  readonly #showHeld = (): void => {
    const show = this.#held;
    this.#stopPace();
    this.#shownAt = this.#platform.now();
    show?.();
  };

  #stopPace(): void {
    this.#cancelPace?.();
    this.#cancelPace = this.#held = undefined;
  }
}

/** Joins trades that follow each other without a gap. */
function joined<V>(items: Item<V>[]): Item<V>[] {
  const all: Item<V>[] = [];
  let trades: unknown[] = [];
  for (const item of items) {
    const more = (item.value as { trades?: unknown[] }).trades;
    const last = all.at(-1);
    if (more !== undefined && last?.epoch === item.epoch && item.gap === undefined) {
      trades.push(...more);
      all[all.length - 1] = { ...last, weight: trades.length, to: item.to };
    } else {
      trades = [...(more ?? [])];
      all.push(more === undefined ? item : { ...item, value: { trades } as V });
    }
  }
  return all;
}
