/** Wires the page: the chosen symbol, the connection, and what people press. */

import { hashFromSymbol, socketAddress, symbolFromHash } from "./address";
import { Connection, type Clock, type State } from "./connection";
import { Market } from "./market";
import { element, recall, remember, setData, setText, tabStorage } from "./page";
import { Picker } from "./picker";
import { consoleSnippet, copyText } from "./snippet";
import { REFUSED, TOKEN_EXPIRED } from "./closecodes";
import { adviseOn, describeState } from "./status";
import { Refusal, fetchSymbols } from "./symbols";
import { bringsToken, headersFor, protocolsFor, takeToken } from "./token";

const SYMBOLS_EVERY = 30_000;
const TICK_EVERY = 100;
const DEPTHS = ["10", "20", "all"];

const clock: Clock = {
  now: () => performance.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => {
      clearTimeout(timer);
    };
  },
};

const readToken = (): string | null =>
  takeToken(location, tabStorage(), (address) => {
    history.replaceState(null, "", address);
  });

let token = readToken();
/** What the server said last on this connection: it explains a close that follows. */
let said: string | null = null;
let chosen: string | null = null;
let skew: number | null = null;

const market = new Market(() => clock.now());
const picker = new Picker({
  input: element("symbol-input", HTMLInputElement),
  list: element("symbol-list"),
  note: element("symbol-note"),
  choose: (symbol) => {
    choose(symbol);
  },
  search: (query) => fetchSymbols(query, fetch, headersFor(token)),
});
const connection = new Connection({
  // A name of its own for each load of the page: two tabs never share a session.
  open: () => new WebSocket(address, protocolsFor(token)),
  clock,
  random: Math.random,
  onState: (state) => {
    if (state.kind === "connecting") said = null;
    showState(state);
    market.setLive(state.kind === "live");
    if (state.kind === "live") void loadSymbols();
  },
  onMessage: (message) => {
    if (message.type === "book" && message.symbol === chosen) {
      market.update(message.book, message.serverMs, skew);
    } else if (message.type === "error") {
      said = message.message;
      showProblem(`The server says: ${message.message}`);
    }
  },
});
const address = socketAddress(document.baseURI, `page-${randomId()}`);

function choose(symbol: string | null): void {
  if (symbol !== null && location.hash !== hashFromSymbol(symbol)) location.hash = hashFromSymbol(symbol);
  picker.setChosen(symbol);
  const consoleAddress = socketAddress(document.baseURI, "my-console");
  setText(element("snippet"), consoleSnippet(consoleAddress, symbol ?? "US.AAPL"));
  if (symbol === chosen) return;
  if (chosen !== null) connection.unsubscribe(chosen);
  chosen = symbol;
  market.show(symbol);
  showProblem(null);
  if (symbol !== null) connection.subscribe(symbol);
}

async function loadSymbols(): Promise<void> {
  try {
    const listing = await fetchSymbols("", fetch, headersFor(token));
    skew = listing.skew;
    picker.setKnown(listing.symbols);
    market.setListed(listing.symbols);
    const first = listing.symbols[0];
    if (chosen === null && first !== undefined) choose(first);
  } catch (error) {
    if (error instanceof Refusal && error.status === 401 && connection.state.kind === "live") {
      // Sooner than the connection is closed for it.
      said = error.message;
      connection.refuse(error.code === "token_expired" ? TOKEN_EXPIRED : REFUSED, error.message);
    } else if (error instanceof Refusal && error.status === 403 && chosen === null && said !== error.message) {
      // Without a list nothing is chosen, so that nothing else would be said.
      said = error.message;
      showProblem(`The server says: ${error.message}`);
    }
    // The connection's state says what is wrong; a symbol can be typed without a list.
  }
}

function showState(state: State): void {
  const status = describeState(state, clock.now(), navigator.onLine);
  setData(element("connection"), "tone", status.tone);
  setText(element("connection-text"), status.text);
  setText(element("connection-announcement"), status.announcement);
  element("retry").hidden = state.kind !== "waiting" && state.kind !== "refused";
  if (state.kind === "refused") showProblem(adviseOn(state.code, state.reason, token !== null, said));
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
  connection.retry();
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
    connection.reconnect();
  }
  const symbol = symbolFromHash(location.hash);
  if (symbol !== null) choose(symbol);
});
window.addEventListener("online", () => {
  connection.wake();
});
window.addEventListener("offline", () => {
  // A server on this machine is still there: ask rather than assume.
  connection.wake();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") connection.wake();
});

setInterval(() => {
  if (document.hidden) return;
  market.tick();
  showCountdown();
}, TICK_EVERY);
setInterval(() => {
  if (!document.hidden && connection.state.kind === "live") void loadSymbols();
}, SYMBOLS_EVERY);

function showCountdown(): void {
  const status = describeState(connection.state, clock.now(), navigator.onLine);
  setData(element("connection"), "tone", status.tone);
  setText(element("connection-text"), status.text);
  const caption = market.caption;
  const title = [caption, chosen, "bookcast"].filter((part) => part !== null).join(" \u00b7 ");
  if (document.title !== title) document.title = title;
}

choose(symbolFromHash(location.hash));
connection.start();
