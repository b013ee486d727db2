import type { Book } from "@bookcast/client";
import { BookcastProvider, useAge, useLine, useOrderBook, useQuote, useTrades, type Result } from "@bookcast/client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

const given = new URLSearchParams(location.hash.slice(1)); // for instance #server=https://host&token=…
const [url, token] = [given.get("server") ?? "http://localhost:8002", given.get("token")];

function Status({ of }: { of: Result<Book> }) {
  const age = useAge(of, 100);
  return <footer>{of.state} {age !== undefined && `· ${(age / 1000).toFixed(1)} s old`} {of.reason}</footer>;
}
function Ladder({ symbol }: { symbol: string }) {
  const book = useOrderBook(symbol, { depth: 8, intervalMs: 100 });
  const last = useQuote(symbol, { select: (quote) => quote.last?.toFixed(2) });
  const rows = (side: "bids" | "asks") => book.value?.[side].map(([price, size]) => (
    <tr key={price} className={side}><td>{price.toFixed(2)}</td><td>{size}</td></tr>
  ));
  return (
    <section data-panel="ladder" data-symbol={symbol} data-state={book.state}>
      <h2>{symbol} <output>{last.value ?? "–"}</output></h2>
      <table><tbody>{rows("asks")?.reverse()}</tbody><tbody>{rows("bids")}</tbody></table>
      <Status of={book} />
    </section>
  );
}
function Tape({ symbol }: { symbol: string }) {
  const { value } = useTrades(symbol, { history: 16 });
  const rows = value?.trades.map(({ price, size, side }, i) => <li key={i} className={side}>{price.toFixed(2)} <i>{size}</i></li>);
  return <section data-panel="trades" data-symbol={symbol}><h2>Trades of {symbol}</h2><ol>{rows?.reverse()}</ol></section>;
}
function Line() {
  const { state, reason, error } = useLine();
  return <header data-panel="status" data-state={state}>bookcast: {state} {error?.message ?? reason}</header>;
}
createRoot(document.body).render(
  <StrictMode>
    <BookcastProvider url={url} options={token === null ? {} : { getToken: () => token }}>
      <Line /> <Ladder symbol="US.AAPL" /> <Ladder symbol="HK.00700" /> <Tape symbol="US.AAPL" />
    </BookcastProvider>
  </StrictMode>,
);
