// Made from the server's own types by `make fix`: don't edit.

import type { ErrorCode } from "./codes.js";

export type Channel = "orderbook" | "quote" | "trades" | "candles" | "brokers" | "timeframe";

export type Period = "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "3h" | "4h" | "1d" | "1w" | "1M" | "1Q" | "1Y";

export type TradingSession = "pre" | "regular" | "after" | "overnight" | "night" | "auction" | "closing_auction" | "break";

export type OptionStyle = "american" | "european" | "bermudan";

export type GreyMarket = "pending" | "trading" | "ended";

export type QuotaPool = "stock" | "option" | "sf_book";

export type State = "live" | "stale" | "pending" | "halted" | "closed" | "feed_down";

export type LimitedBy = "none" | "interval" | "slow" | "rate" | "quota" | "right";

export type Variant = "odd";

export type Ts = [exchange: number | null, feed: number | null, server: number];

export type Id = string | number | null;

/**
 * Subscribes to symbols of a channel. Each symbol is confirmed or refused separately.
 *
 * `depth`: levels of a book on each side; `mode`: whole books, or deltas; `interval_ms`: at
 * most one message in this many milliseconds; `period`: of candles; `variant`: `odd` for the
 * book of odd lots; `history`: begin with this many past trades or candles; `since`: a
 * position, for one symbol: begin with what came after it.
 */
export interface Subscribe {
  action: "subscribe";
  symbol?: string;
  symbols?: string[];
  channel?: Channel;
  depth?: number | null;
  mode?: "full" | "delta";
  interval_ms?: number;
  period?: Period | null;
  variant?: Variant | null;
  history?: number;
  since?: Since | null;
  id?: Id;
}

/** A position: the client has everything up to it. */
export interface Since {
  epoch: string;
  seq: number;
}

/** Ends the subscriptions to symbols of a channel. */
export interface Unsubscribe {
  action: "unsubscribe";
  symbol?: string;
  symbols?: string[];
  channel?: Channel;
  period?: Period | null;
  variant?: Variant | null;
  id?: Id;
}

/** Asks whether the server is there. */
export interface Ping {
  action: "ping";
  id?: Id;
}

/** Asks for the subscriptions of this connection. */
export interface ListSubscriptions {
  action: "list";
  id?: Id;
}

/** Asks for the whole state again, for instance after a checksum that didn't match. */
export interface Resync {
  action: "resync";
  symbol: string;
  channel?: Channel;
  period?: Period | null;
  variant?: Variant | null;
  id?: Id;
}

/** Asks what became of the updates of a symbol, and what limits them. */
export interface Why {
  action: "why";
  symbol: string;
  channel?: Channel;
  period?: Period | null;
  variant?: Variant | null;
  id?: Id;
}

/**
 * Publishes data of a channel, in the same form as `POST /broadcast/{channel}`.
 *
 * With an `idempotency_key` it may be sent again, and is published once.
 */
export interface Publish {
  action: "publish";
  channel: Channel;
  symbol: string;
  data: Publication[Channel];
  period?: Period | null;
  idempotency_key?: string | null;
  id?: Id;
}

/**
 * Asks to go on with an earlier session, by its token and the client's positions.
 *
 * A topic that `positions` doesn't name goes on with the newest state.
 */
export interface Resume {
  action: "resume";
  session: string;
  positions?: HeldPosition[];
  id?: Id;
}

/** A client's position in a topic: the client has everything up to it. */
export interface HeldPosition {
  channel: Channel;
  symbol: string;
  epoch: string;
  seq: number;
  period?: Period | null;
  variant?: Variant | null;
}

/** Presents a token. */
export interface Authenticate {
  action: "authenticate";
  token: string;
  id?: Id;
}

/** The messages that a client of `bookcast.v1` sends. */
export type Command =
  | Subscribe
  | Unsubscribe
  | Ping
  | ListSubscriptions
  | Resync
  | Why
  | Publish
  | Resume
  | Authenticate;

