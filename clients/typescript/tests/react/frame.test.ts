import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { atNextFrame } from "../../src/react/frame.js";

let frames: (() => void)[];
const draw = (): void => {
  for (const frame of frames.splice(0)) frame();
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  frames = [];
  vi.stubGlobal("requestAnimationFrame", (frame: () => void) => frames.push(frame));
  vi.stubGlobal("cancelAnimationFrame", () => frames.splice(0));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

it("calls back once per frame, however often it is asked", () => {
  const [one, other] = [vi.fn(), vi.fn()];
  for (let i = 0; i < 5; i++) {
    atNextFrame(one);
    atNextFrame(other);
  }
  expect([one.mock.calls.length, frames.length]).toEqual([0, 1]);
  draw();
  draw();
  expect([one.mock.calls.length, other.mock.calls.length]).toEqual([1, 1]);
});

it("leaves for the next frame what is asked for meanwhile", () => {
  const seen: number[] = [];
  const again = (): void => {
    if (seen.push(seen.length) < 3) atNextFrame(again);
  };
  atNextFrame(again);
  draw();
  expect(seen).toHaveLength(1);
  draw();
  draw();
  draw();
  expect(seen).toHaveLength(3);
});

it("loses nothing of the others when one fails", () => {
  const other = vi.fn();
  atNextFrame(() => {
    throw new Error("of the page");
  });
  atNextFrame(other);
  expect(draw).toThrow("of the page");
  atNextFrame(vi.fn());
  draw();
  expect(other).toHaveBeenCalledTimes(1);
});

it("goes on by a timer when the page is hidden, and by frames when it is seen again", () => {
  const hidden = vi.spyOn(document, "hidden", "get");
  const [one, other, third] = [vi.fn(), vi.fn(), vi.fn()];
  atNextFrame(one);
  hidden.mockReturnValue(true);
  document.dispatchEvent(new Event("visibilitychange"));
  expect(one).toHaveBeenCalledTimes(1); // its frame won't come
  frames = [];
  atNextFrame(other);
  vi.advanceTimersByTime(250);
  expect([other.mock.calls.length, frames.length]).toEqual([1, 0]);
  atNextFrame(third);
  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event("visibilitychange"));
  expect(third).toHaveBeenCalledTimes(1);
  atNextFrame(third);
  draw();
  vi.advanceTimersByTime(1_000);
  expect(third).toHaveBeenCalledTimes(2);
});
