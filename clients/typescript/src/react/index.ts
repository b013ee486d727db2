"use client";

export { useAge } from "./age.js";
export {
  useBrokers,
  useCandles,
  useLine,
  useOrderBook,
  useQuote,
  useStatus,
  useTrades,
} from "./hooks.js";
export type { ShowOptions, StatusOptions, SymbolName } from "./hooks.js";
export { BookcastProvider, useBookcast } from "./provider.js";
export type { BookcastProviderProps } from "./provider.js";
export type { Result, ResultState } from "./result.js";
export type { Candles, ListOptions } from "./sources.js";
