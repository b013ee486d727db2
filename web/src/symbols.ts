/** Symbols: what the server knows, what somebody typed, and which one that means. */

const MAX_LENGTH = 64;

export interface Listing {
  readonly symbols: readonly string[];
  /** What the symbols stand for, of those that the server can tell. */
  readonly names: ReadonlyMap<string, string>;
}

/** The server's answer when it gives no list: its status, the code and the sentence of its problem. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, problem: unknown) {
    const fields = typeof problem === "object" && problem !== null ? (problem as Record<string, unknown>) : {};
    const { code, detail } = fields;
    super(typeof detail === "string" ? detail : `The server answered ${status} to /symbols`);
    this.status = status;
    this.code = typeof code === "string" ? code : "";
  }
}

/** Asks the server for its symbols; rejects when there is no usable answer. */
export async function fetchSymbols(
  query = "",
  get: typeof fetch = fetch,
  headers: Record<string, string> = {},
): Promise<Listing> {
  const response = await get("symbols" + (query === "" ? "" : `?q=${encodeURIComponent(query)}`), {
    headers: { accept: "application/json", ...headers },
    cache: "no-store",
  });
  if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => null));
  const raw: unknown = await response.json();
  return { symbols: parseSymbols(raw), names: parseNames(raw) };
}

export function parseSymbols(raw: unknown): string[] {
  const list = typeof raw === "object" && raw !== null ? (raw as Record<string, unknown>)["symbols"] : null;
  if (!Array.isArray(list)) return [];
  const symbols: string[] = [];
  for (const item of list as unknown[]) {
    const symbol =
      typeof item === "object" && item !== null ? (item as Record<string, unknown>)["symbol"] : item;
    if (typeof symbol === "string" && symbol !== "") symbols.push(symbol);
  }
  return symbols;
}

export function parseNames(raw: unknown): Map<string, string> {
  const list = typeof raw === "object" && raw !== null ? (raw as Record<string, unknown>)["symbols"] : null;
  const names = new Map<string, string>();
  for (const item of Array.isArray(list) ? (list as unknown[]) : []) {
    if (typeof item !== "object" || item === null) continue;
    const { symbol, name } = item as Record<string, unknown>;
    if (typeof symbol === "string" && typeof name === "string" && name !== "") names.set(symbol, name);
  }
  return names;
}

/** Those that hold the text, or whose name does; those that begin with it (or whose code does) first. */
export function filterSymbols(
  symbols: readonly string[],
  text: string,
  names: ReadonlyMap<string, string> = new Map<string, string>(),
): string[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [...symbols];
  const rank = (symbol: string): number => {
    const lower = symbol.toLowerCase();
    if (lower === wanted || codeOf(lower) === wanted) return 0;
    if (lower.startsWith(wanted) || codeOf(lower).startsWith(wanted)) return 1;
    if (lower.includes(wanted)) return 2;
    return names.get(symbol)?.toLowerCase().includes(wanted) === true ? 3 : 4;
  };
  return symbols
    .map((symbol) => ({ symbol, rank: rank(symbol) }))
    .filter((entry) => entry.rank < 4)
    .sort((a, b) => a.rank - b.rank)
    .map((entry) => entry.symbol);
}

/**
 * The symbol that a text means: a known one under its own spelling, else the text itself. Codes
 * are case-sensitive (`HK.HSImain`), so only a text all in small letters is turned into capitals.
 */
export function resolveSymbol(text: string, known: readonly string[]): string | null {
  const typed = text.trim();
  if (typed === "" || typed.length > MAX_LENGTH) return null;
  if (known.includes(typed)) return typed;
  const lower = typed.toLowerCase();
  const same =
    known.find((symbol) => symbol.toLowerCase() === lower) ??
    known.find((symbol) => codeOf(symbol).toLowerCase() === lower);
  if (same !== undefined) return same;
  return typed === lower ? typed.toUpperCase() : typed;
}

/** The market with its dot, and the code: `US.` and `AAPL`. */
export function splitSymbol(symbol: string): { market: string; code: string } {
  const code = codeOf(symbol);
  return { market: symbol.slice(0, symbol.length - code.length), code };
}

function codeOf(symbol: string): string {
  const dot = symbol.indexOf(".");
  return dot > 0 && dot < symbol.length - 1 ? symbol.slice(dot + 1) : symbol;
}
