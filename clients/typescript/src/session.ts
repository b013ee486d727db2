/** `bookcast.v1` over a line: the welcome, the token, the session that goes on, and what is asked. */

import { mayRetry, REFUSED } from "./codes.js";
import { Emitter } from "./emitter.js";
import { BookcastError, errorOf, pauseOf } from "./errors.js";
import { Line, type LineOptions, type LineStatus, type Protocol } from "./line.js";
import type { Authenticated, ErrorMessage, Message, Resumed, Welcome } from "./messages.js";
import type { Update } from "./newest.js";
import type { Platform } from "./platform.js";
import type { Name } from "./topic.js";
import { Wire } from "./wire.js";

export interface SessionEvents {
  line: [status: LineStatus];
  error: [error: BookcastError];
  note: [text: string, about?: Name];
}

/** A question that has one answer. */
interface Question {
  readonly answered: (answer: never) => void;
  /** An error is the answer, or there is none: in time, or because the connection is gone. */
  readonly failed: (error: BookcastError, isGone: boolean) => void;
  readonly cancel: () => void;
}

const ANSWER_WITHIN = 10_000;
/** A session that can't be resumed for so long is given up. */
const RESUME_WITHIN = 60_000;

export class Session implements Protocol {
  readonly ping = { action: "ping" };
  readonly events = new Emitter<SessionEvents>();
  readonly line: Line;
  readonly wire: Wire;
  readonly platform: Platform;
  /** How far the server's clock is ahead of this one, in milliseconds. */
  offset = 0;
  readonly #questions = new Map<unknown, Question>();
  #id = 0;
  #quietMs: number | undefined;
  /** The secrets of the session to go on with, and of this connection's own. */
  #session: string | undefined;
  #next: string | undefined;
  #lostAt = 0;
  #cancel: (() => void) | undefined;
  /** Why the server is about to close. */
  #refusal: BookcastError | undefined;

  constructor(options: LineOptions) {
    this.platform = options.platform;
    this.wire = new Wire(this);
    this.line = new Line(options, this);
  }

  // For the wire

  /** Asks something that has one answer. */
  question(command: object, answered: Question["answered"], failed: Question["failed"]): void {
    const id = ++this.#id;
    this.line.send({ ...command, id });
    const cancel = this.platform.after(ANSWER_WITHIN, () => {
      this.#takeQuestion({ id })?.failed(noAnswer(), false);
    });
    this.#questions.set(id, { answered, failed, cancel });
  }

  // For the client

  /** Asks something that has one answer. */
  ask<T>(command: object): Promise<T> {
    return new Promise((answered, failed) => {
      this.question(command, answered, failed);
    });
  }

  /** Why the line has stopped for good. */
  get ending(): BookcastError {
    const { code = "closed", reason = "" } = this.line.status;
    // The error that came before the close says more than its code.
    if (code === REFUSED && this.#refusal?.final === true) return this.#refusal;
    return new BookcastError(code, reason, { final: true });
  }

  // For the line

  opened(): void {
    this.#refusal = undefined; // the server speaks first
  }

  received(message: Record<string, unknown>): void {
    try {
      this.#read(message as unknown as Message);
    } catch (error) {
      this.note(String(error)); // and the message is passed over
    }
  }

  lost(): void {
    this.#lostAt = this.platform.now();
    this.#cancel?.();
    for (const id of this.#questions.keys()) {
      this.#takeQuestion({ id })?.failed(noAnswer(), true);
    }
    this.wire.lost();
  }

  changed(status: LineStatus): void {
    this.events.emit("line", status);
    if (status.state === "stopped" && status.code !== undefined) {
      this.failed(this.ending);
      for (const topic of [...this.wire.topics.values()]) topic.refuse(this.ending);
    } else this.wire.tellState();
  }

  renewed(token: string): void {
    this.question(
      { action: "authenticate", token },
      ({ expires_in_ms }: Authenticated) => {
        this.line.tokens?.accepted(expires_in_ms);
        if (!this.line.isOpen) this.#admitted();
      },
      (error, isGone) => {
        if (!isGone) this.#tokenRefused(error);
      },
    );
  }

  failed(error: BookcastError): void {
    this.events.emit("error", error);
  }

  obeys(code: number): boolean {
    const { tokens } = this.line;
    // A token that was good once may be too old by now: only a new one's refusal is final.
    if (code === REFUSED) tokens?.drop();
    return code !== REFUSED || (tokens?.isFresh ?? true);
  }

  note(text: string, about?: Name): void {
    this.events.emit("note", text, about);
  }

  // What the server says

  #read(message: Message): void {
    switch (message.type) {
      case "welcome":
        this.#welcomed(message);
        break;
      case "subscription_confirmed":
        // What nobody asked for narrows a view to another token's rights.
        if (message.id === undefined) this.wire.find(message)?.breaks(message.type);
        else this.#takeQuestion(message)?.answered(message as never);
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
        if (typeof message.code === "string") this.#erred(message);
        break;
      case "token_expiring":
        this.line.renew();
        break;
      case "going_away":
        this.line.leaveIn(message.reconnect_in_ms);
        break;
      case "pong":
        this.line.ponged();
        this.#readClock(message.server_time);
        break;
      case "heartbeat":
        this.#readClock(message.server_time, this.offset);
        break;
      default:
        // A newer server may send types that are unknown here.
        if (/(_update|_delta|^trade)$/.test(message.type)) this.#data(message as Update & Name);
        else this.#takeQuestion(message as { id?: unknown })?.answered(message as never);
    }
  }