/**
 * The first message. After `heartbeat_ms` of silence the server sends a heartbeat.
 *
 * `session` is the secret with which the client may resume this session.
 * `authenticate_within_ms`: the client must present a token within this time, before anything
 * else.
 */
export interface Welcome {
  type: "welcome";
  protocol: string;
  client_id: string;
  session: string;
  heartbeat_ms: number;
  server_time: number;
  authenticate_within_ms?: number;
}

/**
 * Updates of the topic follow, from this position on; null when nothing is known yet.
 *
 * For trades the position is the first `prev_seq`, unless a gap comes first. `recovered`, if
 * the client sent `since`: whether everything after that position follows.
 */
export interface SubscriptionConfirmed {
  type: "subscription_confirmed";
  id?: Id;
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  view: SeenAs;
  epoch: string | null;
  seq: number | null;
  recovered?: boolean;
  ignored?: string[];
}

/** The view of a subscription. `depth` null: all levels. */
export interface SeenAs {
  depth: number | null;
  mode: "full" | "delta";
  interval_ms: number;
}

/** No more updates of the topic follow. */
export interface UnsubscriptionConfirmed {
  type: "unsubscription_confirmed";
  id?: Id;
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  ignored?: string[];
}

/** A whole book, to the depth of the view. */
export interface OrderbookUpdate {
  type: "orderbook_update";
  channel: "orderbook";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  data: Sides;
  variant?: Variant;
}

/** Levels of both sides, best first; in a delta, a level of size 0 is removed. */
export interface Sides {
  bids: BookLevel[];
  asks: BookLevel[];
}

/**
 * A level of a book: `[price, size]`, then `orders` and `details` if they are known.
 *
 * `orders` is the number of orders at that price; `details` lists their ids and sizes.
 */
export type BookLevel = [price: number, size: number, orders?: number, details?: Order[]];

/** One order in a book. `id` is the exchange's number of it. */
export type Order = [id: number | string, size: number];

/**
 * What changed since `prev_seq`, the last update that this client was sent in this view.
 *
 * `checksum`: CRC-32 of the best 10 bids, then the best 10 asks, after the change, each written
 * as `price:size;`.
 */
export interface OrderbookDelta {
  type: "orderbook_delta";
  channel: "orderbook";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  prev_seq: number;
  checksum: number;
  data: Sides;
  variant?: Variant;
}

/** All trades after `prev_seq` up to `seq`. */
export interface TradeMessage {
  type: "trade";
  channel: "trades";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  prev_seq: number;
  data: TradesData;
}

/** Trades, oldest first. */
export interface TradesData {
  trades: Trade[];
}

/**
 * One trade. `timestamp`: milliseconds since 1970. `side`: the side that took liquidity.
 *
 * `backfill`: the trade happened before the feed subscribed. `condition`: one word for what is
 * special about it, absent for a regular trade. `condition_sign`: the exchange's own sign for
 * that. `updates_last`: false if the trade doesn't change the last price.
 */
export interface Trade {
  price: number;
  size: number;
  side: "buy" | "sell" | "neutral";
  timestamp: number;
  id?: string | number;
  backfill?: boolean;
  condition?: string;
  condition_sign?: number;
  updates_last?: boolean;
  turnover?: number;
}

/** The newest quote; unknown values are absent. */
export interface QuoteUpdate {
  type: "quote_update";
  channel: "quote";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  data: Quote;
}

/**
 * The basic figures of a symbol; absent where unknown.
 *
 * Prices are in the symbol's currency, `volume` is in shares or contracts, `turnover` in the
 * currency. `bid` and `ask` are the best prices. `suspended`: the security isn't traded now.
 * `session` is the market's session now. `pre`, `after` and `overnight` have the figures
 * of those sessions; all other figures belong to the regular hours. `security_status` is one
 * word for the exchange's status of the security; `dark` is the state of the grey market. Rates,
 * amplitudes, premiums and volatilities are percentages: 31.5 is 31.5 %.
 */
