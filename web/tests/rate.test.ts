import { expect, it } from "vitest";
import { formatRate, Rate } from "../src/rate";

it("counts the updates of the last seconds", () => {
  const rate = new Rate();
  for (let time = 0; time < 5_000; time += 100) rate.count(time);
  expect(rate.perSecond(5_000)).toBeCloseTo(10, 0);
  expect(rate.perSecond(9_000)).toBe(0);
});

it("says nothing before it can tell", () => {
  const rate = new Rate();
  expect(rate.perSecond(0)).toBeNull();
  rate.count(0);
  expect(rate.perSecond(500)).toBeNull();
  rate.reset();
  expect(rate.perSecond(10_000)).toBeNull();
});

it("writes slow rates with a decimal", () => {
  expect([null, 0.5, 9.94, 99.6].map(formatRate)).toEqual(["\u2013", "0.5", "9.9", "100"]);
});
