import { defineConfig } from "vitest/config";

// tsc makes the modules of dist/; this makes the one file for script tags, in place of its module.
export default defineConfig({
  build: {
    outDir: "dist",
    emptyOutDir: false,
    lib: {
      entry: "src/bookcast.ts",
      formats: ["iife"],
      // It has no exports: what it gives a page are properties of globalThis.
      name: "bookcast",
      fileName: () => "bookcast.js",
    },
    target: "es2022",
  },
  test: { include: ["tests/**/*.test.ts"] },
});
