/** What a page tells: that it is about to sleep, or awake again. */

import { afterEach, expect, it, vi } from "vitest";
import { platform, type PageEvent } from "../src/platform.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

it.each<[type: string, more: object, expected: PageEvent[]]>([
  ["online", {}, ["wake"]],
  ["pageshow", { persisted: true }, ["wake"]],
  ["pagehide", { persisted: true }, ["sleep"]],
  ["pagehide", { persisted: false }, []],
  ["freeze", { hidden: true }, ["sleep"]],
  ["resume", { hidden: true }, ["wake"]],
  ["visibilitychange", { hidden: true }, []],
  ["visibilitychange", { hidden: false }, ["wake"]],
])("%s %j is %j", (type, more, expected) => {
  const window = new EventTarget();
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  const heard: PageEvent[] = [];
  const end = platform.watchPage((event) => heard.push(event));
  const { hidden = false, ...rest } = more as { hidden?: boolean };
  vi.stubGlobal("document", { hidden });
  const tell = (): void => {
    window.dispatchEvent(Object.assign(new Event(type), rest));
  };
  tell();
  expect(heard).toEqual(expected);
  end();
  tell();
  expect(heard).toEqual(expected);
});
