/** A tab of a real Chromium that is frozen, and thawed. */

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server as Site } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { freePort, hasServer, pause, Server, until } from "./server.js";

const FROZEN_SECONDS = (process.env["BOOKCAST_FROZEN_SECONDS"] ?? "1").split(",").map(Number);
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((one) => existsSync(one));

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function bundle(): Promise<string> {
  const entry = join(import.meta.dirname, "../src/index.ts");
  const built = await build({
    configFile: false,
    logLevel: "silent",
    build: { write: false, lib: { entry, formats: ["es"], fileName: "client" } },
  });
  const [{ output }] = built as unknown as [{ output: [{ code: string }] }];
  return output[0].code;
}

const page = (server: string): string => `<!doctype html><script type="module">
import { Bookcast } from "/client.js";
const codes = [];
class Watched extends WebSocket {
  close(...code) { codes.push(code[0] ?? null); super.close(...code); }
}
const seen = { books: 0, trades: 0, gaps: 0, twice: 0, last: 0, codes };
const client = new Bookcast("${server}", { WebSocket: Watched });
const book = client.orderBook("US.AAPL", { depth: 5 });
book.on("update", () => seen.books++);
const tape = client.trades("US.AAPL");
tape.on("gap", () => seen.gaps++);
tape.on("update", ({ trades }, { seq }) => {
  if (seq <= seen.last) seen.twice++;
  seen.last = seq;
  seen.trades += trades.length;
});
globalThis.look = () => JSON.stringify({ ...seen, line: client.line.state, book: book.state, tape: tape.state });
</script>`;

interface Look {
  books: number;
  trades: number;
  gaps: number;
  twice: number;
  last: number;
  codes: (number | null)[];
  line: string;
  book: string;
  tape: string;
}

/** A tab, spoken to by the protocol of its developer tools. */
class Tab {
  #count = 0;
  readonly #answers = new Map<number, (result: unknown) => void>();

  private constructor(readonly socket: WebSocket) {
    socket.on("message", (data: Buffer) => {
      const { id, result } = JSON.parse(data.toString()) as { id?: number; result?: unknown };
      if (id !== undefined) this.#answers.get(id)?.(result);
    });
  }

  static async open(chromium: ChildProcess, url: string): Promise<Tab> {
    let said = "";
    chromium.stderr?.on("data", (text) => (said += String(text)));
    await until("Chromium's start", () => /ws:\/\/\S+/.test(said));
    const tools = new URL(/ws:\/\/\S+/.exec(said)?.[0] ?? "").host;
    const tabs = (await (await fetch(`http://${tools}/json`)).json()) as { type: string; webSocketDebuggerUrl: string }[];
    const socket = new WebSocket(tabs.find(({ type }) => type === "page")?.webSocketDebuggerUrl ?? "");
    await new Promise((done) => socket.once("open", done));
    const tab = new Tab(socket);
    await tab.say("Page.enable", {});
    await tab.say("Page.navigate", { url });
    return tab;
  }

  say(method: string, params: object): Promise<unknown> {
    const id = ++this.#count;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((done) => this.#answers.set(id, done));
  }

  async look(): Promise<Look | undefined> {
    const answer = await this.say("Runtime.evaluate", { expression: "globalThis.look?.()" });
    const { value } = (answer as { result: { value?: string } }).result;
    return value === undefined ? undefined : (JSON.parse(value) as Look);
  }

  async until(what: string, condition: (look: Look) => boolean): Promise<Look> {
    let look: Look | undefined;
    await until(what, async () => {
      look = await this.look();
      return look !== undefined && condition(look);
    });
    return look as Look;
  }
}

describe.runIf(hasServer && (CHROMIUM !== undefined || process.env["CI"] !== undefined))("a tab", () => {
  it("that is frozen lets its line go with 4001, and misses nothing when it is back", { timeout: 180_000 + FROZEN_SECONDS.length * 400_000 }, async () => {
    const server = new Server(await freePort(), { FEED: "simulator", SIMULATOR_SYMBOLS: "US.AAPL" });
    endings.push(() => server.kill());
    await server.start();
    const client = await bundle();
    const site: Site = createServer((request, response) => {
      const isScript = request.url === "/client.js";
      response.setHeader("content-type", isScript ? "text/javascript" : "text/html").end(isScript ? client : page(server.url));
    });
    await new Promise<void>((done) => site.listen(0, "127.0.0.1", done));
    endings.push(() => void site.close());
    const folder = mkdtempSync(join(tmpdir(), "bookcast-tab-"));
    endings.push(async () => {
      // Processes that Chromium leaves to themselves still write for a moment, into a folder that is being removed.
      for (let tries = 30; existsSync(folder) && tries > 0; tries--) {
        try {
          rmSync(folder, { recursive: true, force: true });
        } catch {
          await pause(100);
        }
      }
    });
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"];
    const chromium = spawn(CHROMIUM ?? "chromium", [...flags, `--user-data-dir=${folder}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
    endings.push(async () => {
      const gone = new Promise((done) => chromium.once("exit", done));
      chromium.kill();
      await gone;
    });
    const tab = await Tab.open(chromium, `http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
    await tab.until("the first book", (look) => look.book === "live" && look.trades > 3);
    for (const [i, seconds] of FROZEN_SECONDS.entries()) {
      await tab.say("Page.setWebLifecycleState", { state: "frozen" });
      await pause(seconds * 1_000); // nothing of the page runs meanwhile that could be waited for
      await tab.say("Page.setWebLifecycleState", { state: "active" });
      const back = await tab.until("coming back", (look) => look.codes.length > i && look.book === "live" && look.tape === "live");
      expect(back.codes).toEqual(Array.from({ length: i + 1 }, () => 4001));
      const later = await tab.until("what is new", (look) => look.books > back.books && look.trades > back.trades);
      expect(later).toMatchObject({ twice: 0, line: "open", ...(seconds < 50 && i === 0 && { gaps: 0 }) });
      console.log(`frozen for ${seconds} s: ${later.trades} trades up to ${later.last}, ${later.gaps} gaps`);
    }
  });
});
