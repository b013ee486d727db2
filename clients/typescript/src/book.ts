/** Order books: read from messages, changed by deltas, proven by their checksum. */

import type { BookLevel } from "./messages.js";

/** Best level first, on both sides. Never changed: a newer book is another object. */
export interface Book {
  readonly bids: readonly BookLevel[];
  readonly asks: readonly BookLevel[];
}

const CHECKSUM_LEVELS = 10;

/** The CRC-32 of the best ten levels of both sides, as the server computes it. */
export function checksum(book: Book): number {
  let crc = ~0;
  for (const side of [book.bids, book.asks]) {
    for (const [price, size] of side.slice(0, CHECKSUM_LEVELS)) {
      const text = `${price}:${size};`;
      for (let i = 0; i < text.length; i++) {
        crc ^= text.charCodeAt(i);
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 && 0xedb88320);
      }
    }
  }
  return ~crc >>> 0;
}

/** Reads a whole book; undefined for anything that is none. */
export function readBook(data: unknown): Book | undefined {
  const book = readSides(data);
  return book !== undefined && isSorted(book.bids, -1) && isSorted(book.asks, 1) ? book : undefined;
}

/** The book after a delta; undefined when the delta can't be read or the checksum doesn't agree. */
export function applyDelta(book: Book, data: unknown, expected: unknown): Book | undefined {
  const changes = readSides(data);
  if (changes === undefined) return undefined;
  const next = { bids: applySide(book.bids, changes.bids, -1), asks: applySide(book.asks, changes.asks, 1) };
  return checksum(next) === expected ? next : undefined;
}

/** The best levels of both sides; null for all. */
export function cutBook(book: Book, depth: number | null): Book {
  if (depth === null || (book.bids.length <= depth && book.asks.length <= depth)) return book;
  return { bids: book.bids.slice(0, depth), asks: book.asks.slice(0, depth) };
}

/** `order`: 1 for a side whose prices rise, -1 for one whose prices fall. */
function applySide(side: readonly BookLevel[], changes: readonly BookLevel[], order: 1 | -1): readonly BookLevel[] {
  const levels = [...side];
  for (const level of changes) {
    let low = 0;
    let high = levels.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((levels[middle]?.[0] ?? 0) - level[0]) * order < 0) low = middle + 1;
      else high = middle;
    }
    const found = levels[low]?.[0] === level[0] ? 1 : 0;
    if (level[1] === 0) levels.splice(low, found);
    else levels.splice(low, found, level);
  }
  return levels;
}

function readSides(data: unknown): Book | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { bids, asks } = data as { bids?: unknown; asks?: unknown };
  return isSide(bids) && isSide(asks) ? { bids, asks } : undefined;
}

function isSide(side: unknown): side is BookLevel[] {
  return Array.isArray(side) && side.every(isLevel);
}

function isLevel(level: unknown): level is BookLevel {
  return Array.isArray(level) && Number.isFinite(level[0]) && Number.isFinite(level[1]) && level[1] >= 0;
}

function isSorted(side: readonly BookLevel[], order: 1 | -1): boolean {
  return side.every((level, i) => level[1] !== 0 && (i === 0 || (level[0] - (side[i - 1]?.[0] ?? 0)) * order > 0));
}
