/** One hook for each channel, for how a topic stands, and for the line. */

import type { Book } from "../book.js";
import type { Bookcast, BookOptions, CandleOptions, EventOptions, PaceOptions, Trades } from "../client.js";
import type { LineState, LineStatus } from "../line.js";
import type { Brokers, Channel, Period, Quote, Variant } from "../messages.js";
import type { SubscriptionState } from "../subscription.js";
import type { Result } from "./result.js";
import { useShown } from "./shown.js";
import {
  ofCandles,
  ofLine,
  ofStatus,
  ofSubscription,
  ofTrades,
  type Candles,
  type ListOptions,
  type SourceOf,
} from "./sources.js";

/** The view that asks for least, so that a status alone has nothing sent often. No book has its key. */
const LEAST = { depth: 1, intervalMs: 60_000, status: true };

/** Nothing is shown without one. */
export type SymbolName = string | null | undefined;

/** Of every hook. They may be made anew for each rendering: their values count. */
export interface ShowOptions<V, S> {
  /** The client, where it isn't the provider's. */
  client?: Bookcast | undefined;
  /** False: nothing is subscribed, and the state is `idle`. */
  enabled?: boolean | undefined;
  /** What of the value is shown. It renders when that changes: what it returns is compared shallowly. */
  select?: ((value: V) => S) | undefined;
}

export interface StatusOptions {
  /** `orderbook` by default. */
  channel?: Channel | undefined;
  /** Of candles. */
  period?: Period | undefined;
  variant?: Variant | undefined;
}

/** An order book, kept from deltas that are proven. */
export function useOrderBook<S = Book>(symbol: SymbolName, options?: BookOptions & ShowOptions<Book, S>): Result<S> {
  return useTopic("orderBook", symbol, options);
}

export function useQuote<S = Quote>(symbol: SymbolName, options?: PaceOptions & ShowOptions<Quote, S>): Result<S> {
  return useTopic("quote", symbol, options);
}

/** The newest trades, oldest first: past ones as far as `history` asks for them, and every one from then on. */
export function useTrades<S = Trades>(symbol: SymbolName, options?: EventOptions & ListOptions & ShowOptions<Trades, S>): Result<S> {
  return useTopic("trades", symbol, options, ofTrades);
}

/** The newest candles, oldest first, each as it is now; the last one may be forming. */
export function useCandles<S = Candles>(
  symbol: SymbolName,
  options: CandleOptions & ListOptions & ShowOptions<Candles, S>,
): Result<S> {
  return useTopic("candles", symbol, options, ofCandles);
}

export function useBrokers<S = Brokers>(symbol: SymbolName, options?: PaceOptions & ShowOptions<Brokers, S>): Result<S> {
  return useTopic("brokers", symbol, options);
}

/** How a topic stands. It renders when that changes, and for no update. */
export function useStatus<S = SubscriptionState>(
  symbol: SymbolName,
  options?: StatusOptions & ShowOptions<SubscriptionState, S>,
): Result<S> {
  const channel = options?.channel ?? "orderbook";
  return useTopic(channel === "orderbook" ? "orderBook" : channel, symbol, { ...options, ...LEAST }, ofStatus);
}

/** The connection. */
export function useLine<S = LineStatus>({ client, enabled = true, select }: ShowOptions<LineStatus, S> = {}): Result<
  S,
  LineState | "idle" | "refused"
> {
  return useShown(enabled ? "line" : undefined, ofLine, client, select) as never;
}

/** Shows what a method of the client subscribes to. */
function useTopic(
  method: "orderBook" | "quote" | "trades" | "candles" | "brokers" | "timeframe",
  symbol: SymbolName,
  { client, enabled = true, select, ...view }: ShowOptions<never, unknown> = {},
  source: SourceOf<never> = ofSubscription,
): never {
  const isShown = enabled && typeof symbol === "string";
  const options = Object.entries(view).filter(([, value]) => value != null);
  return useShown(
    isShown ? [method, ...options.sort(), symbol].join("|") : undefined,
    (given, changed) => source(given, given[method](symbol as string, view as never) as never, changed, view),
    client,
    select,
  ) as never;
}