export interface Quote {
  last?: number;
  open?: number;
  high?: number;
  low?: number;
  prev_close?: number;
  volume?: number;
  turnover?: number;
  bid?: number;
  ask?: number;
  suspended?: boolean;
  session?: TradingSession;
  pre?: ExtendedQuote;
  after?: ExtendedQuote;
  overnight?: ExtendedQuote;
  turnover_rate?: number;
  amplitude?: number;
  tick_size?: number;
  name?: string;
  security_status?: string;
  dark?: GreyMarket;
  option?: OptionFigures;
  future?: FutureFigures;
  warrant?: WarrantFigures;
}

/**
 * The figures of a session outside regular hours, in the units of a quote.
 *
 * `change` and `change_rate` compare with the last close of the regular hours. Some markets
 * report a `volume` but no price.
 */
export interface ExtendedQuote {
  last?: number;
  high?: number;
  low?: number;
  volume?: number;
  turnover?: number;
  change?: number;
  change_rate?: number;
  amplitude?: number;
}

/**
 * The figures of an option besides its quote.
 *
 * `size`: what one contract covers, in shares or units. `multiplier`: money per unit of price.
 * `oi`: open
 * interest in contracts; `net_oi`: net open interest. `iv`: implied volatility. `days_left`:
 * days until expiry, negative after it.
 */
export interface OptionFigures {
  strike?: number;
  multiplier?: number;
  size?: number;
  oi?: number;
  net_oi?: number;
  iv?: number;
  premium?: number;
  delta?: number;
  gamma?: number;
  vega?: number;
  theta?: number;
  rho?: number;
  days_left?: number;
  style?: OptionStyle;
}

/** The figures of a future besides its quote: settlement, open interest and its change today. */
export interface FutureFigures {
  prev_settle?: number;
  oi?: number;
  oi_change?: number;
  days_left?: number;
}

/** The figures of a warrant besides its quote. */
export interface WarrantFigures {
  delta?: number;
  iv?: number;
  premium?: number;
}

/** A candle: every final one, and the newest state of the forming one. */
export interface CandleUpdate {
  type: "candle_update";
  channel: "candles";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  period: Period;
  data: Candle;
}

/**
 * The trading of one period. `time`: the period's beginning, in milliseconds since 1970.
 *
 * A candle that isn't `final` is still forming; the next update replaces it. `revised`: it was
 * final before, and its source has corrected it. `prev_close`: the close of the period before.
 */
export interface Candle {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  turnover?: number;
  final: boolean;
  prev_close?: number;
  revised?: boolean;
}

/** The broker queues of both sides. */
export interface BrokersUpdate {
  type: "brokers_update";
  channel: "brokers";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  data: Brokers;
}

/** The broker queues of both sides, best price first. */
export interface Brokers {
  bids: Broker[];
  asks: Broker[];
}

/**
 * A broker in the queue of one side. `pos`: the price level, 1 is the best.
 *
 * `order` is the exchange's number of the order, `size` its shares; absent where the source
 * doesn't report single orders.
 */
export interface Broker {
  id: string | number;
  name: string;
  pos: number;
  order?: string | number;
  size?: number;
}

/** The newest minute of the day's price line. */
export interface TimeframeUpdate {
  type: "timeframe_update";
  channel: "timeframe";
  symbol: string;
  epoch: string;
  seq: number;
  ts: Ts;
  data: TimePoint;
}

/**
 * One minute of the intraday line. `time`: its beginning, in milliseconds since 1970.
 *
 * `average` is the day's average price so far. `volume` and `turnover` are those of the
 * minute.
 */
export interface TimePoint {
  time: number;
  price: number;
  average?: number;
  prev_close?: number;
  volume?: number;
  turnover?: number;
}

