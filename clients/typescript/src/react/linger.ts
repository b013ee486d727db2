/** What ends only when nobody has used it for a while: a component that comes back soon goes on. */

const LINGER = 2_000;

/** Returns what begins a use, which returns what ends that one. */
export function lingering(end: () => void): () => () => void {
  let users = 0;
  let timer: ReturnType<typeof setTimeout>;
  return () => {
    clearTimeout(timer);
    users += 1;
    return () => {
      users -= 1;
      if (users === 0) timer = setTimeout(end, LINGER);
    };
  };
}
