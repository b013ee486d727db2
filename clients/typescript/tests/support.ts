/** A clock, a page and a server that tests move by hand. */

import { Bookcast, type BookcastOptions } from "../src/index.js";
import type { PageEvent, Platform } from "../src/platform.js";
import { FakeServer, type FakeServerOptions } from "../src/testing.js";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

export class FakePlatform implements Platform {
  time = 1_800_000_000_000;
  /** What random numbers are: full jitter at its longest. */
  dice = 0.999;
  readonly #timers = new Map<number, Timer>();
  #count = 0;
  #page: ((event: PageEvent) => void) | undefined;

  now(): number {
    return this.time;
  }

  random(): number {
    return this.dice;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const id = this.#count++;
    this.#timers.set(id, { at: this.time + Math.max(0, milliseconds), callback });
    return () => this.#timers.delete(id);
  }

  watchPage(callback: (event: PageEvent) => void): () => void {
    this.#page = callback;
    return () => {
      this.#page = undefined;
    };
  }

  page(event: PageEvent): void {
    this.#page?.(event);
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Lets so long pass, with everything that happens meanwhile. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    await turns();
    for (;;) {
      let next: [number, Timer] | undefined;
      for (const entry of this.#timers) if (entry[1].at <= end && (next === undefined || entry[1].at < next[1].at)) next = entry;
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.time = Math.max(this.time, next[1].at);
      next[1].callback();
      await turns();
    }
    this.time = end;
  }

  /** The machine sleeps: time passes, and no timer fires. */
  sleep(milliseconds: number): void {
    this.time += milliseconds;
  }
}

export async function turns(count = 60): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

const Client = Bookcast as unknown as new (url: string, options: BookcastOptions, platform: Platform) => Bookcast;

export interface World {
  platform: FakePlatform;
  server: FakeServer;
  client: Bookcast;
  /** What the client decided, in words. */
  said: string[];
  /** Lets so many milliseconds pass. */
  pass: (milliseconds?: number) => Promise<void>;
  /** The commands of one kind that came to the server. */
  sent: (action: string) => Record<string, unknown>[];
}

export function world(options: BookcastOptions = {}, serverOptions: FakeServerOptions = {}, platform = new FakePlatform()): World {
  const server = new FakeServer({ now: () => platform.now(), ...serverOptions });
  const said: string[] = [];
  const debug = ({ text }: { text: string }): unknown => said.push(text);
  const client = new Client("ws://test/ws/me", { WebSocket: server.WebSocket, debug, ...options }, platform);
  return {
    platform,
    server,
    client,
    said,
    pass: (milliseconds = 0) => platform.advance(milliseconds),
    sent: (action) => server.received.filter((one) => one.action === action) as unknown as Record<string, unknown>[],
  };
}

/** Everything that a loop is given, as it comes. */
export function collect<T>(source: AsyncIterable<T>): { items: T[]; ended: boolean; error: unknown } {
  const seen = { items: [] as T[], ended: false, error: undefined as unknown };
  void (async () => {
    try {
      for await (const item of source) seen.items.push(item);
      seen.ended = true;
    } catch (error) {
      seen.error = error;
    }
  })();
  return seen;
}
