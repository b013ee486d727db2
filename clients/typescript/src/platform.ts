/** What the client needs of its surroundings. Tests put a fake clock and a fake page in its place. */

/** The part of a WebSocket that is used here: a browser's, Node's, or that of the package `ws`. */
export interface Socket {
  onopen: ((event: any) => void) | null; // eslint-disable-line @typescript-eslint/no-explicit-any -- each implementation has event types of its own
  onmessage: ((event: any) => void) | null; // eslint-disable-line @typescript-eslint/no-explicit-any -- the same
  onerror: ((event: any) => void) | null; // eslint-disable-line @typescript-eslint/no-explicit-any -- the same
  onclose: ((event: any) => void) | null; // eslint-disable-line @typescript-eslint/no-explicit-any -- the same
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols?: string[]) => Socket;

/** `wake`: the network is back or somebody looks again. `sleep`: the page is about to be frozen. */
export type PageEvent = "wake" | "sleep";

export interface Platform {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after a time; returns what cancels that. */
  after(milliseconds: number, callback: () => void): () => void;
  /** A random number from 0 to 1. */
  random(): number;
  /** Calls back when a page wakes or is about to sleep; returns what ends that. */
  watchPage(callback: (event: PageEvent) => void): () => void;
}

/** A timer that is longer fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const platform: Platform = {
  // Asked for each time: fake timers of a user's tests put another Date in place.
  now: () => Date.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, Math.min(milliseconds, LONGEST_TIMER));
    return () => {
      clearTimeout(timer);
    };
  },
  random: () => Math.random(),
  watchPage,
};

/** The WebSocket of a browser, or of Node from release 22 on. */
export function ownWebSocket(): SocketConstructor | undefined {
  return (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
}

function watchPage(callback: (event: PageEvent) => void): () => void {
  const listening = new AbortController();
  const page = globalThis as { document?: Document; addEventListener?: Document["addEventListener"] };
  const heard = ({ type, persisted }: { type: string; persisted?: boolean }): void => {
    // A page that isn't kept is closed by the browser itself, with a goodbye.
    if (type === "freeze" || (type === "pagehide" && persisted === true)) callback("sleep");
    else if (type !== "pagehide" && !(type === "visibilitychange" && page.document?.hidden === true)) callback("wake");
  };
  for (const type of ["online", "pageshow", "pagehide", "visibilitychange", "resume", "freeze"]) {
    // Those of the document pass the window on their way down.
    page.addEventListener?.(type, heard, { signal: listening.signal, capture: true });
  }
  return () => {
    listening.abort();
  };
}
