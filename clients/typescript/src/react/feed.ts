/** What all components that show the same of one client share: one subscription and one result. */

import { BookcastError } from "../errors.js";
import type { Bookcast } from "../client.js";
import { atNextFrame } from "./frame.js";
import { lingering } from "./linger.js";
import { CONNECTING, failed, isSame, type AnyResult } from "./result.js";

/** Who has a client: the client itself, or the provider that makes one when it is needed. */
export type Holder = Bookcast | { readonly client: Bookcast };

/** Something of a client's that can be shown. */
export interface Source {
  read(): AnyResult;
  close(): void;
}

/** Opens a source, which calls `changed` after each change. */
export type Open = (client: Bookcast, changed: () => void) => Source;

/** One subscription, and what is shown of it to all who listen. */
interface Feed {
  result: AnyResult;
  /** Undefined where it couldn't be opened. */
  source?: Source;
  readonly listeners: Set<() => void>;
  readonly use: () => () => void;
}

const feeds = new WeakMap<Holder, Map<string, Feed>>();

/** The feed that a result is of. */
export const origins = new WeakMap<AnyResult, Feed>();

/** What is shown of a holder's client under a key. */
export function resultOf(holder: Holder, key: string): AnyResult {
  return feeds.get(holder)?.get(key)?.result ?? CONNECTING;
}

/** Listens to what is opened once for a key. Returns what ends that. */
export function subscribeTo(holder: Holder, key: string, open: Open, listener: () => void): () => void {
  const all = feeds.get(holder) ?? new Map<string, Feed>();
  feeds.set(holder, all);
  const feed = all.get(key) ?? openFeed(holder, open, () => all.delete(key));
  all.set(key, feed);
  feed.listeners.add(listener);
  const release = feed.use();
  return () => {
    feed.listeners.delete(listener);
    release();
  };
}

/** When the newest update came of what a result is about, also if it changed nothing that is shown. */
export function newestOf(result: Pick<AnyResult, "receivedAt">): number | undefined {
  return (origins.get(result as AnyResult)?.source?.read() ?? result).receivedAt;
}

export function errorOf(error: unknown, code: string): BookcastError {
  return new BookcastError(code, (error as Error | undefined)?.message ?? String(error), { final: true });
}

function openFeed(holder: Holder, open: Open, ended: () => void): Feed {
  const feed: Feed = {
    result: CONNECTING,
    listeners: new Set(),
    use: lingering(() => {
      ended();
      feed.source?.close();
    }),
  };
  /** Reads the source; returns whether something changed. */
  const read = (): boolean => {
    const next = feed.source?.read();
    if (next === undefined || isSame(feed.result, next)) return false;
    feed.result = next;
    origins.set(next, feed);
    return true;
  };
  const publish = (): void => {
    if (read()) for (const listener of feed.listeners) listener();
  };
  try {
    feed.source = open(clientOf(holder), () => {
      atNextFrame(publish);
    });
    read();
  } catch (error) {
    feed.result = failed(errorOf(error, "invalid_options"));
  }
  return feed;
}

export function clientOf(holder: Holder): Bookcast {
  return "client" in holder ? holder.client : holder;
}
