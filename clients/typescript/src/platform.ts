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

/** The longest time that timers of browsers and Node can wait. */
const LONGEST = 2 ** 31 - 1;

export const platform: Platform = {
  now: () => Date.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, Math.min(milliseconds, LONGEST));
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
  const page = globalThis as { document?: EventTarget; addEventListener?: unknown };
  const listening = new AbortController();
  const listen = (target: EventTarget, names: string[], decide: (event: Event) => PageEvent | undefined): void => {
    for (const name of names) {
      target.addEventListener(
        name,
        (event) => {
          const what = decide(event);
          if (what !== undefined) callback(what);
        },
        { signal: listening.signal },
      );
    }
  };
  if (typeof page.addEventListener === "function") {
    const window = globalThis as unknown as EventTarget;
    listen(window, ["online", "pageshow"], () => "wake");
    // A page that isn't kept is closed by the browser itself, with a goodbye.
    listen(window, ["pagehide"], (event) => ((event as PageTransitionEvent).persisted ? "sleep" : undefined));
  }
  if (page.document !== undefined) {
    const document = page.document as Document;
    listen(document, ["visibilitychange"], () => (document.visibilityState === "visible" ? "wake" : undefined));
    listen(document, ["resume"], () => "wake");
    listen(document, ["freeze"], () => "sleep");
  }
  return () => {
    listening.abort();
  };
}
