/** One symbol's book as the page shows it: ladder, spread, figures, how it stands and its age. */

import type { Book as ProvenBook, SubscriptionState } from "@bookcast/client";
import { formatAge, freshnessOf } from "./age";
import { bidShare, bookOf, priceDecimals, spreadOf, type Book, type Spread } from "./book";
import { Ladder } from "./ladder";
import { decimalsOf, formatBasisPoints, formatFixed, formatMid, formatSize } from "./number";
import { element, setData, setText } from "./page";
import { formatRate, Rate } from "./rate";
import { describeState, isPresent } from "./status";
import { Trend } from "./trend";

const NONE = "\u2013";
/** A feed has the first book of a symbol it knows within this, unless its market sleeps. */
const PATIENCE = 3_000;
const FEWEST_SLOTS = 5;
const MOST_SIZE_DECIMALS = 4;
/** Every other frame of most screens: nobody reads numbers faster. */
const DRAW_EVERY = 25;
const TREND_EVERY = 250;
const SPREAD_LABELS = { none: "Spread", normal: "Spread", locked: "Locked", crossed: "Crossed" } as const;

/** How the symbol stands, by the server's word. */
export interface Standing {
  readonly state: SubscriptionState;
  readonly reason: string | undefined;
  /** How old its newest book is. */
  readonly ageMs: number | undefined;
}

export class Market {
  readonly #now: () => number;
  readonly #root = element("market");
  readonly #scroller = element("ladder");
  readonly #ladder = new Ladder(this.#scroller, element("asks"), element("bids"));
  readonly #rate = new Rate();
  readonly #trend = new Trend();
  readonly #trendLine = element("trend-line", SVGPolylineElement);
  #symbol: string | null = null;
  #since = 0;
  #listed: readonly string[] | null = null;
  #book: Book | null = null;
  #spread: Spread | null = null;
  #trendAt = 0;
  #depth = 10;
  #levels = 0;
  #priceDecimals = 0;
  #sizeDecimals = 0;
  #frame = 0;
  #drawn = -Infinity;
  #center = true;

  constructor(now: () => number) {
    this.#now = now;
    this.#draw();
  }

  /** Turns to another symbol; nothing of the last one remains. */
  show(symbol: string | null): void {
    this.#symbol = symbol;
    this.#since = this.#now();
    this.#book = null;
    this.#spread = null;
    this.#levels = this.#priceDecimals = this.#sizeDecimals = 0;
    this.#rate.reset();
    this.#trend.reset();
    this.#ladder.forget();
    this.#center = true;
    setText(element("symbol-name"), symbol ?? NONE);
    this.#schedule();
  }

  /** Takes a book; it is drawn with the next frame, the newest one only. */
  update(book: ProvenBook): void {
    this.#book = bookOf(book);
    this.#rate.count(this.#now());
    this.#schedule();
  }

  /** Takes the symbols that the server lists, to tell a mistyped one from one that is quiet. */
  setListed(symbols: readonly string[]): void {
    this.#listed = symbols;
  }

