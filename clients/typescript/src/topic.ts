/** One topic: what is known of it, how the server says that it stands, and who wants it. */

import type { Book } from "./book.js";
import type { BookcastError } from "./errors.js";
import type { Channel, Period, StatusMessage, Variant } from "./messages.js";
import { Newest, type Update } from "./newest.js";
import type { Platform } from "./platform.js";
import type { Gap, Position } from "./position.js";
import type { Source, Subscription, SubscriptionState } from "./subscription.js";
import { Tape } from "./tape.js";
import { isSame, union, type View } from "./view.js";

/** What names a topic, in every message about it. */
export interface Name {
  readonly channel: Channel;
  readonly symbol: string;
  readonly period?: Period;
  readonly variant?: Variant;
}

export function keyOf(name: { channel?: unknown; symbol?: unknown; period?: unknown; variant?: unknown }): string {
  return [name.channel, name.period ?? name.variant ?? "", name.symbol].join(" ");
}

/** What a topic needs of the wire. */
export interface Carrier {
  readonly platform: Platform;
  /** What the server's clock is ahead of this one. */
  readonly clockOffset: number;
  /** How the line stands, as far as it isn't open. */
  readonly lineState: { state: SubscriptionState; reason: string | undefined } | undefined;
  /** Asks for the whole state, or for what came after a position. */
  askAgain(topic: Topic): void;
  /** Who wants it has changed. */
  wantedDiffers(topic: Topic): void;
  note(text: string, topic: Topic): void;
}

/** The pause before a state is asked for again. It doubles up to the longest. */
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 60_000;

export class Topic implements Source {
  readonly name: Name;
  readonly data: Newest | Tape;
  readonly subscriptions = new Set<Subscription<unknown>>();
  /** What the server was asked for last, as far as that holds on this connection. */
  asked: View | undefined;
  /** The server has answered on this connection: what comes belongs to what was asked. */
  isUp = false;
  /** The server is left alone until then. */
  notBefore = 0;
  /** The most history that the server was asked for. */
  history = 0;
  refusal: BookcastError | undefined;
  updatedAt: number | undefined;
  cancelNarrowing: (() => void) | undefined;
  readonly #carrier: Carrier;
  #isBroken = false;
  #status: StatusMessage | undefined;
  #pause = FIRST_PAUSE;
  #nextAskAt = 0;
  #cancelAsk: (() => void) | undefined;
  #isKnown = false;
  /** The view that the server confirmed last, and the one that the state was sent whole in. */
  #confirmed: View | undefined;
  #shownIn: View | undefined;

  constructor(name: Name, carrier: Carrier) {
    this.name = name;
    this.#carrier = carrier;
    const { channel } = name;
    const events = channel === "trades" || channel === "candles";
    this.data = events ? new Tape(channel === "trades") : new Newest(channel === "orderbook");
  }

  get channel(): Channel {
    return this.name.channel;
  }

  get symbol(): string {
    return this.name.symbol;
  }

  get period(): Period | undefined {
    return this.name.period;
  }

  get variant(): Variant | undefined {
    return this.name.variant;
  }

  /** What all its subscriptions want together; undefined when there are none. */
  get wanted(): View | undefined {
    let wanted: View | undefined;
    for (const { view } of this.subscriptions) wanted = wanted === undefined ? view : union(wanted, view);
    return wanted;
  }

  /** The position to go on from; undefined where what is known isn't proven. */
  get position(): Position | undefined {
    const isProven = this.data instanceof Tape || (!this.#isBroken && this.#isShownAsConfirmed);
    return isProven ? this.data.position : undefined;
  }

  /** What is known was sent in the view that the server confirmed last. */
  get #isShownAsConfirmed(): boolean {
    return this.#shownIn !== undefined && this.#confirmed !== undefined && isSame(this.#shownIn, this.#confirmed);
  }

