import { expect, it } from "vitest";
import { adviseOn, describeLine, describeState, isPresent } from "../src/status";

it("counts down to the next attempt, and announces the loss only once", () => {
  const line = { state: "waiting", retryAt: 3_200 } as const;
  expect(describeLine(line, 0, true).text).toBe("Reconnecting in 4 s");
  expect(describeLine(line, 3_100, true).text).toBe("Reconnecting in 1 s");
  expect(describeLine(line, 0, true).announcement).toBe(describeLine(line, 3_100, true).announcement);
});

it("says so when the browser is offline", () => {
  expect(describeLine({ state: "waiting", retryAt: 500 }, 0, false)).toMatchObject({ tone: "bad", announcement: "Offline" });
  expect(describeLine({ state: "connecting" }, 0, false).tone).toBe("bad");
});

it("believes an open connection more than the browser", () => {
  expect(describeLine({ state: "open" }, 0, false)).toMatchObject({ tone: "good", text: "Live" });
});

it("gives the server's reason", () => {
  const line = { state: "stopped", code: 1008, reason: "no", final: true } as const;
  expect(describeLine(line, 0, true).announcement).toBe("Closed by the server: no");
});

it("says what to do about a token that is missing, wrong or old", () => {
  expect(adviseOn(4503, "not authenticated", false, null)).toMatch(/asks for a token.*#token=.*bookcast token/);
  expect(adviseOn(4503, "not authenticated", true, "Bad signature")).toMatch(/take this token \(Bad signature\).*#token=/);
  expect(adviseOn(4010, "the token has expired", true, null)).toMatch(/has expired.*#token=.*new token/);
  expect(adviseOn(1008, "too much", true, null)).toBe("The server closed the connection: too much");
  expect(describeLine({ state: "stopped", code: 4010 }, 0, true).text).toBe("Token expired");
  expect(describeLine({ state: "stopped", code: 4503 }, 0, true).text).toBe("Token needed");
});

it("has words for every state of a symbol", () => {
  expect(describeState("live")).toEqual({ tone: "good", words: "Live" });
  expect(describeState("feed_down")).toEqual({ tone: "bad", words: "Feed down" });
  expect(describeState("closed").words).toBe("Market closed");
});

it("knows when what shows may be the past", () => {
  expect(["live", "halted", "closed"].every((state) => isPresent(state as "live"))).toBe(true);
  expect(["connecting", "syncing", "feed_down", "refused"].some((state) => isPresent(state as "live"))).toBe(false);
});
