"use strict";

/** The section of the U: switch, epochs, drawings, legend, table and the panel of a layer. */
unetscope.flow = (() => {
  const { element, named } = unetscope.dom;
  const { picker, slider } = unetscope.controls;
  const { stage } = unetscope.format;
  const { epochAt } = unetscope.u;

  /** All epochs of all networks, in order; null, which stands for the end, last. */
  const epochsOf = (networks) => {
    const found = new Set(networks.flatMap(({ epochs }) => epochs.map(({ epoch }) => epoch)));
    return [...found].sort((one, other) => (one ?? Infinity) - (other ?? Infinity));
  };

  const UNMEASURED = { key: "", name: "nothing", unit: "", help: "Nothing was measured at these layers.", digits: 0 };

  const measureOf = (measures, key) => measures.find((measure) => measure.key === key) ?? UNMEASURED;

  const nameEpoch = (epoch) => (epoch === null ? "end of training" : `epoch ${epoch}`);

  const measureSwitch = (measures, store) => {
    const help = element("p.quiet");
    store.watch(["measure"], ({ measure }) => (help.textContent = measureOf(measures, measure).help));
    const entries = measures.map(({ key, name }) => [key, name]);
    return element("div", {}, entries.length ? picker("Measure", entries, "measure", store) : null, help);
  };

  const toolbar = ({ networks, measures }, store) => {
    const epochs = epochsOf(networks).map((epoch) => [epoch, nameEpoch(epoch)]);
    return element(
      "div.toolbar",
      {},
      measureSwitch(measures, store),
      epochs.length > 1 ? slider("Training", epochs, "epoch", store) : null,
    );
  };

  /** A function that asks for a layer of this network. */
  const opener = (store, network) => (name, takesFocus) => store.set({ layer: { network, name, takesFocus } });

  const facts = (pairs) =>
    element(
      "dl.facts",
      {},
      ...pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, named(value)))),
    );

  const drawing = (network, index, measures, store) => {
    const { drawing: svg, groups, paint } = unetscope.u.create(network);
    const open = opener(store, index);
    unetscope.uKeys.listen(groups, {
      open,
      move: (name) => store.get().layer && open(name, false),
      close: () => store.set({ layer: null }),
    });
    const note = element("p.quiet", {}, "Not measured in this network, or not at this epoch.");
    store.watch(["measure", "epoch"], ({ measure, epoch }) => {
      const moment = epochAt(network, epoch);
      note.hidden = Boolean(moment?.measures[measure]);
      paint(measureOf(measures, measure), moment);
    });
    store.watch(["layer"], ({ layer }) => {
      for (const group of groups) {
        const isChosen = layer?.network === index && layer.name === group.dataset.layer;
        group.setAttribute("aria-pressed", String(isChosen));
      }
    });
    return element(
      "section.network",
      {},
      element("h3", {}, stage(network), named(network.name)),
      facts(network.facts),
      note,
      element("div.u-box", {}, svg),
    );
  };

  const legend = ({ networks, measures }, store) => {
    const box = element("div");
    store.watch(["measure", "epoch"], ({ measure, epoch }) => {
      const moments = networks.map((network) => epochAt(network, epoch)).filter((moment) => moment?.measures[measure]);
      const bridges = moments.flatMap((moment) => moment.bridges);
      const block = moments[0]?.measures[measure];
      box.replaceChildren(...(block ? unetscope.uLegend.render(block, measureOf(measures, measure), bridges) : []));
    });
    return element("details.how", { open: true }, element("summary", {}, "How to read it"), box);
  };

  const numbers = ({ networks, measures }, store) => {
    const box = element("div");
    store.watch(["measure", "epoch"], ({ measure, epoch }) => {
      const tables = networks.flatMap((network, index) =>
        unetscope.uTable.render(network, epochAt(network, epoch), measureOf(measures, measure), opener(store, index)),
      );
      box.replaceChildren(...tables);
    });
    return element("details.numbers", {}, element("summary", {}, "The same as a table"), box);
  };

  /** Whether something begins where the screen ends, so that nobody would notice it. */
  const isBelow = (box) => box.getBoundingClientRect().top > 0.8 * window.innerHeight;

  /** A layer that was opened by keyboard takes the focus into the panel; closing gives it back to the drawing. */
  const panel = (content, store, board) => {
    const box = element("aside.panel", { "aria-labelledby": "panel-title", hidden: true });
    const close = () => {
      const chosen = board.querySelector('g.layer[aria-pressed="true"]');
      const held = box.contains(document.activeElement);
      store.set({ layer: null });
      if (held) chosen?.focus();
    };
    const remember = (image) => store.set({ image });
    box.addEventListener("keydown", (event) => event.key === "Escape" && close());
    store.watch(["layer", "measure", "epoch"], (choices) => {
      const wasHidden = box.hidden;
      box.hidden = !choices.layer;
      if (!choices.layer) return;
      box.replaceChildren(...unetscope.layerPanel.render(content, choices, { close, remember }));
      if (choices.layer.takesFocus) box.querySelector("h3").focus();
      else if (wasHidden && isBelow(box)) box.scrollIntoView({ block: "nearest" });
    });
    return box;
  };

  /** As many parts of the width as a drawing has units, so that all are drawn to one scale. */
  const widthOf = (section) => `minmax(0, ${section.querySelector("svg.u").viewBox.baseVal.width}fr)`;

  /** @param {Object} content @param {Object} store @returns {HTMLElement} */
  const render = (content, store) => {
    const { networks, measures } = content;
    const drawings = networks.map((network, index) => drawing(network, index, measures, store));
    const side = element("div.drawings", { "data-count": networks.length }, ...drawings);
    side.style.setProperty("--widths", drawings.map(widthOf).join(" "));
    const board = element("div.board", {}, side);
    store.watch(["layer"], ({ layer }) => board.classList.toggle("with-panel", Boolean(layer)));
    board.append(panel(content, store, board));
    return element("div", {}, toolbar(content, store), board, legend(content, store), numbers(content, store));
  };

  return { render, epochsOf };
})();
