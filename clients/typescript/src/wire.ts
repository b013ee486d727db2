/**
 * What is wanted of the server: a set of topics, each in one view. It is sent when a connection is
 * up and when it changes; nothing is queued while there is none.
 */

import { mayRetry } from "./codes.js";
import { errorOf } from "./errors.js";
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
/** A subscription that isn't answered within this is sent again. */
const ANSWER_WITHIN = 10_000;
/** Topics that one message names, and the bytes of a message: servers take 64 KiB. */
const MAX_SYMBOLS = 500;
const MAX_BYTES = 60_000;
/** Messages at once, and for each second after that: servers take 500 and 50. */
const BURST = 250;
const RATE = 40;

interface Ask {
  readonly topics: Set<Topic>;
  readonly view: View;
  /** It was asked for with a position. */
  readonly goesOn: boolean;
  cancel(): void;
}

/** Something to be said about topics that are alike. `view` undefined: nobody wants them. */
interface Plan {
  readonly topics: Topic[];
  readonly view?: View;
  readonly since?: Position | undefined;
}

export class Wire {
  readonly platform: Platform;
  readonly topics = new Map<string, Topic>();
  readonly #asks = new Map<unknown, Ask>();
  /** The topics whose whole state was asked for, by the id of the question. */
  readonly #resyncs = new Map<unknown, Topic>();
  /** When topics that nobody wants were unsubscribed: what still comes of them is on its way. */
  readonly #left = new Map<string, number>();
  readonly #changed = new Set<Topic>();
  #isUp = false;
  #isFlushing = false;
  #said = 0;
  #cancelPace: (() => void) | undefined;

  constructor(readonly session: Session) {
    this.platform = session.platform;
  }

  get lineState(): [state: SubscriptionState, reason: string | undefined] | undefined {
    const { state, reason } = this.session.line.status;
    return this.#isUp ? undefined : [state === "stopped" ? "refused" : "connecting", reason];
  }

  /** The topic of that name, made where there is none yet. */
  topic(name: Name): Topic {
    const key = keyOf(name);
    const topic = this.topics.get(key) ?? new Topic(name, this);
    this.topics.set(key, topic);
    return topic;
  }

  /** The topic that a message is about; one that nobody wants is unsubscribed. */
  find(message: Name): Topic | undefined {
    const topic = this.topics.get(keyOf(message));
    if (topic === undefined && this.#isUp) this.#reject(message);
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
    for (const map of [this.#asks, this.#resyncs, this.#left]) map.clear();
    this.#cancelPace?.();
    this.#cancelPace = undefined;
    this.#said = 0;
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
    if (topic.data instanceof Tape) {
      topic.asked = undefined; // with a position, the server tells what came after it
      this.wantedDiffers(topic);
    } else {
      const id = this.session.nextId();
      this.#resyncs.set(id, topic);
      this.session.line.send({ action: "resync", ...topic.name, id });
    }
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
      this.session.note("confirmed", told);
      topic.confirm(positionOf(told), ask.goesOn ? (told.recovered ?? false) : undefined, ask.view);
      this.wantedDiffers(topic); // more may be wanted than when it was asked
    } else if (told.id === undefined) topic.begins(); // the view was narrowed to another token's rights
  }

  unsubscribed(name: Name): void {
    this.#left.delete(keyOf(name));
  }

  /** Takes an error about topics; returns false for others. */
  failed(told: ErrorMessage): boolean {
    const { id, code, channel, symbol } = told;
    const ask = this.#asks.get(id);
    const resynced = this.#resyncs.get(id);
    if (ask !== undefined) {
      for (const topic of [...ask.topics]) {
        if (symbol !== undefined && topic.name.symbol !== symbol) continue;
        this.#answered(id, topic);
        topic.asked = undefined;
        this.#refused(topic, told);
      }
    } else if (resynced !== undefined) {
      if (code === "not_subscribed") {
        resynced.isUp = false;
        resynced.asked = undefined;
        this.wantedDiffers(resynced);
      }
    } else if (id === undefined && symbol !== undefined) {
      for (const topic of this.topics.values()) {
        if (topic.name.symbol === symbol && topic.name.channel === channel) this.#refused(topic, told);
      }
    } else return false;
    return true;
  }

  /** What the client has of each topic, for a session to go on from; undefined when that is too long. */
  positions(): HeldPosition[] | undefined {
    const positions = [...this.topics.values()].flatMap(({ name, position }) => (position ? [{ ...name, ...position }] : []));
    return JSON.stringify(positions).length > MAX_BYTES ? undefined : (positions as HeldPosition[]);
  }

  /** The session goes on. */
  resumed({ restored, refused }: Resumed): void {
    for (const one of restored) {
      const topic = this.topics.get(keyOf(one));
      if (topic === undefined) this.#reject(one);
      else if (topic.asked !== undefined) topic.confirm(positionOf(one), one.recovered);
    }
    for (const { message = "", ...one } of refused) {
      const topic = this.topics.get(keyOf(one));
      if (topic?.isUp === false && one.code === "forbidden") this.#refused(topic, { type: "error", message, ...one });
    }
  }

  /** Takes note of the answer to a question about a topic; undefined when there was no question. */
  #answered(id: unknown, topic: Topic): Ask | undefined {
    const answered = this.#asks.get(id);
    if (answered?.topics.has(topic) !== true) return undefined;
    for (const [one, { topics, cancel }] of this.#asks) {
      // Answers come in order: those to earlier questions that are missing don't matter any more.
      if (topics.delete(topic) && topics.size === 0) {
        cancel();
        this.#asks.delete(one);
      }
      if (one === id) break;
    }
    return answered;
  }

  /** A topic is refused: for good, for now, or so that it is to be asked for again. */
  #refused(topic: Topic, told: ErrorMessage): void {
    const error = errorOf(told);
    this.session.note(`${error.code}: ${error.message}`, topic.name);
    this.session.failed(error);
    if (mayRetry(told.code) && told.code !== "feed_refused") {
      const pause = error.retryAfterMs ?? 1_000;
      topic.notBefore = this.platform.now() + pause;
      this.platform.after(pause, () => {
        this.wantedDiffers(topic);
      });
      return;
    }
    if (error.final) topic.isUp = false;
    topic.refuse(error);
  }

