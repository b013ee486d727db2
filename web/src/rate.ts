/** Updates per second over the last few seconds. */

const WINDOW = 3_000;

export class Rate {
  readonly #times: number[] = [];
  #since: number | null = null;

  count(now: number): void {
    this.#since ??= now;
    this.#times.push(now);
  }

  reset(): void {
    this.#times.length = 0;
    this.#since = null;
  }

  /** Null until there is enough to tell. */
  perSecond(now: number): number | null {
    const first = this.#times.findIndex((time) => time > now - WINDOW);
    this.#times.splice(0, first === -1 ? this.#times.length : first);
    if (this.#since === null || now - this.#since < 1_000) return null;
    return this.#times.length / (Math.min(WINDOW, now - this.#since) / 1_000);
  }
}

export function formatRate(perSecond: number | null): string {
  if (perSecond === null) return "\u2013";
  return perSecond < 9.95 ? perSecond.toFixed(1) : perSecond.toFixed(0);
}
