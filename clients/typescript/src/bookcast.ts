/** What a script tag loads: the globals `WebSocketClient` and `Bookcast`. */

import { WebSocketClient as Beginner, type WebSocketClientOptions } from "./beginner.js";
import { Bookcast as Client, type BookcastOptions } from "./client.js";

/** The server that the script came from, below the path of a proxy as well. */
function home(): string {
  const script = (globalThis as { document?: Document }).document?.currentScript as HTMLScriptElement | null | undefined;
  return script?.src.startsWith("http") === true ? new URL(".", script.src).href : "ws://localhost:8002";
}

const server = home();

class WebSocketClient extends Beginner {
  constructor(clientId: string, url = server, options: WebSocketClientOptions = {}) {
    super(clientId, url, options);
  }
}

class Bookcast extends Client {
  constructor(url = server, options: BookcastOptions = {}) {
    super(url, options);
  }
}

// As properties, so that a page may still declare a class of such a name.
Object.assign(globalThis, { WebSocketClient, Bookcast });

declare global {
  var WebSocketClient: typeof Beginner;
  var Bookcast: typeof Client;
}
