import { beforeEach, describe, expect, it } from "vitest";
import { ANSWER_WITHIN, Connection, DROPPED, GOOD_AFTER, MAX_DELAY, MIN_DELAY, PING_EVERY, type State } from "../src/connection";
import type { Message } from "../src/message";
import { FakeClock, FakeSocket } from "./fakes";

let clock: FakeClock;
let sockets: FakeSocket[];
let states: State[];
let messages: Message[];
let dice: number;
let connection: Connection;

const socket = (): FakeSocket => {
  const last = sockets.at(-1);
  if (last === undefined) throw new Error("no socket was opened");
  return last;
};
const delay = (): number => {
  const state = connection.state;
  if (state.kind !== "waiting") throw new Error(`it is ${state.kind}, not waiting`);
  return state.until - clock.now();
};

beforeEach(() => {
  clock = new FakeClock();
  sockets = [];
  states = [];
  messages = [];
  dice = 1;
  connection = new Connection({
    open: () => {
      sockets.push(new FakeSocket());
      return socket();
    },
    clock,
    random: () => dice,
    onState: (state) => states.push(state),
    onMessage: (message) => messages.push(message),
  });
});

describe("subscriptions", () => {
  it("are sent when the socket opens, and at once from then on", () => {
    connection.subscribe("US.AAPL");
    connection.start();
    expect(socket().sent).toEqual([]);
    socket().opens();
    connection.subscribe("US.MSFT");
    expect(socket().sent).toEqual([
      { action: "subscribe", symbol: "US.AAPL" },
      { action: "subscribe", symbol: "US.MSFT" },
    ]);
  });

  it("are sent once, however often they are wanted", () => {
    connection.start();
    socket().opens();
    connection.subscribe("US.AAPL");
    connection.subscribe("US.AAPL");
    expect(socket().sent).toHaveLength(1);
  });

  it("come back after a loss, without those given up meanwhile", () => {
    connection.start();
    socket().opens();
    connection.subscribe("US.AAPL");
    connection.subscribe("US.MSFT");
    socket().closes();
    connection.unsubscribe("US.MSFT");
    clock.advance(MAX_DELAY);
    socket().opens();
    expect(sockets).toHaveLength(2);
    expect(socket().sent).toEqual([{ action: "subscribe", symbol: "US.AAPL" }]);
  });

  it("that a kept session brings and nobody wants are given up", () => {
    connection.start();
    socket().opens();
    socket().receives({ type: "orderbook_update", symbol: "US.OLD", data: {} });
    expect(messages).toEqual([]);
    expect(socket().sent).toEqual([{ action: "unsubscribe", symbol: "US.OLD" }]);
  });
});

