import { expect, it } from "vitest";
import { adviseOn, describeState } from "../src/status";

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
  expect(describeState({ kind: "refused", code: 1008, reason: "no" }, 0, true).announcement).toBe("Closed by the server: no");
});

it("says what to do about a token that is missing, wrong or old", () => {
  expect(adviseOn(4503, "not authenticated", false, null)).toMatch(/asks for a token.*#token=.*bookcast token/);
  expect(adviseOn(4503, "not authenticated", true, "Bad signature")).toMatch(/take this token \(Bad signature\).*#token=/);
  expect(adviseOn(4010, "the token has expired", true, null)).toMatch(/has expired.*#token=.*new token/);
  expect(adviseOn(1008, "too much", true, null)).toBe("The server closed the connection: too much");
  expect(describeState({ kind: "refused", code: 4010, reason: "" }, 0, true).text).toBe("Token expired");
  expect(describeState({ kind: "refused", code: 4503, reason: "" }, 0, true).text).toBe("Token needed");
});
