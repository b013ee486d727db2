// @vitest-environment node
import { expect, it } from "vitest";
import { BookcastError } from "../../src/errors.js";
import { CONNECTING, failed, isSame, isShallowlySame, type AnyResult } from "../../src/react/result.js";

it.each([
  [1, 1],
  [NaN, NaN],
  [undefined, undefined],
  [[1, "a"], [1, "a"]],
  [{ a: 1, b: undefined }, { b: undefined, a: 1 }],
  [[], []],
])("finds no difference between %j and %j", (one, other) => {
  expect(isShallowlySame(one, other)).toBe(true);
});

it.each([
  [1, 2],
  [0, -0],
  [null, undefined],
  [null, {}],
  [[1], [1, 2]],
  [[1], { 0: 1 }],
  [{ a: undefined }, {}],
  [[undefined], []],
  [[[1]], [[1]]],
  [new Date(1), new Date(1)],
  [new Map([[1, 2]]), new Map([[1, 2]])],
])("finds a difference between %j and %j", (one, other) => {
  expect(isShallowlySame(one, other)).toBe(false);
});

it("is another result where state, reason, error or value changed, and not for the time alone", () => {
  const result: AnyResult = { ...CONNECTING, state: "live", value: 1 };
  const differs = (more: Partial<AnyResult>): boolean => !isSame(result, { ...result, ...more });
  expect(differs({ receivedAt: 5 })).toBe(false);
  expect([{ state: "stale" as const }, { reason: "quiet" }, { value: 2 }, { error: new BookcastError("x", "y") }].every(differs)).toBe(true);
  const error = new BookcastError("forbidden", "no");
  expect(isSame(failed(error), failed(new BookcastError("forbidden", "no")))).toBe(true);
});
