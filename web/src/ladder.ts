/** The ladder: asks above, bids below, best levels in the middle. Rows are made once and reused. */

import { cumulate, type Book, type Level } from "./book";
import { formatFixed, formatSize } from "./number";

/** A flash points at a change. Where more of a side changes at once, it would point at nothing. */
const MOST_FLASHES = 5;

export interface LadderView {
  readonly book: Book;
  /** How many levels a side are shown, at most. */
  readonly depth: number;
  /** How many rows a side takes, filled or not: so that the middle stays where it is. */
  readonly slots: number;
  readonly priceDecimals: number;
  readonly sizeDecimals: number;
}

interface Cell {
  readonly element: HTMLElement;
  /** Kept and rewritten: setting an element's text would make a new node each time. */
  readonly text: Text;
}

interface Row {
  readonly element: HTMLElement;
  readonly bar: HTMLElement;
  readonly price: Cell;
  readonly size: Cell;
  readonly orders: Cell;
  readonly total: Cell;
  share: number;
  flash: string;
}

interface Side {
  readonly root: HTMLElement;
  readonly rows: Row[];
  /** Sizes by price as last shown, to tell which changed. */
  shown: Map<number, number>;
}

export interface Totals {
  readonly bids: number;
  readonly asks: number;
}

export class Ladder {
  readonly #root: HTMLElement;
  readonly #asks: Side;
  readonly #bids: Side;
  #priceWidth = 0;

  constructor(root: HTMLElement, asks: HTMLElement, bids: HTMLElement) {
    this.#root = root;
    this.#asks = { root: asks, rows: [], shown: new Map() };
    this.#bids = { root: bids, rows: [], shown: new Map() };
  }

  /** Shows a book and returns the size within the shown depth of each side. */
  render(view: LadderView): Totals {
    const asks = view.book.asks.slice(0, view.depth);
    const bids = view.book.bids.slice(0, view.depth);
    const askTotals = cumulate(asks);
    const bidTotals = cumulate(bids);
    const totals = { asks: askTotals.at(-1) ?? 0, bids: bidTotals.at(-1) ?? 0 };
    const scale = Math.max(totals.asks, totals.bids);
    renderSide(this.#asks, asks, askTotals, scale, view);
    renderSide(this.#bids, bids, bidTotals, scale, view);
    const counted = (level: Level): boolean => level.orders !== null;
    if (asks.length + bids.length > 0) {
      this.#root.classList.toggle("without-orders", !asks.some(counted) && !bids.some(counted));
      this.#fitPrices([...asks, ...bids].map(({ price }) => formatFixed(price, view.priceDecimals)));
    }
    return totals;
  }

  /** Prices stand at the left edge and end at one line: their column is as wide as the longest. */
  #fitPrices(prices: readonly string[]): void {
    // Separators are about half as wide as digits.
    const width = Math.max(...prices.map((price) => price.length - price.replace(/[^.,]/g, "").length / 2));
    if (width === this.#priceWidth) return;
    this.#priceWidth = width;
    this.#root.style.setProperty("--price-width", `${width}ch`);
  }

  /** Forgets what was shown: another symbol's sizes aren't changes of this one's. */
  forget(): void {
    this.#asks.shown = new Map();
    this.#bids.shown = new Map();
  }
}

function renderSide(
  side: Side,
  levels: readonly Level[],
  totals: readonly number[],
  scale: number,
  view: LadderView,
): void {
  const count = Math.max(view.slots, levels.length);
  while (side.rows.length < count) {
    const row = createRow();
    side.rows.push(row);
    side.root.append(row.element);
  }
  while (side.rows.length > count) side.rows.pop()?.element.remove();
  const shown = new Map<number, number>();
  const changed = levels.filter(({ price, size }) => (side.shown.get(price) ?? size) !== size).length;
  const calm = changed <= MOST_FLASHES;
  side.rows.forEach((row, index) => {
    const level = levels[index];
    if (level === undefined) {
      clearRow(row);
      return;
    }
    const total = totals[index] ?? 0;
    const before = side.shown.get(level.price);
    shown.set(level.price, level.size);
    const moved = write(row.price, formatFixed(level.price, view.priceDecimals));
    writeSize(row.size, level.size, view.sizeDecimals);
    writeSize(row.total, total, view.sizeDecimals);
    write(row.orders, level.orders === null ? "" : formatSize(level.orders));
    setShare(row, scale > 0 ? total / scale : 0);
    if (calm && before !== undefined && before !== level.size) {
      setFlash(row, `${level.size > before ? "grew" : "shrank"} ${row.flash.endsWith("a") ? "b" : "a"}`);
    } else if (moved) {
      setFlash(row, "");
    }
  });
  side.shown = shown;
}

function createRow(): Row {
  const element = document.createElement("div");
  element.className = "row";
  element.setAttribute("role", "row");
  const bar = document.createElement("span");
  bar.className = "bar";
  bar.setAttribute("aria-hidden", "true");
  const cell = (name: string): Cell => {
    const span = document.createElement("span");
    span.className = name;
    span.setAttribute("role", "cell");
    return { element: span, text: span.appendChild(document.createTextNode("")) };
  };
  const row: Row = {
    element,
    bar,
    price: cell("price"),
    size: cell("size"),
    orders: cell("orders"),
    total: cell("total"),
    share: -1,
    flash: "",
  };
  element.append(bar, row.price.element, row.size.element, row.orders.element, row.total.element);
  setShare(row, 0);
  return row;
}

function clearRow(row: Row): void {
  for (const cell of [row.price, row.size, row.orders, row.total]) write(cell, "");
  setShare(row, 0);
  setFlash(row, "");
}

/** Touches the document only for a change; tells whether there was one. */
function write(cell: Cell, text: string): boolean {
  if (cell.text.data === text) return false;
  cell.text.data = text;
  return true;
}

function writeSize(cell: Cell, size: number, decimals: number): void {
  const text = formatSize(size, decimals);
  if (!write(cell, text)) return;
  // A shortened size (12.35M) can be read in full by pointing at it.
  if (/[A-Z]$/.test(text)) cell.element.title = formatFixed(size, decimals);
  else cell.element.removeAttribute("title");
}

function setShare(row: Row, share: number): void {
  const rounded = Math.round(share * 1000) / 1000;
  if (row.share === rounded) return;
  row.share = rounded;
  row.bar.style.transform = `scaleX(${rounded})`;
}

/** Two names of one animation take turns, which restarts it without a forced layout. */
function setFlash(row: Row, flash: string): void {
  if (row.flash === flash) return;
  row.flash = flash;
  row.size.element.className = `size ${flash}`.trim();
}
