/** Wires the page: the chosen symbol, the connection, and what people press. */

import { Bookcast, type LineStatus, type Quote } from "@bookcast/client";
import { REFUSED, TOKEN_EXPIRED } from "@bookcast/client/codes";
import { hashFromSymbol, socketAddress, symbolFromHash } from "./address";
import { Live } from "./live";
import { Market } from "./market";
import { element, recall, remember, setData, setText, tabStorage } from "./page";
import { Picker } from "./picker";
import { describeQuote } from "./quote";
import { consoleSnippet, copyText } from "./snippet";
import { adviseOn, describeLine } from "./status";
import { Refusal, fetchSymbols } from "./symbols";
import { Tape, TAPE_LENGTH } from "./tape";
import { bringsToken, headersFor, takeToken } from "./token";

const SYMBOLS_EVERY = 30_000;
const TICK_EVERY = 100;
const DEPTHS = ["10", "20", "all"];

const readToken = (): string | null =>
  takeToken(location, tabStorage(), (address) => {
    history.replaceState(null, "", address);
  });

let token = readToken();
/** What the server said last on this connection: it explains a close that follows. */
let said: string | null = null;
let chosen: string | null = null;

const market = new Market(() => performance.now());
const tape = new Tape(element("tape"));
const picker = new Picker({
  input: element("symbol-input", HTMLInputElement),
  list: element("symbol-list"),
  note: element("symbol-note"),
  choose: (symbol) => {
    choose(symbol);
  },
  search: (query) => fetchSymbols(query, fetch, headersFor(token)),
});
const live = new Live(
  {
    // A name of its own for each connection: two tabs never share a session.
    open: () => {
      const held = token;
      const options = { clientId: `page-${randomId()}`, getToken: held === null ? undefined : () => held };
      return new Bookcast(new URL(".", document.baseURI).href, options);
    },
    onLine: (line) => {
      if (line.state === "connecting") said = null;
      showLine(line);
      if (line.state === "open") void loadSymbols();
    },
    onBook: (book) => {
      market.update(book);
    },
    onQuote: showQuote,
    onTrades: ({ trades, gap }) => {
      tape.add(trades, gap);
    },
    onError: ({ message }) => {
      said = message;
      showProblem(`The server says: ${message}`);
    },
  },
  TAPE_LENGTH,
);

function choose(symbol: string | null): void {
  if (symbol !== null && location.hash !== hashFromSymbol(symbol)) location.hash = hashFromSymbol(symbol);
  picker.setChosen(symbol);
  const consoleAddress = socketAddress(document.baseURI, "my-console");
  setText(element("snippet"), consoleSnippet(consoleAddress, symbol ?? "US.AAPL"));
  if (symbol === chosen) return;
  chosen = symbol;
  market.show(symbol);
  tape.clear();
  showQuote(undefined);
  showProblem(null);
  for (const panel of document.querySelectorAll<HTMLElement>("[data-panel]")) setData(panel, "symbol", symbol ?? "");
  live.show(symbol);
  tick();
}

function showQuote(quote: Quote | undefined): void {
  const { last, change, direction, session, name } = describeQuote(quote);
  setText(element("quote-last"), last);
  setText(element("quote-change"), change);
  setData(element("quote-change"), "direction", direction);
  setText(element("quote-session"), session);
  setText(element("symbol-about"), name);
}

async function loadSymbols(): Promise<void> {
  try {
    const listing = await fetchSymbols("", fetch, headersFor(token));
    picker.setKnown(listing.symbols);
    market.setListed(listing.symbols);
    const first = listing.symbols[0];
    if (chosen === null && first !== undefined) choose(first);
  } catch (error) {
    if (error instanceof Refusal && error.status === 401 && live.line.state === "open") {
      // Sooner than the connection is closed for it.
      said = error.message;
      live.refuse(error.code === "token_expired" ? TOKEN_EXPIRED : REFUSED, error.message);
    } else if (error instanceof Refusal && error.status === 403 && chosen === null && said !== error.message) {
      // Without a list nothing is chosen, so that nothing else would be said.
      said = error.message;
      showProblem(`The server says: ${error.message}`);
    }
    // The connection's state says what is wrong; a symbol can be typed without a list.
  }
}

function showLine(line: LineStatus): void {
  const { state, code = 0, reason = "" } = line;
  setText(element("connection-announcement"), showCountdown(line));
  element("retry").hidden = state !== "waiting" && state !== "stopped";
  if (state === "stopped") showProblem(adviseOn(code, reason, token !== null, said));
}

function showProblem(text: string | null): void {
  element("problem").hidden = text === null;
  setText(element("problem-text"), text ?? "");
}

function setDepth(value: string): void {
  market.setDepth(value === "all" ? Infinity : Number(value));
  remember("bookcast.depth", value);
}

function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const depth = recall("bookcast.depth");
for (const input of document.querySelectorAll<HTMLInputElement>("input[name=depth]")) {
  if (depth !== null && DEPTHS.includes(depth)) input.checked = input.value === depth;
  if (input.checked) setDepth(input.value);
  input.addEventListener("change", () => {
    setDepth(input.value);
  });
}

element("retry").addEventListener("click", () => {
  showProblem(null);
  live.connect();
});
element("problem-dismiss").addEventListener("click", () => {
  showProblem(null);
});
element("copy").addEventListener("click", () => {
  void copyText(element("snippet")).then((copied) => {
    const words = copied ? "Copied" : "Selected: press Ctrl+C";
    setText(element("copy"), words);
    setText(element("copied"), words);
    setTimeout(() => {
      setText(element("copy"), "Copy the line");
      setText(element("copied"), "");
    }, 2_000);
  });
});
element("skip").addEventListener("click", (event) => {
  // The hash holds the symbol: only the focus moves.
  event.preventDefault();
  element("ladder").focus();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement && event.target.type === "text";
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    element("symbol-input").focus();
  }
});

window.addEventListener("hashchange", () => {
  if (bringsToken(location.hash)) {
    token = readToken();
    showProblem(null);
    live.connect();
  }
  const symbol = symbolFromHash(location.hash);
  if (symbol !== null) choose(symbol);
});

setInterval(() => {
  if (!document.hidden) tick();
}, TICK_EVERY);
setInterval(() => {
  if (!document.hidden && live.line.state === "open") void loadSymbols();
}, SYMBOLS_EVERY);

function tick(): void {
  market.tick(live.book);
  showCountdown(live.line);
  const caption = market.caption;
  const title = [caption, chosen, "bookcast"].filter((part) => part !== null).join(" \u00b7 ");
  if (document.title !== title) document.title = title;
}

/** Shows how the connection stands; returns what a screen reader announces of it. */
function showCountdown(line: LineStatus): string {
  const { tone, text, announcement } = describeLine(line, Date.now(), navigator.onLine);
  setData(element("connection"), "tone", tone);
  setText(element("connection-text"), text);
  return announcement;
}

choose(symbolFromHash(location.hash));
live.connect();
