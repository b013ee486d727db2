/** The package as its users get it: the tarball, its types, its size. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";

const HERE = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const KB = 1000;
/** Milliseconds that a compiler may take on a busy machine. */
const PATIENCE = 120_000;

let folder: string;
let tarball: string;

/** The runner has to hear of a test while a compiler takes its time, so nothing here blocks. */
async function run(command: string, args: string[], cwd: string): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { cwd, encoding: "utf8" })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error });
  }
}

function tool(name: string): string {
  return join(HERE, "node_modules", ".bin", name);
}

const STRICT = {
  target: "ES2022",
  module: "NodeNext",
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
};

async function compile(files: string[], options: Record<string, unknown>): Promise<void> {
  const config = { files, compilerOptions: { ...STRICT, ...options } };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  await run(tool("tsc"), [], folder);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "bookcast-client-"));
  const packed = await run("npm", ["pack", "--json", "--silent", "--pack-destination", folder], HERE);
  const [{ filename }] = JSON.parse(packed.slice(packed.indexOf("[\n"))) as [{ filename: string }];
  tarball = join(folder, filename);
  // An empty project installs it, and borrows what speaks from Node 20.
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-save", tarball], folder);
  mkdirSync(join(folder, "node_modules", "@types"));
  for (const name of ["ws", "@types/ws", "@types/node", "undici-types"]) {
    symlinkSync(join(HERE, "node_modules", name), join(folder, "node_modules", name));
  }
}, PATIENCE);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("the tarball has the modules, their types and the script, and nothing else", async () => {
  const names = (await run("tar", ["-tzf", tarball], folder)).trim().split("\n");
  const outside = names.filter((name) => !/^package\/dist\/(react\/)?[a-z]+(\.d\.ts|\.js)$/.test(name));
  expect(outside.sort()).toEqual(["package/LICENSE", "package/README.md", "package/package.json"]);
  for (const name of ["index", "testing", "react/index", "bookcast"]) {
    expect(names).toContain(`package/dist/${name}.js`);
    expect(names).toContain(`package/dist/${name}.d.ts`);
  }
});

test("publint has no complaint", { timeout: PATIENCE }, async () => {
  const { messages, pkg } = await publint({ pkgDir: HERE, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test("the types are right, for all who can load ES modules", { timeout: PATIENCE }, async () => {
  // As .attw.json says.
  await run(tool("attw"), [tarball, "--no-emoji"], HERE);
});

test("it needs no other package, but React where its hooks are used", () => {
  const manifest = JSON.parse(readFileSync(join(HERE, "package.json"), "utf8")) as Record<string, unknown>;
  for (const kind of ["dependencies", "optionalDependencies"]) expect(manifest[kind]).toBeUndefined();
  expect(manifest["peerDependencies"]).toEqual({ react: "^18.0.0 || ^19.0.0" });
  expect(manifest["peerDependenciesMeta"]).toEqual({ react: { optional: true } });
});

const PROGRAM = `
import { Bookcast, BookcastError } from "@bookcast/client";
import type {} from "@bookcast/client/testing";

export async function show(client: Bookcast): Promise<number | undefined> {
  // @ts-expect-error -- a depth is a number
  client.orderBook("US.AAPL", { depth: "5" });
  const book = client.orderBook("US.AAPL", { depth: 5, intervalMs: 100 });
  const off = book.on("update", ({ bids, asks }) => bids.length + asks.length);
  off();
  try {
    for await (const { bids } of book) {
      const [price, size, orders] = bids[0] ?? [];
      if (price !== undefined && size !== undefined) return price * size + (orders ?? 0);
    }
  } catch (error) {
    if (error instanceof BookcastError && error.final) return undefined;
    throw error;
  }
  for await (const { trades, gap } of client.trades("US.AAPL", { history: 10 })) {
    return (trades[0]?.price ?? 0) + (gap?.from ?? 0);
  }
  const { seq } = await client.publish("US.AAPL", { bids: [[1, 2]], asks: [] });
  // @ts-expect-error -- a seq is a number
  seq.trim();
  return seq;
}
`;

test("an empty strict project can use it", { timeout: PATIENCE }, async () => {
  writeFileSync(join(folder, "program.ts"), PROGRAM);
  await compile(["program.ts"], { types: [] });
});

test("Node 20 can use it with the package ws, and knows nothing of pages", { timeout: PATIENCE }, async () => {
  writeFileSync(
    join(folder, "node.ts"),
    `
import { Bookcast } from "@bookcast/client";
import { WebSocket } from "ws";

const client = new Bookcast("http://127.0.0.1:1", { WebSocket, getToken: async () => "t" });
console.log(client.line.state);
client.close();
`,
  );
  writeFileSync(
    join(folder, "bare.mjs"),
    `
import { Bookcast } from "@bookcast/client";
delete globalThis.WebSocket;
try {
  new Bookcast("http://127.0.0.1:1");
} catch (error) {
  console.log(error.message);
}
`,
  );
  await compile(["program.ts", "node.ts"], { lib: ["ES2022"], types: ["node"], noEmit: false });
  expect(await run("node", ["node.js"], folder)).toBe("connecting\n");
  expect(await run("node", ["bare.mjs"], folder)).toMatch(/no WebSocket.*ws/);
});

async function bundled(source: string): Promise<number> {
  const entry = join(folder, "entry.js");
  writeFileSync(entry, source);
  const made = await build({
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      target: "es2022",
      modulePreload: false,
      rollupOptions: { input: entry, preserveEntrySignatures: "strict", external: ["react"] },
    },
  });
  const { output } = made as unknown as { output: [{ code: string }] };
  return gzipSync(output[0].code, { level: 9 }).length;
}

test("everything together takes at most 10 KB in a page", { timeout: PATIENCE }, async () => {
  const all = JSON.stringify(join(HERE, "dist", "index.js"));
  expect(await bundled(`export * from ${all};`)).toBeLessThanOrEqual(10 * KB);
});

test("the hooks take at most 2 KB more, and leave React to the page", { timeout: PATIENCE }, async () => {
  const [all, hooks] = ["index.js", "react/index.js"].map((name) => JSON.stringify(join(HERE, "dist", name)));
  const more = (await bundled(`export * from ${all}; export * from ${hooks};`)) - (await bundled(`export * from ${all};`));
  expect(more).toBeGreaterThan(0);
  expect(more).toBeLessThanOrEqual(2 * KB);
});

test("the script takes at most 12 KB, and needs nothing else", () => {
  const script = readFileSync(join(HERE, "dist", "bookcast.js"));
  expect(gzipSync(script, { level: 9 }).length).toBeLessThanOrEqual(12 * KB);
  expect(script.toString()).not.toMatch(/^\s*(import|export)\b/m);
});
