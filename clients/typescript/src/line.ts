/**
 * One WebSocket that stays up. It reconnects with backoff, notices a dead peer, wakes with the page
 * and knows which close codes are final. What the messages mean is its protocol's business.
 */

import { backoff, FIRST_DELAY } from "./backoff.js";
import { isFinal, TOKEN_EXPIRED } from "./codes.js";
import { LONGEST_PAUSE, type BookcastError } from "./errors.js";
import type { Platform, Socket, SocketConstructor } from "./platform.js";
import { Tokens, type GetToken } from "./token.js";

export type LineState = "connecting" | "open" | "waiting" | "stopped";

/** How the connection stands. */
export interface LineStatus {
  readonly state: LineState;
  /** While waiting: when the next attempt begins, in milliseconds since 1970. */
  readonly retryAt?: number | undefined;
  /** The close code of the last connection, where there was one. */
  readonly code?: number | undefined;
  /** Why it isn't open, in words. */
  readonly reason?: string | undefined;
  /** Stopped for good: only a new client connects again. */
  readonly final?: boolean | undefined;
}

/** What is spoken over a line. A line calls these; they never throw. */
export interface Protocol {
  /** The message that is answered by a pong. */
  readonly ping: object;
  /** The socket is open. The protocol calls {@link Line.up} once it is of use. */
  opened(): void;
  received(message: Record<string, unknown>): void;
  /** The socket is gone: what was asked over it won't be answered. */
  lost(): void;
  changed(status: LineStatus): void;
  /** A new token is there while the line is open. */
  renewed?(token: string): void;
  failed?(error: BookcastError): void;
  /** Whether to stay away after a close code that says so; by default: yes. */
  obeys?(code: number): boolean;
  /** What the line decides, in words. */
  note?(text: string): void;
}

export interface LineOptions {
  readonly url: string;
  readonly protocols: string[];
  readonly WebSocket: SocketConstructor;
  readonly platform: Platform;
  readonly getToken?: GetToken | undefined;
}

/** The close codes with which a socket is given up. The server keeps the session: we come back. */
const GIVEN_UP = 4000;
const ASLEEP = 4001;

/** A connection that lived this long was a good one: the backoff starts afresh. */
const GOOD_AFTER = 10_000;
/** So long a connection may take until it is of use. */
const CONNECT_WITHIN = 8_000;
/** So long after a ping a peer may be silent. */
const ANSWER_WITHIN = 5_000;
/** A ping is due after this, and its pong within the same, however much else arrives: else nothing reaches the peer. */
const PING_EVERY = 60_000;
/** After so long a silence the peer is pinged, unless it promised heartbeats. */
const QUIET = 15_000;
/** A timer that is late by more than this has slept. */
const LATE = 3_000;

export class Line {
  status: LineStatus = { state: "connecting" };
  /** The token that this connection shows, where there is one. */
  token: string | undefined;
  readonly tokens: Tokens | undefined;
  readonly #options: LineOptions;
  readonly #platform: Platform;
  readonly #protocol: Protocol;
  readonly #timers = new Map<string, () => void>();
  #socket: Socket | undefined;
  #unwatch: (() => void) | undefined;
  /** Attempts since the last good connection. */
  #attempts = 0;
  /** Changes with each connection: what comes for an earlier one is of no use. */
  #turn = 0;
  #notBefore = 0;
  #leaving = false;
  #quiet = QUIET;
  #heardAt = 0;
  #isSilent = false;
  #pingedAt = 0;

  constructor(options: LineOptions, protocol: Protocol) {
    this.#options = options;
    this.#platform = options.platform;
    this.#protocol = protocol;
    if (options.getToken !== undefined) {
      this.tokens = new Tokens(options.getToken, this.#platform, (error, retryInMs) => {
        protocol.failed?.(error);
        if (!this.isOpen && this.#socket === undefined) this.#wait(retryInMs, error.message);
      });
    }
  }

  get isOpen(): boolean {
    return this.status.state === "open";
  }

