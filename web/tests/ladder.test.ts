// @vitest-environment jsdom
import { beforeEach, expect, it } from "vitest";
import type { Book, Level } from "../src/book";
import { Ladder } from "../src/ladder";

const levels = (...pairs: [number, number][]): Level[] =>
  pairs.map(([price, size]) => ({ price, size, orders: null }));

let root: HTMLElement;
let asks: HTMLElement;
let bids: HTMLElement;
let ladder: Ladder;

const render = (book: Book, depth = 10, slots = 0) =>
  ladder.render({ book, depth, slots, priceDecimals: 2, sizeDecimals: 0 });
const text = (side: HTMLElement, name: string): (string | null)[] =>
  [...side.querySelectorAll(`.${name}`)].map((cell) => cell.textContent);

beforeEach(() => {
  root = document.createElement("div");
  asks = root.appendChild(document.createElement("div"));
  bids = root.appendChild(document.createElement("div"));
  ladder = new Ladder(root, asks, bids);
});

it("shows each side from its best level outwards, with sums", () => {
  const totals = render({ bids: levels([9, 100], [8, 1200]), asks: levels([10, 50]) });
  expect(text(bids, "price")).toEqual(["9.00", "8.00"]);
  expect(text(bids, "total")).toEqual(["100", "1,300"]);
  expect(text(asks, "size")).toEqual(["50"]);
  expect(totals).toEqual({ bids: 1300, asks: 50 });
});

it("cuts at the depth and fills up to the slots", () => {
  render({ bids: levels([9, 1], [8, 1], [7, 1]), asks: [] }, 2, 2);
  expect(text(bids, "price")).toEqual(["9.00", "8.00"]);
  expect(text(asks, "price")).toEqual(["", ""]);
});

it("draws both sides' sums on one scale", () => {
  render({ bids: levels([9, 100]), asks: levels([10, 25]) });
  const bar = (side: HTMLElement) => side.querySelector<HTMLElement>(".bar")?.style.transform;
  expect([bar(bids), bar(asks)]).toEqual(["scaleX(1)", "scaleX(0.25)"]);
});

it("uses its rows again", () => {
  render({ bids: levels([9, 1]), asks: [] });
  const row = bids.firstElementChild;
  render({ bids: levels([9, 2], [8, 1]), asks: [] });
  expect(bids.firstElementChild).toBe(row);
  expect(bids.childElementCount).toBe(2);
});

it("flashes a size that changed at its price, and nothing else", () => {
  const size = (index: number) => bids.querySelectorAll(".size")[index]?.className;
  render({ bids: levels([9, 1], [8, 5]), asks: [] });
  expect(size(0)).toBe("size");
  render({ bids: levels([9, 2], [8, 5]), asks: [] });
  expect([size(0), size(1)]).toEqual(["size grew a", "size"]);
  render({ bids: levels([9, 1], [8, 5]), asks: [] });
  expect(size(0)).toBe("size shrank b");
  render({ bids: levels([8, 5], [7, 5]), asks: [] });
  expect([size(0), size(1)]).toEqual(["size", "size"]);
});

it("flashes nothing where most of a side changes at once", () => {
  const side = (size: number) => levels(...[9, 8, 7, 6, 5, 4].map((price): [number, number] => [price, size]));
  render({ bids: side(1), asks: [] });
  render({ bids: side(2), asks: [] });
  expect(bids.querySelectorAll(".grew")).toHaveLength(0);
});

it("flashes nothing after it was told to forget", () => {
  render({ bids: levels([9, 1]), asks: [] });
  ladder.forget();
  render({ bids: levels([9, 2]), asks: [] });
  expect(bids.querySelector(".size")?.className).toBe("size");
});

it("has no column for orders where nobody counts them", () => {
  render({ bids: levels([9, 1]), asks: [] });
  expect(root.classList.contains("without-orders")).toBe(true);
  render({ bids: [{ price: 9, size: 1, orders: 3 }], asks: [] });
  expect(root.classList.contains("without-orders")).toBe(false);
});

it("gives a shortened size in full on pointing at it", () => {
  render({ bids: levels([9, 12_345_678]), asks: [] });
  const size = bids.querySelector<HTMLElement>(".size");
  expect([size?.textContent, size?.title]).toEqual(["12.35M", "12,345,678"]);
});
