/** What is known of a topic whose every update counts: trades, and final candles. */

import type { Candle, GapMessage, Trade } from "./messages.js";
import type { Update, Verdict } from "./newest.js";
import type { Gap, Position } from "./position.js";

/** What one message brought: the trades after `prev` up to `seq`, or a candle. */
export interface Batch {
  readonly epoch: string;
  readonly prev: number;
  readonly seq: number;
  readonly trades?: readonly Trade[] | undefined;
  readonly candle?: Candle | undefined;
}

/** How many trades or final candles it counts for. */
export function weightOf({ trades, candle }: Batch): number {
  return trades?.length ?? Number(candle?.final === true);
}

export class Tape {
  /** Everything up to here is known. */
  position: Position | undefined;
  /** What the last accepted update brought. */
  newest: Batch | undefined;
  /** So many messages are kept, for whoever asks for their trades or candles later. */
  keep = 0;
  /** Whatever comes next in this epoch continues what is known. */
  #isOpen = true;
  /** A gap that was found, and that the server hasn't told. */
  #owed: Gap | undefined;
  readonly #epochs = new Set<string>();
  #tail: Batch[] = [];

  constructor(readonly areTrades: boolean) {}

  receive(update: Update): Verdict {
    const { epoch, seq } = update;
    const { position: held, areTrades } = this;
    if (held?.epoch === epoch && seq <= held.seq) return "old";
    const batch = this.#read(update);
    if (batch === undefined) return "broken";
    if (held === undefined) {
      // Nothing was known when it was subscribed: what is before its first trade never came here.
      if (areTrades && batch.prev > 0) this.#owed = { epoch, from: null, to: batch.prev, reason: "history" };
    } else if (held.epoch !== epoch) {
      if (areTrades || this.#epochs.has(epoch)) return "broken";
      this.#owed = gapBefore(epoch);
    } else if (areTrades && !this.#isOpen && batch.prev !== held.seq) return "broken";
    this.#move(epoch, seq);
    this.newest = batch;
    // A candle that forms is replaced by its next state.
    const last = this.#tail.at(-1);
    if (last !== undefined && weightOf(last) === 0) this.#tail.pop();
    this.#tail.push(batch);
    if (this.#tail.length > this.keep) this.#tail.shift();
    return "new";
  }

  /** What is missing before the update that was accepted last, and wasn't told. */
  takeOwed(): Gap | undefined {
    const owed = this.#owed;
    this.#owed = undefined;
    return owed;
  }

  /** Reads a `gap`: returns what is missing, or what kind of message it is otherwise. */
  gap({ epoch, from_seq: from, to_seq: to, reason }: GapMessage): Gap | Verdict {
    const held = this.position;
    const wasOpen = this.#isOpen;
    if (typeof epoch !== "string" || !isNumber(from) || !isNumber(to)) return "old";
    if (held?.epoch !== epoch) {
      if (held !== undefined && this.#epochs.has(epoch)) return "broken";
      this.#move(epoch, to ?? 0);
      this.#isOpen = to === null;
    } else if (from === null || to === null) this.#owed = undefined;
    else {
      if (to <= held.seq) return "old";
      if (this.areTrades && !wasOpen && from > held.seq + 1) return "broken";
      this.#move(epoch, to);
      return { epoch, from: Math.max(from, held.seq + 1), to, reason };
    }
    return { epoch, from, to, reason };
  }

  /**
   * The server confirmed a subscription that begins after this position. `recovered`: its answer to
   * the position that it was told; undefined where it was told none. `goesBack`: history comes again.
   */
  place(begins: Position | undefined, recovered: boolean | undefined, goesBack: boolean): Verdict {
    const { position: held, areTrades } = this;
    if (begins === undefined || recovered === true) return "new";
    const { epoch, seq } = begins;
    if (held === undefined) {
      // A session that goes on from no position of ours begins with all that is kept.
      if (areTrades && recovered === undefined) this.#move(epoch, seq);
    } else if (held.epoch !== epoch) {
      if (recovered === undefined) return "broken";
      this.#owed = gapBefore(epoch);
      this.#move(epoch, areTrades ? seq : 0);
      this.#isOpen = !areTrades;
    } else if (goesBack && (seq < held.seq || !areTrades)) {
      this.#move(epoch, areTrades ? seq : 0);
      this.#tail = [];
    }
    return "new";
  }

  /** The newest so many trades or final candles, and the candle that forms. */
  past(count: number): Batch[] {
    let first = this.#tail.length;
    for (let left = count; first > 0 && left > 0; first--) left -= weightOf(this.#tail[first - 1] as Batch);
    return this.#tail.slice(first);
  }

  #move(epoch: string, seq: number): void {
    this.position = { epoch, seq };
    this.#isOpen = false;
    this.#epochs.add(epoch);
  }

  #read({ epoch, seq, prev_seq, data }: Update): Batch | undefined {
    const { trades, ...candle } = (data ?? {}) as { trades?: Trade[] } & Candle;
    if (!this.areTrades) return Number.isFinite(candle.close) ? { epoch, prev: seq - 1, seq, candle } : undefined;
    const isReadable = Number.isInteger(prev_seq) && Array.isArray(trades) && trades.every((one) => Number.isFinite(one.price));
    return isReadable ? { epoch, prev: prev_seq as number, seq, trades } : undefined;
  }
}

/** An epoch began, and how the one before ended isn't known. */
function gapBefore(epoch: string): Gap {
  return { epoch, from: null, to: null, reason: "epoch" };
}

function isNumber(seq: unknown): boolean {
  return seq === null || Number.isInteger(seq);
}
