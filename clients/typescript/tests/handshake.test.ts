/** A handshake that is refused, as the package `ws` tells it. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { WebSocket } from "ws";
import { Bookcast } from "../src/index.js";
import type { SocketConstructor } from "../src/platform.js";
import { until } from "./server.js";

it("is told with its status, and Retry-After is kept", { timeout: 30_000 }, async () => {
  const tries: number[] = [];
  const server = createServer();
  server.on("upgrade", (_request, socket) => {
    tries.push(Date.now());
    socket.on("error", () => undefined); // the client may be gone before it has read all
    socket.end("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfull now\n");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const client = new Bookcast(`http://127.0.0.1:${port}`, { WebSocket: WebSocket as unknown as SocketConstructor });
  await until("the refusal", () => client.line.state === "waiting");
  expect(client.line.reason).toBe("HTTP 503");
  await until("the second try", () => tries.length === 2);
  expect((tries[1] ?? 0) - (tries[0] ?? 0)).toBeGreaterThanOrEqual(1_900);
  client.close();
  server.close();
});
