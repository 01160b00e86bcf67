"use strict";

/** What stands around the views and the drawings: controls, facts and advice; knows words, not the order of things. */
unetscope.around = (() => {
  const { element, named, freshId } = unetscope.dom;
  const { number } = unetscope.format;

  const swatches = ({ classes, colors }) =>
    element(
      "ul.swatches",
      { "aria-label": "Classes" },
      ...classes.slice(1).map((name, place) => {
        const patch = element("span.swatch", {});
        patch.style.setProperty("--color", colors[place + 1]);
        return element("li", {}, patch, named(name));
      }),
    );

  const fader = () => {
    const slider = element("input", { type: "range", min: 0, max: 100, step: 5, value: 90 });
    const fade = () => {
      document.documentElement.style.setProperty("--fade", String(slider.valueAsNumber / 100));
      slider.setAttribute("aria-valuetext", `${slider.value} %`);
    };
    slider.addEventListener("input", fade);
    fade();
    return element("label.field", {}, "Strength of the labels", slider);
  };

  const milliseconds = (value) => (value < 100 ? number(value, 1) : number(value, 0));

  const shareText = (share) => `${number(100 * share, share > 0 && share < 0.1 ? 2 : 1)} %`;

  /** What is to be said of a segmentation, below it. */
  const factsOf = (found, { engine, facts }) => {
    const timed = found.runs > 1 ? `median of ${found.runs}` : "timed once";
    const tiles = found.tiles > 1 ? `, ${number(found.tiles, 0)} tiles` : "";
    return [
      element("p.time", {}, element("strong", {}, `${milliseconds(found.milliseconds)} ms`), ` ${timed}${tiles}`),
      element("p.quiet", {}, `${engine}, ${facts[0][1]} ${facts[0][0]}`),
      element("ul.shares", {}, ...found.shares.slice(1).map(([name, share]) => element("li", {}, named(name), ` ${shareText(share)}`))),
      found.objects === null ? null : element("p", {}, `${number(found.objects, 0)} objects`),
      found.differs === null ? null : element("p", {}, `unlike the original at ${shareText(found.differs)} of the pixels`),
    ].filter(Boolean);
  };

  /** What stands below a view as long as nothing is known of it. */
  const waiting = (text, done, total) => [
    element("p.quiet", {}, total ? `${text} ${done} of ${total} tiles` : text),
    total ? element("progress", { value: done, max: total, "aria-label": text }) : null,
  ].filter(Boolean);

  /** One of the classes, as radio buttons. */
  const classPicker = (classes, choose) => {
    const group = freshId("class");
    const inputs = classes.map((name, place) => element("input", { type: "radio", name: group, value: place, on: { change: () => choose(place) } }));
    const labels = classes.map((name, place) => element("label", {}, inputs[place], element("span", {}, named(name))));
    const picker = element("fieldset.choices", {}, element("legend", {}, "Class"), element("div", {}, ...labels));
    return { picker, set: (place) => (inputs[place].checked = true) };
  };

  const TEACHERS = { profile: "the training validated with", train: "the network learned from, so that they say too much" };

  /** How the drawing is to be read. */
  const advice = ([{ taught, teachers }]) =>
    taught
      ? `Color, number and bar of a layer: the probability of the class that a linear reader finds in what the layer says of the block of pixels around this one; the line across a bar is the network's own soft-max. The readers were taught by the images that ${TEACHERS[teachers]}.`
      : "Color, number and bar of a layer: the share of its channels that are above 0 there. To see what each layer knows of the classes, start the page with the images and labels that the network was trained on: unetscope serve RUN --dataset FOLDER.";

  return { swatches, fader, milliseconds, factsOf, waiting, classPicker, advice };
})();
