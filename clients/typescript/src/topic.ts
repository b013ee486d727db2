/** One topic: what is known of it, how the server says that it stands, and who wants it. */

import type { Book } from "./book.js";
import type { BookcastError } from "./errors.js";
import type { Channel, GapMessage, Period, StatusMessage, Variant } from "./messages.js";
import { Newest, type Update } from "./newest.js";
import type { Gap, Position } from "./position.js";
import type { Source, Subscription, SubscriptionState } from "./subscription.js";
import { Tape, type Batch } from "./tape.js";
import { isSame, union, type View } from "./view.js";
import type { Wire } from "./wire.js";

/** What names a topic, in every message about it. */
export interface Name {
  readonly channel: Channel;
  readonly symbol: string;
  readonly period?: Period | undefined;
  readonly variant?: Variant | undefined;
}

/** The same for all that names one topic, in a message as well. */
export function keyOf(name: { channel?: unknown; symbol?: unknown; period?: unknown; variant?: unknown }): string {
  return [name.channel, name.period ?? name.variant, name.symbol].join(" ");
}

/** The pause before a state is asked for again. It doubles up to the longest. */
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 60_000;

export class Topic implements Source {
  readonly data: Newest | Tape;
  /** Another list after each change: listeners may open and close while all of them are told something. */
  subscriptions: readonly Subscription<unknown>[] = [];
  /** What the server was asked for last, as far as that holds on this connection. */
  asked: View | undefined;
  /** The server has answered on this connection: what comes belongs to what was asked. */
  isUp = false;
  /** The number of the question that was answered last. */
  turn = 0;
  /** The server is left alone until then. */
  notBefore = 0;
  /** The most history that the server has sent. */
  history = 0;
  refusal: BookcastError | undefined;
  updatedAt: number | undefined;
  /** Cancels what is to be asked for later. */
  cancel: (() => void) | undefined;
  #isBroken = false;
  /** The server knows something of it. */
  #isKnown = false;
  #status: StatusMessage | undefined;
  /** The view that the server confirmed last, and the one that the state was sent whole in. */
  #confirmed: View | undefined;
  #shownIn: View | undefined;
  #pause = FIRST_PAUSE;
  #nextAskAt = 0;
  #cancelAsk: (() => void) | undefined;

  constructor(
    readonly name: Name,
    readonly wire: Wire,
  ) {
    const { channel } = name;
    const isEvents = channel === "trades" || channel === "candles";
    this.data = isEvents ? new Tape(channel === "trades") : new Newest(channel === "orderbook");
  }

  /** What all its subscriptions want together; undefined when there are none. */
  get wanted(): View | undefined {
    const views = this.subscriptions.map(({ view }) => view);
    return views.length > 0 ? views.reduce(union) : undefined;
  }

  /** The position to go on from; undefined where what is known isn't proven. */
  get position(): Position | undefined {
    const isProven = this.data instanceof Tape || (!this.#isBroken && this.#isShownAsConfirmed);
    return isProven ? this.data.position : undefined;
  }

  /** What is known was sent in the view that the server confirmed last. */
  get #isShownAsConfirmed(): boolean {
    return this.#shownIn !== undefined && isSame(this.#shownIn, this.#confirmed);
  }

