/** However many components show something, however React treats them: one socket, one subscription, few commits. */

import { act, render, screen, waitFor } from "@testing-library/react";
import { Component, lazy, Profiler, StrictMode, Suspense, useState, type ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { BookcastProvider, useOrderBook, useQuote, useTrades } from "../../src/react/index.js";
import { hasServer, pause, until } from "../server.js";
import { book, client, OPTIONS, PATIENCE, publish, said, server, sockets, symbol, Watched, withServer } from "./support.js";

/** Longer than a component may be gone. */
const GONE = 2_300;

function Best({ of }: { of: string }): ReactNode {
  const { value, state } = useOrderBook(of, { select: ({ bids }) => bids[0]?.[0] });
  return <p data-testid="best">{`${value} ${state}`}</p>;
}

async function shows(text: string, count = 1): Promise<void> {
  await waitFor(() => {
    expect(screen.getAllByTestId("best").map(({ textContent }) => textContent)).toEqual(Array.from({ length: count }, () => text));
  }, PATIENCE);
}

/** Counts frames until it is stopped. */
function countFrames(): () => number {
  let count = 0;
  let id = requestAnimationFrame(function next() {
    count += 1;
    id = requestAnimationFrame(next);
  });
  return () => {
    cancelAnimationFrame(id);
    return count;
  };
}

describe.runIf(hasServer)("components", () => {
  withServer();
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("share one socket and one subscription, in StrictMode as well", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10));
    const { unmount } = render(
      <StrictMode>
        <BookcastProvider url={server().url} options={{ ...OPTIONS, clientId: name }}>
          {Array.from({ length: 30 }, (_, i) => (
            <Best key={i} of={name} />
          ))}
        </BookcastProvider>
      </StrictMode>,
    );
    await shows("10 live", 30);
    expect(sockets).toHaveLength(1);
    expect(said("subscribe")).toEqual([`orderbook ${name}`]);
    unmount();
    expect(Watched.closedCount).toBe(0); // it may come back
    await until("the goodbye", () => Watched.closedCount === 1);
    expect(sockets).toHaveLength(1);
  });

  it("that come back soon have the server told nothing, and that stay away an end of the subscription", async () => {
    const name = symbol();
    const shared = client();
    await publish("orderbook", name, book(10));
    const tree = (isShown: boolean): ReactNode => (
      <StrictMode>
        <BookcastProvider client={shared}>{isShown && <Best of={name} />}</BookcastProvider>
      </StrictMode>
    );
    const { rerender } = render(tree(true));
    await shows("10 live");
    for (let i = 0; i < 3; i++) {
      rerender(tree(false));
      await pause(200);
      rerender(tree(true));
      expect(screen.getByTestId("best").textContent).toBe("10 live"); // at once
    }
    expect([said("subscribe").length, said("unsubscribe").length]).toEqual([1, 0]);
    rerender(tree(false));
    await pause(1_000);
    expect(said("unsubscribe")).toEqual([]);
    await until("the unsubscribing", () => said("unsubscribe").length === 1);
    rerender(tree(true));
    await shows("10 live");
    expect([sockets.length, said("subscribe").length]).toEqual([1, 2]);
  });

  it("of a provider that comes back soon, or of another one like it, go on with its client", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10));
    const page = (getToken?: () => string): ReactNode => (
      <BookcastProvider url={server().url} options={{ ...OPTIONS, clientId: name, ...(getToken && { getToken }) }}>
        <Best of={name} />
      </BookcastProvider>
    );
    const first = render(page());
    await shows("10 live");
    first.unmount();
    render(page());
    expect(screen.getByTestId("best").textContent).toBe("10 live"); // at once
    render(page());
    await shows("10 live", 2);
    expect([sockets.length, said("subscribe").length, said("unsubscribe").length]).toEqual([1, 1, 0]);
    // Somebody else's token is never shared.
    render(page(() => "mine"));
    render(page(() => "another's"));
    await shows("10 live", 4);
    expect(sockets).toHaveLength(3);
  });

  it("that turn to another symbol leave the one before for a while, and come back to it without a word", async () => {
    const [one, other] = [symbol(), symbol()];
    const shared = client();
    await publish("orderbook", one, book(10));
    await publish("orderbook", other, book(20));
    const tree = (name: string): ReactNode => (
      <BookcastProvider client={shared}>
        <Best of={name} />
      </BookcastProvider>
    );
    const { rerender } = render(tree(one));
    await shows("10 live");
    rerender(tree(other));
    await shows("20 live");
    rerender(tree(one));
    expect(screen.getByTestId("best").textContent).toBe("10 live");
    expect(said("subscribe")).toEqual([`orderbook ${one}`, `orderbook ${other}`]);
    await until("the unsubscribing", () => said("unsubscribe").length === 1);
    await pause(GONE - 2_000);
    expect(said("unsubscribe")).toEqual([`orderbook ${other}`]);
  });

  it("that wait beside another one which suspends subscribe once", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10));
    let load: (module: { default: () => ReactNode }) => void = () => undefined;
    const Late = lazy(() => new Promise<{ default: () => ReactNode }>((done) => (load = done)));
    let suspend: () => void = () => undefined;
    const Again = lazy(() => new Promise<{ default: () => ReactNode }>((done) => (load = done)));
    function Switch(): ReactNode {
      const [isAgain, setAgain] = useState(false);
      suspend = () => {
        setAgain(true);
      };
      return isAgain ? <Again /> : <Late />;
    }
    render(
      <StrictMode>
        <BookcastProvider url={server().url} options={{ ...OPTIONS, clientId: name }}>
          <Suspense fallback={<p>wait</p>}>
            <Best of={name} />
            <Switch />
          </Suspense>
        </BookcastProvider>
      </StrictMode>,
    );
    expect(screen.getByText("wait")).toBeDefined();
    expect(sockets).toHaveLength(0);
    const text = async (words: string): Promise<void> => {
      await act(() => {
        load({ default: () => <p>{words}</p> });
        return pause(0);
      });
      await waitFor(() => {
        expect(screen.getByText(words)).toBeDefined();
      }, PATIENCE);
    };
    await text("here");
    await shows("10 live");
    act(() => {
      suspend();
    });
    expect(screen.getByText("wait")).toBeDefined();
    await publish("orderbook", name, book(11));
    await text("again");
    await shows("11 live");
    expect([sockets.length, said("subscribe").length, said("unsubscribe").length]).toEqual([1, 1, 0]);
  });

  it("commit at most once per frame, however much comes", async () => {
    const name = symbol();
    const shared = client();
    let commits = 0;
    function Both(): ReactNode {
      const { value } = useOrderBook(name);
      const tape = useTrades(name);
      return <p data-testid="best">{`${value?.bids[0]?.[0]} ${tape.value?.trades.length}`}</p>;
    }
    render(
      <BookcastProvider client={shared}>
        <Profiler id="books" onRender={() => (commits += 1)}>
          <Both />
          <Both />
        </Profiler>
      </BookcastProvider>,
    );
    await until("the line", () => shared.line.state === "open");
    commits = 0;
    const frames = countFrames();
    const publisher = client();
    await until("the publisher's line", () => publisher.line.state === "open");
    for (let i = 1; i <= 100; i++) {
      // Fifty a second: each a book, and trades that come in a burst.
      void publisher.publish(name, book(i));
      for (let n = 0; n < 3; n++) void publisher.publish(name, { trades: [{ price: i, size: 1 }] }, { channel: "trades" });
      await pause(20);
    }
    await shows("100 100", 2);
    const passed = frames();
    expect(commits).toBeGreaterThan(10);
    expect(commits).toBeLessThanOrEqual(passed);
  });

  it("of the best bid don't render for deeper levels", async () => {
    const name = symbol();
    const shared = client();
    let renders = 0;
    function Selected(): ReactNode {
      renders += 1;
      return <Best of={name} />;
    }
    let commits = 0;
    await publish("orderbook", name, book(10, 1));
    function Deep(): ReactNode {
      const { value } = useOrderBook(name, { select: ({ bids }) => bids[1]?.[1] });
      return <p data-testid="deep">{value}</p>;
    }
    render(
      <BookcastProvider client={shared}>
        <Profiler id="best" onRender={() => (commits += 1)}>
          <Selected />
        </Profiler>
        <Deep />
      </BookcastProvider>,
    );
    await shows("10 live");
    const before = [commits, renders];
    for (let size = 2; size < 12; size++) {
      await publish("orderbook", name, book(10, size));
      await waitFor(() => {
        expect(screen.getByTestId("deep").textContent).toBe(String(size));
      }, PATIENCE);
    }
    expect([commits, renders]).toEqual(before);
    await publish("orderbook", name, book(12, 1));
    await shows("12 live");
  });

  it("go on by a timer while the page is hidden", async () => {
    const name = symbol();
    const shared = client();
    await publish("orderbook", name, book(10));
    render(
      <BookcastProvider client={shared}>
        <Best of={name} />
      </BookcastProvider>,
    );
    await shows("10 live");
    const frames = vi.spyOn(globalThis, "requestAnimationFrame").mockReturnValue(0); // none comes
    await publish("orderbook", name, book(11));
    await until("a frame that is asked for", () => frames.mock.calls.length > 0);
    vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    document.dispatchEvent(new Event("visibilitychange"));
    await shows("11 live");
    await publish("orderbook", name, book(12));
    await shows("12 live");
    expect(frames).toHaveBeenCalledTimes(1);
  });

  it("that fail are no matter for the others", async () => {
    const name = symbol();
    const shared = client();
    vi.spyOn(console, "error").mockReturnValue();
    class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
      override state = { failed: false };
      static getDerivedStateFromError(): { failed: boolean } {
        return { failed: true };
      }
      override render(): ReactNode {
        return this.state.failed ? <p>failed</p> : this.props.children;
      }
    }
    function Fails(): ReactNode {
      if (useQuote(name).value !== undefined) throw new Error("of the page");
      return null;
    }
    await publish("orderbook", name, book(10));
    render(
      <BookcastProvider client={shared}>
        <Boundary>
          <Fails />
        </Boundary>
        <Best of={name} />
      </BookcastProvider>,
    );
    await shows("10 live");
    await publish("quote", name, { last: 1 });
    await waitFor(() => {
      expect(screen.getByText("failed")).toBeDefined();
    }, PATIENCE);
    await publish("orderbook", name, book(11));
    await shows("11 live");
  });
});
