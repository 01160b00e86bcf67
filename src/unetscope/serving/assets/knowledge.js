"use strict";

/** What each layer of a network knows of one pixel, on the U and in a table; knows numbers, not how they came. */
unetscope.knowledge = (() => {
  const { element, named } = unetscope.dom;
  const { number } = unetscope.format;
  const { table } = unetscope.tables;
  const PROBABILITY = { key: "known", unit: "", digits: 2 };

  const percent = (share) => (share === null ? "\u2013" : `${number(100 * share, 0)} %`);

  /** What is painted: the probability of a class where readers were taught, else how many channels are active. */
  const measureOf = ({ taught }, name) => ({ ...PROBABILITY, name: taught ? `probability of ${name}` : "share of active channels" });

  const momentOf = ({ taught }, { chances, layers }, place) => {
    const values = Object.entries(layers).map(([layer, said]) => [layer, { v: taught ? said.chances[place] : said.active, word: "ok", why: "" }]);
    const marks = taught ? [{ name: "the network itself", v: chances[place] }] : [];
    return { measures: { known: { layers: Object.fromEntries(values), outline: null, twin: null, marks, top: 1 } }, bridges: [] };
  };

  const highest = (chances) => chances.indexOf(Math.max(...chances));

  /** The classes that have a column: all of a few, else the chosen one and the background. */
  const columnsOf = (classes, place) => (classes.length <= 4 ? classes.map((_, each) => each) : [...new Set([0, place])].sort());

  const rowsOf = ({ network, classes, known, place }) => {
    const shown = columnsOf(classes, place);
    return network.layers.map(({ name }) => {
      const { chances, active, strongest } = known.layers[name];
      return network.taught
        ? [name, ...shown.map((each) => number(chances[each], 2)), classes[highest(chances)]]
        : [name, percent(active), String(strongest[0]), number(strongest[1], 2)];
    });
  };

  const tableOf = (asked) => {
    const { network, classes, place } = asked;
    const shown = columnsOf(classes, place).map((each) => classes[each]);
    const columns = network.taught
      ? ["layer", ...shown, "so it says"]
      : ["layer", "active channels", "strongest", "its value"];
    return table(`${network.title || network.name}: what each layer says at this pixel`, { columns, rows: rowsOf(asked) });
  };

  const bar = (name, chance, color) => {
    const fill = element("span.chance-fill", {});
    fill.style.setProperty("--part", `${100 * chance}%`);
    fill.style.setProperty("--color", color ?? "var(--quiet)");
    return element(
      "li",
      {},
      named(name),
      element("span.chance", { "aria-hidden": "true" }, fill),
      element("span.chance-number", {}, number(chance, 3)),
    );
  };

  /** The network's own soft-max. */
  const chancesOf = ({ classes, colors, known }) =>
    element("ul.chances", { "aria-label": "soft-max of the network" }, ...classes.map((name, each) => bar(name, known.chances[each], colors[each])));

  /** What the colors mean, from nothing to all. */
  const ramp = () =>
    element("div.ramp", {}, element("span", {}, "0"), element("span.colors", { "aria-hidden": "true" }), element("span", {}, "1"));

  const sentence = ({ network, classes, known }) => {
    const place = highest(known.chances);
    return element("p", {}, network.title ? `The ${network.title} network says ` : "The network says ", named(classes[place]), `, ${number(known.chances[place], 3)}.`);
  };

  /**
   * The place of one network, filled anew for every pixel.
   * @param {Object} network
   * @param {function(string): void} announce - Says a sentence to those who cannot see the drawing.
   */
  const create = (network, announce) => {
    const { drawing, groups, paint } = unetscope.u.create(network);
    drawing.style.setProperty("--u-width", String(drawing.viewBox.baseVal.width));
    const said = element("div.said-here");
    const rows = element("div.layers-here");
    let chosen = null;

    const mark = () => {
      for (const group of groups) group.setAttribute("aria-pressed", String(group.dataset.layer === chosen));
      rows.querySelectorAll("tbody tr").forEach((row, place) => row.classList.toggle("chosen", network.layers[place].name === chosen));
    };
    const open = (layer) => {
      chosen = layer === chosen ? null : layer;
      mark();
      const group = groups.find(({ dataset }) => dataset.layer === layer);
      if (chosen) announce(group.getAttribute("aria-label"));
      rows.querySelector("tr.chosen")?.scrollIntoView({ block: "nearest" });
    };
    unetscope.uKeys.listen(groups, { open, move: () => {}, close: () => open(chosen) });

    /** @param {{classes: string[], colors: string[], known: Object, place: number}} asked */
    const show = (asked) => {
      const full = { ...asked, network };
      paint(measureOf(network, asked.classes[asked.place]), momentOf(network, asked.known, asked.place));
      said.replaceChildren(sentence(full), chancesOf(full));
      rows.replaceChildren(tableOf(full));
      mark();
    };

    const heading = network.title ? [`${network.title}: `, named(network.name)] : [named(network.name)];
    const node = element(
      "section.network",
      {},
      element("h3", {}, ...heading),
      element("dl.facts", {}, ...network.facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)))),
      said,
      element("div.known", {}, element("div.u-box", {}, drawing), rows),
    );
    return { element: node, show };
  };

  return { create, highest, ramp };
})();
