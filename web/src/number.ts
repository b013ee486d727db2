/** Numbers as the page writes them. */

const MAX_DECIMALS = 10;
const MINUS = "\u2212";
const UNITS: readonly (readonly [number, string])[] = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
];

const formats = new Map<number, Intl.NumberFormat>();

/** How many decimals a number has, without the noise of binary fractions (0.1 + 0.2 has one). */
export function decimalsOf(value: number): number {
  const text = String(Number(value.toPrecision(12)));
  const [mantissa = "", exponent = "0"] = text.split("e");
  const fraction = mantissa.split(".")[1]?.length ?? 0;
  return Math.min(MAX_DECIMALS, Math.max(0, fraction - Number(exponent)));
}

/** Fixed decimals with grouped thousands and a true minus sign. */
export function formatFixed(value: number, decimals: number): string {
  let format = formats.get(decimals);
  if (format === undefined) {
    format = new Intl.NumberFormat("en-US", {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    });
    formats.set(decimals, format);
  }
  const text = format.format(Math.abs(value));
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

/** The middle of two prices may need one decimal more than they do. */
export function formatMid(value: number, decimals: number): string {
  return formatFixed(value, decimalsOf(value) > decimals ? decimals + 1 : decimals);
}

/** A size in full up to ten million, then with a unit; fractions as far as they tell something. */
export function formatSize(value: number, decimals = 0): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 1e7) {
    for (const [unit, letter] of UNITS) {
      if (magnitude >= unit) return formatFixed(value / unit, 2) + letter;
    }
  }
  const smallest = 10 ** -decimals;
  if (magnitude > 0 && magnitude < smallest) {
    return formatFixed(value, Math.min(MAX_DECIMALS, decimalsOf(Number(value.toPrecision(2)))));
  }
  return formatFixed(value, magnitude >= 1e5 ? Math.min(decimals, 2) : decimals);
}

export function formatBasisPoints(value: number): string {
  const magnitude = Math.abs(value);
  return formatFixed(value, magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2);
}
