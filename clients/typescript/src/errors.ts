/** The one error that this client throws, and what it tells. */

import { mayRetry } from "./codes.js";
import type { ErrorMessage } from "./messages.js";

export interface ErrorDetails {
  /** Whether trying again is of no use until something is changed. */
  final?: boolean;
  retryAfterMs?: number | undefined;
  /** Symbols that may have been meant, the likeliest first. */
  didYouMean?: string[] | undefined;
  channel?: string | undefined;
  symbol?: string | undefined;
}

/**
 * What went wrong. `code` is the server's error code, the close code of a connection that ended
 * for good, or one of the client's own: `not_connected`, `no_answer`, `no_token`, `closed`.
 */
export class BookcastError extends Error {
  readonly final: boolean;
  readonly retryAfterMs: number | undefined;
  readonly didYouMean: readonly string[] | undefined;
  readonly channel: string | undefined;
  readonly symbol: string | undefined;

  constructor(
    readonly code: string | number,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message);
    this.name = "BookcastError";
    this.final = details.final ?? false;
    this.retryAfterMs = details.retryAfterMs;
    this.didYouMean = details.didYouMean;
    this.channel = details.channel;
    this.symbol = details.symbol;
  }
}

/** The error that the server's message tells of. */
export function errorOf(told: ErrorMessage): BookcastError {
  return new BookcastError(told.code, told.message, {
    final: !mayRetry(told.code),
    retryAfterMs: told.retry_after_ms,
    didYouMean: told.did_you_mean,
    channel: told.channel,
    symbol: told.symbol,
  });
}
