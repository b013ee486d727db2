/** What a person is told about the connection, and about how a symbol stands. */

import type { LineStatus, SubscriptionState } from "@bookcast/client";
import { REFUSED, TOKEN_EXPIRED } from "@bookcast/client/codes";

export type Tone = "good" | "busy" | "bad";

export interface Status {
  readonly tone: Tone;
  /** What the page shows; it may count down. */
  readonly text: string;
  /** What a screen reader announces: the same without the countdown. */
  readonly announcement: string;
}

const TITLES = new Map<number, string>([
  [TOKEN_EXPIRED, "Token expired"],
  [REFUSED, "Token needed"],
]);

const STATES: Record<SubscriptionState, readonly [tone: Tone, words: string]> = {
  live: ["good", "Live"],
  stale: ["busy", "Stale"],
  pending: ["busy", "Waiting"],
  halted: ["busy", "Halted"],
  closed: ["busy", "Market closed"],
  syncing: ["busy", "Syncing"],
  connecting: ["busy", "Connecting"],
  feed_down: ["bad", "Feed down"],
  refused: ["bad", "Refused"],
};

/** How a symbol stands, in words. */
export function describeState(state: SubscriptionState): { tone: Tone; words: string } {
  const [tone, words] = STATES[state];
  return { tone, words };
}

/** Whether what shows is the present, as far as anybody knows. */
export function isPresent(state: SubscriptionState): boolean {
  return ["live", "stale", "halted", "closed", "pending"].includes(state);
}

/** What a person can do about a refusal. `said`: the server's own sentence, if there was one. */
export function adviseOn(code: number, reason: string, hasToken: boolean, said: string | null): string {
  const words = said ?? reason;
  const how = (which: string): string => `Put #token= and ${which} at the end of this page\u2019s address`;
  if (code === TOKEN_EXPIRED) return `The token has expired. ${how("a new token")}.`;
  if (code !== REFUSED) return `The server closed the connection: ${words}`;
  return hasToken
    ? `The server doesn\u2019t take this token (${words}). ${how("another token")}.`
    : `This server asks for a token. ${how("your token")}; whoever runs the server can make one with \u201cbookcast token\u201d.`;
}

/** How the connection stands at a time, in milliseconds since 1970. */
export function describeLine(line: LineStatus, now: number, online: boolean): Status {
  const { state, retryAt = now, code = 0, reason = "" } = line;
  switch (state) {
    case "open":
      return say("good", "Live", "Connection live");
    case "connecting":
      return online
        ? say("busy", "Connecting\u2026", "Connecting")
        : say("bad", "Offline, connecting\u2026", "Offline");
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((retryAt - now) / 1000));
      return online
        ? say("busy", `Reconnecting in ${seconds} s`, "Connection lost, reconnecting")
        : say("bad", `Offline, next try in ${seconds} s`, "Offline");
    }
    case "stopped":
      return say("bad", TITLES.get(code) ?? "Closed by the server", `Closed by the server: ${reason}`);
  }
}

function say(tone: Tone, text: string, announcement: string): Status {
  return { tone, text, announcement };
}
