/**
 * What is wanted of the server: a set of topics, each in one view. It is sent when a connection is
 * up and when it changes; nothing is queued while there is none.
 */

import { errorOf, type BookcastError } from "./errors.js";
import { CLOSED_AFTER, mayRetry } from "./codes.js";
import type { Channel, Command, ErrorMessage, HeldPosition, Resumed, Subscribe, SubscriptionConfirmed } from "./messages.js";
import type { Platform } from "./platform.js";
import type { Position } from "./position.js";
import { Tape } from "./tape.js";
import { keyOf, Topic, type Carrier, type Name } from "./topic.js";
import { holds, isSame, union, type View } from "./view.js";

/** What the wire needs of the session. */
export interface Sender {
  readonly platform: Platform;
  readonly clockOffset: number;
  readonly lineState: Carrier["lineState"];
  nextId(): number;
  send(command: Command): void;
  /** Nothing answers: is the line alive? */
  check(): void;
  failed(error: BookcastError): void;
  note(text: string, about?: Name): void;
}

/** A view narrows after so long, since whoever closed it may want it again. */
export const LINGER = 5_000;
/** A subscription that isn't answered within this is sent again. */
const ANSWER_WITHIN = 10_000;
/** Topics that one message names, and the bytes of a message: servers take 64 KiB. */
const MAX_SYMBOLS = 500;
const MAX_BYTES = 60_000;
/** Messages at once, and for each second: servers take 500 and 50. */
const BURST = 250;
const RATE = 40;

interface Ask {
  readonly topics: Set<Topic>;
  readonly view: View;
  /** What was asked for with a position. */
  readonly since: boolean;
  cancel: () => void;
}

export class Wire implements Carrier {
  readonly topics = new Map<string, Topic>();
  readonly #sender: Sender;
  readonly #asks = new Map<number, Ask>();
  /** The topics whose whole state was asked for, by the id of the question. */
  readonly #resyncs = new Map<number, Topic>();
  /** When topics that nobody wants were unsubscribed: what still comes of them is on its way. */
  readonly #left = new Map<string, number>();
  readonly #changed = new Set<Topic>();
  #isUp = false;
  #isFlushing = false;
  #allowance = BURST;
  #allowanceAt = 0;
  #cancelPace: (() => void) | undefined;

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  get platform(): Platform {
    return this.#sender.platform;
  }

  get clockOffset(): number {
    return this.#sender.clockOffset;
  }

  get lineState(): Carrier["lineState"] {
    return this.#sender.lineState ?? (this.#isUp ? undefined : { state: "connecting", reason: "the session is being resumed" });
  }

  /** The topic of that name, made where there is none yet. */
  topic(name: Name): Topic {
    const key = keyOf(name);
    let topic = this.topics.get(key);
    if (topic === undefined) this.topics.set(key, (topic = new Topic(name, this)));
    return topic;
  }