  #reject(name: Name): void {
    const key = keyOf(name);
    if ((this.#left.get(key) ?? -Infinity) > this.platform.now() - ANSWER_WITHIN) return;
    this.#send({ topics: [new Topic(name, this)] });
  }

  // What is asked of the server

  #flush(): void {
    const together = new Map<string, Plan>();
    for (const topic of this.#changed) {
      const plan = this.#plan(topic);
      if (plan === undefined) continue;
      const { channel, period, variant } = topic.name;
      const key = plan.since ? keyOf(topic.name) : JSON.stringify([channel, period, variant, plan.view]);
      const same = together.get(key);
      if (same !== undefined && same.topics.length < MAX_SYMBOLS) same.topics.push(topic);
      else {
        if (same !== undefined) together.set(`${key} ${together.size}`, same);
        together.set(key, plan);
      }
    }
    this.#changed.clear();
    for (const plan of together.values()) this.#send(plan);
  }

  /** What has to be said about a topic so that it comes as it is wanted. */
  #plan(topic: Topic): Plan | undefined {
    const { wanted, asked } = topic;
    const topics = [topic];
    topic.cancelNarrowing?.();
    if (wanted === undefined) {
      topic.lost();
      this.topics.delete(keyOf(topic.name));
      return this.#isUp && asked !== undefined ? { topics } : undefined;
    }
    if (!this.#isUp || topic.refusal?.final === true || this.platform.now() < topic.notBefore) return undefined;
    if (asked === undefined) {
      const since = topic.positionIn(wanted);
      return { topics, view: since ? { ...wanted, history: 0 } : wanted, since };
    }
    const both = union(asked, wanted);
    const history = wanted.history > asked.history ? wanted.history : 0;
    if (history > 0 || !isSame(asked, both)) return { topics, view: { ...both, history } };
    if (!isSame(asked, wanted)) {
      topic.cancelNarrowing = this.platform.after(LINGER, () => {
        this.#send({ topics, view: { ...wanted, history: 0 } });
      });
    }
    return undefined;
  }

  /** Sends a plan, or leaves it for later when the server has been told enough for now. */
  #send({ topics, view, since }: Plan): void {
    if (this.#said >= BURST) {
      for (const topic of topics) this.#changed.add(topic);
    } else this.#say(topics, view, since);
    this.#said += 1;
    this.#cancelPace ??= this.platform.after(1_000, () => {
      this.#cancelPace = undefined;
      this.#said = Math.max(0, Math.min(this.#said, BURST) - RATE);
      this.#flush();
    });
  }

  #say(topics: Topic[], view: View | undefined, since: Position | undefined): void {
    const symbols = topics.map(({ name }) => name.symbol);
    const [{ name }] = topics as [Topic];
    const named = { ...name, ...(symbols.length > 1 && { symbol: undefined, symbols }) };
    for (const topic of topics) {
      if (view === undefined) this.#left.set(keyOf(topic.name), this.platform.now());
      else topic.asked = { ...view, history: Math.max(view.history, topic.history, topic.asked?.history ?? 0) };
      this.session.note(view === undefined ? "unsubscribing" : since ? `subscribing after ${since.seq}` : "subscribing", topic.name);
    }
    if (view === undefined) {
      this.session.line.send({ action: "unsubscribe", ...named });
      return;
    }
    const id = this.session.nextId();
    const cancel = this.platform.after(ANSWER_WITHIN, () => {
      this.#asks.delete(id);
      for (const topic of asked) {
        topic.asked = undefined;
        this.wantedDiffers(topic);
      }
      this.session.line.check();
    });
    const asked = new Set(topics);
    this.#asks.set(id, { topics: asked, view, goesOn: since !== undefined, cancel });
    const { depth, mode, intervalMs, history } = view;
    this.session.line.send({
      action: "subscribe",
      id,
      ...named,
      ...(name.channel === "orderbook" && { depth, mode }),
      interval_ms: intervalMs || undefined,
      history: history || undefined,
      since,
    });
  }
}

function positionOf({ epoch, seq }: { epoch: string | null; seq: number | null }): Position | undefined {
  return epoch === null || seq === null ? undefined : { epoch, seq };
}
