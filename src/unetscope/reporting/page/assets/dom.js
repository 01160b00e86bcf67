"use strict";

/** Elements made of names, attributes and text; texts never become markup. Knows nothing of what is shown. */
unetscope.dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  const isAbsent = (value) => value === null || value === undefined || value === false;

  /**
   * Gives an element its attributes and children.
   * @param {Element} node
   * @param {Object<string, any>} attributes - `on` holds listeners by event; null and false leave an attribute out.
   * @param {Array<Node|string|null>} children - Null is left out.
   * @returns {Element} The same element.
   */
  const fill = (node, { on = {}, ...attributes }, children) => {
    for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
    for (const [name, value] of Object.entries(attributes)) {
      if (isAbsent(value)) continue;
      if (name === "class") node.classList.add(...value.split(" "));
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => !isAbsent(child)));
    return node;
  };

  /**
   * An HTML element.
   * @param {string} path - Its name, with classes: "p.note".
   * @param {Object<string, any>} [attributes] - See `fill`.
   * @param {...(Node|string|null)} children
   * @returns {HTMLElement}
   */
  const element = (path, attributes = {}, ...children) => {
    const [name, ...classes] = path.split(".");
    const node = document.createElement(name);
    node.classList.add(...classes);
    return fill(node, attributes, children);
  };

  /** An SVG element, as `element` makes HTML. */
  const drawn = (path, attributes = {}, ...children) => {
    const [name, ...classes] = path.split(".");
    const node = document.createElementNS(SVG, name);
    node.classList.add(...classes);
    return fill(node, attributes, children);
  };

  /** A name that somebody chose: text of any script, kept from rearranging what stands beside it. */
  const named = (text) => element("bdi.named", {}, text);

  let count = 0;
  /** An id that no other element has. */
  const freshId = (stem) => `${stem}-${(count += 1)}`;

  return { element, drawn, named, freshId };
})();
