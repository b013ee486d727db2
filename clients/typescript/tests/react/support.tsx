/** A real server, the sockets that components open to it, and what they say. */

import { cleanup } from "@testing-library/react";
import { afterAll, afterEach, beforeAll } from "vitest";
import { WebSocket } from "ws";
import { Bookcast, type BookcastOptions } from "../../src/index.js";
import { freePort, Server } from "../server.js";

/** Everything that was said over a socket, as commands. */
export const sockets: Record<string, unknown>[][] = [];

export class Watched extends WebSocket {
  /** How many are closed. */
  static closedCount = 0;
  readonly #said: Record<string, unknown>[] = [];

  constructor(url: string, protocols?: string[]) {
    super(url, protocols);
    sockets.push(this.#said);
    this.on("close", () => (Watched.closedCount += 1));
  }

  override send(text: unknown): void {
    this.#said.push(JSON.parse(String(text)) as Record<string, unknown>);
    super.send(text as string);
  }
}

export const OPTIONS: BookcastOptions = { WebSocket: Watched };

/** What was subscribed over all sockets, and unsubscribed. */
export function said(action: "subscribe" | "unsubscribe"): string[] {
  return sockets.flat().flatMap((command) => (command["action"] === action ? [`${String(command["channel"])} ${String(command["symbol"])}`] : []));
}

/** For waitFor: a machine may be busy. */
export const PATIENCE = { timeout: 30_000 };

let running: Server;
const clients: Bookcast[] = [];
let count = 0;

/** The server of this file's tests. */
export function server(): Server {
  return running;
}

/** A client that is closed with its test. */
export function client(options: BookcastOptions = {}): Bookcast {
  const made = new Bookcast(running.url, { ...OPTIONS, ...options });
  clients.push(made);
  return made;
}

/** A symbol that no other test has. */
export function symbol(): string {
  return `US.T${process.pid}N${count++}`;
}

/** Publishes to the server over HTTP. `symbol` may have more of the address. */
export async function publish(channel: string, symbol: string, data: unknown): Promise<void> {
  if ((await running.publish(channel, symbol, data)) === undefined) throw new Error(`${channel} ${symbol} isn't published`);
}

export function book(bid: number, ...deeper: number[]): { bids: [number, number][]; asks: [number, number][] } {
  return { bids: [[bid, 1], ...deeper.map((size, i): [number, number] => [bid - 1 - i, size])], asks: [[bid + 1, 1]] };
}

/** Has a server for the tests of a file. */
export function withServer(): void {
  beforeAll(async () => {
    running = new Server(await freePort());
    await running.start();
  }, 120_000);
  afterEach(() => {
    cleanup();
    for (const one of clients.splice(0)) one.close();
    sockets.length = Watched.closedCount = 0;
  });
  afterAll(() => running.kill());
}