/**
 * The status of a topic. Sent when it changes, and at the beginning unless it is live.
 *
 * `age_ms`: the age of the newest update. `source`: the feed that the topic comes from, or
 * `snapshot` if the feed polls it, every `every_ms`. `quota`: the quota that the
 * subscription waits for. `did_you_mean`: symbols of the feed that may be meant instead of one
 * that the feed lacks, the likeliest first.
 */
export interface StatusMessage {
  type: "status";
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  state: State;
  age_ms: number | null;
  reason?: string;
  source?: string;
  every_ms?: number;
  quota?: Quota;
  did_you_mean?: string[];
}

/**
 * A quota of OpenD's account. `next_free_ms`: when some may become free; null: unknown.
 *
 * `pool`: `stock` counts subscriptions; `option` counts chains of options and kinds of data;
 * `sf_book` counts Hong Kong securities with a book or a broker queue.
 */
export interface Quota {
  pool: QuotaPool;
  used: number;
  limit: number;
  next_free_ms: number | null;
}

/** These updates, `from_seq` to `to_seq` inclusive, won't come; null where unknown. */
export interface GapMessage {
  type: "gap";
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  epoch: string;
  from_seq: number | null;
  to_seq: number | null;
  reason: "overflow" | "history" | "epoch" | "engine_restored" | "unreadable";
}

/**
 * What became of a topic's updates since this client subscribed.
 *
 * `queued` updates wait; `conflated` updates were replaced by newer ones; `unchanged`
 * updates changed nothing that this view shows.
 */
export interface WhyMessage {
  type: "why";
  id?: Id;
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  received: number;
  sent: number;
  conflated: number;
  queued: number;
  gapped: number;
  unchanged: number;
  state: State;
  limited_by: LimitedBy;
  last_update_ms: number | null;
  ignored?: string[];
}

/** All subscriptions of this connection. */
export interface ListMessage {
  type: "list";
  id?: Id;
  subscriptions: Listed[];
  ignored?: string[];
}

/** One subscription. */
export interface Listed {
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  view: SeenAs;
}

/**
 * What was wrong with a command: a code for programs, a sentence for people.
 *
 * `did_you_mean`: symbols that may be meant instead of one that the feed can't get, the
 * likeliest first.
 */
export interface ErrorMessage {
  type: "error";
  id?: Id;
  code: ErrorCode;
  message: string;
  channel?: string;
  symbol?: string;
  retry_after_ms?: number;
  did_you_mean?: string[];
  ignored?: string[];
}

/** The publication is accepted, at this position. */
export interface PublishedMessage {
  type: "published";
  id?: Id;
  channel: Channel;
  symbol: string;
  epoch: string;
  seq: number;
  ignored?: string[];
}

/** The session goes on; missed updates follow. `session` is the token for the next time. */
export interface Resumed {
  type: "resumed";
  id?: Id;
  session: string;
  restored: Restored[];
  refused: NotRestored[];
  ignored?: string[];
}

/**
 * A subscription that goes on. `recovered`: nothing is missing, and nothing is repeated.
 *
 * The position is the client's own if it still counts, else the newest one; null when nothing is
 * known yet.
 */
export interface Restored {
  channel: Channel;
  symbol: string;
  period?: Period;
  variant?: Variant;
  view: SeenAs;
  epoch: string | null;
  seq: number | null;
  recovered: boolean;
}

/**
 * A subscription that doesn't go on, and the error code that says why.
 *
 * `message`: what is wrong with a position that can't be read. Such a position may name no
 * topic.
 */
export interface NotRestored {
  channel?: string;
  symbol?: string;
  period?: string;
  variant?: string;
  code: ErrorCode;
  message?: string;
}

/** The token is valid for this long; null: it doesn't expire. */
export interface Authenticated {
  type: "authenticated";
  id?: Id;
  expires_in_ms: number | null;
  ignored?: string[];
}

