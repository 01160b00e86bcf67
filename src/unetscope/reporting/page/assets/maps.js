"use strict";

/** What one layer makes of a few images: its strongest channels and what a probe reads in them. */
unetscope.maps = (() => {
  const { element } = unetscope.dom;

  const picture = (title, ...sources) =>
    element(
      "figure.map",
      {},
      element(
        "div.stack",
        {},
        ...sources.map((source, index) =>
          element(index ? "img.over" : "img", { src: source, alt: index ? "" : title }),
        ),
      ),
      element("figcaption", {}, title),
    );

  /** One of the maps that stand side by side in a picture. */
  const channel = (source, count) => (number, place) => {
    const image = element("img", { src: source, alt: `Channel ${number}` });
    image.style.setProperty("--count", count);
    image.style.setProperty("--place", place);
    return element("figure.map", {}, element("div.window", {}, image), element("figcaption", {}, String(number)));
  };

  const featureMaps = ({ channels, strongest }) => [
    element("h5", {}, "Feature maps: the channels that vary most"),
    element("div.channels", {}, ...strongest.map(channel(channels, strongest.length))),
  ];

  const pictures = ({ image, label, layers }, layer) => [
    element(
      "div.map-row",
      {},
      picture("Image", image),
      picture("Label", image, label),
      picture("Read here", layers[layer].probe),
    ),
    ...featureMaps(layers[layer]),
  ];

  /**
   * @param {{images: Object[]}|null} maps - Of one network.
   * @param {string} layer
   * @param {number} chosen - Which image.
   * @param {function(number): void} remember - Called when another image is chosen.
   * @returns {HTMLElement|null} Nothing where no maps were kept.
   */
  const render = (maps, layer, chosen, remember) => {
    const images = (maps?.images ?? []).filter((image) => image.layers[layer]);
    if (!images.length) return null;
    const box = element("div");
    const select = element("select", {}, ...images.map(({ name }, place) => element("option", { value: place }, name)));
    const show = (place) => box.replaceChildren(...pictures(images[place], layer));
    select.value = Math.min(chosen, images.length - 1);
    select.addEventListener("change", () => {
      remember(Number(select.value));
      show(Number(select.value));
    });
    show(Number(select.value));
    return element(
      "section.maps",
      {},
      element("h4", {}, "What one can read here"),
      element("p.quiet", {}, "Brighter: a linear reader of this layer thinks foreground more likely."),
      element("label.field", {}, "Image", select),
      box,
    );
  };

  return { render };
})();
