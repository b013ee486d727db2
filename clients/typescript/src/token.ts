/** The token: asked for once at a time, kept while it is valid, asked for again when that failed. */

import { backoff } from "./backoff.js";
import { BookcastError } from "./errors.js";
import type { Platform } from "./platform.js";

export type GetToken = () => string | Promise<string>;

/** A call of `getToken` that takes longer is given up. */
const TOKEN_WITHIN = 60_000;

export class Tokens {
  /** Whether the newest token comes from `getToken` and hasn't been accepted yet. */
  isFresh = false;
  readonly #getToken: GetToken;
  readonly #platform: Platform;
  readonly #failed: (error: BookcastError, retryInMs: number) => void;
  #token = "";
  #validUntil = 0;
  #asking: Promise<string> | undefined;
  #cancel: (() => void) | undefined;

  /** `failed` is told of each call of `getToken` that gave none, and when the next one follows. */
  constructor(getToken: GetToken, platform: Platform, failed: (error: BookcastError, retryInMs: number) => void) {
    this.#getToken = getToken;
    this.#platform = platform;
    this.#failed = failed;
  }

  /** A token for a new connection: the one that is there while it is valid, else a new one. */
  current(): Promise<string> {
    // One that expires within 2 s isn't shown to a new connection.
    return this.#platform.now() < this.#validUntil - 2_000 ? Promise.resolve(this.#token) : this.renew();
  }

  /** A new token. Whoever asks while one is awaited gets the same. It is tried until there is one. */
  renew(): Promise<string> {
    return (this.#asking ??= this.#ask());
  }

  /** The server took the token, which expires in so long; null: never. */
  accepted(expiresInMs: number | null): void {
    this.isFresh = false;
    this.#validUntil = this.#platform.now() + (expiresInMs ?? Infinity);
  }

  /** The token isn't good any more. */
  drop(): void {
    this.#validUntil = 0;
  }

  /** Asks no more. */
  stop(): void {
    this.#asking = undefined;
    this.#cancel?.();
  }

  async #ask(): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      try {
        const late = new Promise<never>((_, reject) => {
          this.#cancel = this.#platform.after(TOKEN_WITHIN, () => {
            reject(new Error("too slow"));
          });
        });
        this.#token = await Promise.race([this.#call(), late]);
        this.#cancel?.();
        this.#asking = undefined;
        this.isFresh = true;
        this.#validUntil = Infinity;
        return this.#token;
      } catch (error) {
        this.#cancel?.();
        if (this.#asking === undefined) return ""; // nobody waits for it any more
        const pause = backoff(attempt, this.#platform);
        this.#failed(new BookcastError("no_token", `getToken failed: ${String(error)}`), pause);
        await new Promise<void>((resolve) => (this.#cancel = this.#platform.after(pause, resolve)));
      }
    }
  }

  async #call(): Promise<string> {
    const token: unknown = await this.#getToken();
    if (typeof token !== "string" || token === "") throw new Error("no token");
    return token;
  }
}
