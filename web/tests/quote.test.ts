import { expect, it } from "vitest";
import { describeQuote } from "../src/quote";

it("tells the last price, its change and the session", () => {
  expect(describeQuote({ last: 189.9, prev_close: 188.4, session: "regular", name: "Apple Inc" })).toEqual({
    last: "189.90",
    change: "+1.50 (+0.80%)",
    direction: "up",
    session: "Regular hours",
    name: "Apple Inc",
  });
});

it("writes a loss with a true minus sign, and as many decimals as prices have", () => {
  const { change, direction } = describeQuote({ last: 0.1234, prev_close: 0.2 });
  expect([change, direction]).toEqual(["\u22120.0766 (\u221238.30%)", "down"]);
});

it.each([undefined, {}, { prev_close: 5 }])("knows nothing of %j", (quote) => {
  expect(describeQuote(quote)).toEqual({ last: "\u2013", change: "", direction: "flat", session: "", name: "" });
});

it("has no rate of change from nothing", () => {
  expect(describeQuote({ last: 1, prev_close: 0 }).change).toBe("+1.00");
});

it("tells what happens around the usual hours", () => {
  const quote = { last: 10, prev_close: 10, session: "after", after: { last: 10.25, change: 0.25, change_rate: 2.5 } } as const;
  expect(describeQuote(quote)).toMatchObject({ change: "0.00 (0.00%)", session: "After hours 10.25 +0.25 (+2.50%)" });
  expect(describeQuote({ last: 10, session: "pre", pre: { volume: 7 } }).session).toBe("Pre-market");
});

it("says that it is suspended, whatever its market does", () => {
  expect(describeQuote({ last: 10, session: "regular", suspended: true }).session).toBe("Suspended");
});
