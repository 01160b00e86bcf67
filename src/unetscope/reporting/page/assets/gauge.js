"use strict";

/** A small bar with its outline, whisker and marks; knows numbers and a place to draw, not layers. */
unetscope.gauge = (() => {
  const { drawn } = unetscope.dom;
  const { isNumber } = unetscope.format;
  const OVER = 1.5; // units by which marks stand out of the bar

  /** How a mark looks: a ceiling, the position floor, or another reference. */
  const markKind = ({ name, v }, top) => {
    if (v === top) return "ceiling";
    return name === "position" ? "position" : "reference";
  };

  const diamond = (x, y, r) => `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z`;

  const drawMark =
    (at, top, { y, h }) =>
    (mark) =>
      drawn(`line.mark.${markKind(mark, top)}`, { x1: at(mark.v), x2: at(mark.v), y1: y - OVER, y2: y + h + OVER });

  const drawWhisker = (at, { lo, hi }, { y, h }) => {
    const [left, right, middle] = [at(lo), at(hi), y + h / 2];
    const path = `M${left} ${y + 1}V${y + h - 1}M${left} ${middle}H${right}M${right} ${y + 1}V${y + h - 1}`;
    return drawn("path.whisker", { d: path });
  };

  /**
   * Draws a gauge anew.
   * @param {SVGGElement} group - Empty but for an earlier gauge; its data tells the place: x, y, w, h.
   * @param {Object} reading - `value` {v, lo, hi}, `outline` {v} or null, `twin` number or null, `marks`, `top`.
   */
  const draw = (group, { value, outline, twin, marks, top }) => {
    const [x, y, w, h] = ["x", "y", "w", "h"].map((name) => Number(group.dataset[name]));
    const at = (v) => x + w * Math.min(1, Math.max(0, v / (top || 1)));
    const place = { y, h };
    group.replaceChildren(
      drawn("rect.track", { x, y, width: w, height: h }),
      drawn("rect.level", { x, y, width: at(value.v) - x, height: h }),
      ...(outline ? [drawn("rect.outline", { x, y, width: at(outline.v) - x, height: h })] : []),
      ...(isNumber(value.lo) && isNumber(value.hi) ? [drawWhisker(at, value, place)] : []),
      ...marks.map(drawMark(at, top, place)),
      ...(isNumber(twin) ? [drawn("path.twin", { d: diamond(at(twin), y + h / 2, h / 2.4) })] : []),
    );
  };

  return { draw };
})();
