/** Order books, and what the ladder shows of them. */

import type { Book as ProvenBook, BookLevel } from "@bookcast/client";
import { decimalsOf } from "./number";

export interface Level {
  readonly price: number;
  readonly size: number;
  /** How many orders stand at the price; null where the publisher doesn't say. */
  readonly orders: number | null;
}

export interface Book {
  /** Best level first, as are the asks. */
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

export type SpreadKind = "none" | "normal" | "locked" | "crossed";

export interface Spread {
  readonly kind: SpreadKind;
  /** Best ask minus best bid: negative when crossed. Null unless both sides have a level. */
  readonly absolute: number | null;
  readonly basisPoints: number | null;
  readonly mid: number | null;
}

/** The client's book, in this page's words. */
export function bookOf({ bids, asks }: ProvenBook): Book {
  return { bids: bids.map(levelOf), asks: asks.map(levelOf) };
}

/** Sums sizes from the best level outwards. */
export function cumulate(levels: readonly Level[]): number[] {
  let sum = 0;
  return levels.map((level) => (sum += level.size));
}

export function spreadOf(book: Book): Spread {
  const bid = book.bids[0]?.price;
  const ask = book.asks[0]?.price;
  if (bid === undefined || ask === undefined) {
    return { kind: "none", absolute: null, basisPoints: null, mid: null };
  }
  const mid = (bid + ask) / 2;
  const absolute = ask - bid;
  return {
    kind: absolute > 0 ? "normal" : absolute < 0 ? "crossed" : "locked",
    absolute,
    basisPoints: mid === 0 ? null : (absolute / Math.abs(mid)) * 10_000,
    mid,
  };
}

/**
 * How many decimals the prices need. A book of few levels may hold round prices by chance, so it
 * gets at least two; a fuller one is believed. Pass the last answer: decimals never shrink.
 */
export function priceDecimals(book: Book, previous = 0): number {
  let needed = 0;
  for (const level of book.bids) needed = Math.max(needed, decimalsOf(level.price));
  for (const level of book.asks) needed = Math.max(needed, decimalsOf(level.price));
  const count = book.bids.length + book.asks.length;
  if (count > 0 && count < 6) needed = Math.max(needed, 2);
  return Math.max(needed, previous);
}

/** The share of the bids in the size of both sides, 0 to 1; null for an empty book. */
export function bidShare(bidSize: number, askSize: number): number | null {
  const total = bidSize + askSize;
  return total > 0 ? bidSize / total : null;
}

function levelOf([price, size, orders]: BookLevel): Level {
  return { price, size, orders: orders ?? null };
}
