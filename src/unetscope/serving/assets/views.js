"use strict";

/** An image beside itself with what each network makes of it, and one cross on all of them; knows pixels, no networks. */
unetscope.views = (() => {
  const { element } = unetscope.dom;
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const FAR = 10; // pixels of a step with the shift key

  const clamp = (value, size) => Math.min(size - 1, Math.max(0, value));

  /** The pixel [y, x] that a mouse points at. */
  const pointed = (event, box, { height, width }) => {
    const { left, top, width: wide, height: high } = box.getBoundingClientRect();
    return [
      clamp(Math.floor(((event.clientY - top) / high) * height), height),
      clamp(Math.floor(((event.clientX - left) / wide) * width), width),
    ];
  };

  const view = (title) => {
    const picture = element("img", { alt: title });
    const over = element("img.over", { alt: "", hidden: true });
    const cross = element("span.cross-mark", { hidden: true, "aria-hidden": "true" });
    const box = element("div.stack.pickable", {}, picture, over, cross);
    const caption = element("figcaption", {}, element("strong", {}, title));
    const facts = element("div.view-facts");
    return { title, picture, over, cross, box, figure: element("figure", {}, box, caption, facts), facts };
  };

  /**
   * The views of all images to come.
   * @param {string[]} titles - Of the networks.
   * @param {{move: function(number[]): void, pick: function(number[]): void}} tell - Of pixels [y, x].
   */
  const create = (titles, tell) => {
    const all = [view("image"), ...titles.map(view)];
    const [first] = all;
    let shown = null;
    let place = null;

    const point = ([y, x]) => {
      place = [clamp(y, shown.height), clamp(x, shown.width)];
      for (const { cross } of all) {
        cross.hidden = false;
        cross.style.left = `${(100 * (place[1] + 0.5)) / shown.width}%`;
        cross.style.top = `${(100 * (place[0] + 0.5)) / shown.height}%`;
      }
    };

    const onKey = (event) => {
      if (!shown) return;
      const step = STEPS[event.key];
      if (step) {
        const far = event.shiftKey ? FAR : 1;
        const from = place ?? [shown.height >> 1, shown.width >> 1];
        point(from.map((at, axis) => at + far * step[axis]));
        tell.move(place);
      } else if ((event.key === "Enter" || event.key === " ") && place) tell.pick(place);
      else return;
      event.preventDefault();
    };

    for (const { box } of all) {
      box.addEventListener("click", (event) => {
        if (!shown) return;
        point(pointed(event, box, shown));
        tell.pick(place);
      });
    }
    first.box.setAttribute("tabindex", "0");
    first.box.setAttribute("role", "application");
    first.box.setAttribute("aria-label", "The image: arrow keys move a cross, with Shift by 10 pixels, and Enter asks what is known there");
    first.box.addEventListener("keydown", onKey);

    /** An image of so many pixels; what lay over an earlier one is gone. */
    const show = (image, picture) => {
      [shown, place] = [image, null];
      for (const { picture: node, over, cross, facts } of all) {
        node.src = picture;
        node.width = image.width;
        node.height = image.height;
        over.hidden = cross.hidden = true;
        over.removeAttribute("src");
        facts.replaceChildren();
      }
      const large = Math.max(image.width, image.height) > 1.5 * first.box.clientWidth;
      for (const { box } of all) {
        box.classList.toggle("smooth", large);
        box.style.setProperty("--aspect", String(image.width / image.height));
      }
    };

    /** What a network makes of the image, and what is to be said of it. */
    const cover = (network, labels, facts) => {
      const { over, facts: place } = all[network + 1];
      if (labels) {
        over.src = labels;
        over.hidden = false;
      }
      place.replaceChildren(...facts);
    };

    return { element: element("div.views", {}, ...all.map(({ figure }) => figure)), show, cover, point };
  };

  return { create };
})();
