/**
 * The token that the page was opened with, `#token=…`: a fragment never reaches a server or its
 * log. It is kept for this tab, and taken out of the address at once.
 */

const KEY = "bookcast.token";
const PREFIX = "#token=";

export interface Place {
  readonly hash: string;
  readonly pathname: string;
  readonly search: string;
}

export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Whether a hash brings a token. */
export function bringsToken(hash: string): boolean {
  return hash.startsWith(PREFIX);
}

/** Returns the token of this tab, null when it has none. `clean` puts another address in its place. */
export function takeToken(place: Place, shelf: Shelf | null, clean: (address: string) => void): string | null {
  if (!bringsToken(place.hash)) return shelf?.getItem(KEY) ?? null;
  const [text = "", ...rest] = place.hash.slice(PREFIX.length).split("&");
  const token = text.trim();
  clean(place.pathname + place.search + (rest.length === 0 ? "" : `#${rest.join("&")}`));
  shelf?.setItem(KEY, token);
  return token === "" ? null : token;
}

export function headersFor(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}
