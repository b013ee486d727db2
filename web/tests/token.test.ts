import { describe, expect, it } from "vitest";
import { headersFor, takeToken } from "../src/token";

function shelf(): { getItem(key: string): string | null; setItem(key: string, value: string): void } {
  const kept = new Map<string, string>();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
}

describe("a token in the address", () => {
  it("is taken out of it and kept for the tab", () => {
    const tab = shelf();
    const addresses: string[] = [];
    const clean = (address: string): void => void addresses.push(address);
    const place = { hash: "#token=a.b.c&US.AAPL", pathname: "/", search: "?x=1" };
    expect(takeToken(place, tab, clean)).toBe("a.b.c");
    expect(addresses).toEqual(["/?x=1#US.AAPL"]);
    expect(takeToken({ ...place, hash: "#US.AAPL" }, tab, clean)).toBe("a.b.c");
    expect(addresses).toHaveLength(1);
  });

  it("may be missing, also where nothing can be kept", () => {
    const place = { hash: "", pathname: "/", search: "" };
    expect(takeToken(place, null, () => undefined)).toBeNull();
    expect(takeToken({ ...place, hash: "#token=" }, null, () => undefined)).toBeNull();
    expect(headersFor(null)).toEqual({});
  });

  it("goes into a header", () => {
    expect(headersFor("t")).toEqual({ authorization: "Bearer t" });
  });
});