describe("reconnecting", () => {
  const loseAgain = (): void => {
    clock.advance(delay());
    socket().closes();
  };

  it("waits longer each time, up to the most", () => {
    connection.start();
    socket().closes();
    const delays = [delay()];
    for (let i = 0; i < 6; i += 1) {
      loseAgain();
      delays.push(delay());
    }
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, MAX_DELAY, MAX_DELAY]);
  });

  it("spreads the attempts over the whole delay, but never hammers", () => {
    connection.start();
    dice = 0.5;
    socket().closes();
    expect(delay()).toBe(250);
    dice = 0;
    loseAgain();
    expect(delay()).toBe(MIN_DELAY);
  });

  it("starts afresh only after a connection that lasted", () => {
    connection.start();
    socket().closes();
    loseAgain();
    clock.advance(delay());
    socket().opens();
    clock.advance(GOOD_AFTER - 1);
    socket().closes();
    expect(delay()).toBe(2000);
    clock.advance(delay());
    socket().opens();
    clock.advance(GOOD_AFTER);
    socket().closes();
    expect(delay()).toBe(500);
  });

  it("happens at once when woken", () => {
    connection.start();
    socket().closes();
    connection.wake();
    expect(connection.state.kind).toBe("connecting");
    clock.advance(ANSWER_WITHIN - 1);
    expect(sockets).toHaveLength(2);
  });

  it("doesn't happen after a close that means: stay away, until somebody asks", () => {
    connection.start();
    socket().opens();
    socket().closes(4503, "credentials refused");
    clock.advance(10 * MAX_DELAY);
    connection.wake();
    expect(connection.state).toEqual({ kind: "refused", code: 4503, reason: "credentials refused" });
    expect(sockets).toHaveLength(1);
    connection.retry();
    expect(sockets).toHaveLength(2);
  });

  it.each([1001, 1006, 1011, 1012, 1013, 4000, 4008, 4499])("happens after close code %d", (code) => {
    connection.start();
    socket().opens();
    socket().closes(code);
    expect(connection.state.kind).toBe("waiting");
  });

  it.each([1008, 4010, 4500, 4503, 4999])("doesn't happen after close code %d", (code) => {
    connection.start();
    socket().opens();
    socket().closes(code);
    expect(connection.state).toEqual({ kind: "refused", code, reason: `code ${code}` });
    connection.wake();
    clock.advance(10 * MAX_DELAY);
    expect(sockets).toHaveLength(1);
  });

  it("stops when the server refuses us elsewhere, and begins again when that has changed", () => {
    connection.start();
    socket().opens();
    connection.refuse(4503, "no token");
    expect(sockets[0]?.closed).toBe(true);
    clock.advance(10 * MAX_DELAY);
    expect(sockets).toHaveLength(1);
    connection.reconnect();
    socket().opens();
    expect(connection.state.kind).toBe("live");
    connection.reconnect();
    expect(sockets[1]?.closed).toBe(true);
    expect(sockets[1]?.closeCode).toBeUndefined();
    expect(sockets).toHaveLength(3);
  });
});

describe("a dead line", () => {
  it("is noticed when nothing answers the ping", () => {
    connection.start();
    socket().opens();
    clock.advance(PING_EVERY);
    expect(socket().sent).toEqual([{ action: "ping" }]);
    clock.advance(ANSWER_WITHIN);
    expect(sockets[0]?.closed).toBe(true);
    expect(connection.state.kind).toBe("waiting");
  });

  it("is dropped with a code of its own, which doesn't end the session", () => {
    connection.start();
    socket().opens();
    clock.advance(PING_EVERY + ANSWER_WITHIN);
    expect(sockets[0]?.closeCode).toBe(DROPPED);
  });

  it("is not one where any message answers", () => {
    connection.start();
    socket().opens();
    clock.advance(PING_EVERY);
    socket().receives({ type: "something new" });
    clock.advance(ANSWER_WITHIN - 1);
    expect(connection.state.kind).toBe("live");
    clock.advance(PING_EVERY);
    expect(socket().sent).toHaveLength(2);
  });

  it("is asked at once when somebody looks", () => {
    connection.start();
    socket().opens();
    connection.wake();
    expect(socket().sent).toEqual([{ action: "ping" }]);
    socket().receives({ type: "pong" });
    clock.advance(ANSWER_WITHIN);
    expect(connection.state.kind).toBe("live");
  });

  it("is given up where the socket never opens", () => {
    connection.start();
    clock.advance(ANSWER_WITHIN);
    expect(sockets[0]?.closed).toBe(true);
    expect(connection.state.kind).toBe("waiting");
  });

  it("has no say any more once it was given up", () => {
    connection.start();
    const dead = socket();
    clock.advance(ANSWER_WITHIN);
    clock.advance(delay());
    socket().opens();
    dead.closes();
    dead.receives({ type: "pong" });
    expect(connection.state.kind).toBe("live");
    expect(messages).toEqual([]);
  });
});

it("tells every state it goes through", () => {
  connection.start();
  socket().opens();
  socket().closes();
  clock.advance(500);
  expect(states.map(({ kind }) => kind)).toEqual(["connecting", "live", "waiting", "connecting"]);
  expect(states[2]).toEqual({ kind: "waiting", until: 500 });
});

it("hands on what the server says", () => {
  connection.start();
  socket().opens();
  socket().receives({ type: "error", message: "Unknown action" });
  expect(messages).toEqual([{ type: "error", message: "Unknown action" }]);
});
