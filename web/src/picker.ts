/** The symbol field and its list: type to narrow, arrows to move, Enter to open. */

import { type Listing, filterSymbols, resolveSymbol, splitSymbol } from "./symbols";

const MOST_SHOWN = 100;
const ASK_AFTER = 150;

export interface PickerOptions {
  readonly input: HTMLInputElement;
  readonly list: HTMLElement;
  readonly note: HTMLElement;
  readonly choose: (symbol: string) => void;
  /** Asks the server for symbols that match a text. */
  readonly search: (text: string) => Promise<Listing>;
}

export class Picker {
  readonly #options: PickerOptions;
  #known: readonly string[] = [];
  readonly #names = new Map<string, string>();
  #chosen: string | null = null;
  #shown: string[] = [];
  #active = -1;
  #asking = 0;

  constructor(options: PickerOptions) {
    this.#options = options;
    const { input, list } = options;
    input.addEventListener("input", () => {
      this.#render();
      this.#setActive(input.value.trim() === "" ? -1 : 0);
      this.#ask();
    });
    input.addEventListener("keydown", (event) => {
      this.#pressed(event);
    });
    input.addEventListener("blur", () => {
      this.#setActive(-1);
    });
    // The field keeps the focus, so that the keyboard goes on where the mouse was.
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
    });
    list.addEventListener("click", (event) => {
      const option = (event.target as Element).closest<HTMLElement>("[data-symbol]");
      if (option?.dataset["symbol"] !== undefined) this.#choose(option.dataset["symbol"]);
    });
  }

  get known(): readonly string[] {
    return this.#known;
  }

  setKnown(symbols: readonly string[]): void {
    if (symbols.length === this.#known.length && symbols.every((s, i) => s === this.#known[i])) return;
    this.#known = [...symbols];
    this.#render();
    this.#reveal();
  }

  setChosen(symbol: string | null): void {
    if (symbol === this.#chosen) return;
    this.#chosen = symbol;
    this.#render();
    this.#reveal();
  }

  #reveal(): void {
    const option = this.#options.list.querySelector("[aria-selected=true]");
    option?.scrollIntoView({ block: "nearest", inline: "center" });
  }

  #choose(symbol: string): void {
    this.#options.input.value = "";
    this.#setActive(-1);
    this.#options.choose(symbol);
    this.#render();
  }

  #pressed(event: KeyboardEvent): void {
    const last = this.#shown.length - 1;
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp": {
        if (last < 0) return;
        const step = event.key === "ArrowDown" ? 1 : -1;
        const from = this.#active === -1 && step === -1 ? 0 : this.#active;
        this.#setActive((from + step + last + 1) % (last + 1));
        break;
      }
      case "Enter": {
        const typed = this.#options.input.value;
        const symbol = this.#shown[this.#active] ?? resolveSymbol(typed, this.#known);
        if (symbol !== null) this.#choose(symbol);
        break;
      }
      case "Escape":
        this.#options.input.value = "";
        this.#setActive(-1);
        this.#render();
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  /** The list at hand may not be all: after a pause in typing, the server is asked too. */
  #ask(): void {
    const text = this.#options.input.value.trim();
    window.clearTimeout(this.#asking);
    if (text === "") return;
    this.#asking = window.setTimeout(() => {
      this.#options.search(text).then(
        ({ symbols, names }) => {
          for (const [symbol, name] of names) this.#names.set(symbol, name);
          const news = symbols.filter((symbol) => !this.#known.includes(symbol));
          if (news.length > 0) this.setKnown([...this.#known, ...news]);
          else this.#render();
        },
        () => {
          // No suggestions then; the typed symbol still opens.
        },
      );
    }, ASK_AFTER);
  }

  #render(): void {
    const { input, list, note } = this.#options;
    const typed = input.value.trim();
    const all =
      this.#chosen === null || this.#known.includes(this.#chosen) ? this.#known : [this.#chosen, ...this.#known];
    const found = filterSymbols(all, typed, this.#names);
    const meant = resolveSymbol(typed, all);
    // What was typed can always be opened, also where the server doesn't know it yet.
    if (meant !== null && !found.includes(meant)) found.push(meant);
    this.#shown = found.slice(0, MOST_SHOWN);
    list.replaceChildren(...this.#shown.map((symbol, index) => this.#option(symbol, index, !all.includes(symbol))));
    const hidden = found.length - this.#shown.length;
    note.textContent =
      hidden > 0
        ? `${hidden} more: type to narrow the list`
        : this.#shown.length === 0
          ? "The server lists no symbols yet. Type one, such as US.AAPL or HK.00700."
          : "";
    this.#setActive(Math.min(this.#active, this.#shown.length - 1));
  }

  #option(symbol: string, index: number, isNew: boolean): HTMLElement {
    const option = document.createElement("li");
    option.id = `symbol-${index}`;
    option.dataset["symbol"] = symbol;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", String(symbol === this.#chosen));
    const { market, code } = splitSymbol(symbol);
    const prefix = document.createElement("span");
    prefix.className = "market";
    prefix.textContent = market;
    option.append(prefix, code);
    const name = this.#names.get(symbol);
    if (name !== undefined) {
      const label = document.createElement("span");
      label.className = "name";
      label.textContent = name;
      option.append(label);
    }
    option.classList.toggle("typed", isNew);
    return option;
  }

  #setActive(index: number): void {
    const { input, list } = this.#options;
    this.#active = index;
    [...list.children].forEach((child, i) => {
      child.classList.toggle("active", i === index);
    });
    if (index >= 0) {
      input.setAttribute("aria-activedescendant", `symbol-${index}`);
      list.children[index]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }
}
