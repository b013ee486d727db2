import { expect, it } from "vitest";
import { Trend } from "../src/trend";

it("draws the highest value at the top and the newest at the right", () => {
  const trend = new Trend();
  trend.add(0, 10);
  trend.add(30_000, 30);
  trend.add(60_000, 20);
  expect(trend.range()).toEqual({ low: 10, high: 30 });
  expect(trend.points(60_000, 100, 40)).toBe("0.0,40.0 50.0,0.0 100.0,20.0");
});

it("draws a value that stands still in the middle", () => {
  const trend = new Trend();
  trend.add(0, 5);
  trend.add(60_000, 5);
  expect(trend.points(60_000, 100, 40)).toBe("0.0,20.0 100.0,20.0");
});

it("forgets what is older than a minute", () => {
  const trend = new Trend();
  trend.add(0, 1_000);
  trend.add(50_000, 1);
  trend.add(70_000, 2);
  expect(trend.range()).toEqual({ low: 1, high: 2 });
});

it("needs two values for a line", () => {
  const trend = new Trend();
  trend.add(0, 1);
  expect(trend.points(0, 100, 40)).toBe("");
});
