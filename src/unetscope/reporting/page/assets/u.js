"use strict";

/** The drawn U of one network, filled with the numbers of one measure at one epoch. */
unetscope.u = (() => {
  const { drawn } = unetscope.dom;
  const { short, quantity, interval, isNumber } = unetscope.format;

  /** The drawing, as elements of this document. */
  const parse = (text) => {
    const drawing = document.adoptNode(new DOMParser().parseFromString(text, "text/html").querySelector("svg"));
    drawing.style.setProperty("--u-width", drawing.viewBox.baseVal.width);
    return drawing;
  };

  /** The groups of the layers, in the order that data meets them. */
  const layersOf = (drawing, { layers }) => {
    const places = new Map(layers.map(({ name }, place) => [name, place]));
    const placeOf = (group) => places.get(group.dataset.layer) ?? places.size;
    return [...drawing.querySelectorAll("g.layer")].sort((one, other) => placeOf(one) - placeOf(other));
  };

  /** The epoch of a network that was reached when the page's epoch was: the last one not after it. */
  const epochAt = (network, epoch) => {
    const reached = network.epochs.filter((one) => epoch === null || (one.epoch !== null && one.epoch <= epoch));
    return reached.at(-1) ?? network.epochs[0];
  };

  /** Of marks of one kind, such as windows of several sizes, the largest: a gauge has no room for all. */
  const largestMarks = (marks) => {
    const kindOf = ({ name }) => name.split(" ")[0];
    return marks.filter((mark) => !marks.some((other) => kindOf(other) === kindOf(mark) && other.v > mark.v));
  };

  /**
   * What a gauge needs to know of one layer.
   * @param {Object|undefined} block - A measure's numbers at one epoch.
   * @param {string} layer
   * @returns {Object|null} Nothing where the layer has no number.
   */
  const readingOf = (block, layer) => {
    const value = block?.layers[layer];
    if (!value || !isNumber(value.v)) return null;
    const { marks, top, outline, twin } = block;
    return { value, marks: largestMarks(marks), top, outline: outline?.[layer] ?? null, twin: twin?.[layer] ?? null };
  };

  const isTold = (value) => value.word === "ok";

  /** What is to be said of a number beside it; empty where it speaks for itself. */
  const remark = ({ word, why }) => [word === "ok" ? "" : word, why].filter(Boolean).join(": ");

  /** The number of a layer in words. */
  const describe = (reading, measure) => {
    if (!reading) return `${measure.name} not measured`;
    const { value } = reading;
    const range = isNumber(value.lo) ? `, 95 % interval ${interval(value, measure.digits)}` : "";
    const note = remark(value);
    return `${measure.name} ${quantity(value.v, measure)}${range}${note ? `, ${note}` : ""}`;
  };

  const paintLayer = (group, plain, reading, measure) => {
    const share = reading ? Math.min(1, Math.max(0, reading.value.v / (reading.top || 1))) : 0;
    const label = `${plain}: ${describe(reading, measure)}`;
    group.style.setProperty("--share", share.toFixed(3));
    group.classList.toggle("empty", !reading);
    group.classList.toggle("hollow", Boolean(reading) && !isTold(reading.value));
    group.setAttribute("aria-label", label);
    group.querySelector("title").textContent = label;
    group.querySelector(".number").textContent = reading ? short(reading.value.v, measure.digits) : "";
    const gauge = group.querySelector(".gauge");
    if (reading) unetscope.gauge.draw(gauge, reading);
    else gauge.replaceChildren();
  };

  /**
   * A drawing that can be painted again and again.
   * @param {Object} network
   * @returns {{drawing: SVGSVGElement, groups: Element[], paint: function(Object, Object): void}}
   */
  const create = (network) => {
    const drawing = parse(network.svg);
    const groups = layersOf(drawing, network);
    const labels = new Map(groups.map((group) => [group, group.getAttribute("aria-label")]));
    for (const group of groups) {
      if (!group.querySelector("title")) group.prepend(drawn("title"));
    }
    const paint = (measure, moment) => {
      const block = moment?.measures[measure.key];
      for (const group of groups) paintLayer(group, labels.get(group), readingOf(block, group.dataset.layer), measure);
      unetscope.bridges.paint(drawing, moment?.bridges ?? []);
    };
    return { drawing, groups, paint };
  };

  return { create, epochAt, largestMarks, readingOf, isTold, remark };
})();