/** The token expires in this time: present another one, or be closed with 4010. */
export interface TokenExpiring {
  type: "token_expiring";
  in_ms: number;
}

/** The server ends. Come back after this time and resume; the connection closes about then. */
export interface GoingAway {
  type: "going_away";
  reconnect_in_ms: number;
}

/** The answer to a ping. */
export interface Pong {
  type: "pong";
  id?: Id;
  server_time: number;
  ignored?: string[];
}

/** Sent after a silence, so that the client knows that the server is alive. */
export interface Heartbeat {
  type: "heartbeat";
  server_time: number;
}

/** The messages that a client of `bookcast.v1` receives. */
export type Message =
  | Welcome
  | SubscriptionConfirmed
  | UnsubscriptionConfirmed
  | OrderbookUpdate
  | OrderbookDelta
  | TradeMessage
  | QuoteUpdate
  | CandleUpdate
  | BrokersUpdate
  | TimeframeUpdate
  | StatusMessage
  | GapMessage
  | WhyMessage
  | ListMessage
  | ErrorMessage
  | PublishedMessage
  | Resumed
  | Authenticated
  | TokenExpiring
  | GoingAway
  | Pong
  | Heartbeat;

/**
 * An order book, best level first; other fields are kept for base clients.
 *
 * `timestamp` may be anything; ISO 8601 text and milliseconds since 1970 are understood.
 */
export interface PublishedBook {
  bids: (PublishedTuple | PublishedLevel)[];
  asks: (PublishedTuple | PublishedLevel)[];
  timestamp?: unknown;
}

/** A level as `[price, size]` or `[price, size, orders]`. */
export type PublishedTuple = [price: number, size: number, orders?: number];

/** A level as an object. `volume` is another name for `size`; other fields are kept. */
export interface PublishedLevel {
  price: number;
  size?: number;
  volume?: number;
  orders?: number | null;
}

/** The values of a quote, at least one; absent where unknown. */
export interface PublishedQuote {
  last?: number | null;
  open?: number | null;
  high?: number | null;
  low?: number | null;
  prev_close?: number | null;
  volume?: number | null;
  turnover?: number | null;
  bid?: number | null;
  ask?: number | null;
  suspended?: boolean | null;
  session?: TradingSession | null;
  pre?: PublishedExtended | null;
  after?: PublishedExtended | null;
  overnight?: PublishedExtended | null;
  turnover_rate?: number | null;
  amplitude?: number | null;
  tick_size?: number | null;
  name?: string | null;
  security_status?: string | null;
  dark?: GreyMarket | null;
  option?: PublishedOption | null;
  future?: PublishedFuture | null;
  warrant?: PublishedWarrant | null;
  timestamp?: unknown;
}

/** The values of the hours before or after the regular ones. */
export interface PublishedExtended {
  last?: number | null;
  high?: number | null;
  low?: number | null;
  volume?: number | null;
  turnover?: number | null;
  change?: number | null;
  change_rate?: number | null;
  amplitude?: number | null;
}

/** The values that only an option has. `iv` and `premium` are percentages. */
export interface PublishedOption {
  strike?: number | null;
  multiplier?: number | null;
  size?: number | null;
  oi?: number | null;
  net_oi?: number | null;
  iv?: number | null;
  premium?: number | null;
  delta?: number | null;
  gamma?: number | null;
  vega?: number | null;
  theta?: number | null;
  rho?: number | null;
  days_left?: number | null;
  style?: OptionStyle | null;
}

/** The values that only a future has. */
export interface PublishedFuture {
  prev_settle?: number | null;
  oi?: number | null;
  oi_change?: number | null;
  days_left?: number | null;
}

/** The values that only a warrant has. `iv` and `premium` are percentages. */
export interface PublishedWarrant {
  delta?: number | null;
  iv?: number | null;
  premium?: number | null;
}

