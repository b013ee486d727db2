/** What a person is told about the connection. */

import type { State } from "./connection";

export type Tone = "good" | "busy" | "bad";

export interface Status {
  readonly tone: Tone;
  /** What the page shows; it may count down. */
  readonly text: string;
  /** What a screen reader announces: the same without the countdown. */
  readonly announcement: string;
}

export function describeState(state: State, now: number, online: boolean): Status {
  switch (state.kind) {
    case "live":
      return say("good", "Live", "Connection live");
    case "connecting":
      return online
        ? say("busy", "Connecting\u2026", "Connecting")
        : say("bad", "Offline, connecting\u2026", "Offline");
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((state.until - now) / 1000));
      return online
        ? say("busy", `Reconnecting in ${seconds} s`, "Connection lost, reconnecting")
        : say("bad", `Offline, next try in ${seconds} s`, "Offline");
    }
    case "refused":
      return say("bad", "Closed by the server", `Closed by the server: ${state.reason}`);
  }
}

function say(tone: Tone, text: string, announcement: string): Status {
  return { tone, text, announcement };
}
