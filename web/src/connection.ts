/**
 * One WebSocket that stays up: it backs off with full jitter, resubscribes, and pings so that a
 * dead network is noticed. Socket, clock and randomness are passed in, so tests never wait.
 */

import { TOKEN_EXPIRED, isFinal } from "./closecodes";
import { parseMessage, type Command, type Message } from "./message";

/** The part of a browser's WebSocket that is used here. */
export interface Socket {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface Clock {
  now(): number;
  /** Calls back once after a time; returns what cancels it. */
  after(milliseconds: number, callback: () => void): () => void;
}

export type State =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** Lost; the next attempt begins at `until` on the clock. */
  | { readonly kind: "waiting"; readonly until: number }
  /** Trying again is of no use until somebody does something; only `retry` tries again. */
  | { readonly kind: "refused"; readonly code: number; readonly reason: string };

export interface ConnectionOptions {
  readonly open: () => Socket;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onState: (state: State) => void;
  readonly onMessage: (message: Message) => void;
}

export const PING_EVERY = 15_000;
export const ANSWER_WITHIN = 10_000;
export const FIRST_DELAY = 500;
export const MAX_DELAY = 10_000;
/** The close code for a line that is dead: the server keeps the session, since we come back. */
export const DROPPED = 4000;
/** However the dice fall, a server that is away isn't asked more often than this. */
export const MIN_DELAY = 100;
/** A connection that lived this long was a good one: the backoff starts afresh. */
export const GOOD_AFTER = 5_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #wanted = new Set<string>();
  #state: State = { kind: "connecting" };
  #socket: Socket | null = null;
  #attempts = 0;
  #cancelRetry = nothing;
  #cancelPing = nothing;
  #cancelAnswer = nothing;
  #cancelGood = nothing;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): State {
    return this.#state;
  }

  /** Begins to connect. Call once. */
  start(): void {
    this.#connect();
  }

  /** Wants a symbol from now on, over every reconnect. */
  subscribe(symbol: string): void {
    if (this.#wanted.has(symbol)) return;
    this.#wanted.add(symbol);
    this.#send({ action: "subscribe", symbol });
  }

  unsubscribe(symbol: string): void {
    if (this.#wanted.delete(symbol)) this.#send({ action: "unsubscribe", symbol });
  }

  /** The network came back or somebody looks: connect at once, or check that the line is alive. */
  wake(): void {
    if (this.#state.kind === "waiting") this.#connect();
    else if (this.#state.kind === "live") this.#ping();
  }

  /** Somebody asked for a connection, whatever the server said. */
  retry(): void {
    if (this.#state.kind === "waiting" || this.#state.kind === "refused") this.#connect();
  }

  /** The server told elsewhere that it won't have us, with the close code that means the same. */
  refuse(code: number, reason: string): void {
    this.#drop();
    this.#cancelRetry();
    this.#change({ kind: "refused", code, reason });
  }

  /** Something that the server asks for has changed: begin again. */
  reconnect(): void {
    this.#drop();
    this.#connect();
  }

  #connect(): void {
    this.#cancelRetry();
    this.#change({ kind: "connecting" });
    const socket = this.#options.open();
    this.#socket = socket;
    socket.onopen = () => {
      this.#opened();
    };
    socket.onmessage = (event) => {
      this.#received(event.data);
    };
    socket.onclose = (event) => {
      this.#lost(event.code, event.reason);
    };
    this.#expectAnswer();
  }

  #opened(): void {
    this.#cancelAnswer();
    this.#change({ kind: "live" });
    for (const symbol of this.#wanted) this.#send({ action: "subscribe", symbol });
    this.#cancelGood = this.#options.clock.after(GOOD_AFTER, () => {
      this.#attempts = 0;
    });
    this.#schedulePing();
  }

  #received(data: unknown): void {
    this.#cancelAnswer();
    const message = typeof data === "string" ? parseMessage(data) : null;
    if (message === null) return;
    // A session that the server kept may bring symbols that nobody looks at any more.
    if (message.type === "book" && !this.#wanted.has(message.symbol)) {
      this.#send({ action: "unsubscribe", symbol: message.symbol });
      return;
    }
    this.#options.onMessage(message);
  }

  #lost(code: number, reason: string): void {
    this.#drop(DROPPED);
    // The page has no other token than the one that has expired.
    if (isFinal(code) || code === TOKEN_EXPIRED) {
      this.refuse(code, reason || `code ${code}`);
      return;
    }
    const { clock, random } = this.#options;
    const ceiling = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.#attempts);
    this.#attempts += 1;
    const delay = Math.max(MIN_DELAY, random() * ceiling);
    this.#cancelRetry = clock.after(delay, () => {
      this.#connect();
    });
    this.#change({ kind: "waiting", until: clock.now() + delay });
  }

  #schedulePing(): void {
    this.#cancelPing = this.#options.clock.after(PING_EVERY, () => {
      this.#ping();
      this.#schedulePing();
    });
  }

  #ping(): void {
    this.#send({ action: "ping" });
    this.#expectAnswer();
  }

  /** Any message counts as an answer; without one the line is dead, whatever the browser says. */
  #expectAnswer(): void {
    this.#cancelAnswer();
    this.#cancelAnswer = this.#options.clock.after(ANSWER_WITHIN, () => {
      this.#lost(1006, "no answer");
    });
  }

  /**
   * Lets go of the socket. A dead one may take minutes to close: its events no longer matter.
   * Without a code it says goodbye, which ends the session.
   */
  #drop(code?: number): void {
    this.#cancelPing();
    this.#cancelAnswer();
    this.#cancelGood();
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  #send(command: Command): void {
    if (this.#state.kind === "live") this.#socket?.send(JSON.stringify(command));
  }

  #change(state: State): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

function nothing(): void {
  // Nothing is scheduled yet.
}
