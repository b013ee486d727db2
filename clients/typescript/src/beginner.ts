/**
 * The class for a first page: the order books of some symbols, in the base protocol
 * (docs/protocol.md). It stands on the same line as the whole client: it comes back by itself.
 */

import { socketAddress } from "./address.js";
import { REFUSED } from "./codes.js";
import { BookcastError } from "./errors.js";
import { Line, type LineStatus, type Protocol } from "./line.js";
import type { BaseCommand, BaseMessage, PublishedBook } from "./messages.js";
import { ownWebSocket, platform, type SocketConstructor } from "./platform.js";
import type { GetToken } from "./token.js";

export interface WebSocketClientOptions {
  /** Where the server asks for a token. */
  getToken?: GetToken;
  /** Where the runtime has none of its own: in Node 20 that of the package `ws`. */
  WebSocket?: SocketConstructor;
}

/** After so long a silence the server is asked whether it is there: a page can't see its pings. */
const QUIET = 10_000;

export class WebSocketClient {
  readonly #wanted = new Set<string>();
  /** What the server may still send because of an earlier connection, and shouldn't. */
  readonly #unwanted = new Set<string>();
  readonly #url: string;
  readonly #options: WebSocketClientOptions;
  #line: Line | undefined;

  constructor(clientId: string, url = "ws://localhost:8002", options: WebSocketClientOptions = {}) {
    this.#url = socketAddress(url, clientId || undefined, undefined);
    this.#options = options;
  }

  /** How the connection stands; undefined before `connect`. */
  get line(): LineStatus | undefined {
    return this.#line?.status;
  }

  /** Connects, and connects again whenever the connection is lost, until `disconnect`. */
  connect(): void {
    if (this.#line !== undefined && this.#line.status.state !== "stopped") return;
    const WebSocket = this.#options.WebSocket ?? ownWebSocket();
    if (WebSocket === undefined) {
      throw new BookcastError("not_supported", "This runtime has no WebSocket: pass one, { WebSocket }", { final: true });
    }
    const { getToken } = this.#options;
    this.#line = new Line(
      { url: this.#url, protocols: [], WebSocket, platform, getToken },
      this.#protocol(),
    );
    this.#line.start();
  }

  /** Wants the books of a symbol from now on, before `connect` as well, and after each reconnect. */
  subscribe(symbol: string): void {
    this.#wanted.add(symbol);
    this.#unwanted.delete(symbol);
    this.#say({ action: "subscribe", symbol });
  }

  unsubscribe(symbol: string): void {
    this.#wanted.delete(symbol);
    this.#leave(symbol);
  }

  /** Override or assign this. `data` is the book as it was published. */
  onOrderBookUpdate(symbol: string, data: PublishedBook): void {
    console.log(symbol, data);
  }

  /** Override or assign this: a sentence of the server's, or why the client stays away for good. */
  onError(message: string): void {
    console.error(`bookcast: ${message}`);
  }

  /** What becomes of each message. Who overrides it passes on the others to `super.handleMessage`. */
  handleMessage(message: BaseMessage): void {
    if (message.type === "orderbook_update") {
      this.onOrderBookUpdate(message.symbol, message.data as PublishedBook);
    } else if (message.type === "error") this.onError(message.message);
  }

  /** Closes the connection. What is wanted is remembered: `connect` subscribes to it again. */
  disconnect(): void {
    this.#line?.stop();
  }

  #protocol(): Protocol {
    return {
      ping: { action: "ping" } satisfies BaseCommand,
      opened: () => {
        const token = this.#line?.token;
        if (token === undefined) this.#begin();
        else this.#say({ action: "authenticate", token });
      },
      received: (message) => {
        this.#received(message as unknown as BaseMessage);
      },
      lost: () => undefined,
      changed: ({ state, final, reason, code }) => {
        if (final === true && code !== undefined) this.#tell(`${state} for good: ${reason ?? code}`);
      },
      renewed: (token) => {
        this.#say({ action: "authenticate", token });
      },
      failed: (error) => {
        this.#tell(error.message);
      },
      // A token that was good once may be too old by now: only a new one's refusal is final.
      obeys: (code) => {
        const tokens = this.#line?.tokens;
        if (code !== REFUSED || tokens === undefined || tokens.isFresh) return true;
        tokens.drop();
        return false;
      },
    };
  }

  #begin(): void {
    this.#line?.up(QUIET);
    for (const symbol of this.#unwanted) this.#say({ action: "unsubscribe", symbol });
    for (const symbol of this.#wanted) this.#say({ action: "subscribe", symbol });
  }

  #received(message: BaseMessage): void {
    switch (message.type) {
      case "pong":
        this.#line?.ponged();
        break;
      case "authenticated":
        this.#line?.tokens?.accepted(null);
        this.#begin();
        break;
      case "error":
        // A server that serves everybody doesn't know the action.
        if (message.message === "Unknown action" && this.#line?.isOpen !== true) {
          this.#begin();
          return;
        }
        break;
      case "unsubscription_confirmed":
        this.#unwanted.delete(message.symbol);
        break;
      case "orderbook_update":
        // A session that the server kept may bring what nobody here wants.
        if (!this.#wanted.has(message.symbol)) {
          if (!this.#unwanted.has(message.symbol)) this.#leave(message.symbol);
          return;
        }
    }
    this.#call(() => {
      this.handleMessage(message);
    });
  }

  /** Has the server send a symbol no more, which it knows under any spelling. */
  #leave(symbol: string): void {
    this.#unwanted.add(symbol);
    this.#say({ action: "unsubscribe", symbol });
    for (const other of this.#wanted) {
      if (codeOf(other) === codeOf(symbol)) this.#say({ action: "subscribe", symbol: other });
    }
  }

  #tell(message: string): void {
    this.#call(() => {
      this.onError(message);
    });
  }

  /** Calls what the page put in; what that throws doesn't end the connection. */
  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      setTimeout(() => {
        throw error; // it is reported as any error of a page is
      });
    }
  }

  #say(command: BaseCommand): void {
    if (command.action === "authenticate" || this.#line?.isOpen === true) this.#line?.send(command);
  }
}

/** `AAPL` and `US.AAPL` may be one symbol: the server knows, and here it does no harm to think so. */
function codeOf(symbol: string): string {
  return symbol.slice(symbol.lastIndexOf(".") + 1);
}
