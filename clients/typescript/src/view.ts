/** How a topic is wanted: by each subscription, and over the wire for all of them. */

export interface View {
  /** Levels of a book on each side; null for all. */
  readonly depth: number | null;
  readonly mode: "full" | "delta";
  readonly intervalMs: number;
  /** Past trades or candles that come first. */
  readonly history: number;
}

/** The view that holds everything of both: deepest, fastest, longest. */
export function union(one: View, other: View): View {
  return {
    depth: one.depth === null || other.depth === null ? null : Math.max(one.depth, other.depth),
    mode: one.mode === "full" ? other.mode : one.mode,
    intervalMs: Math.min(one.intervalMs, other.intervalMs),
    history: Math.max(one.history, other.history),
  };
}

/** Whether one view holds everything of another. History is sent once, and doesn't count. */
export function holds(one: View, other: View): boolean {
  return isSame(one, union(one, other));
}

export function isSame(one: View, other: View | undefined): boolean {
  return one.depth === other?.depth && one.mode === other.mode && one.intervalMs === other.intervalMs;
}
