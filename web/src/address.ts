/** The symbol in the page's address: `#US.AAPL`. */

export function symbolFromHash(hash: string): string | null {
  const text = hash.replace(/^#/, "");
  if (text === "") return null;
  try {
    return decodeURIComponent(text).trim() || null;
  } catch {
    return text;
  }
}

export function hashFromSymbol(symbol: string): string {
  return `#${encodeURIComponent(symbol)}`;
}

/** The WebSocket beside the page, wherever a proxy has put both. */
export function socketAddress(page: string, clientId: string): string {
  const address = new URL(`ws/${encodeURIComponent(clientId)}`, page);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = address.hash = "";
  return address.href;
}