  setDepth(depth: number): void {
    this.#depth = depth;
    this.#center = true;
    setData(this.#scroller, "depth", Number.isFinite(depth) ? String(depth) : "all");
    this.#schedule();
  }

  /** Writes how the symbol stands, and what changes by time alone. Call a few times a second. */
  tick(standing: Standing | undefined): void {
    const now = this.#now();
    this.#stand(standing);
    const ageMs = this.#book === null ? undefined : standing?.ageMs;
    setText(element("age"), ageMs !== undefined ? `Updated ${formatAge(ageMs)}` : this.#symbol === null ? "" : "No book yet");
    setData(element("age-line"), "freshness", freshnessOf(ageMs ?? 0));
    if (this.#book === null) setText(element("blank"), this.#blank());
    setText(element("rate"), formatRate(this.#rate.perSecond(now)));
    if (now - this.#trendAt >= TREND_EVERY) {
      this.#trendAt = now;
      this.#drawTrend(now);
    }
  }

  /** What shows is the present only where the server says so. */
  #stand({ state, reason = "" }: Partial<Standing> = {}): void {
    const { tone, words } = state === undefined ? { tone: "busy", words: "" } : describeState(state);
    setText(element("state"), words);
    setData(element("state"), "tone", tone);
    setText(element("reason"), reason);
    const isDetached = state !== undefined && !isPresent(state);
    this.#root.classList.toggle("detached", isDetached);
    if (isDetached) this.#rate.reset();
  }

  /** The mid as the title bar shows it. */
  get caption(): string | null {
    const mid = this.#spread?.mid ?? null;
    return mid === null ? null : formatMid(mid, this.#priceDecimals);
  }

  #schedule(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const now = this.#now();
      if (now - this.#drawn < DRAW_EVERY) {
        this.#schedule();
        return;
      }
      this.#drawn = now;
      this.#draw();
    });
  }

  #draw(): void {
    const book = this.#book;
    setData(this.#root, "phase", book !== null ? "book" : this.#symbol === null ? "empty" : "waiting");
    setText(element("blank"), this.#blank());
    setData(element("blank"), "side", book !== null && book.asks.length === 0 && book.bids.length > 0 ? "asks" : "bids");
    const shown = book ?? { bids: [], asks: [] };
    this.#levels = Math.max(this.#levels, shown.bids.length, shown.asks.length);
    this.#priceDecimals = priceDecimals(shown, this.#priceDecimals);
    for (const level of [...shown.bids, ...shown.asks]) {
      this.#sizeDecimals = Math.min(MOST_SIZE_DECIMALS, Math.max(this.#sizeDecimals, decimalsOf(level.size)));
    }
    const totals = this.#ladder.render({
      book: shown,
      depth: this.#depth,
      slots: book === null ? Math.min(this.#depth, 10) : Math.min(this.#depth, Math.max(FEWEST_SLOTS, this.#levels)),
      priceDecimals: this.#priceDecimals,
      sizeDecimals: this.#sizeDecimals,
    });
    this.#drawFigures(shown, totals.bids, totals.asks);
    if (this.#center) {
      this.#center = book === null;
      this.#centerSpread();
    }
  }

  #blank(): string {
    if (this.#symbol === null) return "Choose a symbol, or type one such as US.AAPL or HK.00700.";
    if (this.#book === null) return `Waiting for the first book of ${this.#symbol}${this.#doubt()}`;
    if (this.#book.bids.length + this.#book.asks.length === 0) return `The book of ${this.#symbol} is empty`;
    if (this.#book.bids.length === 0) return "No bids";
    return this.#book.asks.length === 0 ? "No asks" : "";
  }

  #doubt(): string {
    const isListed = this.#listed === null || this.#symbol === null || this.#listed.includes(this.#symbol);
    if (isListed || this.#now() - this.#since < PATIENCE) return "";
    return ". The server doesn\u2019t list this symbol: check how it is spelled, or choose one from the list.";
  }

  #drawFigures(book: Book, bids: number, asks: number): void {
    const spread = (this.#spread = spreadOf(book));
    const price = (value: number | undefined): string =>
      value === undefined ? NONE : formatFixed(value, this.#priceDecimals);
    const mid = spread.mid === null ? NONE : formatMid(spread.mid, this.#priceDecimals);
    setText(element("head-mid"), mid);
    setText(element("mid"), mid);
    setText(element("head-bid"), price(book.bids[0]?.price));
    setText(element("head-ask"), price(book.asks[0]?.price));
    setData(element("spread"), "kind", spread.kind);
    setText(element("spread-label"), SPREAD_LABELS[spread.kind]);
    setText(element("spread-value"), price(spread.absolute ?? undefined));
    const points = spread.basisPoints;
    setText(element("spread-points"), points === null ? "" : `${formatBasisPoints(points)} bp`);
    const share = bidShare(bids, asks);
    setData(element("balance"), "known", String(share !== null));
    element("balance-bids").style.transform = `scaleX(${(share ?? 0).toFixed(3)})`;
    const percent = (part: number): string => (share === null ? "" : ` \u00b7 ${(part * 100).toFixed(0)}%`);
    setText(element("total-bids"), formatSize(bids, this.#sizeDecimals) + percent(share ?? 0));
    setText(element("total-asks"), formatSize(asks, this.#sizeDecimals) + percent(1 - (share ?? 0)));
  }

  #drawTrend(now: number): void {
    const mid = this.#spread?.mid ?? null;
    if (mid !== null) this.#trend.add(now, mid);
    this.#trendLine.setAttribute("points", this.#trend.points(now, 300, 72));
    const range = this.#trend.range();
    const label = (value: number | undefined): string =>
      value === undefined ? "" : formatMid(value, this.#priceDecimals);
    setText(element("trend-high"), label(range?.high));
    setText(element("trend-low"), range?.low === range?.high ? "" : label(range?.low));
  }

  /** Where the ladder is taller than its frame, the spread stands in the middle of it. */
  #centerSpread(): void {
    const frame = this.#scroller;
    if (frame.scrollHeight <= frame.clientHeight) return;
    const spread = element("asks").offsetHeight + (frame.scrollHeight - element("asks").offsetHeight - element("bids").offsetHeight) / 2;
    frame.scrollTop = spread - frame.clientHeight / 2;
  }
}