  /** The topic that a message is about; one that nobody wants is unsubscribed. */
  find(message: Partial<Name>): Topic | undefined {
    const key = keyOf(message);
    const topic = this.topics.get(key);
    if (topic === undefined && this.#isUp && message.symbol !== undefined) this.#reject(key, message as Name);
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
    this.stateMayHaveChanged();
  }

  lost(): void {
    this.#isUp = false;
    for (const { topics, cancel } of this.#asks.values()) {
      cancel();
      for (const topic of topics) topic.asked = undefined; // nobody knows whether it came to the server
    }
    this.#asks.clear();
    this.#resyncs.clear();
    this.#left.clear();
    this.#cancelPace?.();
    this.#cancelPace = undefined;
    this.#allowance = BURST;
    for (const topic of this.topics.values()) topic.lost();
  }

  wantedDiffers(topic: Topic): void {
    this.#changed.add(topic);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // What is opened and closed in one go of the program is no matter for the server.
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  askAgain(topic: Topic): void {
    if (!this.#isUp || !topic.isUp) return;
    if (topic.data instanceof Tape) {
      topic.asked = undefined; // with a position, the server tells what came after it
      this.wantedDiffers(topic);
      return;
    }
    const id = this.#sender.nextId();
    this.#resyncs.set(id, topic);
    this.#sender.send({ action: "resync", ...topic.name, id });
  }

  note(text: string, topic: Topic): void {
    this.#sender.note(text, topic.name);
  }

  stateMayHaveChanged(): void {
    for (const topic of this.topics.values()) topic.stateMayHaveChanged();
  }

  // What the server answers

  confirmed(told: SubscriptionConfirmed): void {
    const topic = this.find(told);
    if (topic === undefined) return;
    const ask = this.#answered(told.id, topic);
    if (ask !== undefined) {
      topic.confirm(positionOf(told), ask.since ? (told.recovered ?? false) : undefined, ask.view);
      this.note(`confirmed${told.recovered === false ? ", but something is missing" : ""}`, topic);
      this.wantedDiffers(topic); // more may be wanted than when it was asked
    } else if (told.id === undefined) {
      this.note("the server narrows the view", topic);
      topic.begins();
    }
  }

  unsubscribed(name: Name): void {
    this.#left.delete(keyOf(name));
  }

  /** Takes an error about topics; returns false for others. */
  failed(told: ErrorMessage): boolean {
    const id = told.id as number;
    const ask = this.#asks.get(id);
    const resynced = this.#resyncs.get(id);
    if (ask !== undefined) {
      for (const topic of [...ask.topics]) {
        if (told.symbol !== undefined && topic.symbol !== told.symbol) continue;
        this.#answered(id, topic);
        this.#refused(topic, told);
      }
    } else if (resynced !== undefined) {
      this.#resyncs.delete(id);
      this.note(`${told.code}: ${told.message}`, resynced);
      if (told.code === "not_subscribed") this.#subscribeAnew(resynced);
    } else if (told.id === undefined && told.symbol !== undefined && told.channel !== undefined) {
      for (const topic of this.topics.values()) {
        if (topic.symbol === told.symbol && topic.channel === told.channel) this.#ended(topic, told);
      }
    } else return false;
    return true;
  }

  /** What the client has of each topic, for a session to go on from; undefined when that is too long. */
  positions(): HeldPosition[] | undefined {
    const positions: HeldPosition[] = [];
    for (const { name, position, subscriptions } of this.topics.values()) {
      if (position !== undefined && subscriptions.size > 0) positions.push({ ...name, ...position });
    }
    return JSON.stringify(positions).length > MAX_BYTES ? undefined : positions;
  }

  /** The session goes on. */
  resumed(told: Resumed): void {
    for (const restored of told.restored) {
      const topic = this.topics.get(keyOf(restored));
      if (topic === undefined || topic.subscriptions.size === 0) this.#reject(keyOf(restored), restored);
      else if (topic.asked !== undefined) topic.confirm(positionOf(restored), restored.recovered);
    }
    for (const { code, message = code, ...name } of told.refused) {
      const topic = this.topics.get(keyOf(name));
      if (topic !== undefined && !topic.isUp && code !== "not_subscribed" && code !== "invalid_message") {
        this.#refused(topic, { type: "error", code, message, ...name });
      }
    }
  }

  /** Takes note of the answer to a question about a topic; undefined when there was no question. */
  #answered(id: unknown, topic: Topic): Ask | undefined {
    const answered = this.#asks.get(id as number);
    if (answered?.topics.has(topic) !== true) return undefined;
    for (const [one, ask] of this.#asks) {
      // Answers come in order: those to earlier questions that are missing don't matter any more.
      if (one > (id as number) || !ask.topics.delete(topic) || ask.topics.size > 0) continue;
      ask.cancel();
      this.#asks.delete(one);
    }
    return answered;
  }

  /** A subscription isn't accepted. */
  #refused(topic: Topic, told: ErrorMessage): void {
    topic.asked = undefined;
    const error = errorOf(told);
    if ((mayRetry(told.code) && told.code !== "feed_refused") || told.code in CLOSED_AFTER) {
      const delay = told.retry_after_ms ?? 1_000;
      this.note(`${told.code}: trying again in ${delay} ms`, topic);
      this.#sender.failed(error);
      topic.notBefore = this.platform.now() + delay;
      this.platform.after(delay, () => {
        this.wantedDiffers(topic);
      });
    } else this.#ended(topic, told);
  }

  /** A topic is refused, perhaps for now. */
  #ended(topic: Topic, told: ErrorMessage): void {
    const error = errorOf(told);
    this.note(`refused: ${error.message}`, topic);
    if (error.final) {
      topic.asked = undefined;
      topic.isUp = false;
    }
    topic.refuse(error);
    this.#sender.failed(error);
  }

