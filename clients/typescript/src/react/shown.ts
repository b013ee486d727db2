/** From a feed to a component: what it selects, and rendering only when that changed. */

import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";
import type { Bookcast } from "../client.js";
import { errorOf, origins, resultOf, subscribeTo, type Holder, type Open } from "./feed.js";
import { useHolder } from "./provider.js";
import { CONNECTING, failed, IDLE, isSame, type AnyResult } from "./result.js";

const NO_CLIENT = failed(errorOf("no client or BookcastProvider", "no_client"));

type Select = (value: never) => unknown;

/** What is opened under a key, as a component shows it. Without a key nothing is. */
export function useShown(key: string | undefined, open: Open, client?: Bookcast, select?: Select): AnyResult {
  const holder = useHolder(client);
  const shown = useRef<AnyResult | undefined>(undefined);
  const subscribe = useCallback(
    (listener: () => void) => (key === undefined || holder === undefined ? nothing : subscribeTo(holder, key, open, listener)),
    // The key tells how it is opened, whichever function does it.
    [holder, key],
  );
  const without = key === undefined ? IDLE : holder === undefined ? NO_CLIENT : undefined;
  let read: AnyResult | undefined;
  let last = shown.current;
  const snapshot = (): AnyResult => {
    const now = without ?? resultOf(holder as Holder, key as string);
    if (last !== undefined && now === read) return last;
    read = now;
    if (select === undefined) return (last = now);
    const next = selected(now, select);
    const isOld = last !== undefined && origins.get(last) === origins.get(next) && isSame(last, next);
    return isOld ? (last as AnyResult) : (last = next);
  };
  const result = useSyncExternalStore(subscribe, snapshot, () => without ?? CONNECTING);
  useEffect(() => {
    shown.current = result;
  });
  return result;
}

function selected(result: AnyResult, select: Select): AnyResult {
  const next = { ...result };
  try {
    if (next.value !== undefined) next.value = select(next.value as never);
  } catch (error) {
    next.value = undefined;
    next.error = errorOf(error, "select_failed");
  }
  const feed = origins.get(result);
  if (feed !== undefined) origins.set(next, feed);
  return next;
}

function nothing(): void {
  // There is nothing to end.
}
