import { describe, expect, it } from "vitest";
import { fetchSymbols, filterSymbols, parseNames, parseSymbols, resolveSymbol, splitSymbol } from "../src/symbols";

const KNOWN = ["US.AAPL", "HK.00700", "US.MSFT", "HK.HSImain"];

describe("resolveSymbol", () => {
  it.each([
    ["US.AAPL", "US.AAPL"],
    ["us.aapl", "US.AAPL"],
    [" aapl ", "US.AAPL"],
    ["hk.hsimain", "HK.HSImain"],
    ["us.xyz", "US.XYZ"],
    ["HK.HSIcurrent", "HK.HSIcurrent"],
    ["", null],
    ["x".repeat(65), null],
  ])("takes %j for %j", (typed, expected) => {
    expect(resolveSymbol(typed, KNOWN)).toBe(expected);
  });
});

it("puts exact and leading matches before those inside", () => {
  expect(filterSymbols(["US.XA", "HK.A", "US.AB", "US.B"], "a")).toEqual(["HK.A", "US.AB", "US.XA"]);
  expect(filterSymbols(KNOWN, "  ")).toEqual(KNOWN);
  expect(filterSymbols(KNOWN, "hk")).toEqual(["HK.00700", "HK.HSImain"]);
});

it("finds a symbol by its name as well, after those by their code", () => {
  const names = new Map([
    ["US.AAPL", "Apple Inc"],
    ["US.MSFT", "Microsoft"],
  ]);
  expect(filterSymbols(["US.MSFT", "US.AAPL", "US.APPLE"], "appl", names)).toEqual(["US.APPLE", "US.AAPL"]);
  expect(filterSymbols(KNOWN, "micro", names)).toEqual(["US.MSFT"]);
});

it("reads names in any state", () => {
  const raw = { symbols: [{ symbol: "A", name: "One" }, { symbol: "B" }, "C", { symbol: "D", name: 3 }, null] };
  expect([...parseNames(raw)]).toEqual([["A", "One"]]);
  expect(parseNames(null).size).toBe(0);
});

it("splits the market from the code", () => {
  expect(splitSymbol("US.AAPL")).toEqual({ market: "US.", code: "AAPL" });
  expect(splitSymbol("AAPL")).toEqual({ market: "", code: "AAPL" });
});

it("reads the list of symbols in any state", () => {
  expect(parseSymbols({ symbols: [{ symbol: "A" }, "B", { symbol: 3 }, null, { symbol: "" }] })).toEqual(["A", "B"]);
  expect(parseSymbols(null)).toEqual([]);
  expect(parseSymbols({})).toEqual([]);
});

describe("fetchSymbols", () => {
  it("asks for a text", async () => {
    let asked: unknown;
    const get = (address: unknown) => {
      asked = address;
      return Promise.resolve(Response.json({ symbols: [{ symbol: "US.AAPL" }] }));
    };
    const listing = await fetchSymbols("a&b", get);
    expect(asked).toBe("symbols?q=a%26b");
    expect(listing.symbols).toEqual(["US.AAPL"]);
    expect(listing.names.size).toBe(0);
  });

  it("fails where the server does", async () => {
    await expect(fetchSymbols("", () => Promise.resolve(new Response("", { status: 503 })))).rejects.toThrow("503");
  });
});
