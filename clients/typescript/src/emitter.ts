/** Listeners by the name of an event. */

export class Emitter<Events extends { [Name in keyof Events]: unknown[] }> {
  readonly #listeners = new Map<keyof Events, Set<(...given: unknown[]) => void>>();

  /** Returns what ends the listening. */
  on<Name extends keyof Events>(name: Name, listener: (...given: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    const kept = listener as unknown as (...given: unknown[]) => void; // its name tells what it is given
    this.#listeners.set(name, listeners.add(kept));
    return () => {
      listeners.delete(kept);
    };
  }

  /** Calls the listeners. What one of them throws stops neither the others nor the client. */
  emit<Name extends keyof Events>(name: Name, ...given: Events[Name]): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    // A listener that is added meanwhile waits for the next event, one that is removed isn't called.
    for (const listener of [...listeners]) {
      try {
        if (listeners.has(listener)) listener(...given);
      } catch (error) {
        setTimeout(() => {
          throw error; // it is reported as any error of a page or program is
        });
      }
    }
  }
}
