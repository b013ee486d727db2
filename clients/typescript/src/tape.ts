/** What is known of a topic whose every update counts: trades, and final candles. */

import type { Candle, Trade } from "./messages.js";
import type { Gap, Position } from "./position.js";
import type { Update, Verdict } from "./newest.js";

/** What one message brought: the trades after `prev` up to `seq`, or a candle. */
export interface Batch {
  readonly epoch: string;
  readonly prev: number;
  readonly seq: number;
  readonly trades?: readonly Trade[];
  readonly candle?: Candle;
}

/** How many trades or final candles it counts for. */
export function weightOf(batch: Batch): number {
  return batch.trades?.length ?? (batch.candle?.final === true ? 1 : 0);
}

export class Tape {
  /** Everything up to here is known. */
  position: Position | undefined;
  /** Whatever comes next in this epoch continues what is known. */
  #open = true;
  /** A gap that the server's confirmation speaks of, and that it hasn't told yet. */
  #owed: Gap | undefined;
  readonly #areTrades: boolean;
  readonly #epochs = new Set<string>();
  readonly #tail: Batch[] = [];
  #tailWeight = 0;
  /** So many trades or final candles are kept, for whoever asks for them later. */
  keep = 0;
  /** What the last accepted update brought. */
  newest: Batch | undefined;

  constructor(areTrades: boolean) {
    this.#areTrades = areTrades;
  }

  receive(update: Update): Verdict {
    const { epoch, seq } = update;
    const batch = this.#read(update);
    const held = this.position;
    if (held?.epoch === epoch && seq <= held.seq) return "old";
    if (batch === undefined) return "broken";
    if (held !== undefined) {
      if (held.epoch !== epoch) {
        if (this.#areTrades || this.#epochs.has(epoch)) return "broken";
        this.#owed = { epoch, from: null, to: null, reason: "epoch" };
      } else if (this.#areTrades && !this.#open && batch.prev !== held.seq) return "broken";
    }
    // Nothing was known when it was subscribed: what is before its first trade never came here.
    if (held === undefined && this.#areTrades && batch.prev > 0) this.#owed = { epoch, from: null, to: batch.prev, reason: "history" };
    this.#move(epoch, seq);
    this.newest = batch;
    this.#remember(batch);
    return "new";
  }

  /** What is missing before the update that was accepted last, and wasn't told. */
  takeOwed(): Gap | undefined {
    const owed = this.#owed;
    this.#owed = undefined;
    return owed;
  }

  /** Reads a `gap`: returns what is missing, or what kind of message it is otherwise. */
  gap(told: { epoch: string; from_seq: number | null; to_seq: number | null; reason: Gap["reason"] }): Gap | Verdict {
    const { epoch, from_seq: from, to_seq: to, reason } = told;
    const held = this.position;
    if (typeof epoch !== "string" || !isNumber(from) || !isNumber(to)) return "old";
    const gap = { epoch, from, to, reason };
    if (held?.epoch === epoch) {
      if (from === null || to === null) {
        this.#owed = undefined;
        return gap;
      }
      if (to <= held.seq) return "old";
      if (this.#areTrades && !this.#open && from > held.seq + 1) return "broken";
      this.#move(epoch, to);
      return { ...gap, from: this.#open ? from : Math.max(from, held.seq + 1) };
    }
    if (held !== undefined && this.#epochs.has(epoch)) return "broken";
    this.#move(epoch, to ?? 0);
    this.#open = to === null;
    return gap;
  }

  /**
   * The server confirmed a subscription that begins after this position. `recovered`: its answer to
   * the position that it was told; undefined where it was told none. `goesBack`: history comes again.
   */
  place(begins: Position | null, recovered: boolean | undefined, goesBack: boolean): Verdict {
    const held = this.position;
    if (begins === null || recovered === true) return "new";
    const { epoch, seq } = begins;
    if (held === undefined) {
      // A session that goes on from no position of ours begins with all that is kept.
      if (this.#areTrades && recovered === undefined) this.#move(epoch, seq);
      return "new";
    }
    if (held.epoch !== epoch) {
      if (recovered === undefined) return "broken";
      this.#owed = { epoch, from: null, to: null, reason: "epoch" };
      this.#move(epoch, this.#areTrades ? seq : 0);
      this.#open = !this.#areTrades;
    } else if (goesBack && (seq < held.seq || !this.#areTrades)) {
      this.position = { epoch, seq: this.#areTrades ? seq : 0 };
      this.#tail.length = this.#tailWeight = 0;
    }
    return "new";
  }

  /** The newest so many trades or final candles, and the candle that forms. */
  past(count: number): Batch[] {
    const found: Batch[] = [];
    for (let i = this.#tail.length - 1, left = count; i >= 0 && left > 0; i--) {
      const batch = this.#tail[i];
      if (batch === undefined) break;
      found.unshift(batch);
      left -= weightOf(batch);
    }
    return found;
  }

  #move(epoch: string, seq: number): void {
    this.position = { epoch, seq };
    this.#open = false;
    this.#epochs.add(epoch);
  }

  #remember(batch: Batch): void {
    if (this.keep === 0) return;
    // A candle that forms is replaced by its next state.
    const last = this.#tail.at(-1);
    if (last !== undefined && weightOf(last) === 0) this.#tail.pop();
    this.#tail.push(batch);
    this.#tailWeight += weightOf(batch);
    for (let first = this.#tail[0]; first !== undefined; first = this.#tail[0]) {
      if (this.#tailWeight - weightOf(first) < this.keep) break;
      this.#tail.shift();
      this.#tailWeight -= weightOf(first);
    }
  }

  #read({ epoch, seq, prev_seq, data }: Update): Batch | undefined {
    if (typeof data !== "object" || data === null) return undefined;
    if (!this.#areTrades) {
      const candle = data as Candle;
      return Number.isFinite(candle.time) && Number.isFinite(candle.close) ? { epoch, prev: seq - 1, seq, candle } : undefined;
    }
    const { trades } = data as { trades?: readonly Trade[] };
    const readable = Array.isArray(trades) && trades.every((trade: Trade | null) => Number.isFinite(trade?.price));
    return readable && Number.isInteger(prev_seq) ? { epoch, prev: prev_seq as number, seq, trades } : undefined;
  }
}

function isNumber(seq: unknown): boolean {
  return seq === null || Number.isInteger(seq);
}
