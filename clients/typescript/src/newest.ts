/** What is known of a topic that is a state: a book, a quote, brokers, the newest minute. */

import { changeBook, checksum as checksumOf, type Book } from "./book.js";
import type { Position } from "./position.js";

/** A data message, as far as every channel's has the same fields. */
export interface Update {
  readonly type: string;
  readonly epoch: string;
  readonly seq: number;
  readonly data: unknown;
  readonly ts?: unknown;
  readonly prev_seq?: unknown;
  readonly checksum?: unknown;
}

/** `old`: nothing new. `broken`: it doesn't follow what is known, so the server has to be asked. */
export type Verdict = "new" | "old" | "broken";

export class Newest {
  value: unknown;
  position: Position | undefined;
  /** The whole state is on its way, so that it may begin anywhere. */
  expected = true;
  readonly #isBook: boolean;
  readonly #epochs = new Set<string>();
  /** The number before the newest, where a delta led from there: no update lies between. */
  #before = Infinity;

  constructor(isBook: boolean) {
    this.#isBook = isBook;
  }

  receive(update: Update): Verdict {
    return update.type === "orderbook_delta" ? this.#change(update) : this.#replace(update);
  }

  #change({ epoch, seq, prev_seq, checksum, data }: Update): Verdict {
    const held = this.position;
    if (this.expected) return "old"; // the whole book that comes has it
    if (held?.epoch !== epoch) return "broken";
    if (seq < held.seq && seq > this.#before) {
      this.position = undefined; // it isn't the server's number: all that comes would be old
      return "broken";
    }
    if (seq <= held.seq) return "old";
    const next = prev_seq === held.seq ? changeBook(this.value as Book, data) : undefined;
    if (next === undefined || checksumOf(next) !== checksum) return "broken";
    return this.#take(next, epoch, seq, held.seq);
  }

  #replace({ epoch, seq, data }: Update): Verdict {
    const value = this.#isBook ? changeBook({ bids: [], asks: [] }, data) : data;
    if (Object(value) !== value) return "broken";
    const held = this.position;
    if (held?.epoch === epoch) {
      // A whole book of the same number may be a deeper one, whose confirmation was lost.
      const isNews = seq > held.seq || (seq === held.seq && (this.expected || this.#isDeeper(value)));
      if (!isNews) return "old";
    } else if (held !== undefined && !this.expected && this.#epochs.has(epoch)) {
      return "broken"; // an epoch from before may be back, or a message was late: only the server knows
    }
    return this.#take(value, epoch, seq);
  }

  #isDeeper(value: unknown): boolean {
    const levels = ({ bids, asks }: Book): number => bids.length + asks.length;
    return this.#isBook && levels(value as Book) > levels(this.value as Book);
  }

  #take(value: unknown, epoch: string, seq: number, before = Infinity): Verdict {
    this.#before = before;
    this.value = value;
    this.position = { epoch, seq };
    this.expected = false;
    this.#epochs.add(epoch);
    return "new";
  }
}
