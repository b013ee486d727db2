/** A relay that loses, repeats, spoils and reorders messages, between the client and a server of many epochs. */

import fc from "fast-check";
import { expect, it } from "vitest";
import { cutBook, type Book } from "../src/book.js";
import type { BookLevel, Trade } from "../src/messages.js";
import { FakePlatform, turns, world } from "./support.js";

const RUNS = Number(process.env["BOOKCAST_RUNS"] ?? 500);
const PRICES = 32;

/** What happens, one thing after the other. */
type Step =
  | { kind: "publish"; levels: [price: number, size: number][] }
  | { kind: "trade"; count: number }
  | { kind: "lie"; lie: "lose" | "repeat" | "spoil" | "hold" | "spoilNumber"; which: number }
  | { kind: "loseUp" }
  | { kind: "release" }
  | { kind: "epoch" }
  | { kind: "drop"; code: number }
  | { kind: "restart" }
  | { kind: "swallow"; milliseconds: number }
  | { kind: "open"; depth: number }
  | { kind: "close" }
  | { kind: "pass"; milliseconds: number };

const level = fc.tuple(fc.integer({ min: 1, max: PRICES }), fc.integer({ min: 0, max: 3 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("publish" as const), levels: fc.array(level, { maxLength: 14 }) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("trade" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("lie" as const),
      lie: fc.constantFrom("lose" as const, "repeat" as const, "spoil" as const, "hold" as const, "spoilNumber" as const),
      which: fc.integer({ min: 0, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "loseUp" as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: "release" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "epoch" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), code: fc.constantFrom(1006, 1012, 4008) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("swallow" as const), milliseconds: fc.constantFrom(500, 8_000, 40_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("open" as const), depth: fc.integer({ min: 1, max: 10 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "close" as const }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("pass" as const), milliseconds: fc.constantFrom(10, 400, 3_000, 15_000) }) },
);

class LyingRelay {
  /** How the next messages are treated: by how many are let through first. */
  readonly #lies: { lie: string; left: number }[] = [];
  readonly #held: (() => void)[] = [];
  loseNextUp = false;
  swallows = false;

  lie(lie: string, which: number): void {
    this.#lies.push({ lie, left: which });
  }

  release(): void {
    for (const pass of this.#held.splice(0)) pass();
  }

  /** From now on it tells the truth; what it held back never comes. */
  stop(): void {
    this.#lies.length = this.#held.length = 0;
    this.loseNextUp = this.swallows = false;
  }

  readonly relay = (text: string, direction: "up" | "down", pass: (text: string) => void): void => {
    this.#pass(text, direction, (passed) => {
      if (REPLAY !== undefined) console.log(direction, passed);
      pass(passed);
    });
  };

  #pass(text: string, direction: "up" | "down", pass: (text: string) => void): void {
    if (this.swallows) return;
    if (direction === "up") {
      if (this.loseNextUp) this.loseNextUp = false;
      else pass(text);
      return;
    }
    const next = this.#lies[0];
    if (next === undefined) {
      pass(text);
      return;
    }
    if (next.left-- > 0) {
      pass(text);
      return;
    }
    this.#lies.shift();
    switch (next.lie) {
      case "lose":
        break;
      case "repeat":
        pass(text);
        pass(text);
        break;
      case "hold":
        this.#held.push(() => {
          pass(text);
        });
        break;
      case "spoil":
        pass(text.includes("orderbook_delta") ? text.slice(0, text.length - 3) : text);
        break;
      default: // a size in a delta is another
        pass(text.includes("orderbook_delta") ? spoilt(text) : text);
    }
  }
}

/** Puts a level in that isn't there, among those that the checksum covers. */
function spoilt(text: string): string {
  const message = JSON.parse(text) as { data: { bids: BookLevel[] } };
  message.data.bids.push([PRICES / 2, 77]);
  return JSON.stringify(message);
}

it(
  `${RUNS} times: a book is one that was published, or it is syncing; each trade comes once or is told to be missing`,
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), fc.constantFrom(3, 12), async (steps, depth) => {
        await run(steps, depth);
        await new Promise((done) => setImmediate(done)); // others of this process have their turn
      }),
      { numRuns: RUNS, seed: Number(process.env["BOOKCAST_SEED"] ?? Date.now() % 1_000_000) },
    );
  },
  RUNS * 1_000,
);

const REPLAY = process.env["BOOKCAST_REPLAY"];
it.runIf(REPLAY !== undefined)("what is given in BOOKCAST_REPLAY", async () => {
  await run(...(JSON.parse(REPLAY ?? "[[], 3]") as [Step[], number]));
});

