"use strict";

/** What colors, bars, marks and lines of the drawing mean; knows one measure at a time. */
unetscope.uLegend = (() => {
  const { element, drawn } = unetscope.dom;
  const { quantity, number } = unetscope.format;
  const [WIDE, HIGH] = [84, 12];
  const WORDS = {
    needed: "needed: adds more than 1 % of H0",
    redundant: "redundant: varies, and adds less than that",
    "cannot tell": "cannot tell: its interval holds 1 % of H0",
    dead: "dead: does not vary at all",
  };

  /** A small picture beside its meaning. */
  const entry = (picture, text) => element("li", {}, picture, element("span", {}, text));

  const canvas = (...parts) =>
    drawn("svg.u.key", { viewBox: `-3 -3 ${WIDE + 6} ${HIGH + 6}`, "aria-hidden": "true" }, ...parts);

  const gaugeKey = (reading) => {
    const group = drawn("g.gauge", { "data-x": 0, "data-y": 0, "data-w": WIDE, "data-h": HIGH });
    unetscope.gauge.draw(group, { value: { v: 0 }, outline: null, twin: null, marks: [], top: 1, ...reading });
    return canvas(group);
  };

  const hollowKey = () => {
    const block = drawn("rect.block", { x: 2, y: 2, width: 28, height: 14 });
    return drawn("svg.u.key.box", { viewBox: "0 0 32 18", "aria-hidden": "true" }, drawn("g.hollow", {}, block));
  };

  const lineKey = (word) => {
    const path = drawn("path.bridge.skip", { d: `M0 ${HIGH / 2}H${WIDE}`, "data-word": word });
    path.style.strokeWidth = "4px";
    const middle = [WIDE / 2 - 4, HIGH / 2 - 4];
    return canvas(path, word === "dead" ? drawn("path.cross", { d: `M${middle}l8 8m0 -8l-8 8` }) : null);
  };

  const ramp = (top, measure) =>
    element(
      "div.ramp",
      {},
      element("span", {}, number(0, 0)),
      element("span.colors", { "aria-hidden": "true" }),
      element("span", {}, quantity(top, measure)),
    );

  const MEANINGS = {
    H0: "H0, all there is to know",
    position: "position alone",
    patch: "largest window of the image",
  };

  const markName = ({ name }) => MEANINGS[name] ?? MEANINGS[name.split(" ")[0]] ?? name;

  const markEntries = ({ marks, top }, measure) =>
    unetscope.u
      .largestMarks(marks)
      .map((mark) => entry(gaugeKey({ marks: [mark], top }), `${markName(mark)}: ${quantity(mark.v, measure)}`));

  const gaugeEntries = (block, measure) => [
    entry(gaugeKey({ value: { v: 0.6 } }), block.outline ? `${measure.name}, linear reader` : measure.name),
    ...(block.outline ? [entry(gaugeKey({ outline: { v: 0.75 } }), "the same of a larger reader (MLP)")] : []),
    entry(gaugeKey({ value: { v: 0.6, lo: 0.45, hi: 0.75 } }), "95 % interval"),
    ...(block.twin ? [entry(gaugeKey({ twin: 0.4 }), "the same network, untrained")] : []),
    ...markEntries(block, measure),
    entry(hollowKey(), "hollow: not to be relied on; the layer says why"),
  ];

  const bridgeEntries = (bridges) =>
    Object.entries(WORDS)
      .filter(([word]) => bridges.some((bridge) => bridge.word === word))
      .map(([word, text]) => entry(lineKey(word), text));

  /**
   * @param {Object} block - A measure's numbers at one epoch.
   * @param {Object} measure
   * @param {Object[]} bridges
   * @returns {HTMLElement[]}
   */
  const render = (block, measure, bridges) => [
    ramp(block.top, measure),
    element("ul.legend", {}, ...gaugeEntries(block, measure)),
    ...(bridges.length
      ? [
          element(
            "p.quiet",
            {},
            "Where a skip S meets the up path U, lines are as thick as what each adds to the other: I(S|U) and I(U|S).",
          ),
          element("ul.legend", {}, ...bridgeEntries(bridges)),
        ]
      : []),
  ];

  return { render };
})();
