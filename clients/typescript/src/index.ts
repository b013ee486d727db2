export { Bookcast } from "./client.js";
export type {
  BookcastOptions,
  BookOptions,
  CandleItem,
  CandleOptions,
  DebugEvent,
  EventOptions,
  PaceOptions,
  PublishOptions,
  Trades,
  Why,
} from "./client.js";
export type { Book } from "./book.js";
export { BookcastError } from "./errors.js";
export type { LineState, LineStatus } from "./line.js";
export type { Socket, SocketConstructor } from "./platform.js";
export type { Gap, Position } from "./position.js";
export type { Subscription, SubscriptionEvents, SubscriptionState } from "./subscription.js";
export type { GetToken } from "./token.js";
export type * from "./messages.js";
export type { ErrorCode } from "./codes.js";
