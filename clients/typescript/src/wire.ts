/**
 * What is wanted of the server: a set of topics, each in one view. It is sent when a connection is
 * up and when it changes; nothing is queued while there is none.
 */

import { pauseOf, type BookcastError } from "./errors.js";
import type { ErrorMessage, HeldPosition, Resumed, SubscriptionConfirmed } from "./messages.js";
import type { Platform } from "./platform.js";
import type { Position } from "./position.js";
import { Tape } from "./tape.js";
import type { Session } from "./session.js";
import type { SubscriptionState } from "./subscription.js";
import { keyOf, Topic, type Name } from "./topic.js";
import { isSame, union, type View } from "./view.js";

/** A view narrows after so long, since whoever closed it may want it again. */
const LINGER = 5_000;
/** The bytes of a message: servers take 64 KiB. */
const MAX_BYTES = 60_000;
/** Messages at once, and for each second after that: servers take 500 and 50. */
const BURST = 400;
const RATE = 40;

export class Wire {
  readonly platform: Platform;
  readonly topics = new Map<string, Topic>();
  readonly #changed = new Set<Topic>();
  #isUp = false;
  #isFlushing = false;
  #said = 0;
  #turn = 0;
  #cancelPace: (() => void) | undefined;

  constructor(readonly session: Session) {
    this.platform = session.platform;
  }

  get lineState(): [state: SubscriptionState, reason: string | undefined] | undefined {
    const { state, reason } = this.session.line.status;
    return this.#isUp ? undefined : [state === "stopped" ? "refused" : "connecting", reason];
  }

  /** The topic of that name, made where there is none yet. */
  topic({ channel, symbol, period, variant }: Name): Topic {
    const name = { channel, symbol, period, variant };
    const key = keyOf(name);
    const topic = this.topics.get(key) ?? new Topic(name, this);
    this.topics.set(key, topic);
    return topic;
  }

  /** The topic that a message is about; one that nobody wants is unsubscribed. */
  find(message: Name): Topic | undefined {
    const topic = this.topics.get(keyOf(message));
    if (topic === undefined && this.#isUp) this.#unsubscribe(this.topic(message));
    return topic;
  }

  /** The session is up: everything that it lacks is asked for. */
  up(): void {
    this.#isUp = true;
    for (const topic of this.topics.values()) {
      if (!topic.isUp) topic.asked = undefined;
      this.#changed.add(topic);
    }
    this.#flush();
    this.tellState();
  }

  lost(): void {
    this.#isUp = false;
    this.#cancelPace?.();
    this.#cancelPace = undefined;
    this.#said = 0;
    for (const [key, topic] of this.topics) {
      topic.lost();
      if (topic.wanted === undefined) this.topics.delete(key);
    }
  }

  /** Asks the server soon for what a topic's subscriptions want now, if that is something else than before. */
  ask(topic: Topic): void {
    this.#changed.add(topic);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // What is opened and closed in one go of the program is no matter for the server.
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  /** Asks for the whole state, or for what came after a position. */
  askAgain(topic: Topic): void {
    if (topic.data instanceof Tape) this.#askAnew(topic);
    else {
      this.session.question({ action: "resync", ...topic.name }, () => undefined, ({ code }) => {
        if (code !== "not_subscribed") return; // there is no other answer, but the state
        topic.isUp = false;
        this.#askAnew(topic);
      });
    }
  }

  tellState(): void {
    for (const topic of [...this.topics.values()]) topic.tellState();
  }

  // What the server answers

  /** What was on its way has come. */
  unsubscribed(name: Name): void {
    if (this.topics.get(keyOf(name))?.wanted === undefined) this.topics.delete(keyOf(name));
  }

  /** Takes an error about topics that answers no question; returns false for others. */
  failed({ id, channel, symbol }: ErrorMessage, error: BookcastError): boolean {
    const topics = [...this.topics.values()].filter(({ name }) => name.symbol === symbol && name.channel === channel);
    if (id !== undefined || topics.length === 0) return false;
    for (const topic of topics) this.#refused(topic, error);
    return true;
  }

  /** What the client has of each topic, for a session to go on from; undefined when that is too long. */
  positions(): HeldPosition[] | undefined {
    const positions = [...this.topics.values()].flatMap(({ name, position }) => (position ? [{ ...name, ...position }] : []));
    return JSON.stringify(positions).length > MAX_BYTES ? undefined : (positions as HeldPosition[]);
  }

  /** The session goes on. What of it doesn't is asked for again, and refused with its reason. */
  resumed({ restored }: Resumed): void {
    for (const one of restored) {
      const topic = this.topic(one);
      if (topic.wanted === undefined) this.#unsubscribe(topic);
      else if (topic.asked !== undefined) topic.confirm(positionOf(one), one.recovered);
    }
  }

  /** A topic is refused: for good, for now, or so that it is to be asked for again. */
  #refused(topic: Topic, error: BookcastError): void {
    this.session.note(error.message, topic.name);
    this.session.failed(error);
    if (!error.final && error.code !== "feed_refused") {
      topic.notBefore = this.platform.now() + pauseOf(error);
      this.ask(topic);
    } else {
      if (error.final) topic.isUp = false;
      topic.refuse(error);
    }
  }

  /** What still comes of it is on its way, until the server has confirmed that. */
  #unsubscribe(topic: Topic): void {
    topic.asked = undefined;
    this.#said += 1;
    this.session.note("unsubscribing", topic.name);
    this.session.line.send({ action: "unsubscribe", ...topic.name });
  }

