/** The token: asked for once at a time, kept while it is valid, asked for again when that failed. */

import { Backoff } from "./backoff.js";
import { BookcastError } from "./errors.js";
import type { Platform } from "./platform.js";

export type GetToken = () => string | Promise<string>;

/** A call of `getToken` that takes longer is given up. */
export const TOKEN_WITHIN = 60_000;
/** A token that expires sooner isn't shown to a new connection. */
const MARGIN = 2_000;

export class Tokens {
  readonly #getToken: GetToken;
  readonly #platform: Platform;
  readonly #failed: (error: BookcastError, retryInMs: number) => void;
  #token: string | undefined;
  #validUntil = Infinity;
  #asking: Promise<string> | undefined;
  #fresh = false;
  #cancel: () => void = () => undefined;

  /** `failed` is told of each call of `getToken` that gave none, and when the next one follows. */
  constructor(getToken: GetToken, platform: Platform, failed: (error: BookcastError, retryInMs: number) => void) {
    this.#getToken = getToken;
    this.#platform = platform;
    this.#failed = failed;
  }

  /** Whether the newest token comes from `getToken` and hasn't been accepted yet. */
  get isFresh(): boolean {
    return this.#fresh;
  }

  /** A token for a new connection: the one that is there while it is valid, else a new one. */
  current(): Promise<string> {
    const valid = this.#token !== undefined && this.#platform.now() < this.#validUntil - MARGIN;
    return valid ? Promise.resolve(this.#token ?? "") : this.renew();
  }

  /** A new token. Whoever asks while one is awaited gets the same. It is tried until there is one. */
  renew(): Promise<string> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** The server took the token, which expires in so long; null: never. */
  accepted(expiresInMs: number | null): void {
    this.#fresh = false;
    this.#validUntil = expiresInMs === null ? Infinity : this.#platform.now() + expiresInMs;
  }

  /** The token isn't good any more. */
  drop(): void {
    this.#token = undefined;
  }

  /** Asks no more. */
  stop(): void {
    this.#cancel();
    this.#cancel = () => undefined;
  }

  async #ask(): Promise<string> {
    const backoff = new Backoff(() => this.#platform.random(), 1_000, 30_000);
    for (;;) {
      try {
        const token = await this.#call();
        this.#token = token;
        this.#fresh = true;
        this.#validUntil = Infinity;
        return token;
      } catch (error) {
        const delay = backoff.next();
        this.#failed(new BookcastError("no_token", `getToken failed: ${wordsOf(error)}`), delay);
        await this.#pause(delay);
      }
    }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#cancel = this.#platform.after(milliseconds, resolve);
    });
  }

  /** Calls `getToken`; fails when that takes too long or gives no token. */
  #call(): Promise<string> {
    return new Promise((resolve, reject) => {
      const cancel = this.#platform.after(TOKEN_WITHIN, () => {
        reject(new Error(`no token within ${TOKEN_WITHIN / 1000} s`));
      });
      this.#cancel = cancel;
      const called = new Promise<string>((give) => {
        give(this.#getToken());
      });
      called.finally(cancel).then((token) => {
        if (typeof token === "string" && token !== "") resolve(token);
        else reject(new Error("it gave no token"));
      }, reject);
    });
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
