import type { Platform } from "./platform.js";

/** The delay before an attempt, in milliseconds: exponential, capped, with full jitter. */
export function backoff(attempt: number, first: number, longest: number, platform: Platform): number {
  return platform.random() * Math.min(longest, first * 2 ** attempt);
}
