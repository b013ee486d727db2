/** The one error that this client throws, and what it tells. */

import { mayRetry } from "./codes.js";
import type { ErrorMessage } from "./messages.js";

/**
 * What went wrong. `code` is the server's error code, the close code of a connection that ended
 * for good, or one of the client's own: `not_connected`, `no_answer`, `no_token`, `closed`.
 */
export class BookcastError extends Error {
  /** Whether trying again is of no use until something is changed. */
  declare readonly final: boolean;
  declare readonly retryAfterMs: number | undefined;
  /** Symbols that may have been meant, the likeliest first. */
  declare readonly didYouMean: readonly string[] | undefined;
  declare readonly channel: string | undefined;
  declare readonly symbol: string | undefined;

  constructor(
    readonly code: string | number,
    message: string,
    details: Partial<Pick<BookcastError, "final" | "retryAfterMs" | "didYouMean" | "channel" | "symbol">> = {},
  ) {
    super(message);
    Object.assign(this, { name: "BookcastError", final: false }, details);
  }
}

const SHORTEST_PAUSE = 100;
/** What a server may ask to wait at most. */
export const LONGEST_PAUSE = 3_600_000;

/** How long to wait before trying again: as long as the server asks for, within reason, or else a time of one's own. */
export function pauseOf({ retryAfterMs }: BookcastError, otherwise = 1_000): number {
  return Math.min(Math.max(Number(retryAfterMs) || otherwise, SHORTEST_PAUSE), LONGEST_PAUSE);
}

/** The error that the server's message tells of. */
export function errorOf({ code, message, channel, symbol, ...told }: ErrorMessage): BookcastError {
  return new BookcastError(code, message, {
    // Codes of a newer server are unknown here: one that names a time may be tried again.
    final: !mayRetry(code) && !told.retry_after_ms,
    retryAfterMs: told.retry_after_ms,
    didYouMean: told.did_you_mean,
    channel,
    symbol,
  });
}