async function run(steps: readonly Step[], depth: number): Promise<void> {
  const platform = new FakePlatform();
  const relay = new LyingRelay();
  const { client, server, pass } = world({}, { relay: relay.relay, historySize: 12, heartbeatMs: 10_000 }, platform);
  const published = new Map<string, Book>();
  const levels = { bids: new Map<number, number>(), asks: new Map<number, number>() };
  let newest: Book = { bids: [], asks: [] };
  const failures: unknown[] = []; // an exception in a listener is no business of the client
  const books: ReturnType<typeof client.orderBook>[] = [];
  // Beyond the ten levels that a checksum covers, nothing shows in which view a delta was sent.
  const depths = new Set<number>();
  const open = (levels: number): void => {
    depths.add(levels);
    const book = client.orderBook("X", { depth: levels });
    books.push(book);
    const check = (): void => {
      if (failures.length > 0 || book.value === undefined || book.state === "syncing" || book.state === "connecting") return;
      try {
        const truth = published.get(`${book.epoch} ${book.seq}`);
        expect(truth, `nothing was published as ${book.epoch} ${book.seq}`).toBeDefined();
        // A whole book doesn't say how deep it was asked for: one that was held back may be shallower.
        const cuts = [levels, ...depths].map((cut) => cutBook(truth as Book, Math.min(cut, levels)));
        expect(cuts).toContainEqual(book.value);
      } catch (error) {
        failures.push(error);
      }
    };
    book.on("update", check);
    book.on("state", check);
  };
  open(depth);
  const tape = client.trades("X");
  const got: Trade[] = [];
  const seen = new Set<string>();
  const gaps: { epoch: string; from: number | null; to: number | null }[] = [];
  tape.on("gap", (gap) => gaps.push(gap));
  tape.on("update", ({ trades }) => {
    for (const trade of trades) {
      if (seen.has(String(trade.id))) failures.push(new Error(`trade ${trade.id} came twice`));
      seen.add(String(trade.id));
      got.push(trade);
    }
  });
  const traded: { id: string; epoch: string; seq: number; wasSubscribed: boolean }[] = [];
  const publish = (changes: readonly [number, number][]): void => {
    for (const [price, size] of changes) {
      const side = price <= PRICES / 2 ? levels.bids : levels.asks;
      if (size === 0) side.delete(price);
      else side.set(price, size);
    }
    const sorted = (side: Map<number, number>, order: number): BookLevel[] =>
      [...side].sort((one, other) => (one[0] - other[0]) * order);
    newest = { bids: sorted(levels.bids, -1), asks: sorted(levels.asks, 1) };
    const { epoch, seq } = server.publish("X", newest);
    published.set(`${epoch} ${seq}`, newest);
  };
  // More levels than a checksum covers.
  publish(Array.from({ length: PRICES }, (_, i) => [i + 1, 1]));
  let id = 0;
  for (const step of steps) {
    if (step.kind === "publish") publish(step.levels);
    else if (step.kind === "trade") {
      const trades = Array.from({ length: step.count }, () => ({ price: 1, size: 1, id: `t${id++}` }));
      const wasSubscribed = tape.state === "live";
      const place = server.trade("X", ...trades);
      for (const one of trades) traded.push({ id: one.id, ...place, wasSubscribed });
    } else if (step.kind === "lie") relay.lie(step.lie, step.which);
    else if (step.kind === "loseUp") relay.loseNextUp = true;
    else if (step.kind === "release") relay.release();
    else if (step.kind === "epoch") server.newEpoch();
    else if (step.kind === "drop") server.drop(step.code);
    else if (step.kind === "restart") server.restart();
    else if (step.kind === "open" && books.length < 4) open(step.depth);
    else if (step.kind === "close" && books.length > 1) books.shift()?.close();
    else if (step.kind === "swallow") {
      relay.swallows = true;
      await pass(step.milliseconds);
      relay.swallows = false;
    } else if (step.kind === "pass") await pass(step.milliseconds);
    await turns(8);
  }
  expect(failures).toEqual([]);
  relay.stop();
  await pass(120_000);
  publish([[PRICES / 2, 1_000], [PRICES / 2 + 1, 1_000]]); // what nobody could miss
  server.trade("X", { price: 2, size: 1, id: "last" });
  await pass(120_000);
  expect(failures).toEqual([]);
  for (const book of books) {
    expect(book.state).toBe("live");
    expect(book.value).toEqual(cutBook(newest, book.view.depth));
  }
  expect(seen.has("last")).toBe(true);
  // Within its epoch each trade after the first that came was delivered, or told to be missing.
  const first = traded.findIndex(({ id, wasSubscribed }) => wasSubscribed || seen.has(id));
  for (const { id: one, epoch, seq } of first < 0 ? [] : traded.slice(first)) {
    if (seen.has(one)) continue;
    const told = gaps.some(
      (gap) => gap.from === null || gap.to === null || (gap.epoch === epoch && gap.from <= seq && seq <= gap.to),
    );
    expect(told, `trade ${one} (${seq} of ${epoch}) is missing without a word`).toBe(true);
  }
  client.close();
  await turns();
  expect(platform.timerCount).toBe(0);
}
