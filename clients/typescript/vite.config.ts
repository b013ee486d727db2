import { defineConfig, type TestProjectConfiguration } from "vitest/config";

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
  test: {
    projects: [{ test: { name: "client", include: ["tests/*.test.ts"] } }, react(19), react(18)],
  },
});

/** The tests of the hooks, with one of the releases of React that they are for. */
function react(release: 18 | 19): TestProjectConfiguration {
  const names = ["react", "react-dom"];
  return {
    resolve: {
      alias: release === 19 ? [] : names.map((name) => ({ find: new RegExp(`^${name}(?=/|$)`), replacement: `${name}${release}` })),
    },
    test: {
      name: `react ${release}`,
      // What has no components is tested once.
      include: release === 19 ? ["tests/react/*.test.{ts,tsx}"] : ["tests/react/*.test.tsx"],
      environment: "jsdom",
      testTimeout: 60_000,
      env: { REACT: String(release) },
      setupFiles: release === 19 ? [] : ["tests/react/react18.ts"],
    },
  };
}
