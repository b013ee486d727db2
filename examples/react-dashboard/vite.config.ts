import { fileURLToPath } from "node:url";

// In this repository the packages are those of clients/typescript. A project of yours needs none of
// this: it installs @bookcast/client, react and react-dom.
const client = fileURLToPath(new URL("../../clients/typescript/", import.meta.url));

const packages = {
  name: "packages-of-the-client",
  enforce: "pre",
  resolveId(this: { resolve(id: string, importer: string): unknown }, id: string): unknown {
    return /^react(-dom)?(\/|$)/.test(id) ? this.resolve(id, `${client}package.json`) : undefined;
  },
};

export default {
  base: "./",
  cacheDir: `${client}node_modules/.vite/react-dashboard`,
  esbuild: { jsx: "automatic" },
  plugins: [packages],
  resolve: {
    alias: [
      { find: /^@bookcast\/client$/, replacement: `${client}src/index.ts` },
      { find: /^@bookcast\/client\/react$/, replacement: `${client}src/react/index.ts` },
    ],
  },
  server: { fs: { allow: ["../.."] } },
};
