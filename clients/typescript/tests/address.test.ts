import { describe, expect, test } from "vitest";
import { socketAddress } from "../src/address.js";

describe("socketAddress", () => {
  test.each([
    ["ws://localhost:8002", "ws://localhost:8002/ws/me"],
    ["http://localhost:8002/", "ws://localhost:8002/ws/me"],
    ["https://stream.example.com", "wss://stream.example.com/ws/me"],
    ["https://example.com/market/data/", "wss://example.com/market/data/ws/me"],
    ["wss://example.com/market?token=a.b", "wss://example.com/market/ws/me?token=a.b"],
    ["ws://localhost:8002/ws", "ws://localhost:8002/ws/me"],
    ["ws://localhost:8002/ws/", "ws://localhost:8002/ws/me"],
    ["ws://localhost:8002/ws/other", "ws://localhost:8002/ws/me"],
    ["wss://example.com/p/ws/other?symbols=AAPL#x", "wss://example.com/p/ws/me?symbols=AAPL"],
    ["/market", "wss://page.example.com/market/ws/me"],
    ["", "wss://page.example.com/ws/me"],
    [undefined, "wss://page.example.com/ws/me"],
  ])("%s leads to %s", (url, expected) => {
    const page = "https://page.example.com/";
    expect(socketAddress(url, "me", page)).toBe(expected);
  });

  test("an id may be any text, stand in the address, or be made up", () => {
    expect(socketAddress("ws://h", "a/b ü?", undefined)).toBe("ws://h/ws/a%2Fb%20%C3%BC%3F");
    expect(socketAddress("https://h/p/ws/other", undefined, undefined)).toBe("wss://h/p/ws/other");
    const made = socketAddress("ws://h", undefined, undefined);
    expect(made).toMatch(/^ws:\/\/h\/ws\/.{8,}$/);
    expect(socketAddress("ws://h", undefined, undefined)).not.toBe(made);
  });

  test.each(["", "ws://", "http://a b", "localhost:8002", "file:///client.js", "host"])(
    "what is no address is refused: %j",
    (url) => {
      expect(() => socketAddress(url, "me", undefined)).toThrow(TypeError);
    },
  );
});
