/** A real server that asks for tokens: they are shown and renewed in band, refused for good, and no hole comes of it. */

import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Bookcast } from "../src/index.js";
import type { SocketConstructor } from "../src/platform.js";
import { freePort, hasServer, pause, Server, until } from "./server.js";

const SECRET = "a secret of at least thirty-two bytes";

function token(seconds: number, secret = SECRET, bookcast: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1_000) + seconds;
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "me", exp, scope: "read publish", bookcast })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

describe.runIf(hasServer)("a server that asks for tokens", () => {
  let server: Server;
  beforeAll(async () => {
    server = new Server(await freePort(), { AUTH_MODE: "jwt", AUTH_JWT_SECRET: SECRET, AUTH_CLOCK_SKEW: "0", PUBLISH_ALLOW: "127.0.0.0/8" });
    await server.start();
  }, 60_000);
  afterAll(() => server.kill());

  const connect = (getToken: (() => string | Promise<string>) | undefined): Bookcast =>
    new Bookcast(server.url, { WebSocket: WebSocket as unknown as SocketConstructor, getToken });

  it("is shown new ones before the old ones expire, on the same connection", { timeout: 60_000 }, async () => {
    let calls = 0;
    const client = connect(() => {
      calls += 1;
      return token(3);
    });
    const states: string[] = [];
    client.on("line", ({ state }) => states.push(state));
    const tape = client.trades("US.A");
    let came = 0;
    tape.on("update", ({ trades }) => (came += trades.length));
    await until("the first connection", () => tape.state !== "connecting");
    let published = 0;
    for (let i = 0; calls < 4 && i < 300; i++) {
      if ((await server.publish("trades", "US.A", { trades: [{ price: 1, size: 1 }] })) !== undefined) published += 1;
      await pause(50);
    }
    await until("the last trade", () => came === published);
    expect(calls).toBeGreaterThanOrEqual(4);
    expect(states).toEqual(["open"]);
    client.close();
  });

  it("refuses a wrong one for good, with a typed error", { timeout: 30_000 }, async () => {
    const client = connect(() => token(60, "another secret of thirty-two bytes or more"));
    await expect(client.orderBook("US.A").ready).rejects.toMatchObject({ code: "invalid_token", final: true });
    expect(client.line).toMatchObject({ state: "stopped", code: 4503, final: true });
  });

  it("and a client that has none to show says so", { timeout: 30_000 }, async () => {
    const client = connect(undefined);
    await expect(client.quote("US.A").ready).rejects.toMatchObject({ code: "unauthenticated", final: true });
  });

  it("refuses what a token has no right to, and nothing else", { timeout: 30_000 }, async () => {
    const client = connect(() => token(60, SECRET, { channels: ["quote"] }));
    const quote = client.quote("US.A");
    await expect(client.orderBook("US.A").ready).rejects.toMatchObject({ code: "forbidden", final: true });
    await until("the other", () => quote.state === "pending");
    client.close();
  });
});