  /** The position to go on from in a view. A book's stands for the view that it was seen in. */
  positionIn(view: View): Position | undefined {
    // Subscribed when nothing was known: all that is kept is news, and no epoch has this name.
    if (this.data instanceof Tape && this.#confirmed !== undefined) return this.position ?? { epoch: "", seq: 0 };
    const sameBook = this.#confirmed !== undefined && isSame(this.#confirmed, view);
    return this.channel !== "orderbook" || sameBook ? this.position : undefined;
  }

  isAsSlowAs(intervalMs: number): boolean {
    return (this.asked?.intervalMs ?? 0) >= intervalMs;
  }

  join(subscription: Subscription<unknown>): void {
    this.subscriptions.add(subscription);
    const { data } = this;
    const { history } = subscription.view;
    if (data instanceof Tape) {
      data.keep = Math.max(data.keep, history);
      subscription.waitsForHistory = history > this.history && this.asked !== undefined;
      if (!subscription.waitsForHistory) {
        subscription.position = data.position;
        const past = data.past(history);
        const first = past[0];
        if (first !== undefined) subscription.position = { epoch: first.epoch, seq: first.prev };
        for (const batch of past) subscription.take(batch);
      }
    }
    this.#showTo(subscription);
    if (this.refusal !== undefined) subscription.refuse(this.refusal);
    this.#carrier.wantedDiffers(this);
  }

  leave(subscription: Subscription<unknown>): void {
    if (this.subscriptions.delete(subscription)) this.#carrier.wantedDiffers(this);
  }

  stateOf(subscription: Subscription<unknown>): [state: SubscriptionState, reason: string | undefined] {
    if (this.refusal !== undefined) return ["refused", this.refusal.message];
    const line = this.#carrier.lineState;
    if (line !== undefined) return [line.state, line.reason];
    if (!this.isUp) return ["connecting", "the server hasn't confirmed the subscription yet"];
    const waits = this.data instanceof Newest && this.#isKnown && subscription.value === undefined;
    if (this.#isBroken || waits) return ["syncing", "waiting for the newest, whole"];
    return [this.#status?.state ?? (this.#isKnown ? "live" : "pending"), this.#status?.reason];
  }

  /** Takes a data message. */
  receive(update: Update): void {
    if (!this.isUp) return; // it belongs to a subscription from before
    const { data } = this;
    const verdict = data.receive(update);
    if (verdict === "old") return;
    if (verdict === "broken") {
      this.breaks(`${update.type} ${update.seq} of ${update.epoch} doesn't follow ${describe(data.position)}`);
      return;
    }
    this.#mended();
    this.#isKnown = true;
    const at = Array.isArray(update.ts) ? (update.ts[2] as unknown) : undefined;
    if (typeof at === "number") this.updatedAt = at - this.#carrier.clockOffset;
    if (this.refusal !== undefined) this.#carrier.note("it comes after all", this);
    this.refusal = undefined;
    if (this.#status?.state === "pending" || this.#status?.state === "stale") this.#status = undefined;
    if (data instanceof Newest) {
      if (update.type !== "orderbook_delta") this.#shownIn = this.#viewOf(data.value);
      for (const subscription of this.subscriptions) this.#showTo(subscription);
    } else if (data.newest !== undefined) {
      const owed = data.takeOwed();
      if (owed !== undefined) this.#miss(owed);
      for (const subscription of this.subscriptions) subscription.take(data.newest);
    }
    this.stateMayHaveChanged();
  }

  /** The server says that something won't come. */
  gap(told: { epoch: string; from_seq: number | null; to_seq: number | null; reason: Gap["reason"] }): void {
    if (!this.isUp || !(this.data instanceof Tape)) return;
    const gap = this.data.gap(told);
    if (gap === "broken") this.breaks(`a gap of ${told.epoch} doesn't follow ${describe(this.data.position)}`);
    else if (typeof gap === "object") this.#miss(gap);
  }

  status(status: StatusMessage): void {
    if (!this.isUp || typeof status.state !== "string") return;
    this.#status = status;
    if (status.state === "live") this.refusal = undefined;
    if (typeof status.age_ms === "number") this.updatedAt ??= this.#carrier.platform.now() - status.age_ms;
    this.stateMayHaveChanged();
  }

  /**
   * The server has confirmed it, or goes on with it in a session. `recovered`: whether everything
   * after the position follows that it was told; undefined where it was told none. `view`: what was
   * asked for; what a session brings back is seen as before.
   */
  confirm(begins: Position | null, recovered: boolean | undefined, view = this.#confirmed): void {
    const wasUp = this.isUp;
    const history = view?.history ?? 0;
    this.#confirmed = view;
    this.isUp = true;
    this.refusal = undefined;
    if (!wasUp) this.#status = undefined;
    this.#isKnown = begins !== null;
    this.history = Math.max(this.history, history);
    for (const subscription of this.subscriptions) {
      subscription.accept();
      if (subscription.view.history <= this.history) subscription.waitsForHistory = false;
    }
    const { data } = this;
    if (data instanceof Tape) {
      this.#mended();
      if (data.place(begins, recovered, recovered === undefined && history > 0) === "broken") this.breaks("it goes on somewhere else");
    } else {
      const held = this.position;
      const goesOn = recovered === true && begins !== null && held?.epoch === begins.epoch && held.seq === begins.seq;
      // Where nothing is known there, something may have come before this confirmation.
      data.expected = begins === null ? data.value !== undefined && !this.#isShownAsConfirmed : !goesOn;
      if (!wasUp) this.#isBroken = data.expected && data.value !== undefined;
      if (data.expected) this.#askLater(FIRST_PAUSE);
      else this.#mended();
    }
    this.stateMayHaveChanged();
  }

  /** The server shows it otherwise from now on: the whole state comes next. */
  begins(): void {
    if (!(this.data instanceof Newest)) return;
    this.data.expected = true;
    this.#askLater(FIRST_PAUSE);
  }

  /** What is known isn't proven any more: asks the server. */
  breaks(reason: string): void {
    this.#carrier.note(`${reason}: asking again`, this);
    this.#isBroken = true;
    if (this.data instanceof Newest) this.data.expected = true;
    if (this.#carrier.platform.now() >= this.#nextAskAt) this.#ask();
    else this.#askLater(0);
    this.stateMayHaveChanged();
  }

  refuse(error: BookcastError): void {
    this.refusal = error;
    for (const subscription of [...this.subscriptions]) subscription.refuse(error);
  }

  /** The connection is gone. */
  lost(): void {
    this.isUp = false;
    this.#status = undefined;
    this.#cancelAsk?.();
    this.#cancelAsk = undefined;
    this.cancelNarrowing?.();
    this.cancelNarrowing = undefined;
  }

  stateMayHaveChanged(): void {
    for (const subscription of this.subscriptions) subscription.stateMayHaveChanged();
  }

  /** The view that a whole state was sent in. A book that is deeper than the one confirmed tells. */
  #viewOf(value: unknown): View | undefined {
    const depth = this.#confirmed?.depth;
    const { bids = [], asks = [] } = value as Partial<Book>;
    const isDeeper = this.channel === "orderbook" && depth != null && Math.max(bids.length, asks.length) > depth;
    return isDeeper ? this.asked : this.#confirmed;
  }

  #showTo(subscription: Subscription<unknown>): void {
    const { data } = this;
    if (!(data instanceof Newest) || data.value === undefined || data.position === undefined) return;
    // A book of too few levels isn't what it asked for.
    const { depth } = subscription.view;
    const has = this.#shownIn?.depth;
    if (this.channel === "orderbook" && has != null && (depth === null || depth > has)) return;
    subscription.show(data.value, data.position);
  }

  #miss(gap: Gap): void {
    for (const subscription of this.subscriptions) subscription.miss(gap);
  }

  #ask(): void {
    const now = this.#carrier.platform.now();
    this.#nextAskAt = now + this.#pause;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    this.#carrier.askAgain(this);
    this.#askLater(0);
  }

  /** Asks if nothing comes until then: a question or its answer may have been lost. */
  #askLater(patience: number): void {
    this.#cancelAsk?.();
    const now = this.#carrier.platform.now();
    this.#cancelAsk = this.#carrier.platform.after(Math.max(this.#nextAskAt - now, patience), () => {
      this.#cancelAsk = undefined;
      if (!this.isUp) return;
      this.#isBroken = true;
      this.#ask();
      this.stateMayHaveChanged();
    });
  }

  #mended(): void {
    this.#isBroken = false;
    this.#cancelAsk?.();
    this.#cancelAsk = undefined;
    // Deltas that were proven for a while: what was wrong is over.
    if (this.#carrier.platform.now() > this.#nextAskAt + LONGEST_PAUSE) this.#pause = FIRST_PAUSE;
  }
}

function describe(position: Position | undefined): string {
  return position === undefined ? "nothing" : `${position.seq} of ${position.epoch}`;
}
