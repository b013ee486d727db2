/** What waits for a `for await` loop: the newest state alone, or every trade and final candle. */

import { joinGaps, type Gap } from "./position.js";

export interface Item<T> {
  readonly value: T;
  /** How many trades or final candles it counts for; 0: a newer one takes its place. */
  readonly weight: number;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly gap?: Gap | undefined;
}

/** The value of an item, with the gap before it where there is one. */
export function valueOf<T>({ value, gap }: Item<T>): T {
  return gap === undefined ? value : { ...value, gap };
}

export class Queue<T> {
  /** The loop ends: with an error once it has taken what waits, without one (null) at once. */
  ending: Error | null | undefined;
  readonly #items: Item<T>[] = [];
  #weight = 0;
  /** What was dropped before the oldest item. */
  #gap: Gap | undefined;
  /** Ends the waiting for a change. */
  wake: (() => void) | undefined;

  /** Past `max` trades or final candles the oldest go; `gapped` is told of the first of them. */
  constructor(
    readonly max: number,
    readonly gapped: (gap: Gap) => void,
  ) {}

  push(item: Item<T>): void {
    const replaced = this.#items.at(-1)?.weight === 0 ? this.#items.pop() : undefined;
    this.#items.push({ ...item, gap: joinGaps(replaced?.gap, item.gap) });
    this.#weight += item.weight;
    while (this.#weight > this.max && this.#items.length > 1) {
      const { epoch, from, to, gap } = this.take() as Item<T>;
      const lost = { epoch, from, to, reason: "consumer" as const };
      if (gap?.reason !== "consumer") this.gapped(lost);
      this.#gap = joinGaps(gap && { ...gap, reason: "consumer" }, lost);
    }
    this.wake?.();
  }

  end(error?: Error): void {
    this.ending = error ?? null;
    if (error === undefined) this.#items.length = 0;
    this.wake?.();
  }

  /** The oldest item, and what is missing before it. */
  take(): Item<T> | undefined {
    const item = this.#items.shift();
    if (item === undefined) return undefined;
    const gap = joinGaps(this.#gap, item.gap);
    this.#gap = undefined;
    this.#weight -= item.weight;
    return { ...item, gap };
  }

  /** Fulfilled when there is something to take, or the end. */
  change(): Promise<void> {
    return new Promise((wake) => {
      this.wake = wake;
    });
  }
}
