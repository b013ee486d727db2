// @vitest-environment node
import { expect, it } from "vitest";
import type { Trades } from "../../src/index.js";
import { ofCandles, ofTrades, type Candles } from "../../src/react/sources.js";
import { world } from "../support.js";

const T = Date.UTC(2026, 0, 5, 15, 0);
const candle = (time: number, close: number, more: object = {}): object => ({ time, open: 1, high: 9, low: 1, close, volume: 1, final: true, ...more });

it("keeps the newest trades, in order, and makes a new value only of something new", async () => {
  const { client, server, pass } = world();
  const source = ofTrades(client, client.trades("A"), () => undefined, { limit: 3 });
  await pass();
  const prices = (): number[] | undefined => (source.read().value as Trades | undefined)?.trades.map(({ price }) => price);
  expect(prices()).toBeUndefined();
  for (const price of [1, 2, 3, 4, 5]) server.trade("A", { price, size: 1 });
  await pass();
  expect(prices()).toEqual([3, 4, 5]);
  expect(source.read().value).toBe(source.read().value);
});

it("begins with what came before it could listen", async () => {
  const { client, server, pass } = world();
  for (const price of [1, 2, 3]) server.trade("A", { price, size: 1 });
  client.trades("A", { history: 3 });
  await pass();
  const source = ofTrades(client, client.trades("A", { history: 2 }), () => undefined, { history: 2 });
  expect(source.read().value).toMatchObject({ trades: [{ price: 2 }, { price: 3 }] });
});

it("tells what is missing for as long as something from before it is there", async () => {
  const { client, server, pass } = world({}, { historySize: 1 });
  const source = ofTrades(client, client.trades("A"), () => undefined, { limit: 3 });
  await pass();
  server.trade("A", { price: 1, size: 1 });
  await pass();
  server.isUp = false;
  server.drop();
  for (const price of [2, 3, 4]) server.trade("A", { price, size: 1 });
  server.isUp = true;
  await pass(30_000);
  expect(source.read().value).toMatchObject({ trades: [{ price: 1 }, { price: 4 }], gap: { from: 2, to: 3, reason: "overflow" } });
  for (const price of [5, 6]) server.trade("A", { price, size: 1 });
  await pass();
  expect(source.read().value).toEqual({ trades: [4, 5, 6].map((price) => expect.objectContaining({ price }) as unknown) });
});

it("shows each candle as it is now, in the order of their times", async () => {
  const { client, server, pass } = world();
  const source = ofCandles(client, client.candles("A", { period: "1m" }), () => undefined, { limit: 3 });
  await pass();
  const closes = (): number[] => (source.read().value as Candles).candles.map(({ close }) => close);
  const publish = async (data: object): Promise<void> => {
    server.publish("A", data, { channel: "candles", period: "1m" });
    await pass();
  };
  await publish(candle(T, 1));
  await publish(candle(T + 60_000, 2, { final: false }));
  await publish(candle(T + 60_000, 3));
  expect(closes()).toEqual([1, 3]);
  await publish(candle(T, 4, { revised: true }));
  expect(closes()).toEqual([4, 3]);
  for (const close of [5, 6]) await publish(candle(T + close * 60_000, close));
  expect(closes()).toEqual([3, 5, 6]);
});
