"use strict";

/** How thick a bridge is and what is said of it; knows bits, not layouts. */
unetscope.bridges = (() => {
  const { drawn } = unetscope.dom;
  const { number, interval, isNumber, NOTHING } = unetscope.format;
  const THIN = 1.5;
  const THICK = 11; // units of a bridge that carries all of H0
  const DIGITS = 3;

  /** What a path adds given the other, in symbols. */
  const quantityOf = ({ kind }) => (kind === "skip" ? "I(S|U)" : "I(U|S)");

  const width = ({ v, scale }) =>
    isNumber(v) && scale > 0 ? THIN + THICK * Math.min(1, Math.max(0, v / scale)) : THIN;

  const told = (value) => `${number(value.v, DIGITS)} (${interval(value, DIGITS)})`;

  /** One sentence about a bridge. */
  const describe = (bridge) => {
    const { from, to, word, why, lost_dice: lost } = bridge;
    const reason = why ? `: ${why}` : "";
    const loss = lost ? `; without it Dice falls by ${told(lost)}` : "";
    return `${from} to ${to}: ${quantityOf(bridge)} in bits ${told(bridge)}, ${word}${reason}${loss}`;
  };

  const cross = (path) => {
    const { x, y } = path.getPointAtLength(path.getTotalLength() / 3);
    return drawn("path.cross", { d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` });
  };

  const key = (from, to) => JSON.stringify([from, to]);

  const paintPath = (path, bridge) => {
    path.style.strokeWidth = bridge ? `${width(bridge)}px` : "";
    path.dataset.word = bridge ? bridge.word : "";
    if (!bridge) return;
    path.append(drawn("title", {}, describe(bridge)));
    if (bridge.word === "dead") path.after(cross(path));
  };

  /**
   * Gives the bridges of a drawing their widths, numbers and words.
   * @param {SVGSVGElement} drawing
   * @param {Object[]} bridges - Of one epoch.
   */
  const paint = (drawing, bridges) => {
    const known = new Map(bridges.map((bridge) => [key(bridge.from, bridge.to), bridge]));
    const bridgeOf = ({ dataset: { from, to } }) => known.get(key(from, to));
    for (const old of drawing.querySelectorAll(".cross, .bridge > title")) old.remove();
    for (const path of drawing.querySelectorAll("path.bridge")) paintPath(path, bridgeOf(path));
    for (const text of drawing.querySelectorAll("text.bits")) {
      text.textContent = number(bridgeOf(text)?.v, DIGITS).replace(NOTHING, "");
    }
  };

  return { paint, quantityOf, DIGITS };
})();
