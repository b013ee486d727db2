/** The quote in words: the last price, how it changed, and the session that its market has. */

import type { Quote, TradingSession } from "@bookcast/client";
import { decimalsOf, formatFixed } from "./number";

export interface QuoteWords {
  readonly last: string;
  /** The change since the close before, and in per cent; empty where nobody knows. */
  readonly change: string;
  readonly direction: "up" | "down" | "flat";
  /** The session, and what happened in it outside of the usual hours. */
  readonly session: string;
  /** What the symbol stands for. */
  readonly name: string;
}

const NONE = "\u2013";
const FEWEST_DECIMALS = 2;
const SESSIONS: Record<TradingSession, string> = {
  pre: "Pre-market",
  regular: "Regular hours",
  after: "After hours",
  overnight: "Overnight",
  night: "Night session",
  auction: "Auction",
  closing_auction: "Closing auction",
  break: "Break",
};

export function describeQuote(quote: Quote | undefined): QuoteWords {
  const { last, prev_close: before, session, suspended, name = "" } = quote ?? {};
  const decimals = Math.max(FEWEST_DECIMALS, decimalsOf(last ?? 0), decimalsOf(before ?? 0));
  const change = last === undefined || before === undefined ? undefined : last - before;
  const rate = change === undefined || !before ? undefined : (change / Math.abs(before)) * 100;
  return {
    last: last === undefined ? NONE : formatFixed(last, decimals),
    change: formatChange(change, rate, decimals),
    direction: directionOf(change),
    session: suspended === true ? "Suspended" : session === undefined ? "" : SESSIONS[session] + extended(quote, session, decimals),
    name,
  };
}

/** The last price of the hours around the usual ones, while they are. */
function extended(quote: Quote | undefined, session: TradingSession, decimals: number): string {
  if (session !== "pre" && session !== "after" && session !== "overnight") return "";
  const { last, change, change_rate: rate } = quote?.[session] ?? {};
  if (last === undefined) return "";
  return ` ${formatFixed(last, Math.max(decimals, decimalsOf(last)))} ${formatChange(change, rate, decimals)}`.trimEnd();
}

function formatChange(change: number | undefined, rate: number | undefined, decimals: number): string {
  if (change === undefined) return "";
  return signed(change, decimals) + (rate === undefined ? "" : ` (${signed(rate, 2)}%)`);
}

function signed(value: number, decimals: number): string {
  return (value > 0 ? "+" : "") + formatFixed(value, decimals);
}

function directionOf(change = 0): QuoteWords["direction"] {
  return change > 0 ? "up" : change < 0 ? "down" : "flat";
}
