"use strict";

/** The numbers of the drawing as a table; knows one measure at one epoch. */
unetscope.uTable = (() => {
  const { element } = unetscope.dom;
  const { number, interval, stride } = unetscope.format;
  const { readingOf, remark } = unetscope.u;

  const verdict = (value) => remark(value) || "ok";

  const layerButton = (name, open) =>
    element("button.link", { type: "button", on: { click: () => open(name, true) } }, name);

  const values = (block, reading, { digits }) => {
    const { value = {}, outline, twin } = reading ?? {};
    const more = [block?.outline && number(outline?.v, digits), block?.twin && number(twin, digits)];
    return [number(value.v, digits), interval(value, digits), ...more.filter(Boolean)];
  };

  const layerRow = (block, measure, open) => (layer) => {
    const reading = readingOf(block, layer.name);
    return [
      layerButton(layer.name, open),
      number(layer.width, 0),
      stride(layer.stride),
      ...values(block, reading, measure),
      reading ? verdict(reading.value) : "not measured",
    ];
  };

  const layerTable = (network, block, measure, open) =>
    unetscope.tables.table(`${network.name}: ${measure.name}`, {
      columns: [
        "layer",
        "channels",
        "stride",
        measure.unit ? `${measure.name} (${measure.unit})` : measure.name,
        "95 % interval",
        ...(block?.outline ? ["MLP"] : []),
        ...(block?.twin ? ["untrained"] : []),
        "what may be said",
      ],
      rows: network.layers.map(layerRow(block, measure, open)),
    });

  const bridgeRow = (bridge) => {
    const { quantityOf, DIGITS } = unetscope.bridges;
    const lost = bridge.lost_dice;
    return [
      `${bridge.from} to ${bridge.to}`,
      quantityOf(bridge),
      number(bridge.v, DIGITS),
      interval(bridge, DIGITS),
      bridge.word,
      lost ? `${number(lost.v, DIGITS)} (${interval(lost, DIGITS)})` : "",
      bridge.why,
    ];
  };

  const bridgeTable = (network, bridges) =>
    unetscope.tables.table(`${network.name}: what skip and up path add to each other`, {
      columns: ["path", "quantity", "bits", "95 % interval", "word", "Dice lost without it", "why"],
      rows: bridges.map(bridgeRow),
    });

  /**
   * @param {Object} network
   * @param {Object|undefined} moment - One of its epochs.
   * @param {Object} measure
   * @param {function(string, boolean): void} open - Called with the name of a layer, and that its panel takes the focus.
   * @returns {HTMLElement[]}
   */
  const render = (network, moment, measure, open) => [
    layerTable(network, moment?.measures[measure.key], measure, open),
    ...(moment?.bridges.length ? [bridgeTable(network, moment.bridges)] : []),
  ];

  return { render };
})();
