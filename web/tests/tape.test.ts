// @vitest-environment jsdom
import { beforeEach, expect, it, vi } from "vitest";
import type { Trade } from "@bookcast/client";
import { Tape, TAPE_LENGTH } from "../src/tape";

let root: HTMLElement;
let tape: Tape;
let frames: (() => void)[];

const trade = (price: number, more: Partial<Trade> = {}): Trade => ({ price, size: 100, side: "buy", timestamp: 0, ...more });
const texts = (name: string): (string | null)[] => [...root.querySelectorAll(`.${name}`)].map((one) => one.textContent);
const draw = (): void => {
  for (const frame of frames.splice(0)) frame();
};

beforeEach(() => {
  root = document.createElement("ol");
  tape = new Tape(root);
  frames = [];
  vi.stubGlobal("requestAnimationFrame", (frame: () => void) => frames.push(frame));
});

it("shows the newest trade on top, drawn once per frame", () => {
  tape.add([trade(1), trade(2)], undefined);
  tape.add([trade(3, { side: "sell" })], undefined);
  expect([frames.length, root.childElementCount]).toEqual([1, 0]);
  draw();
  expect(texts("price")).toEqual(["3.00", "2.00", "1.00"]);
  expect(root.firstElementChild).toMatchObject({ dataset: { side: "sell" } });
});

it("keeps as many as it shows", () => {
  tape.add(Array.from({ length: TAPE_LENGTH + 5 }, (_, i) => trade(i)), undefined);
  draw();
  expect(root.childElementCount).toBe(TAPE_LENGTH);
  expect(texts("price").at(-1)).toBe("5.00");
});

it("shows nothing from before a gap, and nothing of another symbol", () => {
  tape.add([trade(1)], undefined);
  tape.add([trade(2)], { epoch: "a", from: 2, to: 3, reason: "overflow" });
  draw();
  expect(texts("price")).toEqual(["2.00"]);
  tape.clear();
  expect(root.childElementCount).toBe(0);
});

it("tells what is special about a trade", () => {
  tape.add([trade(1, { condition: "odd_lot", updates_last: false })], undefined);
  draw();
  expect(root.firstElementChild).toMatchObject({ title: "odd lot", className: "odd" });
});
