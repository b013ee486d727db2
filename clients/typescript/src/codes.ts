// Made from the server's own types by `make fix`: don't edit.

/** The connection was closed: a text message is not valid UTF-8. */
export const INVALID_DATA = 1007;
/** The connection was closed: more than a client may send. */
export const POLICY = 1008;
/** The connection was closed: message too big. */
export const TOO_BIG = 1009;
/** The connection was closed: internal error. */
export const INTERNAL = 1011;
/** The connection was closed: the server restarts. */
export const RESTART = 1012;
/** The connection was closed: the server is full, or you have enough. */
export const TRY_LATER = 1013;
/** The connection was closed: nothing was taken for SLOW_TIMEOUT. */
export const TOO_SLOW = 4008;
/** The connection was closed: a ping was not answered. */
export const HEARTBEAT_MISSED = 4009;
/** The connection was closed: the token has expired. */
export const TOKEN_EXPIRED = 4010;
/** The connection was closed: another connection resumed the session. */
export const TAKEN_OVER = 4501;
/** The connection was closed: not authenticated. */
export const REFUSED = 4503;

/** Whether a client should not reconnect after this close code. */
export function isFinal(code: number): boolean {
  return code === 1008 || (code >= 4500 && code < 5000);
}

/** Error codes. A newer server may send others. */
export type ErrorCode =
  /** Not valid HTTP */
  | "invalid_request"
  /** Too slow */
  | "request_timeout"
  /** Not valid JSON */
  | "invalid_json"
  /** Unknown protocol */
  | "unknown_protocol"
  /** Invalid client id */
  | "invalid_client_id"
  /** Authentication required */
  | "unauthenticated"
  /** Invalid token */
  | "invalid_token"
  /** Token expired */
  | "token_expired"
  /** Not allowed */
  | "forbidden"
  /** Host not allowed */
  | "host_not_allowed"
  /** Origin not allowed */
  | "origin_not_allowed"
  /** Not found */
  | "not_found"
  /** Unknown channel */
  | "unknown_channel"
  /** No data for this symbol yet */
  | "unknown_symbol"
  /** Method not allowed */
  | "method_not_allowed"
  /** Body too large */
  | "body_too_large"
  /** Unsupported media type */
  | "unsupported_media_type"
  /** Invalid symbol */
  | "invalid_symbol"
  /** Invalid message */
  | "invalid_message"
  /** Invalid order book */
  | "invalid_book"
  /** Invalid data */
  | "invalid_data"
  /** The key was used for something else */
  | "idempotency_conflict"
  /** Unknown action */
  | "unknown_action"
  /** Not subscribed */
  | "not_subscribed"
  /** Not supported here */
  | "not_supported"
  /** Unknown session */
  | "unknown_session"
  /** Too many subscriptions */
  | "too_many_subscriptions"
  /** Refused by the feed */
  | "feed_refused"
  /** Upgrade required */
  | "upgrade_required"
  /** Too many connections */
  | "too_many_connections"
  /** Too many messages */
  | "rate_limited"
  /** Too many topics */
  | "too_many_topics"
  /** Too many reads */
  | "too_many_reads"
  /** Header too large */
  | "header_too_large"
  /** Internal error */
  | "internal_error"
  /** The live page is not built */
  | "page_not_built"
  /** The server is full */
  | "server_full"
  /** Tokens can't be checked now */
  | "keys_unavailable"
  /** The engine is away */
  | "engine_unavailable"
  /** Not ready */
  | "not_ready";

const RETRY: readonly string[] = [
  "feed_refused",
  "too_many_connections",
  "rate_limited",
  "internal_error",
  "server_full",
  "keys_unavailable",
  "engine_unavailable",
];

/** Whether a later retry of the same request may succeed. Other errors need a correction first. */
export function mayRetry(code: string): boolean {
  return RETRY.includes(code);
}
