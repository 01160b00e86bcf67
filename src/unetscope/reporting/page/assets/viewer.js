"use strict";

/** One image large: alone, with its label, and with what each network makes of it. */
unetscope.viewer = (() => {
  const { element, named } = unetscope.dom;
  const { stack, describe, fader, sorted } = unetscope.gallery;

  const view = (title, picture, source) =>
    element("figure", {}, stack(picture, source, title), element("figcaption", {}, title));

  /** One network: everything in a row. Several: what they say above, what is wrong with it below. */
  const viewsOf = (picture, networks) => {
    const whose = ({ name }) => (networks.length > 1 ? ` (${name})` : "");
    const each = (title, sources) =>
      networks.map((network, place) => sources[place] && view(`${title}${whose(network)}`, picture, sources[place]));
    const image = view("image", picture, null);
    const label = picture.label && view("label", picture, picture.label);
    const [found, wrong] = [each("prediction", picture.predictions), each("errors", picture.errors)];
    return (networks.length > 1 ? [image, ...found, label, ...wrong] : [image, label, ...found, ...wrong]).filter(
      Boolean,
    );
  };

  /**
   * @param {Object[]} pictures
   * @param {Object[]} networks
   * @param {Object} store
   * @returns {{dialog: HTMLDialogElement, open: function(string): void}}
   */
  const create = (pictures, networks, store) => {
    let shown = [];
    let place = 0;
    const title = element("h2", { id: "viewer-title" });
    const score = element("p.quiet", { "aria-live": "polite" });
    const views = element("div.views", { "data-rows": networks.length > 1 ? 2 : 1 });
    const button = (text, label, act) =>
      element("button", { type: "button", "aria-label": label, on: { click: act } }, text);

    const show = (next) => {
      place = (next + shown.length) % shown.length;
      const picture = shown[place];
      title.replaceChildren(named(picture.name));
      score.textContent = [`${place + 1} of ${shown.length}`, describe(picture), picture.note]
        .filter(Boolean)
        .join(" \u00b7 ");
      views.replaceChildren(...viewsOf(picture, networks));
    };

    const dialog = element(
      "dialog.viewer",
      { "aria-labelledby": title.id },
      element(
        "header",
        {},
        element("div", {}, title, score),
        element(
          "div.buttons",
          {},
          button("\u2190", "Image before", () => show(place - 1)),
          button("\u2192", "Image after", () => show(place + 1)),
          button("Close", "Close the image", () => dialog.close()),
        ),
      ),
      fader(store),
      views,
    );
    dialog.addEventListener("keydown", (event) => {
      if (event.target.type === "range") return;
      if (event.key === "ArrowLeft") show(place - 1);
      if (event.key === "ArrowRight") show(place + 1);
    });

    const open = (name) => {
      shown = sorted(pictures, store.get().order);
      show(shown.findIndex((picture) => picture.name === name));
      dialog.showModal();
    };
    return { dialog, open };
  };

  return { create };
})();
