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
  return [1008].includes(code) || (code >= 4500 && code < 5000);
}
