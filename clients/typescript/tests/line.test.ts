/** How a connection is lost and comes back, on a clock and with sockets that tests move by hand. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import { Line, type LineStatus, type Protocol } from "../src/line.js";
import type { Socket } from "../src/platform.js";
import { FakePlatform } from "./support.js";

class HandSocket implements Socket {
  static all: HandSocket[] = [];
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onerror: Socket["onerror"] = null;
  onclose: Socket["onclose"] = null;
  readonly sent: string[] = [];
  closedWith: [(number | undefined)?] | undefined;

  constructor(
    readonly url: string,
    readonly protocols?: string[],
  ) {
    HandSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(...code: [number?]): void {
    // Its handlers are gone by now: what a dead line tells later doesn't count.
    expect([this.onopen, this.onmessage, this.onclose]).toEqual([null, null, null]);
    this.closedWith = code;
  }

  hears(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const latest = (): HandSocket => HandSocket.all.at(-1) as HandSocket;

function make(more: Partial<Protocol> = {}): { line: Line; platform: FakePlatform; states: LineStatus[]; lost: number[] } {
  const platform = new FakePlatform();
  const states: LineStatus[] = [];
  const lost: number[] = [];
  const line: Line = new Line(
    { url: "ws://test/ws/me", protocols: ["bookcast.v1"], WebSocket: HandSocket, platform },
    {
      ping: { action: "ping" },
      opened: () => {
        line.up();
      },
      received: ({ type }) => {
        if (type === "pong") line.ponged();
      },
      lost: () => lost.push(platform.now()),
      changed: (status) => states.push(status),
      ...more,
    },
  );
  line.start();
  return { line, platform, states, lost };
}

function opened(): ReturnType<typeof make> {
  const made = make();
  latest().onopen?.({});
  return made;
}

beforeEach(() => {
  HandSocket.all = [];
});

describe("a lost connection", () => {
  it("is tried again with exponential backoff, capped, with full jitter", async () => {
    const { line, platform } = make();
    const delays: number[] = [];
    for (let i = 0; i < 9; i++) {
      latest().onclose?.({ code: 1006 });
      expect(line.status.state).toBe("waiting");
      delays.push((line.status.retryAt ?? 0) - platform.now());
      await platform.advance(delays.at(-1) ?? 0);
    }
    expect(delays.map(Math.ceil)).toEqual([500, 999, 1998, 3996, 7992, 15984, 19980, 19980, 19980].map((one) => Math.ceil(one)));
    platform.dice = 0.1;
    latest().onclose?.({ code: 1006 });
    expect((line.status.retryAt ?? 0) - platform.now()).toBeCloseTo(2_000);
  });

  it("begins the backoff anew once a connection has lived for a while", async () => {
    const { line, platform } = make();
    for (let i = 0; i < 6; i++) {
      latest().onclose?.({ code: 1006 });
      await platform.advance(20_000);
    }
    latest().onopen?.({});
    await platform.advance(10_000);
    latest().onclose?.({ code: 1006 });
    expect((line.status.retryAt ?? 0) - platform.now()).toBeLessThanOrEqual(500);
  });

  it.each([1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 1013, 4000, 4008, 4009, 4010, 4499])("comes back after %i", (code) => {
    const { line } = opened();
    latest().onclose?.({ code });
    expect(line.status).toMatchObject({ state: "waiting", code });
  });

  it.each([1008, 4500, 4501, 4503, 4999])("is stopped for good by %i", async (code) => {
    const { line, platform } = opened();
    latest().onclose?.({ code, reason: "why" });
    expect(line.status).toEqual({ state: "stopped", code, reason: "why", final: true });
    await platform.advance(600_000);
    platform.page("wake");
    expect(HandSocket.all).toHaveLength(1);
  });
});

describe("a server's wish", () => {
  it("to be left alone is kept, also when the page wakes", async () => {
    const { line, platform } = opened();
    line.holdOff(30_000);
    latest().onclose?.({ code: 1013 });
    platform.page("wake");
    await platform.advance(29_000);
    expect(HandSocket.all).toHaveLength(1);
    await platform.advance(2_000);
    expect(HandSocket.all).toHaveLength(2);
  });

  it.each([undefined, null, -5, Number.NaN, "soon"])("that makes no sense (%s) is none", (wish) => {
    const { line, platform } = opened();
    line.holdOff(wish);
    latest().onclose?.({ code: 1013 });
    expect((line.status.retryAt ?? 0) - platform.now()).toBeLessThanOrEqual(500);
  });

  it("to come back at a moment of this client's own is kept", async () => {
    const { line, platform } = opened();
    await platform.advance(10_000);
    line.leaveIn(3_000);
    await platform.advance(2_900);
    expect(line.isOpen).toBe(true);
    await platform.advance(200);
    expect(HandSocket.all).toHaveLength(2);
    expect(HandSocket.all[0]?.closedWith).toEqual([4000]);
  });

  it("to come back is kept at once when it closes before", async () => {
    const { line, platform } = opened();
    await platform.advance(10_000);
    line.leaveIn(3_000);
    latest().onclose?.({ code: 1012 });
    await platform.advance(1);
    expect(HandSocket.all).toHaveLength(2);
  });

  it("in a handshake, by Retry-After in seconds or as a date, is kept", async () => {
    for (const header of ["7", new Date(1_800_000_000_000 + 7_000).toUTCString()]) {
      HandSocket.all = [];
      let refuse: ((request: unknown, response: unknown) => void) | undefined;
      (HandSocket.prototype as { on?: unknown }).on = (name: string, listener: typeof refuse) => {
        if (name === "unexpected-response") refuse = listener;
      };
      const { line, platform } = make();
      delete (HandSocket.prototype as { on?: unknown }).on;
      refuse?.(null, { statusCode: 503, headers: { "retry-after": header } });
      expect(line.status).toMatchObject({ state: "waiting", reason: "HTTP 503" });
      await platform.advance(6_900);
      expect(HandSocket.all).toHaveLength(1);
      await platform.advance(700);
      expect(HandSocket.all).toHaveLength(2);
    }
  });
});

describe("a dead peer", () => {
  it("is noticed when nothing follows a ping", async () => {
    const { line, platform, lost } = opened();
    await platform.advance(15_000);
    expect(latest().sent).toEqual(['{"action":"ping"}']);
    await platform.advance(5_000);
    expect(HandSocket.all[0]?.closedWith).toEqual([4000]);
    expect(line.status).toMatchObject({ state: "waiting" });
    expect(lost).toHaveLength(1);
  });

  it("isn't suspected while anything comes", async () => {
    const { platform } = opened();
    for (let i = 0; i < 20; i++) {
      await platform.advance(4_000);
      latest().hears({ type: "heartbeat" });
      if (latest().sent.length > 0) latest().hears({ type: "pong" });
    }
    expect(HandSocket.all).toHaveLength(1);
  });

  it("is noticed though messages come, when it hears nothing itself", async () => {
    const { platform } = opened();
    for (let i = 0; i < 40; i++) {
      await platform.advance(4_000);
      HandSocket.all[0]?.hears({ type: "heartbeat" });
    }
    expect(HandSocket.all[0]?.closedWith).toEqual([4000]);
  });

  it("is noticed soon after the machine has slept, without a word from the page", async () => {
    const { platform } = opened();
    await platform.advance(1_000);
    platform.sleep(3_600_000);
    await platform.advance(10);
    expect(latest().sent).toEqual(['{"action":"ping"}']);
    await platform.advance(5_000);
    expect(HandSocket.all[0]?.closedWith).toEqual([4000]);
  });

  it("is noticed though the clock was set back", async () => {
    const { platform } = opened();
    await platform.advance(1_000);
    platform.sleep(-3_600_000);
    await platform.advance(3_600_000 + 40_000);
    expect(HandSocket.all[0]?.closedWith).toEqual([4000]);
  });

  it("that never opens is given up", async () => {
    const { platform } = make();
    await platform.advance(8_000);
    expect(HandSocket.all[0]?.closedWith).toEqual([4000]);
  });
});

describe("a page", () => {
  it("that wakes has its line checked at once, and reconnects at once", async () => {
    const { line, platform } = opened();
    platform.page("wake");
    expect(latest().sent).toEqual(['{"action":"ping"}']);
    await platform.advance(5_000);
    expect(line.status.state).toBe("waiting");
    platform.page("wake");
    expect(HandSocket.all).toHaveLength(2);
  });

  it("that is about to be frozen gives up its socket with 4001, and comes back when it wakes", async () => {
    const { line, platform } = opened();
    platform.page("sleep");
    expect(latest().closedWith).toEqual([4001]);
    await platform.advance(600_000);
    expect([line.status.state, HandSocket.all.length]).toEqual(["waiting", 1]);
    platform.page("wake");
    expect([line.status.state, HandSocket.all.length]).toEqual(["connecting", 2]);
  });
});

describe("a line", () => {
  it("says goodbye without a code only when it is stopped", async () => {
    const { line, platform } = opened();
    line.stop();
    expect(latest().closedWith).toEqual([undefined]);
    expect(line.status).toMatchObject({ state: "stopped", final: true });
    await platform.advance(600_000);
    expect(HandSocket.all).toHaveLength(1);
    expect(platform.timerCount).toBe(0);
  });

  it.each(["waiting", "connecting"])("stays stopped when it is stopped by who is told that it is %s", async (state) => {
    let stop = (): void => undefined;
    const { line, platform } = make({
      changed: (status) => {
        if (status.state === state) stop();
      },
    });
    latest().onopen?.({});
    stop = () => {
      line.stop();
    };
    latest().onclose?.({ code: 1006 });
    await platform.advance(600_000);
    expect([line.status.state, HandSocket.all.length]).toEqual(["stopped", 1]);
    expect(platform.timerCount).toBe(0);
  });

  it("passes over what can't be read", () => {
    const received = vi.fn();
    make({ received });
    for (const data of ["", "{", "null", "3", "[", "\0", new ArrayBuffer(3), undefined]) latest().onmessage?.({ data });
    expect(received).not.toHaveBeenCalled();
  });

  it("stops where a browser won't ever connect, and goes on after another failure", () => {
    const platform = new FakePlatform();
    const attempt = (error: Error): LineStatus => {
      const line = new Line(
        {
          url: "ws://test",
          protocols: [],
          platform,
          WebSocket: function () {
            throw error;
          } as never,
        },
        { ping: {}, opened: () => undefined, received: () => undefined, lost: () => undefined, changed: () => undefined },
      );
      line.start();
      return line.status;
    };
    expect(attempt(Object.assign(new Error("insecure"), { name: "SecurityError" }))).toMatchObject({ state: "stopped", final: true });
    expect(attempt(new Error("no buffers"))).toMatchObject({ state: "waiting" });
  });
});
