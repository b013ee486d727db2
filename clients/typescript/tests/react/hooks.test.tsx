/** What each hook returns, of a real server. */

import { act, renderHook, waitFor } from "@testing-library/react";
import { version, type ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import type { Book } from "../../src/index.js";
import {
  BookcastProvider,
  useAge,
  useBookcast,
  useBrokers,
  useCandles,
  useLine,
  useOrderBook,
  useQuote,
  useStatus,
  useTrades,
} from "../../src/react/index.js";
import { hasServer, pause } from "../server.js";
import { book, client, OPTIONS, PATIENCE, publish, said, server, sockets, symbol, withServer } from "./support.js";

const T = Date.UTC(2026, 0, 5, 15, 0);
const candle = (time: number, close: number, final: boolean): object => ({ time, open: 1, high: 9, low: 1, close, volume: 1, final });

describe.runIf(hasServer)("a hook", () => {
  withServer();

  it("is tried with each release of React", () => {
    expect(version.split(".")[0]).toBe(process.env["REACT"]);
  });

  it("shows the newest book, how it stands, and when it came", async () => {
    const name = symbol();
    const shared = client();
    const { result } = renderHook(() => useOrderBook(name, { client: shared, depth: 1 }));
    expect(result.current).toEqual({ value: undefined, state: "connecting", reason: undefined, error: undefined, receivedAt: undefined });
    await waitFor(() => {
      expect(result.current).toMatchObject({ value: undefined, state: "pending", reason: expect.stringMatching(/published/) as string });
    }, PATIENCE);
    await publish("orderbook", name, book(10, 5));
    await waitFor(() => {
      expect(result.current).toMatchObject({ value: { bids: [[10, 1]], asks: [[11, 1]] }, state: "live", error: undefined });
    }, PATIENCE);
    expect(Math.abs((result.current.receivedAt ?? 0) - Date.now())).toBeLessThan(60_000);
    await publish("orderbook", name, book(12));
    await waitFor(() => {
      expect(result.current.value?.bids[0]).toEqual([12, 1]);
    }, PATIENCE);
  });

  it("takes the client of a provider, or one that the provider makes of an address", async () => {
    const name = symbol();
    await publish("quote", name, { last: 5 });
    const given = client();
    for (const props of [{ client: given }, { url: server().url, options: { ...OPTIONS, clientId: name } }]) {
      const wrapper = ({ children }: { children: ReactNode }): ReactNode => <BookcastProvider {...props}>{children}</BookcastProvider>;
      const { result, unmount } = renderHook(() => [useQuote(name), useBookcast()] as const, { wrapper });
      await waitFor(() => {
        expect(result.current[0]).toMatchObject({ value: { last: 5 }, state: "live" });
      }, PATIENCE);
      expect(result.current[1]?.line.state).toBe("open");
      if (props.client !== undefined) expect(result.current[1]).toBe(given);
      unmount();
    }
    expect(sockets).toHaveLength(2);
  });

  it("returns the same object while nothing changed, with options and functions made anew", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10, 5));
    const shared = client();
    const { result, rerender } = renderHook(() => [
      useOrderBook(name, { client: shared, depth: 2 }),
      useOrderBook(name, { client: shared, depth: 2, select: ({ bids }) => ({ best: bids[0], count: bids.length }) }),
    ]);
    await waitFor(() => {
      expect(result.current.map(({ state }) => state)).toEqual(["live", "live"]);
    }, PATIENCE);
    const before = result.current;
    expect(before[1]?.value).toEqual({ best: [10, 1], count: 2 });
    rerender();
    rerender();
    for (const index of [0, 1]) expect(result.current[index]).toBe(before[index]);
    expect(said("subscribe")).toEqual([`orderbook ${name}`]);
  });

  it("selects by the function of the last rendering", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10, 5));
    const shared = client();
    const { result, rerender } = renderHook(
      ({ level }: { level: number }) => useOrderBook(name, { client: shared, select: ({ bids }) => bids[level]?.[0] }),
      { initialProps: { level: 0 } },
    );
    await waitFor(() => {
      expect(result.current.value).toBe(10);
    }, PATIENCE);
    rerender({ level: 1 });
    expect(result.current.value).toBe(9);
    rerender({ level: 7 });
    expect(result.current).toMatchObject({ value: undefined, state: "live" });
  });

  it("is idle and subscribes nothing while it isn't enabled, or has no symbol", async () => {
    const name = symbol();
    await publish("quote", name, { last: 1 });
    const shared = client();
    const initialProps: { enabled: boolean; which: string | undefined } = { enabled: false, which: name };
    const { result, rerender } = renderHook(
      ({ enabled, which }: typeof initialProps) => useQuote(which, { client: shared, enabled }),
      { initialProps },
    );
    const idle = { value: undefined, state: "idle", reason: undefined, error: undefined, receivedAt: undefined };
    expect(result.current).toEqual(idle);
    rerender({ enabled: true, which: undefined });
    expect(result.current).toEqual(idle);
    expect(said("subscribe")).toEqual([]);
    rerender({ enabled: true, which: name });
    await waitFor(() => {
      expect(result.current).toMatchObject({ value: { last: 1 }, state: "live" });
    }, PATIENCE);
    rerender({ enabled: false, which: name });
    expect(result.current).toEqual(idle);
  });

  it("shows every trade, after the past ones", async () => {
    const name = symbol();
    const trade = (id: number): object => ({ trades: [{ price: id, size: 1, id }] });
    for (const id of [1, 2, 3]) await publish("trades", name, trade(id));
    const shared = client();
    const { result } = renderHook(() => useTrades(name, { client: shared, history: 2, limit: 30 }));
    const ids = (): unknown[] | undefined => result.current.value?.trades.map(({ id }) => id);
    await waitFor(() => {
      expect(ids()).toEqual([2, 3]);
    }, PATIENCE);
    for (let id = 4; id <= 40; id++) await shared.publish(name, { trades: [{ price: id, size: 1, id }] }, { channel: "trades" });
    await waitFor(() => {
      expect(ids()?.at(-1)).toBe(40);
    }, PATIENCE);
    expect(ids()).toEqual(Array.from({ length: 30 }, (_, i) => 11 + i));
    // A later one begins with what is there.
    const later = renderHook(() => useTrades(name, { client: shared, history: 2 }));
    await waitFor(() => {
      expect(later.result.current.value?.trades.map(({ id }) => id)).toEqual([39, 40]);
    }, PATIENCE);
  });

  it("shows each candle as it is now", async () => {
    const name = symbol();
    for (const one of [candle(T, 2, true), candle(T + 60_000, 3, true), candle(T + 120_000, 4, false)]) {
      await publish("candles", `${name}&period=1m`, one);
    }
    const shared = client();
    const { result } = renderHook(() => useCandles(name, { client: shared, period: "1m", history: 10 }));
    const closes = (): number[] | undefined => result.current.value?.candles.map(({ close }) => close);
    await waitFor(() => {
      expect(closes()).toEqual([2, 3, 4]);
    }, PATIENCE);
    await publish("candles", `${name}&period=1m`, candle(T + 120_000, 5, true));
    await publish("candles", `${name}&period=1m`, candle(T + 180_000, 6, false));
    await waitFor(() => {
      expect(closes()).toEqual([2, 3, 5, 6]);
    }, PATIENCE);
  });

  it("shows brokers", async () => {
    const name = symbol();
    await publish("brokers", name, { bids: [{ id: 1, name: "One", pos: 1 }], asks: [] });
    const shared = client();
    const { result } = renderHook(() => useBrokers(name, { client: shared }));
    await waitFor(() => {
      expect(result.current.value?.bids[0]).toMatchObject({ name: "One" });
    }, PATIENCE);
  });

  it("shows how a topic stands without rendering for its updates", async () => {
    const name = symbol();
    const shared = client();
    let renders = 0;
    const { result } = renderHook(() => {
      renders += 1;
      return useStatus(name, { client: shared, channel: "quote" });
    });
    const quote = renderHook(() => useQuote(name, { client: shared }));
    await waitFor(() => {
      expect(result.current).toMatchObject({ value: "pending", state: "pending", reason: expect.any(String) as string });
    }, PATIENCE);
    await publish("quote", name, { last: 0 });
    await waitFor(() => {
      expect(result.current).toMatchObject({ value: "live", state: "live", reason: undefined });
    }, PATIENCE);
    const before = renders;
    for (let last = 1; last <= 5; last++) {
      await publish("quote", name, { last });
      await waitFor(() => {
        expect(quote.result.current.value?.last).toBe(last);
      }, PATIENCE);
    }
    expect(renders).toBe(before);
    expect(said("subscribe")).toEqual([`quote ${name}`]);
  });

  it("shows the line, also when it is closed", async () => {
    const shared = client();
    const { result } = renderHook(() => [useLine({ client: shared }), useQuote("US.ANY", { client: shared })] as const);
    expect(result.current[0]).toMatchObject({ state: "connecting" });
    await waitFor(() => {
      expect(result.current[0]).toMatchObject({ value: { state: "open" }, state: "open", error: undefined });
    }, PATIENCE);
    shared.close();
    await waitFor(() => {
      expect(result.current[0]).toMatchObject({ value: { state: "stopped", final: true }, state: "stopped" });
      expect(result.current[1]).toMatchObject({ state: "refused", reason: "closed" });
    }, PATIENCE);
  });

  it("returns errors: of options, of the server, of a function of yours, of a client that is missing", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10));
    const shared = client();
    const failing = ({ bids }: Book): number => (bids[7] as [number, number])[0];
    const { result } = renderHook(() => [
      useOrderBook(name, { client: shared, depth: -1 }),
      useOrderBook("HK.", { client: shared }),
      useOrderBook(name, { client: shared, select: failing }),
      useOrderBook(name),
    ]);
    await waitFor(() => {
      expect(result.current[0]).toMatchObject({ state: "refused", error: { code: "invalid_options", message: expect.stringContaining("depth") as string } });
      expect(result.current[1]).toMatchObject({ state: "refused", error: { code: "invalid_symbol", final: true } });
      expect(result.current[2]).toMatchObject({ value: undefined, state: "live", error: { code: "select_failed" } });
      expect(result.current[3]).toMatchObject({ state: "refused", error: { code: "no_client" } });
    }, PATIENCE);
  });

  it("tells how old something is, rendering by itself, also of updates that changed nothing that is shown", async () => {
    const name = symbol();
    const shared = client();
    await publish("orderbook", name, book(10, 1));
    const { result } = renderHook(() => {
      const shown = useOrderBook(name, { client: shared, select: ({ bids }) => bids[0]?.[0] });
      return [shown, useAge(shown, 20)] as const;
    });
    expect(result.current[1]).toBeUndefined();
    await waitFor(() => {
      expect(result.current[1]).toBeGreaterThan(300);
    }, PATIENCE);
    const [before] = result.current;
    await publish("orderbook", name, book(10, 2));
    await waitFor(() => {
      expect(result.current[1]).toBeLessThan(300);
    }, PATIENCE);
    expect(result.current[0]).toBe(before);
    expect(Number.isInteger(result.current[1])).toBe(true);
  });

  it("knows the age of what came before it looked", async () => {
    const name = symbol();
    await publish("quote", name, { last: 1 });
    await pause(400); // so old it is then
    const shared = client();
    const { result } = renderHook(() => useAge(useQuote(name, { client: shared }), 1_000));
    await waitFor(() => {
      expect(result.current).toBeGreaterThanOrEqual(350);
    }, PATIENCE);
  });

  it("has nothing to tell the console", async () => {
    const told = [vi.spyOn(console, "error"), vi.spyOn(console, "warn")];
    const name = symbol();
    await publish("quote", name, { last: 1 });
    const shared = client();
    const { result, unmount } = renderHook(() => useQuote(name, { client: shared, select: ({ last }) => [last] }));
    await waitFor(() => {
      expect(result.current.value).toEqual([1]);
    }, PATIENCE);
    act(unmount);
    for (const each of told) expect(each).not.toHaveBeenCalled();
  });
});
