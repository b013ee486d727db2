/** How old the last update is, in words and in urgency. */

export type Freshness = "fresh" | "aging" | "old";

export const AGING_AFTER = 5_000;
export const OLD_AFTER = 30_000;

export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s ago`;
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

export function freshnessOf(milliseconds: number): Freshness {
  if (milliseconds >= OLD_AFTER) return "old";
  return milliseconds >= AGING_AFTER ? "aging" : "fresh";
}
