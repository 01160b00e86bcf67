"use strict";

/** Images from worst to best with what lies over them; knows pictures, not how they are shown large. */
unetscope.gallery = (() => {
  const { element, named } = unetscope.dom;
  const { number, isNumber } = unetscope.format;
  const { picker, radios, slider } = unetscope.controls;

  /** What may lie over an image, by its name. */
  const OVERLAYS = {
    nothing: () => null,
    label: ({ label }) => label,
    prediction: ({ predictions }, network) => predictions[network],
    errors: ({ errors }, network) => errors[network],
  };

  const ORDERS = {
    dice: { title: "worst first", key: ({ dice }) => dice ?? Infinity },
    uncertainty: { title: "least sure first", key: ({ uncertainty }) => -(uncertainty ?? -Infinity) },
  };

  const FADES = Array.from({ length: 11 }, (_, place) => [place * 10, `${place * 10} %`]);

  /** The pictures in the chosen order; those without a number come last. */
  const sorted = (pictures, order) => {
    const { key } = ORDERS[order];
    return [...pictures].sort((one, other) => key(one) - key(other) || 0);
  };

  /**
   * An image with something over it, which fades with the page's slider.
   * @param {Object} picture
   * @param {string|null|undefined} source - Of what lies over it.
   * @param {string} alt
   */
  const stack = ({ image, width, height }, source, alt) => {
    const size = { width, height, decoding: "async" };
    const over = source ? element("img.over", { src: source, alt: "", ...size }) : null;
    return element("span.stack", {}, element("img", { src: image, alt, ...size }), over);
  };

  const scoresOf = ({ dice, uncertainty }) => [
    isNumber(dice) ? `Dice ${number(dice, 3)}` : "no Dice",
    ...(isNumber(uncertainty) ? [`uncertainty ${number(uncertainty, 2)}`] : []),
  ];

  /** What a picture scores, in words. */
  const describe = (picture) => scoresOf(picture).join(" \u00b7 ");

  const tile =
    ({ overlay, network }, open) =>
    (picture) =>
      element(
        "li",
        {},
        element(
          "button.tile",
          {
            type: "button",
            "aria-label": `${picture.name}, ${describe(picture)}: show large`,
            on: { click: () => open(picture.name) },
          },
          stack(picture, OVERLAYS[overlay](picture, network), ""),
          element("span.tile-name", {}, named(picture.name)),
          element("span.tile-score", {}, ...scoresOf(picture).map((text) => element("span", {}, text))),
        ),
      );

  /** How strongly what lies over an image is seen. */
  const fader = (store) => slider("Strength", FADES, "fade", store);

  const toolbar = (networks, store) => {
    const overlays = Object.keys(OVERLAYS).map((name) => [name, name]);
    const orders = Object.entries(ORDERS).map(([name, { title }]) => [name, title]);
    const names = networks.map(({ name, label }, place) => [place, label ? `${label}: ${name}` : name]);
    return element(
      "div.toolbar",
      {},
      radios("Over the image", overlays, "overlay", store),
      fader(store),
      radios("Order", orders, "order", store),
      names.length > 1 ? picker("Network", names, "network", store) : null,
    );
  };

  const swatch = (name, color, pattern) => {
    const patch = element("span.swatch", { "data-pattern": pattern });
    patch.style.setProperty("--color", color);
    return element("li", {}, patch, named(name));
  };

  const key = ({ colors, errors }) =>
    element(
      "ul.swatches",
      {},
      ...Object.entries(colors).map(([name, color]) => swatch(name, color, "solid")),
      ...(errors ?? []).map(({ name, color, pattern }) => swatch(`error: ${name}`, color, pattern)),
    );

  const first = (names, pictures, open) => {
    const known = names.map((name) => pictures.find((picture) => picture.name === name)).filter(Boolean);
    if (!known.length) return null;
    const button = (picture) =>
      element("button.link", { type: "button", on: { click: () => open(picture.name) } }, named(picture.name));
    return element(
      "div.first",
      {},
      element("h4", {}, "Look at these first, the network is least sure of them"),
      element("ol", {}, ...known.map((picture) => element("li", {}, button(picture)))),
    );
  };

  /**
   * @param {Object} content
   * @param {Object} store
   * @param {function(string): void} open - Shows an image large.
   * @returns {HTMLElement|null} Nothing where there are no images.
   */
  const render = ({ segmentation, networks }, store, open) => {
    const pictures = segmentation.gallery;
    if (!pictures.length) return null;
    const list = element("ul.gallery");
    store.watch(["overlay", "network", "order"], (choices) =>
      list.replaceChildren(...sorted(pictures, choices.order).map(tile(choices, open))),
    );
    store.watch(["fade"], ({ fade }) => document.documentElement.style.setProperty("--fade", fade / 100));
    return element(
      "section",
      { "aria-labelledby": "gallery-title" },
      element("h3", { id: "gallery-title" }, "Images"),
      first(segmentation.first, pictures, open),
      toolbar(networks, store),
      key(segmentation),
      list,
    );
  };

  return { render, stack, sorted, describe, fader };
})();
