/** Where the server is. */

/**
 * The WebSocket's address. `url` is a server, under a prefix or not, or the whole address up to
 * `/ws/{id}`; http stands for ws. `base` is the page's address, where there is one.
 */
export function socketAddress(url: string | undefined, clientId: string | undefined, base: string | undefined): string {
  let address: URL | undefined;
  try {
    address = new URL(url ?? "/", base);
    address.protocol = address.protocol.replace(/^http/, "ws");
  } catch {
    // it is none
  }
  if (!/^wss?:$/.test(address?.protocol ?? "") || address === undefined) {
    throw new TypeError(`Name the server, as "wss://host/prefix", not ${url}`);
  }
  const [, prefix = "", given] = /^(.*?)(?:\/ws(?:\/([^/]*))?)?\/?$/.exec(address.pathname) ?? [];
  const id = clientId === undefined ? given || randomId() : encodeURIComponent(clientId);
  address.pathname = `${prefix}/ws/${id}`;
  address.hash = "";
  return address.href;
}

/** A name that nobody else has. */
export function randomId(): string {
  return `js-${Math.random()}`;
}
