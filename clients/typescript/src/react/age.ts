/** How old something is that a hook returned. */

import { useEffect, useReducer } from "react";
import { newestOf } from "./feed.js";
import type { AnyResult } from "./result.js";

/**
 * Whole milliseconds since the newest update came to the server, by this side's clock; undefined before
 * the first. Only the component that calls it renders every so many milliseconds.
 */
export function useAge(result: Pick<AnyResult, "receivedAt">, everyMs = 1_000): number | undefined {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  const at = newestOf(result);
  useEffect(() => {
    const timer = setInterval(tick, everyMs);
    return () => {
      clearInterval(timer);
    };
  }, [everyMs]);
  return at && Math.max(0, Math.round(Date.now() - at));
}
