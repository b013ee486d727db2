/** `bookcast.v1` over a line: the welcome, the token, the session that goes on, and what is asked. */

import { CloseCode, mayRetry } from "./codes.js";
import { BookcastError, errorOf } from "./errors.js";
import { Line, type LineOptions, type LineStatus, type Protocol } from "./line.js";
import type { ErrorMessage, Message, Welcome } from "./messages.js";
import type { Update } from "./newest.js";
import type { Platform } from "./platform.js";
import { Requests } from "./requests.js";
import type { SubscriptionState } from "./subscription.js";
import type { Name } from "./topic.js";
import { Wire, type Sender } from "./wire.js";

export interface SessionEvents {
  line(status: LineStatus): void;
  error(error: BookcastError): void;
  note(text: string, about?: Name): void;
}

/** After so many heartbeats' time of silence the server is pinged. */
const MISSED = 1.5;
/** A session that can't be resumed for so long is given up. */
const RESUME_WITHIN = 60_000;
const RESUME_ANSWER_WITHIN = 10_000;
/** The server's clock is compared at least this often, as far as it tells the time. */
const CLOCK_GOOD_FOR = 60_000;

export class Session implements Protocol, Sender {
  readonly ping = { action: "ping" } as const;
  readonly line: Line;
  readonly wire: Wire;
  readonly requests: Requests;
  readonly platform: Platform;
  clockOffset = 0;
  readonly #events: SessionEvents;
  #id = 0;
  #clockReadAt = -Infinity;
  #quietMs = 15_000;
  /** The secrets of the session to go on with, and of this connection's own. */
  #session: string | undefined;
  #next: string | undefined;
  #lostAt = 0;
  #resumeId: number | undefined;
  #tokenId: number | undefined;
  #cancelResume: (() => void) | undefined;
  #cancelRenewal: (() => void) | undefined;
  #refusal: BookcastError | undefined;

  constructor(options: LineOptions, events: SessionEvents) {
    this.platform = options.platform;
    this.#events = events;
    this.requests = new Requests(this.platform);
    this.wire = new Wire(this);
    this.line = new Line(options, this);
  }

  // For the wire

  get lineState(): [state: SubscriptionState, reason: string | undefined] | undefined {
    const { state, reason } = this.line.status;
    return state === "open" ? undefined : [state === "stopped" ? "refused" : "connecting", reason];
  }

  nextId(): number {
    return ++this.#id;
  }

  send(command: object): void {
    this.line.send(command);
  }

  check(): void {
    if (this.line.isOpen) this.line.check();
  }

  /** Asks something that has one answer. */
  ask<T>(command: object): Promise<T> {
    const id = this.nextId();
    this.send({ ...command, id });
    return this.requests.wait<T>(id);
  }

  /** Why the line has stopped for good. */
  get ending(): BookcastError {
    const { code, reason = "stopped" } = this.line.status;
    const told = this.#refusal;
    // The error that came before the close says more than its code.
    if (told?.final === true && code === CloseCode.REFUSED) return told;
    return new BookcastError(code ?? "closed", reason, { final: true });
  }

  // For the line

  opened(): void {
    this.#refusal = undefined; // the server speaks first
  }

  received(message: Record<string, unknown>): void {
    try {
      this.#read(message as unknown as Message);
    } catch (error) {
      this.note(`a message that can't be read was passed over: ${String(error)}`);
    }
  }

  lost(): void {
    this.#lostAt = this.platform.now();
    this.#resumeId = this.#tokenId = undefined;
    this.#cancelResume?.();
    this.#cancelRenewal?.();
    this.requests.lost();
    this.wire.lost();
  }

  changed(status: LineStatus): void {
    this.#events.line(status);
    this.wire.stateMayHaveChanged();
  }

