/** Order books: read from messages, changed by deltas, proven by their checksum. */

import type { BookLevel } from "./messages.js";

/** Best level first, on both sides. Never changed: a newer book is another object. */
export interface Book {
  readonly bids: readonly BookLevel[];
  readonly asks: readonly BookLevel[];
}

/** The CRC-32 of the best ten levels of both sides, as the server computes it. */
export function checksum(book: Book): number {
  let crc = ~0;
  for (const side of [book.bids, book.asks]) {
    for (const [price, size] of side.slice(0, 10)) {
      const text = `${price}:${size};`;
      for (let i = 0; i < text.length; i++) {
        crc ^= text.charCodeAt(i);
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 && 0xedb88320);
      }
    }
  }
  return ~crc >>> 0;
}

/** A book after changes, in order; undefined when they can't be read. A whole book changes an empty one. */
export function changeBook(book: Book, data: unknown): Book | undefined {
  const { bids, asks } = Object(data) as { bids?: unknown; asks?: unknown };
  if (!isSide(bids) || !isSide(asks)) return undefined;
  return { bids: changeSide(book.bids, bids, -1), asks: changeSide(book.asks, asks, 1) };
}

/** The best levels of both sides; null for all. */
export function cutBook({ bids, asks }: Book, depth: number | null): Book {
  const end = depth ?? Infinity;
  return { bids: bids.slice(0, end), asks: asks.slice(0, end) };
}

/** `order`: 1 for a side whose prices rise, -1 for one whose prices fall. */
function changeSide(side: readonly BookLevel[], changes: readonly BookLevel[], order: 1 | -1): readonly BookLevel[] {
  const levels = new Map(side.map((level) => [level[0], level]));
  for (const level of changes) {
    if (level[1] === 0) levels.delete(level[0]);
    else levels.set(level[0], level);
  }
  return [...levels.values()].sort((one, other) => (one[0] - other[0]) * order);
}

function isSide(side: unknown): side is BookLevel[] {
  return Array.isArray(side) && side.every(isLevel);
}

function isLevel(level: unknown): level is BookLevel {
  return Array.isArray(level) && Number.isFinite(level[0]) && Number.isFinite(level[1]) && level[1] >= 0;
}
