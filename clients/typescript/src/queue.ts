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
export function valueOf<T>({ value, gap }: { value: T; gap?: Gap | undefined }): T {
  return gap === undefined ? value : { ...value, gap };
}

/** Whose queue it is. */
export interface Owner<T> {
  /** The loop has ended by itself. */
  returned(queue: Queue<T>): void;
  /** The loop is so slow that something is lost. */
  gapped(gap: Gap): void;
}

export class Queue<T> implements AsyncIterableIterator<T> {
  readonly #items: Item<T>[] = [];
  #weight = 0;
  /** What was dropped before the oldest item. */
  #gap: Gap | undefined;
  #waiting: (() => void)[] = [];
  #isOver = false;
  #error: Error | undefined;

  /** Past `max` trades or final candles the oldest go. */
  constructor(
    readonly max: number,
    readonly owner: Owner<T>,
  ) {}

  push(item: Item<T>): void {
    const replaced = this.#items.at(-1)?.weight === 0 ? this.#items.pop() : undefined;
    this.#items.push({ ...item, gap: joinGaps(replaced?.gap, item.gap) });
    this.#weight += item.weight;
    while (this.#weight > this.max && this.#items.length > 1) {
      const { epoch, from, to, gap } = this.#shift();
      if (this.#gap === undefined) this.owner.gapped({ epoch, from, to, reason: "consumer" });
      const before = joinGaps(this.#gap, gap);
      this.#gap = joinGaps(before && { ...before, reason: "consumer" }, { epoch, from, to, reason: "consumer" });
    }
    this.#wake();
  }

  /** Ends the loop: with an error once it has taken what waits, without one at once. */
  end(error?: Error): void {
    this.#isOver = true;
    this.#error = error;
    if (error === undefined) this.#items.length = 0;
    this.#wake();
  }

  async next(): Promise<IteratorResult<T>> {
    while (this.#items.length === 0) {
      const error = this.#error;
      this.#error = undefined; // an iterator that has thrown is done
      if (error !== undefined) throw error;
      if (this.#isOver) return { done: true, value: undefined };
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
    const gap = this.#gap;
    this.#gap = undefined;
    const item = this.#shift();
    return { done: false, value: valueOf({ value: item.value, gap: joinGaps(gap, item.gap) }) };
  }

  return(): Promise<IteratorResult<T>> {
    this.owner.returned(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #shift(): Item<T> {
    const item = this.#items.shift() as Item<T>;
    this.#weight -= item.weight;
    return item;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
