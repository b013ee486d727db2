/** What a page tells: that it is about to sleep, or awake again. */

import { afterEach, expect, it, vi } from "vitest";
import { platform, type PageEvent } from "../src/platform.js";

class FakeTarget extends EventTarget {
  hidden = false;
}

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
  const document = new FakeTarget();
  const window = new FakeTarget();
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  const heard: PageEvent[] = [];
  const end = platform.watchPage((event) => heard.push(event));
  const { hidden = false, ...rest } = more as { hidden?: boolean };
  document.hidden = hidden;
  const tell = (): void => {
    for (const target of [document, window]) target.dispatchEvent(Object.assign(new Event(type), rest));
  };
  tell();
  expect(heard).toEqual(expected);
  end();
  tell();
  expect(heard).toEqual(expected);
});
