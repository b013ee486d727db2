/** Questions that have one answer each, found by its id. */

import { errorOf, BookcastError } from "./errors.js";
import type { ErrorMessage } from "./messages.js";
import type { Platform } from "./platform.js";

const ANSWER_WITHIN = 30_000;

interface Pending {
  resolve(answer: any): void; // eslint-disable-line @typescript-eslint/no-explicit-any -- its action tells what the answer is
  reject(error: BookcastError): void;
  cancel(): void;
}

export class Requests {
  readonly #pending = new Map<number, Pending>();

  constructor(readonly platform: Platform) {}

  /** Waits for the answer to the question of that id. */
  wait<T>(id: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.platform.after(ANSWER_WITHIN, () => {
        this.#take(id)?.reject(unanswered(`no answer within ${ANSWER_WITHIN / 1000} s`));
      });
      this.#pending.set(id, { resolve, reject, cancel });
    });
  }

  answered(message: { id?: unknown }): void {
    this.#take(message.id)?.resolve(message);
  }

  /** Returns false when it is the answer to something else. */
  failed(told: ErrorMessage): boolean {
    const pending = this.#take(told.id);
    pending?.reject(errorOf(told));
    return pending !== undefined;
  }

  /** The connection is gone, and with it all answers. */
  lost(): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(unanswered("the connection was lost before an answer came"));
  }

  #take(id: unknown): Pending | undefined {
    const pending = this.#pending.get(id as number);
    this.#pending.delete(id as number);
    pending?.cancel();
    return pending;
  }
}

function unanswered(message: string): BookcastError {
  return new BookcastError("no_answer", message);
}
