import { describe, expect, it } from "vitest";
import { bidShare, cumulate, parseBook, parseLevel, priceDecimals, spreadOf } from "../src/book";

const level = (price: number, size = 1) => ({ price, size, orders: null });

describe("parseLevel", () => {
  it.each([
    [[190.01, 300], { price: 190.01, size: 300, orders: null }],
    [[190.01, 300, 4], { price: 190.01, size: 300, orders: 4 }],
    [{ price: 190.01, size: 300 }, { price: 190.01, size: 300, orders: null }],
    [{ price: 190.01, volume: 300, orders: 4 }, { price: 190.01, size: 300, orders: 4 }],
    [{ price: "0.5", size: "1e3" }, { price: 0.5, size: 1000, orders: null }],
  ])("reads %j", (raw, expected) => {
    expect(parseLevel(raw)).toEqual(expected);
  });

  it.each([null, 7, "x", [], [1], { price: 1 }, { size: 1 }, [NaN, 1], ["", 1], [1, 0]])("leaves out %j", (raw) => {
    expect(parseLevel(raw)).toBeNull();
  });
});

describe("parseBook", () => {
  it("makes an empty book of anything that isn't one", () => {
    for (const raw of [null, 3, "x", {}, { bids: "no", asks: null }]) {
      expect(parseBook(raw)).toEqual({ bids: [], asks: [] });
    }
  });

  it("keeps the order of the levels and leaves out the broken ones", () => {
    const book = parseBook({ bids: [[2, 1], "broken", [1, 1]], asks: [] });
    expect(book.bids.map(({ price }) => price)).toEqual([2, 1]);
  });
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