  /** The position to go on from in a view. A book's stands for the view that it was seen in. */
  since(view: View): Position | undefined {
    if (this.data instanceof Tape) {
      // Subscribed when nothing was known: all that is kept is news, and no epoch has this name.
      return this.position ?? (this.#confirmed && { epoch: "", seq: 0 });
    }
    return this.name.channel !== "orderbook" || isSame(view, this.#confirmed) ? this.position : undefined;
  }

  /** Whether it comes over the wire no faster than at this interval. */
  isSlow(intervalMs: number): boolean {
    return (this.asked?.intervalMs ?? 0) >= intervalMs;
  }

  join(subscription: Subscription<unknown>): void {
    this.subscriptions = [...this.subscriptions, subscription];
    const { data } = this;
    const { history } = subscription.view;
    if (data instanceof Tape) {
      data.keep = Math.max(data.keep, history);
      subscription.waits = history > this.history && this.asked !== undefined;
      const past = data.past(history);
      const [first] = past;
      if (!subscription.waits) subscription.position = first ? { ...first, seq: first.prev } : data.position;
      for (const batch of past) subscription.take(batch);
    } else this.#showTo(subscription);
    if (this.refusal !== undefined) subscription.refuse(this.refusal);
    this.wire.ask(this);
  }

  leave(subscription: Subscription<unknown>): void {
    this.subscriptions = this.subscriptions.filter((one) => one !== subscription);
    this.wire.ask(this);
  }

  stateOf(subscription: Subscription<unknown>): [state: SubscriptionState, reason: string | undefined] {
    if (this.refusal !== undefined) return ["refused", this.refusal.message];
    const { lineState } = this.wire;
    if (lineState !== undefined) return lineState;
    if (!this.isUp) return ["connecting", "subscribing"];
    const isIncomplete = this.data instanceof Newest && this.#isKnown && subscription.value === undefined;
    if (this.#isBroken || isIncomplete) return ["syncing", "resync"];
    return [this.#status?.state ?? (this.#isKnown ? "live" : "pending"), this.#status?.reason];
  }

  /** Takes a data message. */
  receive(update: Update): void {
    if (!this.isUp) return; // it belongs to a subscription from before
    const { data } = this;
    const verdict = data.receive(update);
    if (verdict === "broken") this.breaks(update.type);
    if (verdict !== "new") return;
    this.#mended();
    this.#isKnown = true;
    this.refusal = undefined;
    const at: unknown = (update.ts as unknown[] | undefined)?.[2];
    if (typeof at === "number") this.updatedAt = at - this.wire.session.offset;
    if (/pending|stale/.test(String(this.#status?.state))) this.#status = undefined;
    if (data instanceof Tape) {
      this.#miss(data.takeOwed());
      for (const subscription of this.subscriptions) subscription.take(data.newest as Batch);
    } else {
      if (update.type !== "orderbook_delta") this.#shownIn = this.#viewOf(data.value as Partial<Book>);
      for (const subscription of this.subscriptions) this.#showTo(subscription);
    }
    this.tellState();
  }

  /** The server says that something won't come. */
  gap(told: GapMessage): void {
    if (!this.isUp || !(this.data instanceof Tape)) return;
    const gap = this.data.gap(told);
    if (gap === "broken") this.breaks("a gap");
    else if (typeof gap === "object") this.#miss(gap);
  }

  status(status: StatusMessage): void {
    if (!this.isUp) return;
    this.#status = status;
    if (status.state === "live") this.refusal = undefined;
    if (typeof status.age_ms === "number") this.updatedAt ??= this.wire.platform.now() - status.age_ms;
    this.tellState();
  }

  /**
   * The server has confirmed it, or goes on with it in a session. `recovered`: whether everything
   * after the position follows that it was told; undefined where it was told none. `view`: what was
   * asked for; what a session brings back is seen as before.
   */
  confirm(begins: Position | undefined, recovered: boolean | undefined, view = this.#confirmed): void {
    const { data, isUp: wasUp } = this;
    const held = this.position;
    const history = recovered === undefined ? (view?.history ?? 0) : 0;
    this.#confirmed = view;
    this.history = Math.max(this.history, history);
    this.isUp = true;
    this.#isKnown = begins !== undefined;
    this.refusal = undefined;
    if (data instanceof Tape) {
      this.#mended();
      if (data.place(begins, recovered, history > 0) === "broken") this.breaks("an answer");
    } else {
      const goesOn = recovered === true && held?.epoch === begins?.epoch && held?.seq === begins?.seq;
      // Where nothing is known there, something may have come before this confirmation.
      data.expected = begins === undefined ? data.value !== undefined && !this.#isShownAsConfirmed : !goesOn;
      if (!wasUp) this.#isBroken = data.expected && data.value !== undefined;
      if (data.expected) this.#askIn(FIRST_PAUSE);
      else this.#mended();
    }
    for (const subscription of this.subscriptions) subscription.accept(this.history, data);
    this.tellState();
  }

  /** What is known isn't proven any more: asks the server. `what` doesn't follow it. */
  breaks(what: string): void {
    this.wire.session.note(`${what} doesn't follow ${this.data.position?.seq ?? "nothing"}`, this.name);
    this.#isBroken = true;
    if (this.data instanceof Newest) this.data.expected = true;
    if (this.wire.platform.now() >= this.#nextAskAt) this.#ask();
    else this.#askIn(0);
    this.tellState();
  }

  refuse(error: BookcastError): void {
    this.refusal = error;
    for (const subscription of this.subscriptions) subscription.refuse(error);
  }

  /** The connection is gone. */
  lost(): void {
    this.isUp = false;
    this.#status = undefined;
    this.#cancelAsk?.();
    this.cancel?.();
  }

  tellState(): void {
    for (const subscription of this.subscriptions) subscription.tellState();
  }

  /** The view that a whole state was sent in. A book that is deeper than the one confirmed tells. */
  #viewOf({ bids = [], asks = [] }: Partial<Book>): View | undefined {
    const depth = this.#confirmed?.depth ?? Infinity;
    return Math.max(bids.length, asks.length) > depth ? this.asked : this.#confirmed;
  }

  #showTo(subscription: Subscription<unknown>): void {
    const { value, position } = this.data as Newest;
    // A book of too few levels isn't what it asked for.
    const isDeep = (subscription.view.depth ?? Infinity) <= (this.#shownIn?.depth ?? Infinity);
    if (position !== undefined && isDeep) subscription.show(value, position);
  }

  #miss(gap: Gap | undefined): void {
    if (gap !== undefined) for (const subscription of this.subscriptions) subscription.miss(gap);
  }

  #ask(): void {
    this.#nextAskAt = this.wire.platform.now() + this.#pause;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    this.wire.askAgain(this);
    this.#askIn(0);
  }

  /** Asks if nothing comes until then: a question or its answer may have been lost. */
  #askIn(patience: number): void {
    const { platform } = this.wire;
    this.#cancelAsk?.();
    this.#cancelAsk = platform.after(Math.max(this.#nextAskAt - platform.now(), patience), () => {
      this.#isBroken = true;
      this.#ask();
      this.tellState();
    });
  }

  #mended(): void {
    this.#isBroken = false;
    this.#cancelAsk?.();
    // What was proven for a while is over.
    if (this.wire.platform.now() > this.#nextAskAt + LONGEST_PAUSE) this.#pause = FIRST_PAUSE;
  }
}
