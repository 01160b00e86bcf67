"use strict";

/** On paper nothing can be opened, so that everything is open there but long lists of points. */
unetscope.printing = (() => {
  const CLOSED = "details:not([open]):not(.points)";
  let opened = [];

  const open = () => {
    opened = [...document.querySelectorAll(CLOSED)];
    for (const details of opened) details.open = true;
  };

  const restore = () => {
    for (const details of opened) details.open = false;
    opened = [];
  };

  const listen = () => {
    addEventListener("beforeprint", open);
    addEventListener("afterprint", restore);
  };

  return { listen };
})();
