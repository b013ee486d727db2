// @vitest-environment node
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { lingering } from "../../src/react/linger.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("ends when nobody has used it for two seconds", () => {
  const end = vi.fn();
  const use = lingering(end);
  const [one, other] = [use(), use()];
  one();
  vi.advanceTimersByTime(10_000);
  other();
  vi.advanceTimersByTime(1_999);
  expect(end).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(end).toHaveBeenCalledTimes(1);
});

it("goes on when somebody comes back, however often", () => {
  const end = vi.fn();
  const use = lingering(end);
  for (let i = 0; i < 5; i++) {
    use()();
    vi.advanceTimersByTime(1_900);
  }
  const last = use();
  vi.advanceTimersByTime(60_000);
  expect(end).not.toHaveBeenCalled();
  last();
  vi.advanceTimersByTime(2_000);
  expect(end).toHaveBeenCalledTimes(1);
});
