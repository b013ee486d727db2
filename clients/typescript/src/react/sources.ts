/** What results are read from: a subscription, the list that it brings together, and the line. */

import type { Bookcast, CandleItem, Trades } from "../client.js";
import type { BookcastError } from "../errors.js";
import type { Trade } from "../messages.js";
import type { Gap } from "../position.js";
import { valueOf } from "../queue.js";
import type { Subscription } from "../subscription.js";
import type { Source } from "./feed.js";

/** The newest candles, oldest first; the last one may be forming. `gap`: what is missing among them. */
export interface Candles {
  readonly candles: readonly CandleItem[];
  readonly gap?: Gap;
}

/** Makes a source of a subscription that was asked for with some options. */
export type SourceOf<V> = (client: Bookcast, subscription: Subscription<V>, changed: () => void, options: ListOptions) => Source;

export interface ListOptions {
  readonly history?: number | undefined;
  /** So many of the newest are kept; by default as many as `history`, or 100. */
  readonly limit?: number | undefined;
}

const KEPT = 100;

/** A subscription as it stands, with its value. */
export const ofSubscription: SourceOf<unknown> = (client, subscription, changed) =>
  read(client, subscription, changed, () => subscription.value);

/** How a topic stands. Its updates change nothing of that. */
export const ofStatus: SourceOf<unknown> = (client, subscription, changed) =>
  read(client, subscription, changed, () => subscription.state);

/** The newest trades, none left out. */
export const ofTrades: SourceOf<Trades> = ofList(
  (past: readonly Trade[], { trades }) => [...past, ...trades],
  (trades, gap): Trades => ({ trades, ...gap }),
);

/** The newest candles, each as it is now. */
export const ofCandles: SourceOf<CandleItem> = ofList(
  (past: readonly CandleItem[], candle) =>
    // One that is corrected may be followed by others.
    [...past.filter(({ time }) => time !== candle.time), candle].sort((one, other) => one.time - other.time),
  (candles, gap): Candles => ({ candles, ...gap }),
);

/** The connection. */
export function ofLine(client: Bookcast, changed: () => void): Source {
  let receivedAt = Date.now();
  let error: BookcastError | undefined;
  const offs = [
    client.on("line", ({ state }) => {
      receivedAt = Date.now();
      if (state === "open") error = undefined;
      changed();
    }),
    client.on("error", (told) => {
      // What is about a symbol is its subscription's.
      if (told.symbol === undefined) error = told;
      changed();
    }),
  ];
  return {
    read() {
      const { state, reason } = client.line;
      return { value: client.line, state, reason, error: state === "open" ? undefined : error, receivedAt };
    },
    close() {
      for (const off of offs) off();
    },
  };
}

function read<V>(client: Bookcast, subscription: Subscription<V>, changed: () => void, value: () => unknown): Source {
  // A client that is closed closes its subscriptions, which tell nothing more.
  const off = client.on("line", changed);
  for (const event of ["update", "state", "error"] as const) subscription.on(event, changed);
  return {
    read() {
      const { state, reason, error, source } = subscription;
      return { value: value(), state, reason, error: state === "refused" ? error : undefined, receivedAt: source.updatedAt };
    },
    close() {
      off();
      subscription.close();
    },
  };
}

/** The list that `add` brings together of each update, as a value that `make` makes. */
function ofList<V extends { readonly gap?: Gap }, T>(
  add: (past: readonly T[], update: V) => T[],
  make: (items: readonly T[], gap: { readonly gap?: Gap }) => unknown,
): SourceOf<V> {
  return (client, subscription, changed, { history, limit }) => {
    let items: readonly T[] = [];
    let value: unknown;
    let gap = {};
    /** What came last before the gap, which is told for as long as that is there. */
    let before: T | undefined;
    const take = (update: V): void => {
      if (update.gap !== undefined) {
        gap = { gap: update.gap };
        before = items.at(-1);
      }
      items = add(items, update).slice(-(limit || history || KEPT));
      value = make(items, items.includes(before as T) ? gap : {});
    };
    // What is known already came before anybody could listen.
    for (let item; (item = subscription.idle?.take()) !== undefined; ) take(valueOf(item));
    subscription.on("update", take);
    return read(client, subscription, changed, () => value);
  };
}
