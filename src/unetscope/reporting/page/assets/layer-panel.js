"use strict";

/** Everything about one layer of one network, beside the drawing. */
unetscope.layerPanel = (() => {
  const { element, named } = unetscope.dom;
  const { isNumber, number, interval, quantity, stride, stage } = unetscope.format;
  const { epochAt, readingOf, isTold, remark } = unetscope.u;

  const factsOf = ({ width, stride: steps, parameters, multiply_adds: products }) =>
    [
      isNumber(width) ? `${width} channel${width === 1 ? "" : "s"}` : null,
      `stride ${stride(steps)}`,
      isNumber(parameters) ? `${number(parameters, 0)} parameters` : null,
      isNumber(products) ? `${number(products, 0)} multiply-adds per pixel` : null,
    ]
      .filter(Boolean)
      .join(" \u00b7 ");

  const valueCell = ({ value }, measure) => {
    const note = remark(value);
    return element(
      "span",
      {},
      quantity(value.v, measure),
      isNumber(value.lo) ? element("span.remark", {}, `95 %: ${interval(value, measure.digits)}`) : null,
      note ? element(isTold(value) ? "span.remark" : "span.remark.doubt", {}, note) : null,
    );
  };

  const rows = (measures, moment, layer) =>
    measures
      .map((measure) => ({ measure, reading: readingOf(moment?.measures[measure.key], layer) }))
      .filter(({ reading }) => reading)
      .map(({ measure, reading }) => [measure.name, valueCell(reading, measure)]);

  const numbers = (measures, moment, layer) => {
    const found = rows(measures, moment, layer);
    return found.length
      ? unetscope.tables.table(`Numbers of ${layer}`, { columns: ["measure", "value"], rows: found })
      : element("p.quiet", {}, "Nothing was measured at this layer.");
  };

  const curveOf = (network, layer, measure) =>
    network.epochs
      .filter(({ epoch, measures }) => epoch !== null && readingOf(measures[measure.key], layer))
      .map(({ epoch, measures }) => ({ epoch, ...measures[measure.key].layers[layer] }));

  const curve = (network, layer, measure) => {
    if (!measure) return null;
    const points = curveOf(network, layer, measure);
    return points.length > 1 ? unetscope.charts.convergence(points, layer, measure) : null;
  };

  /**
   * @param {Object} content
   * @param {Object} choices - `layer` {network, name}, `epoch`, `measure`, `image`.
   * @param {{close: function(): void, remember: function(number): void}} tell
   * @returns {HTMLElement[]}
   */
  const render = ({ networks, measures }, { layer, epoch, measure, image }, tell) => {
    const network = networks[layer.network];
    const facts = network.layers.find(({ name }) => name === layer.name);
    return [
      element(
        "header.panel-head",
        {},
        element("h3", { tabindex: "-1", id: "panel-title" }, stage(network), named(layer.name)),
        element(
          "button.small",
          { type: "button", "aria-label": "Close the layer", on: { click: tell.close } },
          "Close",
        ),
      ),
      facts ? element("p.quiet", {}, factsOf(facts)) : null,
      numbers(measures, epochAt(network, epoch), layer.name),
      curve(
        network,
        layer.name,
        measures.find(({ key }) => key === measure),
      ),
      unetscope.maps.render(network.maps, layer.name, image, tell.remember),
    ].filter(Boolean);
  };

  return { render };
})();
