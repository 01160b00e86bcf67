"use strict";

/** Numbers as text; knows digits, not meanings. */
unetscope.format = (() => {
  const NOTHING = "\u2013";

  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

  /**
   * A number with so many digits after the point and a true minus sign; zero has none.
   * @param {number|null|undefined} value
   * @param {number} digits
   * @returns {string} A dash where there is none.
   */
  const number = (value, digits) =>
    isNumber(value)
      ? value
          .toLocaleString("en", {
            minimumFractionDigits: digits,
            maximumFractionDigits: digits,
            signDisplay: "negative",
          })
          .replace("-", "\u2212")
      : NOTHING;

  /** The same in few characters: 21,000 becomes 21K. */
  const short = (value, digits) =>
    isNumber(value) && Math.abs(value) >= 10000
      ? value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 }).replace("-", "\u2212")
      : number(value, digits);

  /** Both ends of an interval, or a dash. */
  const interval = ({ lo, hi }, digits) =>
    isNumber(lo) && isNumber(hi) ? `${number(lo, digits)} to ${number(hi, digits)}` : NOTHING;

  /** A number with its unit. */
  const quantity = (value, { digits, unit }) => (isNumber(value) ? `${number(value, digits)} ${unit}`.trim() : NOTHING);

  /** Bytes of a text, for people. */
  const size = (text) => {
    const bytes = new TextEncoder().encode(text).length;
    if (bytes < 1e3) return `${bytes} bytes`;
    return bytes < 1e5 ? `${number(bytes / 1e3, 1)} kB` : `${number(bytes / 1e6, 1)} MB`;
  };

  /** Image pixels per pixel of a layer, per axis. */
  const stride = (steps) => (new Set(steps).size === 1 ? String(steps[0]) : steps.join(" \u00d7 "));

  /** "Before: ", or nothing where there is but one network. */
  const stage = ({ label }) => (label ? `${label[0].toUpperCase()}${label.slice(1)}: ` : "");

  return { NOTHING, isNumber, number, short, interval, quantity, size, stride, stage };
})();
