/** Has what packages of node_modules load themselves be React 18 as well; sources have an alias. */

import Module from "node:module";

type Resolve = (request: string, ...more: unknown[]) => string;

const loader = Module as unknown as { _resolveFilename: Resolve };
const resolve = loader._resolveFilename;
loader._resolveFilename = (request, ...more) => resolve(request.replace(/^(react|react-dom)(?=\/|$)/, "$118"), ...more);
