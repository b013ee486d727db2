import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const client = fileURLToPath(new URL("../clients/typescript/src", import.meta.url));
const server = process.env["BOOKCAST_URL"] ?? "http://127.0.0.1:8002";

export default defineConfig({
  // Relative addresses: the page also works below a path of a reverse proxy.
  base: "./",
  // The page is built of the client's sources: both are of one release.
  resolve: {
    alias: [
      { find: /^@bookcast\/client$/, replacement: `${client}/index.ts` },
      { find: /^@bookcast\/client\/(\w+)$/, replacement: `${client}/$1.ts` },
    ],
  },
  build: {
    outDir: "../src/bookcast/web",
    emptyOutDir: true,
    assetsDir: "assets",
    // Inline data: addresses would need a looser Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/ws": { target: server, ws: true, changeOrigin: true },
      "/symbols": server,
      "/health": server,
      "/openapi.json": server,
    },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
