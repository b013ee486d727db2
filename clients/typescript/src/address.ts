/** Where the server is. */

/**
 * The WebSocket's address. `url` is a server, under a prefix or not, or the whole address up to
 * `/ws/{id}`; http stands for ws. `base` is the page's address, where there is one.
 */
export function socketAddress(url: string | undefined, clientId: string | undefined, base: string | undefined): string {
  if (url === undefined && base === undefined) {
    throw new TypeError('Outside a page, name the server: new Bookcast("wss://host")');
  }
  let address: URL;
  try {
    address = new URL(url ?? new URL(base ?? "").origin, base);
  } catch {
    throw new TypeError(`${String(url)} is no address: name the server as "wss://host" or "wss://host/prefix"`);
  }
  address.protocol = address.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(address.protocol)) {
    throw new TypeError(`${String(url)} is no address of a WebSocket: it begins with wss:, ws:, https: or http:`);
  }
  const [, prefix = "", given] = /^(.*?)(?:\/ws(?:\/([^/]*))?)?\/?$/.exec(address.pathname) ?? [];
  const id = clientId === undefined ? given || randomId() : encodeURIComponent(clientId);
  address.pathname = `${prefix}/ws/${id}`;
  address.hash = "";
  return address.href;
}

function randomId(): string {
  return `js-${Math.random().toString(36).slice(2)}`;
}
