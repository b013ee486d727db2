/**
 * One WebSocket that stays up. It reconnects with backoff, notices a dead peer, wakes with the page
 * and knows which close codes are final. What the messages mean is its protocol's business.
 */

import { Backoff } from "./backoff.js";
import { CloseCode, isFinal } from "./codes.js";
import { BookcastError } from "./errors.js";
import type { PageEvent, Platform, Socket, SocketConstructor } from "./platform.js";
import { Tokens, type GetToken } from "./token.js";

export type LineState = "connecting" | "open" | "waiting" | "stopped";

/** How the connection stands. */
export interface LineStatus {
  readonly state: LineState;
  /** While waiting: when the next attempt begins, in milliseconds since 1970. */
  readonly retryAt?: number;
  /** The close code of the last connection, where there was one. */
  readonly code?: number;
  /** Why it isn't open, in words. */
  readonly reason?: string;
  /** Stopped for good: only a new client connects again. */
  readonly final?: boolean;
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

const FIRST_DELAY = 500;
const LONGEST_DELAY = 20_000;
/** A connection that lived this long was a good one: the backoff starts afresh. */
const GOOD_AFTER = 10_000;
/** So long a connection may take until it is of use. */
const CONNECT_WITHIN = 8_000;
/** So long after a ping a peer may be silent. */
const ANSWER_WITHIN = 5_000;
/** A pong is due within this, however much else arrives: else nothing reaches the peer. */
const PONG_WITHIN = 60_000;
const PING_EVERY = 60_000;
/** After so long a silence the peer is pinged, unless it promised heartbeats. */
const QUIET = 15_000;
/** A timer that is late by more than this has slept. */
const LATE = 3_000;
/** What a server may ask to wait at most. */
const LONGEST_WAIT = 3_600_000;

export class Line {
  /** The token that this connection shows, where there is one. */
  token: string | undefined;
  readonly tokens: Tokens | undefined;
  readonly #options: LineOptions;
  readonly #platform: Platform;
  readonly #protocol: Protocol;
  readonly #backoff: Backoff;
  readonly #timers = new Map<string, () => void>();
  #status: LineStatus = { state: "connecting" };
  #socket: Socket | undefined;
  #unwatch: (() => void) | undefined;
  #attempt = 0;
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
    this.#backoff = new Backoff(() => this.#platform.random(), FIRST_DELAY, LONGEST_DELAY);
    if (options.getToken !== undefined) {
      this.tokens = new Tokens(options.getToken, this.#platform, (error, retryInMs) => {
        this.#protocol.failed?.(error);
        if (this.#status.state === "connecting" && this.#socket === undefined) {
          this.#waits(retryInMs, error.message);
        }
      });
    }
  }

  get status(): LineStatus {
    return this.#status;
  }

  get isOpen(): boolean {
    return this.#status.state === "open";
  }

  start(): void {
    this.#unwatch = this.#platform.watchPage((event) => {
      this.#page(event);
    });
    this.#connect();
  }

  /** Says goodbye, which ends the session. */
  stop(): void {
    this.#end({ state: "stopped", reason: "closed by its user", final: true });
  }

  /** Ends for good, since coming back is of no use. */
  fail(code: number, reason: string): void {
    this.#note(`stopped for good: ${reason} (${code})`);
    this.#end({ state: "stopped", code, reason, final: true }, GIVEN_UP);
  }

  /** Gives up this connection and comes back. */
  giveUp(reason: string, code = GIVEN_UP): void {
    this.#lost(reason, undefined, code);
  }

  /** The connection is of use now. `quietMs`: after so long a silence its peer is pinged. */
  up(quietMs = QUIET): void {
    if (this.#socket === undefined || this.isOpen) return;
    this.#stopTimers();
    this.#quiet = quietMs;
    this.#notBefore = 0;
    this.#pingedAt = this.#platform.now();
    this.#timer("good", GOOD_AFTER, () => {
      this.#backoff.reset();
    });
    this.#watch();
    this.#note("connected");
    this.#change({ state: "open" });
  }

  /** Sends a message; false when there is no connection to send it over. */
  send(message: object): boolean {
    try {
      this.#socket?.send(JSON.stringify(message));
    } catch {
      return false; // it isn't open yet, or not any more: its closing is told soon
    }
    return this.#socket !== undefined;
  }

  /** The server answered a ping. */
  ponged(): void {
    this.#cancel("answer");
  }

  /** The server asks to be left alone for so long, if the connection ends now. */
  holdOff(milliseconds: unknown): void {
    if (typeof milliseconds !== "number" || !(milliseconds > 0)) return;
    this.#notBefore = this.#platform.now() + Math.min(milliseconds, LONGEST_WAIT);
  }

  /** The server ends: come back in so long, which it chose for this client alone. */
  leaveIn(milliseconds: unknown): void {
    const delay = typeof milliseconds === "number" && milliseconds > 0 ? milliseconds : 0;
    this.#note(`the server goes away: coming back in ${Math.round(delay)} ms`);
    this.#leaving = true;
    this.#timer("leave", delay, () => {
      this.giveUp("the server goes away");
    });
  }

  /** Has a new token shown to the server, over this connection or the next one. */
  renew(): void {
    const attempt = this.#attempt;
    void this.tokens?.renew().then((token) => {
      this.token = token;
      if (attempt === this.#attempt && this.isOpen) this.#protocol.renewed?.(token);
    });
  }

  /** Asks the peer whether it is there. Any message puts the deadline off; only a pong ends it. */
  check(): void {
    const asked = (this.#pingedAt = this.#platform.now());
    this.send(this.#protocol.ping);
    const wait = (): void => {
      this.#isSilent = true;
      this.#timer("answer", ANSWER_WITHIN, () => {
        const silent = this.#isSilent;
        if (silent || this.#platform.now() - asked > PONG_WITHIN) {
          this.giveUp(silent ? `nothing came for ${ANSWER_WITHIN / 1000} s after a ping` : "no pong came");
        } else wait();
      });
    };
    wait();
  }

  #connect(): void {
    this.#stopTimers();
    const attempt = ++this.#attempt;
    this.#leaving = false;
    const { code, reason } = this.#status;
    this.#change({ state: "connecting", ...(code && { code }), ...(reason && { reason }) });
    if (this.tokens === undefined) {
      this.#open();
      return;
    }
    void this.tokens.current().then((token) => {
      this.token = token;
      if (attempt === this.#attempt) this.#open();
    });
  }

  #open(): void {
    this.#note(`connecting to ${this.#options.url}`);
    let socket: Socket;
    try {
      socket = new this.#options.WebSocket(this.#options.url, this.#options.protocols);
    } catch (error) {
      // A browser throws so for an address that it will never connect to.
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      if (/^(Security|Syntax)Error/.test(reason)) this.fail(0, reason);
      else this.#lost(reason);
      return;
    }
    this.#socket = socket;
    this.#heardAt = this.#platform.now();
    if (this.#status.state !== "connecting") this.#change({ state: "connecting" });
    this.#timer("connect", CONNECT_WITHIN, () => {
      this.giveUp(`not connected within ${CONNECT_WITHIN / 1000} s`);
    });
    socket.onopen = () => {
      this.#protocol.opened();
    };
    socket.onmessage = (event: { data: unknown }) => {
      this.#heard(event.data);
    };
    socket.onerror = nothing; // what it means, its closing tells
    socket.onclose = (event: { code?: number; reason?: string }) => {
      this.#closed(event.code ?? 1006, event.reason ?? "");
    };
    readRefusal(socket, (reason, retryAfter) => {
      if (socket !== this.#socket) return;
      if (retryAfter !== null) this.holdOff(milliseconds(retryAfter, this.#platform.now()));
      this.#lost(reason);
    });
  }

  #heard(data: unknown): void {
    this.#heardAt = this.#platform.now();
    this.#isSilent = false;
    let message: unknown;
    try {
      message = typeof data === "string" ? JSON.parse(data) : undefined;
    } catch {
      // what isn't JSON isn't from a bookcast server: it is passed over
    }
    if (typeof message === "object" && message !== null) this.#protocol.received(message as Record<string, unknown>);
    else this.#note("a message that can't be read was passed over");
  }

  #closed(code: number, said: string): void {
    const reason = said === "" ? `closed with ${code}` : said;
    if (code === CloseCode.TOKEN_EXPIRED) this.tokens?.drop();
    if (isFinal(code) && (this.#protocol.obeys?.(code) ?? true)) this.fail(code, reason);
    else this.#lost(reason, code);
  }

  #lost(reason: string, code?: number, closeWith = GIVEN_UP): void {
    // Each client was given its own moment by a server that goes away.
    const slot = this.#leaving && this.#backoff.attempts === 0;
    const now = this.#platform.now();
    this.#drop(closeWith);
    const delay = this.#backoff.next();
    const wanted = this.#notBefore > now ? this.#notBefore - now + Math.min(delay, FIRST_DELAY) : slot ? 0 : delay;
    this.#waits(wanted, reason, code);
    this.#timer("retry", wanted, () => {
      this.#connect();
    });
  }

  #waits(delay: number, reason: string, code?: number): void {
    this.#note(`${reason}; next try in ${Math.round(delay)} ms`);
    this.#change({ state: "waiting", retryAt: this.#platform.now() + delay, reason, ...(code === undefined ? {} : { code }) });
  }

  #page(event: PageEvent): void {
    const { state } = this.#status;
    if (state === "stopped") return;
    this.#note(event === "sleep" ? "the page is about to sleep" : "the page is awake, or the network is back");
    if (event === "sleep") {
      this.#drop(ASLEEP);
      this.#change({ state: "waiting", reason: "the page sleeps" });
    } else if (state === "open") this.check();
    else if (state === "waiting") this.#retryNow();
  }

  /** Tries at once, unless the server asked to be left alone. */
  #retryNow(): void {
    const left = this.#notBefore - this.#platform.now();
    if (left <= 0) this.#connect();
    else {
      this.#timer("retry", left, () => {
        this.#connect();
      });
    }
  }

  /** Looks every few seconds whether the line is silent, or this side has slept. */
  #watch(): void {
    const every = Math.min(this.#quiet / 2, 5_000);
    const due = this.#platform.now() + every;
    this.#timer("watch", every, () => {
      const now = this.#platform.now();
      // A clock that was set back would hide a silence.
      if (now < this.#heardAt) this.#heardAt = this.#pingedAt = now;
      const slept = now - due > LATE;
      if (slept) this.#note("a timer was late: this side may have slept");
      const quiet = now - this.#heardAt >= this.#quiet || now - this.#pingedAt >= PING_EVERY;
      if (slept || (quiet && !this.#timers.has("answer"))) this.check();
      this.#watch();
    });
  }

  /** Lets go of the socket. A dead one may take minutes to close: what it tells no longer counts. */
  #drop(closeWith?: number): void {
    this.#stopTimers();
    this.#attempt += 1;
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

  #end(status: LineStatus, closeWith?: number): void {
    if (this.#status.state === "stopped") return;
    this.#drop(closeWith);
    this.#unwatch?.();
    this.tokens?.stop();
    this.#change(status);
  }

  #change(status: LineStatus): void {
    this.#status = status;
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
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
  }
}

/**
 * Reads how a handshake was refused, which only the package `ws` tells: the status and sentence, and
 * when to come back.
 */
function readRefusal(socket: Socket, refused: (reason: string, retryAfter: string | null) => void): void {
  const { on } = socket as { on?: (name: string, listener: (...given: never[]) => void) => void };
  on?.call(socket, "unexpected-response", (_request: unknown, response: Refusal) => {
    const status = `HTTP ${response.statusCode}`;
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text) => {
      body = (body + text).slice(0, 200);
    });
    for (const end of ["end", "error", "close"]) {
      response.on(end, () => {
        refused(body === "" ? status : `${status}: ${body.trim()}`, response.headers["retry-after"] ?? null);
      });
    }
  });
}

interface Refusal {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  setEncoding(name: string): void;
  on(name: string, listener: (text: string) => void): void;
}

/** `Retry-After` is a number of seconds, or a date. */
function milliseconds(retryAfter: string, now: number): number {
  return /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - now;
}

function nothing(): void {
  // There is nothing to do.
}
