import { describe, expect, it } from "vitest";
import { decimalsOf, formatBasisPoints, formatFixed, formatMid, formatSize } from "../src/number";

it.each([
  [1, 0],
  [190.01, 2],
  [0.1 + 0.2, 1],
  [1e-7, 7],
  [2.5e-8, 9],
  [1e21, 0],
])("counts the decimals of %d", (value, expected) => {
  expect(decimalsOf(value)).toBe(expected);
});

describe("formatFixed", () => {
  it("groups thousands and writes a true minus", () => {
    expect(formatFixed(-1234.5, 2)).toBe("\u22121,234.50");
  });

  it("writes no minus before zero", () => {
    expect(formatFixed(-0.001, 2)).toBe("0.00");
  });
});

it("gives a mid between two ticks one more decimal", () => {
  expect(formatMid(190.015, 2)).toBe("190.015");
  expect(formatMid(190.01, 2)).toBe("190.01");
  expect(formatMid((190.01 + 190.02) / 2, 2)).toBe("190.015");
});

it.each([
  [300, 0, "300"],
  [9_999_999, 0, "9,999,999"],
  [12_345_678, 0, "12.35M"],
  [5.99e9, 0, "5.99B"],
  [2e12, 0, "2.00T"],
  [0.6518, 4, "0.6518"],
  [1.5, 4, "1.5000"],
  [0.00001234, 4, "0.000012"],
  [0, 4, "0.0000"],
  [123_456.7891, 4, "123,456.79"],
])("formats a size of %d with %d decimals", (size, decimals, expected) => {
  expect(formatSize(size, decimals)).toBe(expected);
});

it("gives small basis points more decimals", () => {
  expect([1.053, 12.34, 250.4, -1.58].map(formatBasisPoints)).toEqual(["1.05", "12.3", "250", "\u22121.58"]);
});
