"use strict";

/** Charts of curves and of cost against score; knows how to draw points, not where they come from. */
unetscope.charts = (() => {
  const { element, named, freshId } = unetscope.dom;
  const { Plot } = unetscope;
  const { number, interval } = unetscope.format;
  const HEIGHT = 260;
  const NARROWEST = 240;
  const SERIES = [
    { stroke: "var(--series-1)", dashes: null, symbol: "circle" },
    { stroke: "var(--series-2)", dashes: "6 3", symbol: "square" },
  ];

  /** A chart without Plot's own style sheet, whose rules `parts.css` has, and without labels for its parts. */
  const plot = (options, width) => {
    const defaults = { height: HEIGHT, marginLeft: 52, marginBottom: 40, className: "chart-svg" };
    const chart = Plot.plot({ width, ...defaults, ...options });
    for (const style of chart.querySelectorAll("style")) style.remove();
    for (const part of chart.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
    return chart;
  };

  /** The numbers of a chart, for those who cannot see it and those who want to read them. */
  const points = (caption, table) =>
    element("details.points", {}, element("summary", {}, "Numbers"), unetscope.tables.table(caption, table));

  /** Names beside their lines, where there are several. */
  const key = (names) =>
    names.length > 1
      ? element(
          "ul.series",
          {},
          ...names.map((name, place) => element("li", { "data-series": place % SERIES.length }, named(name))),
        )
      : null;

  /**
   * A chart that is drawn anew when its room changes.
   * @param {string} caption
   * @param {function(): Object} options - Plot's options.
   * @param {{columns: string[], rows: Array}} table - The same numbers.
   * @param {string[]} [names] - Of its lines.
   * @returns {HTMLElement}
   */
  const figure = (caption, options, table, names = []) => {
    const id = freshId("chart");
    const box = element("div.chart");
    let drawnWidth = 0;
    const draw = ([{ contentRect }]) => {
      const width = Math.max(NARROWEST, Math.round(contentRect.width));
      if (width === drawnWidth || !contentRect.width) return;
      drawnWidth = width;
      const chart = plot(options(), width);
      chart.setAttribute("role", "img");
      chart.setAttribute("aria-labelledby", id);
      box.replaceChildren(chart);
    };
    new ResizeObserver(draw).observe(box);
    return element(
      "figure.chart-figure",
      {},
      element("figcaption", { id }, caption),
      key(names),
      box,
      points(caption, table),
    );
  };

  const band = (data, x, style) => Plot.areaY(data, { x, y1: "lo", y2: "hi", fill: style.stroke, fillOpacity: 0.18 });

  const hover = (data, options) =>
    Plot.tip(data, Plot.pointerX({ ...options, fill: "var(--surface)", stroke: "var(--line)" }));

  /** Values of one layer over the epochs; hollow where they prove nothing. */
  const convergence = (data, layer, measure) => {
    const [style] = SERIES;
    const hasBand = data.every(({ lo, hi }) => lo !== null && hi !== null);
    const told = data.filter(({ word }) => word === "ok");
    const label = measure.unit || measure.name;
    return figure(
      `${measure.name} of ${layer} over training`,
      () => ({
        height: 180,
        x: { label: "epoch" },
        y: { label, grid: true, zero: true },
        marks: [
          ...(hasBand ? [band(data, "epoch", style)] : []),
          Plot.line(data, { x: "epoch", y: "v", stroke: style.stroke, strokeWidth: 2 }),
          Plot.dot(data, { x: "epoch", y: "v", stroke: style.stroke, fill: "var(--surface)", strokeWidth: 2 }),
          Plot.dot(told, { x: "epoch", y: "v", fill: style.stroke }),
          hover(data, { x: "epoch", y: "v" }),
        ],
      }),
      {
        columns: ["epoch", label, "95 % interval"],
        rows: data.map((one) => [String(one.epoch), number(one.v, measure.digits), interval(one, measure.digits)]),
      },
    );
  };

  /**
   * One line for each network over epochs.
   * @param {string} title
   * @param {Array<{name: string, points: Array<{epoch: number, v: number}>, best: number|null}>} series
   */
  const training = (title, series) => {
    const all = series.flatMap(({ name, points: data }) => data.map((one) => ({ ...one, name })));
    const marks = series.flatMap(({ points: data, best }, index) => {
      const { stroke, dashes, symbol } = SERIES[index % SERIES.length];
      return [
        Plot.line(data, { x: "epoch", y: "v", stroke, strokeWidth: 1.75, strokeDasharray: dashes }),
        Plot.dot(
          data.filter(({ epoch }) => epoch === best),
          { x: "epoch", y: "v", fill: stroke, symbol, r: 5 },
        ),
      ];
    });
    return figure(
      title,
      () => ({
        x: { label: "epoch" },
        y: { label: null, grid: true },
        marks: [...marks, hover(all, { x: "epoch", y: "v" })],
      }),
      {
        columns: ["epoch", "network", title],
        rows: all.map(({ epoch, v, name }) => [String(epoch), name, number(v, 4)]),
      },
      series.map(({ name }) => name),
    );
  };

  /** What is read, or scored, with so many images. */
  const learning = ({ images, value, low, high }) => {
    const data = images.map((count, index) => ({ count, v: value[index], lo: low[index], hi: high[index] }));
    const [style] = SERIES;
    return figure(
      "Learning curve: usable bits per pixel with so many images",
      () => ({
        x: { label: "images", type: "log", ticks: images, tickFormat: (count) => number(count, 0) },
        y: { label: "bits", grid: true, zero: true },
        marks: [
          band(data, "count", style),
          Plot.line(data, { x: "count", y: "v", stroke: style.stroke, strokeWidth: 2 }),
          Plot.dot(data, { x: "count", y: "v", fill: style.stroke }),
          hover(data, { x: "count", y: "v" }),
        ],
      }),
      {
        columns: ["images", "bits", "95 % interval"],
        rows: data.map((one) => [number(one.count, 0), number(one.v, 3), interval(one, 3)]),
      },
    );
  };

  return { figure, convergence, training, learning };
})();
