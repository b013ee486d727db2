/** Delays between attempts: exponential, capped, with full jitter. */

export class Backoff {
  #attempts = 0;

  constructor(
    readonly random: () => number,
    readonly first: number,
    readonly longest: number,
  ) {}

  /** The delay before the next attempt, in milliseconds. */
  next(): number {
    const ceiling = Math.min(this.longest, this.first * 2 ** this.#attempts);
    this.#attempts += 1;
    return this.random() * ceiling;
  }

  get attempts(): number {
    return this.#attempts;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