/** Trades, oldest first. */
export interface PublishedTrades {
  trades: PublishedTrade[];
  timestamp?: unknown;
}

/**
 * One trade. `timestamp`: ISO 8601 or milliseconds since 1970; without one, now.
 *
 * `condition`: one word for what is special about the trade. `updates_last` false: the trade
 * doesn't change the last price.
 */
export interface PublishedTrade {
  price: number;
  size: number;
  side?: "buy" | "sell" | "neutral";
  timestamp?: string | number | null;
  id?: string | number | null;
  backfill?: boolean;
  condition?: string | null;
  condition_sign?: number | null;
  updates_last?: boolean;
  turnover?: number | null;
}

/**
 * A candle; `time` is when it begins, ISO 8601 or milliseconds since 1970.
 *
 * `period` may be here or beside the data. A final candle doesn't change any more, except by one
 * that is `revised`, which is final too.
 */
export interface PublishedCandle {
  time: string | number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  turnover?: number | null;
  final?: boolean;
  prev_close?: number | null;
  revised?: boolean;
  period?: Period | null;
  timestamp?: unknown;
}

/** The brokers of both sides, best first. */
export interface PublishedBrokers {
  bids: PublishedBroker[];
  asks: PublishedBroker[];
  timestamp?: unknown;
}

/** A broker in a queue; `pos` counts price levels from the best one, 1. */
export interface PublishedBroker {
  id: string | number;
  name: string;
  pos: number;
  order?: string | number | null;
  size?: number | null;
}

/** One minute of the day's price line; `time` is ISO 8601 or milliseconds since 1970. */
export interface PublishedTimePoint {
  time: string | number;
  price: number;
  average?: number | null;
  prev_close?: number | null;
  volume?: number | null;
  turnover?: number | null;
  timestamp?: unknown;
}

/** The data to publish, by channel. */
export interface Publication {
  orderbook: PublishedBook;
  quote: PublishedQuote;
  trades: PublishedTrades;
  candles: PublishedCandle;
  brokers: PublishedBrokers;
  timeframe: PublishedTimePoint;
}

/** Asks for the order books of a symbol. */
export interface BaseSubscribe {
  action: "subscribe";
  symbol: string;
}

/** Ends a subscription. */
export interface BaseUnsubscribe {
  action: "unsubscribe";
  symbol: string;
}

/** Asks whether the server is there. */
export interface BasePing {
  action: "ping";
}

/** Presents a token, if the server asks for one; otherwise the action is unknown. */
export interface BaseAuthenticate {
  action: "authenticate";
  token: string;
}

/** The messages that a base client sends. */
export type BaseCommand =
  | BaseSubscribe
  | BaseUnsubscribe
  | BasePing
  | BaseAuthenticate;

/** The symbol's books follow. The symbol is written as the client wrote it. */
export interface BaseSubscriptionConfirmed {
  type: "subscription_confirmed";
  symbol: string;
}

/** No more books of the symbol follow. */
export interface BaseUnsubscriptionConfirmed {
  type: "unsubscription_confirmed";
  symbol: string;
}

/** A book: `data` as it was published; `timestamp` is the server's, ISO 8601 in UTC. */
export interface BaseOrderbookUpdate {
  type: "orderbook_update";
  symbol: string;
  data: unknown;
  timestamp: string;
}

/** The server is there. */
export interface BasePong {
  type: "pong";
}

/** The token is good. */
export interface BaseAuthenticated {
  type: "authenticated";
}

/** What was wrong with a command, in one sentence. */
export interface BaseErrorMessage {
  type: "error";
  message: string;
}

/** The messages that a base client receives. */
export type BaseMessage =
  | BaseSubscriptionConfirmed
  | BaseUnsubscriptionConfirmed
  | BaseOrderbookUpdate
  | BasePong
  | BaseAuthenticated
  | BaseErrorMessage;
