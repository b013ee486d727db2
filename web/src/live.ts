/** What the page asks of the server: one client, and everything that it shows of one symbol. */

import type { Book, Bookcast, BookcastError, LineStatus, Quote, Subscription, Trades } from "@bookcast/client";
import { TOKEN_EXPIRED } from "@bookcast/client/codes";

export interface LiveOptions {
  /** Makes a client, with the token as it is now. */
  readonly open: () => Bookcast;
  readonly onLine: (line: LineStatus) => void;
  readonly onBook: (book: Book) => void;
  readonly onQuote: (quote: Quote) => void;
  readonly onTrades: (trades: Trades) => void;
  /** What the server refuses: the symbol's book, or something of the connection's. */
  readonly onError: (error: BookcastError) => void;
}

export class Live {
  /** How the connection stands. */
  line: LineStatus = { state: "connecting" };
  /** The book of the symbol that is shown. */
  book: Subscription<Book> | undefined;
  readonly #options: LiveOptions;
  readonly #trades: number;
  #client: Bookcast | undefined;
  #symbol: string | null = null;
  #others: Subscription<unknown>[] = [];

  /** `trades`: how many past ones come first. */
  constructor(options: LiveOptions, trades: number) {
    this.#options = options;
    this.#trades = trades;
  }

  /** Connects, anew if it has before: with another token, or because somebody asks for it. */
  connect(): void {
    this.#client?.close();
    const client = (this.#client = this.#options.open());
    const isCurrent = (): boolean => client === this.#client;
    client.on("line", (line) => {
      if (!isCurrent()) return;
      // The page has no other token than the one that has expired.
      if (line.code === TOKEN_EXPIRED && line.state !== "open") this.refuse(TOKEN_EXPIRED, line.reason ?? "");
      else this.#change(line);
    });
    client.on("error", (error) => {
      // Why the line has stopped, the line tells.
      if (isCurrent() && error.symbol === undefined && client.line.state !== "stopped") this.#options.onError(error);
    });
    this.#change(client.line);
    this.#subscribe();
  }

  /** Turns to another symbol. */
  show(symbol: string | null): void {
    this.#symbol = symbol;
    this.book?.close();
    for (const other of this.#others) other.close();
    this.#subscribe();
  }

  /** The server told elsewhere that it won't have us, with the close code that means the same. */
  refuse(code: number, reason: string): void {
    const client = this.#client;
    this.#client = undefined;
    client?.close();
    this.#change({ state: "stopped", code, reason, final: true });
  }

  #subscribe(): void {
    const client = this.#client;
    const symbol = this.#symbol;
    this.book = undefined;
    this.#others = [];
    if (client === undefined || symbol === null) return;
    const { onBook, onQuote, onTrades, onError } = this.#options;
    const book = (this.book = client.orderBook(symbol));
    const quote = client.quote(symbol);
    const trades = client.trades(symbol, { history: this.#trades });
    this.#others = [quote, trades];
    book.on("update", onBook);
    // What the connection's end means for the symbol, the connection tells.
    book.on("error", (error) => {
      if (error.symbol !== undefined) onError(error);
    });
    quote.on("update", onQuote);
    trades.on("update", onTrades);
  }

  #change(line: LineStatus): void {
    this.line = line;
    this.#options.onLine(line);
  }
}
