import type { Platform } from "./platform.js";

export const FIRST_DELAY = 500;
const LONGEST_DELAY = 20_000;

/** The delay before an attempt, in milliseconds: exponential, capped, with full jitter. */
export function backoff(attempt: number, platform: Platform): number {
  return platform.random() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempt);
}
