/** Publishing at most once per frame; by a timer while the page is hidden, since it has no frames then. */

const HIDDEN_EVERY = 250;

const waiting = new Set<() => void>();
let isScheduled = false;

const page = (globalThis as { document?: Document }).document;
// A page that is hidden while a frame is awaited wouldn't get it.
page?.addEventListener("visibilitychange", publishAll);

/** Calls back at the next frame, once however often it is asked for. */
export function atNextFrame(publish: () => void): void {
  waiting.add(publish);
  if (isScheduled) return;
  isScheduled = true;
  const { requestAnimationFrame: frame } = globalThis as { requestAnimationFrame?: (callback: () => void) => void };
  if (frame === undefined || page?.hidden === true) setTimeout(publishAll, HIDDEN_EVERY);
  else frame(publishAll);
}

function publishAll(): void {
  isScheduled = false;
  // What is asked for meanwhile waits for the next frame.
  for (const publish of [...waiting]) {
    waiting.delete(publish);
    publish();
  }
}
