/** What the server says in the base protocol, as a tagged union. */

import { parseBook, type Book } from "./book";

export type Message =
  | { readonly type: "book"; readonly symbol: string; readonly book: Book; readonly serverMs: number | null }
  | { readonly type: "subscribed"; readonly symbol: string }
  | { readonly type: "unsubscribed"; readonly symbol: string }
  | { readonly type: "pong" }
  | { readonly type: "error"; readonly message: string };

export type Command =
  | { readonly action: "subscribe" | "unsubscribe"; readonly symbol: string }
  | { readonly action: "ping" };

/** Reads one text frame; null for what this page doesn't know, which it ignores. */
export function parseMessage(text: string): Message | null {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof raw !== "object" || raw === null) return null;
  const fields = raw as Record<string, unknown>;
  const symbol = fields["symbol"];
  switch (fields["type"]) {
    case "orderbook_update":
      if (typeof symbol !== "string") return null;
      return { type: "book", symbol, book: parseBook(fields["data"]), serverMs: parseTime(fields["timestamp"]) };
    case "subscription_confirmed":
      return typeof symbol === "string" ? { type: "subscribed", symbol } : null;
    case "unsubscription_confirmed":
      return typeof symbol === "string" ? { type: "unsubscribed", symbol } : null;
    case "pong":
      return { type: "pong" };
    case "error": {
      const message = fields["message"];
      return { type: "error", message: typeof message === "string" ? message : "Unknown error" };
    }
    default:
      return null;
  }
}

function parseTime(value: unknown): number | null {
  const time = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? null : time;
}