  #askAnew(topic: Topic): void {
    topic.asked = undefined;
    this.ask(topic);
  }

  // What is asked of the server

  /** Sends what has changed, within the limit of messages a second. */
  #flush(): void {
    for (const topic of this.#changed) {
      if (this.#said >= BURST) break;
      this.#changed.delete(topic);
      this.#update(topic);
    }
    if (this.#said === 0) return;
    this.#cancelPace ??= this.platform.after(1_000, () => {
      this.#cancelPace = undefined;
      this.#said = Math.max(0, this.#said - RATE);
      this.#flush();
    });
  }

  /** Sends the subscribe or unsubscribe that makes the view of a topic as wanted. */
  #update(topic: Topic): void {
    const { wanted, asked, name } = topic;
    topic.cancel?.();
    if (wanted === undefined) {
      topic.lost();
      if (this.#isUp && asked !== undefined) this.#unsubscribe(topic);
      else this.topics.delete(keyOf(name));
    } else if (this.#isUp && topic.refusal?.final !== true) {
      const pause = topic.notBefore - this.platform.now();
      if (pause > 0) {
        topic.cancel = this.platform.after(pause, () => {
          this.ask(topic);
        });
      } else if (asked === undefined) this.#subscribe(topic, wanted, topic.since(wanted));
      else {
        const both = union(asked, wanted);
        const history = wanted.history > asked.history ? wanted.history : 0;
        if (history > 0 || !isSame(asked, both)) this.#subscribe(topic, { ...both, history });
        else if (!isSame(asked, wanted)) {
          topic.cancel = this.platform.after(LINGER, () => {
            if (this.#said < BURST) this.#subscribe(topic, { ...wanted, history: 0 });
            else this.ask(topic); // it lingers once more
          });
        }
      }
    }
  }

  #subscribe(topic: Topic, view: View, since?: Position): void {
    const { name } = topic;
    const { depth, mode, intervalMs } = view;
    const history = since ? 0 : view.history;
    const turn = ++this.#turn;
    this.#said += 1;
    topic.asked = { ...view, history: Math.max(history, topic.history) };
    this.session.note(since ? `subscribing after ${since.seq}` : "subscribing", name);
    this.session.question(
      {
        action: "subscribe",
        ...name,
        ...(name.channel === "orderbook" && { depth, mode }),
        interval_ms: intervalMs || undefined,
        history: history || undefined,
        since,
      },
      (told: SubscriptionConfirmed) => {
        // Answers come in order: one to an earlier question that is late doesn't count.
        if (topic.wanted === undefined || turn < topic.turn) return;
        topic.turn = turn;
        this.session.note(`confirmed at ${told.seq}`, name);
        topic.confirm(positionOf(told), since && (told.recovered ?? false), { ...view, history });
        this.ask(topic); // more may be wanted than when it was asked
      },
      (error, isGone) => {
        topic.asked = undefined; // nobody knows whether it came to the server
        if (isGone) return;
        if (error.code === "no_answer") {
          this.session.line.check();
          this.#askAnew(topic);
        } else this.#refused(topic, error);
      },
    );
  }
}

function positionOf({ epoch, seq }: { epoch: string | null; seq: number | null }): Position | undefined {
  return epoch === null || seq === null ? undefined : { epoch, seq };
}
