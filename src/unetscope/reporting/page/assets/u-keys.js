"use strict";

/** Moving between the layers of a drawing by keyboard and mouse; knows groups in their order, not numbers. */
unetscope.uKeys = (() => {
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

  const target = (key, place, last) => {
    if (key === "Home") return 0;
    if (key === "End") return last;
    return key in STEPS ? Math.min(last, Math.max(0, place + STEPS[key])) : null;
  };

  /** Only one layer of a drawing is reached by Tab; arrows reach the others. */
  const rove = (groups, chosen) => {
    for (const group of groups) group.setAttribute("tabindex", group === chosen ? "0" : "-1");
  };

  /**
   * @param {Element[]} groups - Layers, in the order that data meets them.
   * @param {{open: function(string, boolean): void, move: function(string): void, close: function(): void}} tell -
   *   `open` when a layer is asked for, and whether by keyboard; `move` when arrows come to one; `close` on Escape.
   */
  const listen = (groups, tell) => {
    rove(groups, groups[0]);
    groups.forEach((group, place) => {
      const name = group.dataset.layer;
      group.addEventListener("focus", () => rove(groups, group));
      group.addEventListener("click", () => tell.open(name, false));
      group.addEventListener("keydown", (event) => {
        const next = target(event.key, place, groups.length - 1);
        if (next !== null) {
          groups[next].focus();
          tell.move(groups[next].dataset.layer);
        } else if (event.key === "Enter" || event.key === " ") tell.open(name, true);
        else if (event.key === "Escape") tell.close();
        else return;
        event.preventDefault();
      });
    });
  };

  return { listen };
})();
