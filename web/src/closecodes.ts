// Made from src/bookcast/errors.py by `make fix`: don't edit.

export const TOKEN_EXPIRED = 4010;
export const NOT_AUTHENTICATED = 4503;

const FINAL: readonly number[] = [1008, 4501, 4503];

/** Whether a client should stay away after this close code, instead of coming back by itself. */
export function isFinal(code: number): boolean {
  return FINAL.includes(code) || (code >= 4500 && code < 5000);
}
