import { expect, it } from "vitest";
import { describeState } from "../src/status";

it("counts down to the next attempt, and announces the loss only once", () => {
  const state = { kind: "waiting", until: 3_200 } as const;
  expect(describeState(state, 0, true).text).toBe("Reconnecting in 4 s");
  expect(describeState(state, 3_100, true).text).toBe("Reconnecting in 1 s");
  expect(describeState(state, 0, true).announcement).toBe(describeState(state, 3_100, true).announcement);
});

it("says so when the browser is offline", () => {
  expect(describeState({ kind: "waiting", until: 500 }, 0, false)).toMatchObject({ tone: "bad", announcement: "Offline" });
  expect(describeState({ kind: "connecting" }, 0, false).tone).toBe("bad");
});

it("believes a live connection more than the browser", () => {
  expect(describeState({ kind: "live" }, 0, false)).toMatchObject({ tone: "good", text: "Live" });
});

it("gives the server's reason", () => {
  expect(describeState({ kind: "refused", reason: "no" }, 0, true).announcement).toBe("Closed by the server: no");
});
