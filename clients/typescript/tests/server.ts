/** A real server, and a relay in front of it that can swallow what passes. */

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const PROGRAM = process.env["BOOKCAST_PROGRAM"] ?? join(ROOT, ".venv/bin/bookcast");

/** With CI nothing is skipped. */
export const hasServer = existsSync(PROGRAM) || process.env["CI"] !== undefined;

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const end = Date.now() + seconds * 1_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what} didn't happen within ${seconds} s`);
    await pause(10);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

export class Server {
  #process: ChildProcess | undefined;
  #log = "";

  constructor(
    readonly port: number,
    readonly environment: Record<string, string> = {},
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const environment = { PATH: process.env["PATH"], HOME: tmpdir(), WEBSOCKET_PORT: String(this.port), FEED: "none", ...this.environment };
    const started = spawn(PROGRAM, ["serve"], { env: environment, cwd: tmpdir(), stdio: ["ignore", "pipe", "pipe"] });
    this.#process = started;
    started.stdout.on("data", (text) => (this.#log += String(text)));
    started.stderr.on("data", (text) => (this.#log += String(text)));
    await until("the server's start", async () => {
      if (started.exitCode !== null) throw new Error(`the server ended: ${this.#log}`);
      return await fetch(`${this.url}/livez`, { signal: AbortSignal.timeout(2_000) }).then(({ ok }) => ok, () => false);
    }, 120);
  }

  /** Ends the process, as a crash or as somebody who stops it. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const ended = this.#process;
    this.#process = undefined;
    if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return;
    const gone = new Promise((done) => ended.once("exit", done));
    ended.kill(signal);
    await gone;
  }

  /** Publishes over HTTP; undefined when that failed, or when nobody knows. */
  async publish(channel: string, symbol: string, data: unknown): Promise<{ epoch: string; seq: number } | undefined> {
    const address = `${this.url}/broadcast/${channel}?symbol=${symbol}`;
    try {
      const headers = { "content-type": "application/json" };
      const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(data), signal: AbortSignal.timeout(5_000) });
      return response.ok ? ((await response.json()) as { epoch: string; seq: number }) : undefined;
    } catch {
      return undefined;
    }
  }
}

export class Relay {
  swallows = false;
  port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((near) => {
    const far = connect(this.target, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]] as const) {
      this.#sockets.add(from);
      from.on("data", (data) => {
        if (!this.swallows) to.write(data);
      });
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        if (!this.swallows) to.destroy();
      });
    }
  });

  constructor(readonly target: number) {}

  async start(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    this.port = (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
