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

interface Waiting<T> {
  resolve(result: IteratorResult<T>): void;
  reject(error: Error): void;
}

/** Whose queue it is. */
export interface Owner<T> {
  /** Puts a gap into a value. */
  withGap(value: T, gap: Gap): T;
  /** The loop has ended by itself. */
  returned(queue: Queue<T>): void;
  /** The loop is so slow that something is lost. */
  gapped(gap: Gap): void;
}

export class Queue<T> implements AsyncIterableIterator<T> {
  readonly #items: Item<T>[] = [];
  #weight = 0;
  /** What was dropped before the oldest item, or is missing before the next one. */
  #gap: Gap | undefined;
  readonly #waiting: Waiting<T>[] = [];
  #end: { error?: Error } | undefined;

  /** Past `max` trades or final candles the oldest go. */
  constructor(
    readonly max: number,
    readonly owner: Owner<T>,
  ) {}

  push(item: Item<T>): void {
    if (this.#end !== undefined) return;
    let { gap } = item;
    const last = this.#items.at(-1);
    if (last?.weight === 0) {
      this.#items.pop();
      gap = joinGaps(last.gap, gap);
    }
    this.#items.push(gap === item.gap ? item : { ...item, gap });
    this.#weight += item.weight;
    while (this.#weight > this.max && this.#items.length > 1) this.#drop();
    this.#deliver();
  }

  /** Ends the loop: with an error once it has taken what waits, without one at once. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    if (error === undefined) this.#items.length = 0;
    this.#deliver();
  }

  next(): Promise<IteratorResult<T>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#deliver();
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.owner.returned(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #deliver(): void {
    while (this.#waiting.length > 0) {
      const item = this.#items.shift();
      if (item === undefined && this.#end === undefined) return;
      const waiting = this.#waiting.shift();
      if (item !== undefined) {
        this.#weight -= item.weight;
        const gap = joinGaps(this.#gap, item.gap);
        this.#gap = undefined;
        waiting?.resolve({ done: false, value: gap === undefined ? item.value : this.owner.withGap(item.value, gap) });
      } else if (this.#end?.error !== undefined) {
        waiting?.reject(this.#end.error);
        this.#end = {}; // an iterator that has thrown is done
      } else waiting?.resolve({ done: true, value: undefined });
    }
  }

  #drop(): void {
    const oldest = this.#items.shift();
    if (oldest === undefined) return;
    this.#weight -= oldest.weight;
    const { epoch, from, to } = oldest;
    const lost: Gap = { epoch, from, to, reason: "consumer" };
    if (this.#gap === undefined) this.owner.gapped(lost);
    const before = joinGaps(this.#gap, oldest.gap);
    this.#gap = { ...(joinGaps(before, lost) ?? lost), reason: "consumer" };
  }
}
