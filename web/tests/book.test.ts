import { describe, expect, it } from "vitest";
import { bidShare, bookOf, cumulate, priceDecimals, spreadOf } from "../src/book";

const level = (price: number, size = 1) => ({ price, size, orders: null });

it("knows how many orders stand at a price, where somebody counts them", () => {
  const book = bookOf({ bids: [[190.01, 300, 4, [[7, 300]]], [190, 1]], asks: [] });
  expect(book).toEqual({ bids: [{ price: 190.01, size: 300, orders: 4 }, level(190)], asks: [] });
});

describe("spreadOf", () => {
  it("tells spread, basis points and mid", () => {
    const spread = spreadOf({ bids: [level(99.5)], asks: [level(100.5)] });
    expect(spread).toEqual({ kind: "normal", absolute: 1, basisPoints: 100, mid: 100 });
  });

  it("gives a crossed book a negative spread", () => {
    const spread = spreadOf({ bids: [level(10)], asks: [level(9)] });
    expect(spread.kind).toBe("crossed");
    expect(spread.absolute).toBe(-1);
    expect(spread.basisPoints).toBeLessThan(0);
  });

  it("calls a book without a gap locked", () => {
    expect(spreadOf({ bids: [level(10)], asks: [level(10)] }).kind).toBe("locked");
  });

  it("has no spread with one side empty", () => {
    expect(spreadOf({ bids: [level(10)], asks: [] })).toMatchObject({ kind: "none", mid: null });
  });

  it("has no basis points around a mid of zero", () => {
    expect(spreadOf({ bids: [level(-1)], asks: [level(1)] }).basisPoints).toBeNull();
  });
});

describe("priceDecimals", () => {
  const ladder = (...prices: number[]) => ({ bids: prices.map((price) => level(price)), asks: [] });

  it("follows the tick of a full book", () => {
    expect(priceDecimals(ladder(2815, 2814, 2813, 2812, 2811, 2810))).toBe(0);
    expect(priceDecimals(ladder(385.2, 385, 384.8, 384.6, 384.4, 384.2))).toBe(1);
    expect(priceDecimals(ladder(1.0842, 1.0841, 1.084, 1.0839, 1.0838, 1.0837))).toBe(4);
  });

  it("shows at least two for a book too small to tell", () => {
    expect(priceDecimals(ladder(190))).toBe(2);
  });

  it("never shrinks, so that the columns stay put", () => {
    expect(priceDecimals(ladder(6, 5, 4, 3, 2, 1), 3)).toBe(3);
  });
});

it("sums sizes from the best level outwards", () => {
  expect(cumulate([level(1, 5), level(2, 7), level(3, 1)])).toEqual([5, 12, 13]);
});

it("shares the size between the sides", () => {
  expect(bidShare(30, 10)).toBe(0.75);
  expect(bidShare(0, 0)).toBeNull();
});
