/** The tape: the newest trades, the newest on top. */

import type { Gap, Trade } from "@bookcast/client";
import { decimalsOf, formatFixed, formatSize } from "./number";

/** How many trades the tape shows. */
export const TAPE_LENGTH = 40;

const FEWEST_DECIMALS = 2;
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Tape {
  readonly #root: HTMLElement;
  #trades: Trade[] = [];
  #decimals = FEWEST_DECIMALS;
  #frame = 0;

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Forgets the trades of another symbol. */
  clear(): void {
    this.#trades = [];
    this.#decimals = FEWEST_DECIMALS;
    this.#root.replaceChildren();
  }

  /** Takes trades, oldest first. They are drawn with the next frame. */
  add(trades: readonly Trade[], gap: Gap | undefined): void {
    // Those from before a gap don't belong to the newest ones any more.
    if (gap !== undefined) this.#trades = [];
    this.#trades = [...this.#trades, ...trades].slice(-TAPE_LENGTH);
    for (const { price } of trades) this.#decimals = Math.max(this.#decimals, decimalsOf(price));
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw(): void {
    const rows = this.#trades.map((trade) => this.#row(trade)).reverse();
    this.#root.replaceChildren(...rows);
  }

  #row({ price, size, side, timestamp, condition, updates_last: counts }: Trade): HTMLElement {
    const row = document.createElement("li");
    row.dataset["side"] = side;
    if (condition !== undefined) row.title = condition.replaceAll("_", " ");
    row.classList.toggle("odd", counts === false);
    row.append(
      cell("time", time.format(timestamp)),
      cell("price", formatFixed(price, this.#decimals)),
      cell("size", formatSize(size, decimalsOf(size))),
    );
    return row;
  }
}

function cell(name: string, text: string): HTMLElement {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}