  #data(message: Update & Name): void {
    const topic = this.wire.find(message);
    if (typeof message.epoch === "string" && Number.isInteger(message.seq)) topic?.receive(message);
    else topic?.breaks(message.type);
  }

  #welcomed(welcome: Welcome): void {
    if (this.line.isOpen) return;
    this.#readClock(welcome.server_time);
    // After one and a half heartbeats' time of silence the server is pinged.
    if (welcome.heartbeat_ms > 0) this.#quietMs = welcome.heartbeat_ms * 1.5;
    this.#next = welcome.session;
    if (welcome.authenticate_within_ms === undefined) this.#admitted();
    else if (this.line.token !== undefined) this.renewed(this.line.token);
    else {
      this.#refusal = new BookcastError("unauthenticated", "pass getToken", { final: true });
      this.line.fail(REFUSED, this.#refusal.message);
    }
  }

  /** The server serves this client: it goes on with its session, if there was one. */
  #admitted(): void {
    this.line.up(this.#quietMs);
    if (this.line.isOpen) this.#resume(); // who was told may have stopped it
  }

  #resume(): void {
    const positions = this.wire.topics.size > 0 ? this.wire.positions() : undefined;
    if (this.#session === undefined || positions === undefined) this.#begin();
    else {
      this.question(
        { action: "resume", session: this.#session, positions },
        (resumed: Resumed) => {
          this.wire.resumed(resumed);
          this.#begin();
        },
        (error, isGone) => {
          if (isGone) return;
          const { code, message } = error;
          this.note(message);
          if (code === "no_answer") this.line.giveUp(message);
          else if (!mayRetry(code as string) || this.platform.now() - this.#lostAt > RESUME_WITHIN) this.#begin();
          else {
            this.#cancel = this.platform.after(pauseOf(error), () => {
              this.#resume();
            });
          }
        },
      );
    }
  }

  /** From now on topics are asked for on this connection. */
  #begin(): void {
    this.#session = this.#next;
    this.wire.up();
  }

  /** Compares the clocks. A message that travelled longer makes the server's look slower. */
  #readClock(serverTime: number, least = -Infinity): void {
    this.offset = Math.max(least, serverTime - this.platform.now()) || 0;
  }

  #erred(told: ErrorMessage): void {
    const error = errorOf(told);
    const question = this.#takeQuestion(told);
    if (question !== undefined) question.failed(error, false);
    else if (!this.wire.failed(told, error)) {
      // It may be why the connection ends now.
      this.line.holdOff(told.retry_after_ms);
      this.#refusal = error;
      this.failed(error);
    }
  }

  #tokenRefused(error: BookcastError): void {
    this.#refusal = error;
    this.failed(error);
    this.line.holdOff(error.retryAfterMs);
    if (!this.line.isOpen) return; // the server closes it, and the code tells whether to come back
    this.line.tokens?.drop();
    this.#cancel = this.platform.after(pauseOf(error, 5_000), () => {
      this.line.renew();
    });
  }

  #takeQuestion({ id }: { id?: unknown }): Question | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    question?.cancel();
    return question;
  }
}

function noAnswer(): BookcastError {
  return new BookcastError("no_answer", "no answer");
}
