/** What a hook returns, and when two results are the same. */

import type { BookcastError } from "../errors.js";
import type { LineState } from "../line.js";
import type { SubscriptionState } from "../subscription.js";

/** `idle`: the hook isn't enabled. */
export type ResultState = SubscriptionState | LineState | "idle";

/** The same object as long as nothing of it changes, but for `receivedAt`. */
export interface Result<V, S extends ResultState = SubscriptionState | "idle"> {
  /** The newest that is proven; undefined before the first. */
  readonly value: V | undefined;
  readonly state: S;
  /** Why it is in this state, in words, where there is something to say. */
  readonly reason: string | undefined;
  /** Why there won't be a value. Errors are returned, not thrown. */
  readonly error: BookcastError | undefined;
  /**
   * When the newest update came to the server, in milliseconds since 1970 of this side's clock.
   * `useAge` knows it also of later updates that changed nothing here.
   */
  readonly receivedAt: number | undefined;
}

export type AnyResult<V = unknown> = Result<V, ResultState>;

/** Of a hook that isn't enabled. */
export const IDLE = without("idle");

/** Before a hook has asked for anything, and where pages are rendered on a server. */
export const CONNECTING = without("connecting");

/** A result that is only an error. */
export function failed(error: BookcastError): AnyResult<never> {
  return without("refused", error);
}

function without(state: ResultState, error?: BookcastError): AnyResult<never> {
  return { value: undefined, state, reason: error?.message, error, receivedAt: undefined };
}

/** Whether nothing changed. Values are compared shallowly. */
export function isSame(one: AnyResult, other: AnyResult): boolean {
  return (
    one.state === other.state &&
    one.reason === other.reason &&
    one.error?.message === other.error?.message &&
    isShallowlySame(one.value, other.value)
  );
}

type Elements = Record<string, unknown> | undefined | null;

/** Whether two values are the same, or arrays or plain objects of the same elements. */
export function isShallowlySame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  const [ours, theirs] = [one, other] as [Elements, Elements];
  const kind = ours?.constructor;
  if ((kind !== Array && kind !== Object) || theirs?.constructor !== kind) return false;
  const names = Object.keys(ours as object);
  return names.length === Object.keys(theirs).length && names.every((name) => Object.is(ours?.[name], theirs[name]));
}