  #subscribeAnew(topic: Topic): void {
    topic.isUp = false;
    topic.asked = undefined;
    this.wantedDiffers(topic);
  }

  #reject(key: string, name: Name): void {
    if ((this.#left.get(key) ?? -Infinity) > this.platform.now() - ANSWER_WITHIN) return;
    this.#sender.note("unsubscribed, since nobody wants it", name);
    this.#left.set(key, this.platform.now());
    this.#sender.send({ action: "unsubscribe", ...nameOf(name) });
  }

  // What is asked of the server

  #flush(): void {
    const together = new Map<string, Plan>();
    for (const topic of this.#changed) {
      const plan = this.#plan(topic);
      if (plan === undefined) continue;
      const key = JSON.stringify([topic.channel, topic.period, topic.variant, plan.view, plan.since ?? null]);
      const same = plan.since === undefined ? together.get(key) : undefined;
      if (same === undefined) together.set(plan.since === undefined ? key : keyOf(topic.name), plan);
      else same.topics.push(topic);
    }
    this.#changed.clear();
    for (const { topics, ...plan } of together.values()) {
      for (let i = 0; i < topics.length; i += MAX_SYMBOLS) this.#send({ ...plan, topics: topics.slice(i, i + MAX_SYMBOLS) });
    }
  }

  /** What has to be said about a topic so that it comes as it is wanted. */
  #plan(topic: Topic): Plan | undefined {
    const { wanted, asked } = topic;
    topic.cancelNarrowing?.();
    topic.cancelNarrowing = undefined;
    if (wanted === undefined) {
      topic.lost();
      this.topics.delete(keyOf(topic.name));
      return this.#isUp && asked !== undefined ? { topics: [topic], view: undefined } : undefined;
    }
    if (!this.#isUp || topic.refusal?.final === true || this.platform.now() < topic.notBefore) return undefined;
    if (asked === undefined) {
      const since = topic.positionIn(wanted);
      return { topics: [topic], view: since === undefined ? wanted : { ...wanted, history: 0 }, since };
    }
    const history = wanted.history > asked.history ? wanted.history : 0;
    if (history > 0 || !holds(asked, wanted)) return { topics: [topic], view: { ...union(asked, wanted), history } };
    if (!isSame(asked, wanted)) {
      topic.cancelNarrowing = this.platform.after(LINGER, () => {
        const view = topic.wanted;
        if (this.#isUp && view !== undefined) this.#send({ topics: [topic], view: { ...view, history: 0 } });
      });
    }
    return undefined;
  }

  /** Sends a plan, or leaves it for later when the server has been told enough for now. */
  #send({ topics, view, since }: Plan): void {
    const [first] = topics;
    if (first === undefined) return;
    if (!this.#mayTalk()) {
      for (const topic of topics) this.#changed.add(topic);
      return;
    }
    const { symbol, ...name } = nameOf(first.name);
    const named = topics.length === 1 ? { symbol } : { symbols: topics.map((topic) => topic.symbol) };
    if (view === undefined) {
      for (const topic of topics) this.#left.set(keyOf(topic.name), this.platform.now());
      this.#sender.send({ action: "unsubscribe", ...name, ...named });
      return;
    }
    const id = this.#sender.nextId();
    const cancel = this.platform.after(ANSWER_WITHIN, () => {
      this.#unanswered(id);
    });
    this.#asks.set(id, { topics: new Set(topics), view, since: since !== undefined, cancel });
    for (const topic of topics) {
      topic.asked = { ...view, history: Math.max(view.history, topic.history, topic.asked?.history ?? 0) };
      this.#left.delete(keyOf(topic.name));
      this.note(since === undefined ? "subscribing" : `subscribing, going on after ${since.seq} of ${since.epoch}`, topic);
    }
    this.#sender.send({ action: "subscribe", id, ...name, ...named, ...wordsOf(view, first.channel), ...(since && { since }) });
  }

  #unanswered(id: number): void {
    const ask = this.#asks.get(id);
    this.#asks.delete(id);
    for (const topic of ask?.topics ?? []) {
      this.note("the subscription isn't answered: asking again", topic);
      topic.asked = undefined;
      this.wantedDiffers(topic);
    }
    this.#sender.check();
  }

  /** Keeps below the rate of messages that servers allow; what isn't said now is said later. */
  #mayTalk(): boolean {
    const now = this.platform.now();
    this.#allowance = Math.min(BURST, this.#allowance + (Math.max(0, now - this.#allowanceAt) * RATE) / 1_000);
    this.#allowanceAt = now;
    if (this.#allowance >= 1) {
      this.#allowance -= 1;
      return true;
    }
    this.#cancelPace ??= this.platform.after(1_000, () => {
      this.#cancelPace = undefined;
      this.#flush();
    });
    return false;
  }
}

/** Something to be said about topics that are alike. `view` undefined: nobody wants them. */
interface Plan {
  readonly topics: Topic[];
  readonly view: View | undefined;
  readonly since?: Position | undefined;
}

function positionOf({ epoch, seq }: { epoch: string | null; seq: number | null }): Position | null {
  return epoch === null || seq === null ? null : { epoch, seq };
}

function nameOf({ channel, symbol, period, variant }: Name): Name {
  return { channel, symbol, ...(period && { period }), ...(variant && { variant }) };
}

/** A view in the words of a subscription, without what is meant anyway. */
function wordsOf({ depth, mode, intervalMs, history }: View, channel: Channel): Partial<Subscribe> {
  return {
    ...(channel === "orderbook" && { depth, mode }),
    ...(intervalMs > 0 && { interval_ms: intervalMs }),
    ...(history > 0 && { history }),
  };
}