  start(): void {
    this.#unwatch = this.#platform.watchPage((event) => {
      const { state } = this.status;
      this.#note(`page: ${event}`);
      if (event === "sleep") {
        this.#drop(ASLEEP);
        this.#change({ state: "waiting", reason: "asleep" });
      } else if (state === "open") {
        // Who is asked already isn't asked again, however often the page wakes.
        if (!this.#timers.has("answer")) this.check();
      } else if (state === "waiting") this.#connectIn(this.#notBefore - this.#platform.now());
    });
    this.#connect();
  }

  /** Closes with code 1000, which ends the session. */
  stop(): void {
    this.#end("closed");
  }

  /** Ends for good, since coming back is of no use. */
  fail(code: number, reason: string): void {
    this.#end(reason, code, GIVEN_UP);
  }

  /** Drops this connection and reconnects. */
  giveUp(reason: string, code?: number): void {
    const first = this.#attempts === 0;
    this.#drop(GIVEN_UP);
    const delay = backoff(this.#attempts++, this.#platform);
    const held = this.#notBefore - this.#platform.now();
    // A server that goes away gave each client its own moment.
    const pause = held > 0 ? held + Math.min(delay, FIRST_DELAY) : this.#leaving && first ? 0 : delay;
    this.#wait(pause, reason, code);
    if (this.status.state === "waiting") this.#connectIn(pause); // who was told may have stopped it
  }

  /** The connection is of use now. `quietMs`: after so long a silence its peer is pinged. */
  up(quietMs = QUIET): void {
    if (this.#socket === undefined || this.isOpen) return;
    this.#stopTimers();
    this.#quiet = quietMs;
    this.#notBefore = 0;
    this.#heardAt = this.#pingedAt = this.#platform.now();
    this.#timer("good", GOOD_AFTER, () => {
      this.#attempts = 0;
    });
    this.#watch();
    this.#change({ state: "open" });
  }

  /** Sends a message, if there is a connection to send it over. */
  send(message: object): void {
    const text = JSON.stringify(message);
    try {
      this.#socket?.send(text);
    } catch {
      // it isn't open yet, or not any more: its closing is told soon
    }
  }

  /** The server answered a ping. */
  ponged(): void {
    this.#cancel("answer");
  }

  /** The server asks to be left alone for so long, if the connection ends now. */
  holdOff(milliseconds: unknown): void {
    const pause = Math.min(Number(milliseconds), LONGEST_PAUSE);
    if (pause > 0) this.#notBefore = this.#platform.now() + pause;
  }

  /** The server ends: come back in so long, which it chose for this client alone. */
  leaveIn(milliseconds: number): void {
    this.#leaving = true;
    this.#timer("leave", milliseconds, () => {
      this.giveUp("going_away");
    });
  }

  /** Has a new token shown to the server, over this connection or the next one. */
  renew(): void {
    this.#withToken(this.tokens?.renew(), (token) => {
      this.#protocol.renewed?.(token);
    });
  }

  /** Asks the peer whether it is there. Any message puts the deadline off; only a pong ends it. */
  check(): void {
    if (!this.isOpen) return;
    const asked = (this.#pingedAt = this.#platform.now());
    this.send(this.#protocol.ping);
    const wait = (): void => {
      this.#isSilent = true;
      this.#timer("answer", ANSWER_WITHIN, () => {
        if (this.#isSilent || this.#platform.now() - asked > PING_EVERY) this.giveUp("no pong");
        else wait();
      });
    };
    wait();
  }

  #connect(): void {
    this.#stopTimers();
    this.#turn++;
    this.#leaving = false;
    const { code, reason } = this.status;
    this.#change({ state: "connecting", code, reason });
    if (this.status.state !== "connecting") return; // who was told has stopped it
    if (this.tokens === undefined) this.#open();
    else {
      this.#withToken(this.tokens.current(), () => {
        this.#open();
      });
    }
  }

  #connectIn(milliseconds: number): void {
    if (milliseconds <= 0) this.#connect();
    else {
      this.#timer("retry", milliseconds, () => {
        this.#connect();
      });
    }
  }

  #withToken(coming: Promise<string> | undefined, use: (token: string) => void): void {
    const turn = this.#turn;
    void coming?.then((token) => {
      this.token = token;
      if (turn === this.#turn) use(token);
    });
  }

  #open(): void {
    const { url, protocols, WebSocket } = this.#options;
    if (this.status.state === "waiting") this.#change({ state: "connecting" });
    let socket: Socket;
    try {
      socket = new WebSocket(url, protocols);
    } catch (error) {
      // A browser throws so for an address that it will never connect to.
      const reason = String(error);
      if (/^(Security|Syntax)Error/.test(reason)) this.fail(0, reason);
      else this.giveUp(reason);
      return;
    }
    this.#socket = socket;
    this.#timer("connect", CONNECT_WITHIN, () => {
      this.giveUp("too slow");
    });
    socket.onopen = () => {
      this.#protocol.opened();
    };
    socket.onmessage = ({ data }: { data: unknown }) => {
      this.#heard(data);
    };
    socket.onerror = nothing; // what it means, its closing tells
    socket.onclose = ({ code = 1006, reason = "" }: { code?: number; reason?: string }) => {
      const why = reason || `closed with ${code}`;
      if (code === TOKEN_EXPIRED) this.tokens?.drop();
      if (isFinal(code) && (this.#protocol.obeys?.(code) ?? true)) this.fail(code, why);
      else this.giveUp(why, code);
    };
    readRefusal(socket, (status, retryAfter = "") => {
      const seconds = Number(retryAfter);
      this.holdOff(seconds >= 0 ? seconds * 1_000 : Date.parse(retryAfter) - this.#platform.now());
      this.giveUp(`HTTP ${status}`);
    });
  }

  #heard(data: unknown): void {
    this.#heardAt = this.#platform.now();
    this.#isSilent = false;
    let message: unknown;
    try {
      message = JSON.parse(data as string);
    } catch {
      // what isn't JSON isn't from a bookcast server
    }
    if (Object(message) === message) this.#protocol.received(message as Record<string, unknown>);
  }

  #wait(delay: number, reason: string, code?: number): void {
    this.#change({ state: "waiting", retryAt: this.#platform.now() + delay, reason, code });
  }

  /** Looks every few seconds whether the line is silent, or this side has slept. */
  #watch(): void {
    const every = Math.min(this.#quiet / 2, 5_000);
    const due = this.#platform.now() + every;
    this.#timer("watch", every, () => {
      const now = this.#platform.now();
      // A clock that was set back would hide a silence.
      if (now < this.#heardAt) this.#heardAt = this.#pingedAt = now;
      const quiet = now - this.#heardAt >= this.#quiet || now - this.#pingedAt >= PING_EVERY;
      if (now - due > LATE || (quiet && !this.#timers.has("answer"))) this.check();
      this.#watch();
    });
  }

  /** Drops the socket. A dead one may take minutes to close: its events are ignored. */
  #drop(closeWith?: number): void {
    this.#stopTimers();
    this.#turn++;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = nothing; // without a listener an error of the package `ws` ends the process
    try {
      socket.close(closeWith);
    } catch {
      // it is closed already
    }
    this.#protocol.lost();
  }

  #end(reason: string, code?: number, closeWith?: number): void {
    if (this.status.state === "stopped") return;
    this.#drop(closeWith);
    this.#unwatch?.();
    this.tokens?.stop();
    this.#change({ state: "stopped", code, reason, final: true });
  }

  #change(status: LineStatus): void {
    this.status = status;
    this.#note(`line: ${[status.state, status.reason].join(" ")}`);
    this.#protocol.changed(status);
  }

  #note(text: string): void {
    this.#protocol.note?.(text);
  }

  #timer(name: string, milliseconds: number, callback: () => void): void {
    this.#cancel(name);
    this.#timers.set(
      name,
      this.#platform.after(milliseconds, () => {
        this.#timers.delete(name);
        callback();
      }),
    );
  }

  #cancel(name: string): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }

  #stopTimers(): void {
    for (const name of this.#timers.keys()) this.#cancel(name);
  }
}

/** Reports how a handshake was refused, which only the package `ws` does. */
function readRefusal(socket: Socket, refused: (status: number, retryAfter?: string) => void): void {
  const { on } = socket as { on?: (name: string, listener: (request: unknown, response: Refusal) => void) => void };
  on?.call(socket, "unexpected-response", (_, { statusCode, headers }) => {
    if (socket.onclose !== null) refused(statusCode, headers["retry-after"]);
  });
}

interface Refusal {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

function nothing(): void {
  // There is nothing to do.
}
