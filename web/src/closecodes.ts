// Made from the server's own types by `make fix`: don't edit.

/** Why the server closes a connection. Of others, 4000 to 4499 ask to come back. */
export const CloseCode = {
  /** a text message is not valid UTF-8 */
  INVALID_DATA: 1007,
  /** more than a client may send */
  POLICY: 1008,
  /** message too big */
  TOO_BIG: 1009,
  /** internal error */
  INTERNAL: 1011,
  /** the server restarts */
  RESTART: 1012,
  /** the server is full, or you have enough */
  TRY_LATER: 1013,
  /** nothing was taken for SLOW_TIMEOUT */
  TOO_SLOW: 4008,
  /** a ping was not answered */
  HEARTBEAT_MISSED: 4009,
  /** the token has expired */
  TOKEN_EXPIRED: 4010,
  /** another connection resumed the session */
  TAKEN_OVER: 4501,
  /** not authenticated */
  REFUSED: 4503,
} as const;

const FINAL: readonly number[] = [1008, 4501, 4503];

/** Whether a client should stay away after this close code, instead of coming back by itself. */
export function isFinal(code: number): boolean {
  return FINAL.includes(code) || (code >= 4500 && code < 5000);
}