  renewed(token: string): void {
    this.#tokenId = this.nextId();
    this.send({ action: "authenticate", token, id: this.#tokenId });
  }

  failed(error: BookcastError): void {
    this.#events.error(error);
  }

  obeys(code: number): boolean {
    const { tokens } = this.line;
    if (code !== CloseCode.REFUSED || tokens === undefined || tokens.isFresh) return true;
    tokens.drop();
    return false;
  }

  note(text: string, about?: Name): void {
    this.#events.note(text, about);
  }

  // What the server says

  #read(message: Message): void {
    switch (message.type) {
      case "welcome":
        this.#welcomed(message);
        break;
      case "authenticated":
        this.line.tokens?.accepted(message.expires_in_ms);
        if (message.id === this.#tokenId) this.#authenticated();
        break;
      case "resumed":
        if (message.id === this.#resumeId) {
          this.note(`the session goes on with ${message.restored.length} topics`);
          this.wire.resumed(message);
          this.#begin();
        }
        break;
      case "subscription_confirmed":
        this.wire.confirmed(message);
        break;
      case "unsubscription_confirmed":
        this.wire.unsubscribed(message);
        break;
      case "status":
        this.wire.find(message)?.status(message);
        break;
      case "gap":
        this.wire.find(message)?.gap(message);
        break;
      case "error":
        this.#erred(message);
        break;
      case "token_expiring":
        this.note("the token expires: asking for another");
        this.line.renew();
        break;
      case "going_away":
        this.line.leaveIn(message.reconnect_in_ms);
        break;
      case "pong":
        this.#readClock(message.server_time);
        this.line.ponged();
        break;
      case "heartbeat":
        this.#readClock(message.server_time);
        break;
      case "why":
      case "published":
      case "list":
        this.requests.answered(message);
        break;
      default:
        // Data. A newer server may say more: what isn't known is passed over.
        if ("seq" in message) this.#data(message);
    }
  }

  #data(message: Update & Name): void {
    if (typeof message.epoch !== "string" || !Number.isInteger(message.seq)) {
      this.wire.find(message)?.breaks("a message without a position");
    } else this.wire.find(message)?.receive(message);
  }

  #welcomed(welcome: Welcome): void {
    this.#clockReadAt = -Infinity;
    this.#readClock(welcome.server_time);
    this.#quietMs = welcome.heartbeat_ms > 0 ? welcome.heartbeat_ms * MISSED : this.#quietMs;
    this.#next = welcome.session;
    if (welcome.authenticate_within_ms === undefined) this.#admitted();
    else if (this.line.token === undefined) {
      this.#refusal = new BookcastError("unauthenticated", "the server asks for a token: pass getToken", { final: true });
      this.line.fail(CloseCode.REFUSED, this.#refusal.message);
    } else this.renewed(this.line.token);
  }

  #authenticated(): void {
    this.#tokenId = undefined;
    this.note("the token is accepted");
    if (!this.line.isOpen) this.#admitted();
  }

  /** The server serves this client: it goes on with its session, if there was one. */
  #admitted(): void {
    this.line.up(this.#quietMs);
    this.#resume();
  }

  #resume(): void {
    const session = this.#session;
    const positions = this.wire.topics.size > 0 ? this.wire.positions() : undefined;
    if (session === undefined || positions === undefined) {
      this.#begin();
      return;
    }
    const id = (this.#resumeId = this.nextId());
    this.note("resuming the session");
    this.send({ action: "resume", session, positions, id });
    this.#cancelResume = this.platform.after(RESUME_ANSWER_WITHIN, () => {
      this.line.giveUp("the session wasn't resumed in time");
    });
  }

  /** From now on topics are asked for on this connection. */
  #begin(): void {
    this.#cancelResume?.();
    this.#resumeId = undefined;
    this.#session = this.#next;
    this.wire.up();
  }

  #readClock(serverTime: number): void {
    const now = this.platform.now();
    const offset = serverTime - now;
    if (!Number.isFinite(offset)) return;
    // A message that travelled longer makes the server's clock look slower.
    if (offset > this.clockOffset || now - this.#clockReadAt > CLOCK_GOOD_FOR) {
      this.clockOffset = offset;
      this.#clockReadAt = now;
    }
  }

  #erred(told: ErrorMessage): void {
    if (typeof told.code !== "string") return;
    const error = errorOf(told);
    if (told.id !== undefined && told.id === this.#resumeId) this.#notResumed(told);
    else if (told.id !== undefined && told.id === this.#tokenId) this.#tokenRefused(error);
    else if (!this.requests.failed(told) && !this.wire.failed(told)) {
      // It may be why the connection ends now.
      if (told.id === undefined) this.line.holdOff(told.retry_after_ms);
      this.#refusal = error;
      this.#events.error(error);
    }
  }

  #notResumed(told: ErrorMessage): void {
    this.#cancelResume?.();
    this.note(`the session doesn't go on: ${told.message}`);
    if (!mayRetry(told.code) || this.platform.now() - this.#lostAt > RESUME_WITHIN) {
      this.#begin();
      return;
    }
    this.#cancelResume = this.platform.after(told.retry_after_ms ?? 1_000, () => {
      this.#resume();
    });
  }

  #tokenRefused(error: BookcastError): void {
    this.#tokenId = undefined;
    this.#refusal = error;
    this.#events.error(error);
    this.line.holdOff(error.retryAfterMs);
    const wasFresh = this.line.tokens?.isFresh ?? true;
    this.line.tokens?.drop();
    if (!this.line.isOpen) {
      // A token that was good once may be too old by now: only a new one's refusal is final.
      if (error.final && wasFresh && error.code !== "token_expired") this.line.fail(CloseCode.REFUSED, error.message);
      else this.line.giveUp(error.message);
      return;
    }
    this.note(`the new token is refused: ${error.message}`);
    this.#cancelRenewal = this.platform.after(error.retryAfterMs ?? 5_000, () => {
      this.line.renew();
    });
  }
}
