import { expect, it } from "vitest";
import { consoleSnippet } from "../src/snippet";

it.each(["US.AAPL", "it's", 'a"b', "back\\slash"])("is a line that runs and subscribes to %j", (symbol) => {
  const sent: unknown[] = [];
  const opened: unknown[] = [];
  class FakeWebSocket {
    onopen: (() => void) | null = null;
    constructor(address: string) {
      opened.push(address);
    }
    send(text: string): void {
      sent.push(JSON.parse(text));
    }
  }
  const line = consoleSnippet("ws://127.0.0.1:8002/ws/me", symbol);
  expect(line).not.toContain("\n");
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- running the line is the test
  const run = new Function("WebSocket", `var ws; ${line} return ws;`) as (type: unknown) => FakeWebSocket;
  run(FakeWebSocket).onopen?.();
  expect(opened).toEqual(["ws://127.0.0.1:8002/ws/me"]);
  expect(sent).toEqual([{ action: "subscribe", symbol }]);
});
