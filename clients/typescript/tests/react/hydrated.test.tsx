/** A page that was rendered on a server comes to life in a browser, and stays alive when its code is edited. */

// Before React's renderer, which looks for it when it is loaded.
import "./refresh.js";

import { act, cleanup, render, waitFor } from "@testing-library/react";
import { hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { useState, type ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { BookcastProvider, useOrderBook } from "../../src/react/index.js";
import { hasServer } from "../server.js";
import { refresh, sign } from "./refresh.js";
import { book, OPTIONS, PATIENCE, publish, said, server, sockets, symbol, withServer } from "./support.js";

describe.runIf(hasServer)("a page", () => {
  withServer();
  afterEach(() => {
    vi.restoreAllMocks();
  });

  function Best({ of }: { of: string }): ReactNode {
    const { value, state } = useOrderBook(of, { select: ({ bids }) => bids[0]?.[0] });
    return <p>{`${value} ${state}`}</p>;
  }

  it("that was rendered on a server is hydrated without a difference, and connects once", async () => {
    const errors = vi.spyOn(console, "error");
    const name = symbol();
    await publish("orderbook", name, book(10));
    const page = (
      <BookcastProvider url={server().url} options={{ ...OPTIONS, clientId: name }}>
        <Best of={name} />
        <Best of={name} />
      </BookcastProvider>
    );
    const container = document.body.appendChild(document.createElement("div"));
    container.innerHTML = renderToString(page);
    expect([container.textContent, sockets.length]).toEqual(["undefined connectingundefined connecting", 0]);
    let root: Root | undefined;
    act(() => {
      root = hydrateRoot(container, page);
    });
    await waitFor(() => {
      expect(container.textContent).toBe("10 live10 live");
    }, PATIENCE);
    expect([sockets.length, said("subscribe").length]).toEqual([1, 1]);
    expect(errors).not.toHaveBeenCalled();
    act(() => {
      root?.unmount();
    });
    container.remove();
  });

  it("whose code is edited keeps its socket, its subscription and its state", async () => {
    const name = symbol();
    await publish("orderbook", name, book(10));
    const write = (version: string): (() => ReactNode) => {
      const page = (): ReactNode => {
        const [opened] = useState(version);
        const { value, state } = useOrderBook(name, { select: ({ bids }) => bids[0]?.[0] });
        return <p>{`${version} since ${opened}: ${value} ${state}`}</p>;
      };
      return sign(page, "Page", "useState{} useOrderBook{}");
    };
    const Page = write("first");
    const { container } = render(
      <BookcastProvider url={server().url} options={{ ...OPTIONS, clientId: name }}>
        <Page />
      </BookcastProvider>,
    );
    const shows = async (text: string): Promise<void> => {
      await waitFor(() => {
        expect(container.textContent).toBe(text);
      }, PATIENCE);
    };
    await shows("first since first: 10 live");
    for (const version of ["second", "third"]) {
      write(version);
      act(refresh);
      await shows(`${version} since first: 10 live`);
    }
    await publish("orderbook", name, book(11));
    await shows("third since first: 11 live");
    expect([sockets.length, said("subscribe").length, said("unsubscribe").length]).toEqual([1, 1, 0]);
    cleanup();
  });
});
