/** Where a client stands in a topic, and what it is told to be missing. */

/** `seq` grows by one with each update, and compares only within an epoch. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** Updates that won't come: the numbers `from` to `to`, inclusive; null where unknown. */
export interface Gap {
  readonly from: number | null;
  readonly to: number | null;
  /** The server's reason, or `consumer`: iteration was slower than `maxBuffered` allows. */
  readonly reason: "overflow" | "history" | "epoch" | "engine_restored" | "unreadable" | "consumer";
  readonly epoch: string;
}

/** One gap for two that follow each other. */
export function joinGaps(first: Gap | undefined, second: Gap | undefined): Gap | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const { epoch, from, reason } = first;
  return { ...second, reason, ...(epoch === second.epoch ? { from } : { from: null, to: null }) };
}
