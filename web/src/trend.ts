/** The mid price over the last minute, as a line to draw. */

const SPAN = 60_000;

interface Sample {
  readonly time: number;
  readonly value: number;
}

export class Trend {
  #samples: Sample[] = [];

  add(time: number, value: number): void {
    this.#samples.push({ time, value });
    const start = time - SPAN;
    const keep = this.#samples.findIndex((sample) => sample.time >= start);
    if (keep > 0) this.#samples.splice(0, keep);
  }

  reset(): void {
    this.#samples = [];
  }

  /** The lowest and the highest value; null while there are fewer than two samples. */
  range(): { low: number; high: number } | null {
    if (this.#samples.length < 2) return null;
    const values = this.#samples.map((sample) => sample.value);
    return { low: Math.min(...values), high: Math.max(...values) };
  }

  /** Points of an SVG polyline in a box of the given size; the newest stands at the right edge. */
  points(now: number, width: number, height: number): string {
    const range = this.range();
    if (range === null) return "";
    const extent = range.high - range.low;
    return this.#samples
      .map(({ time, value }) => {
        const x = width * (1 - (now - time) / SPAN);
        const y = extent === 0 ? height / 2 : height * (1 - (value - range.low) / extent);
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      })
      .join(" ");
  }
}
