import { expect, it } from "vitest";
import { formatAge, freshnessOf } from "../src/age";

it.each([
  [-5, "0.0 s ago"],
  [340, "0.3 s ago"],
  [9_960, "9 s ago"],
  [12_000, "12 s ago"],
  [59_999, "59 s ago"],
  [61_000, "1 min 1 s ago"],
  [2 * 3_600_000 + 5 * 60_000, "2 h 5 min ago"],
  [3 * 86_400_000, "3 days ago"],
])("writes %d ms", (age, expected) => {
  expect(formatAge(age)).toBe(expected);
});

it("becomes urgent with time", () => {
  expect([0, 5_000, 30_000].map(freshnessOf)).toEqual(["fresh", "aging", "old"]);
});
