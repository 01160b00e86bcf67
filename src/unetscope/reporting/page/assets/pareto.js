"use strict";

/** Score against cost, a mark for each network and verdict; judges nothing itself. */
unetscope.pareto = (() => {
  const { Plot, charts } = unetscope;
  const { number, interval } = unetscope.format;
  const LOOKS = {
    "compared with": { symbol: "star", color: "var(--ink)" },
    "as good": { symbol: "circle", color: "var(--series-1)" },
    worse: { symbol: "triangle", color: "var(--series-2)" },
    "not separable": { symbol: "square", color: "var(--quiet)" },
  };
  const OTHER = { symbol: "times", color: "var(--quiet)" };

  const drawPoint = (point) => {
    const { symbol, color } = LOOKS[point.word] ?? OTHER;
    return [
      Plot.ruleX([point], { x: "x", y1: "lo", y2: "hi", stroke: color, strokeWidth: 1.5 }),
      Plot.dot([point], { x: "x", y: "y", stroke: color, fill: "var(--surface)", symbol, r: 5, strokeWidth: 2 }),
    ];
  };

  const label = ({ name, word }) => `${name}\n${word}`;

  /** @param {{x: string, points: Object[]}} picture @returns {HTMLElement} */
  const render = ({ x, points }) => {
    const text = { x: "x", y: "y", text: label, dx: 9, dy: -10, lineWidth: 14, textOverflow: "ellipsis" };
    const options = () => ({
      height: 320,
      inset: 12,
      marginRight: 90,
      x: { label: x, type: "log" },
      y: { label: "Dice", grid: true },
      marks: [...points.flatMap(drawPoint), Plot.text(points, { ...text, textAnchor: "start", fill: "currentColor" })],
    });
    return charts.figure(`Dice against ${x}`, options, {
      columns: ["network", x, "Dice", "95 % interval", "verdict"],
      rows: points.map((point) => [point.name, number(point.x, 0), number(point.y, 4), interval(point, 4), point.word]),
    });
  };

  return { render };
})();
