"use strict";

/** Where everything comes from, how to repeat it, and every number to take away. */
unetscope.provenance = (() => {
  const { element, named } = unetscope.dom;
  const { size } = unetscope.format;

  const pairs = (rows) =>
    element(
      "dl.pairs",
      {},
      ...rows.flatMap(([name, value]) => [element("dt", {}, named(name)), element("dd", {}, named(String(value)))]),
    );

  const block = (title, ...children) => element("section", {}, element("h3", {}, title), ...children);

  /** Saves a text as a file. */
  const save = ({ name, type, text }) => {
    const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };

  const download = (file) =>
    element(
      "li",
      {},
      element(
        "button",
        { type: "button", on: { click: () => save(file) } },
        named(file.name),
        element("span.quiet", {}, ` ${size(file.text)}`),
      ),
    );

  /** @param {Object} content @returns {HTMLElement} */
  const render = ({ provenance: { versions, rows, commands, warnings }, downloads }) =>
    element(
      "div",
      {},
      warnings.length
        ? element("ul.warnings", {}, ...warnings.map((warning) => element("li", {}, named(warning))))
        : null,
      element(
        "div.columns",
        {},
        block("Versions", pairs(Object.entries(versions))),
        block("Data and settings", pairs(rows)),
      ),
      commands.length ? block("Commands to repeat it", ...commands.map(unetscope.copying.command)) : null,
      block("Every number", element("ul.downloads", {}, ...downloads.map(download))),
    );

  return { render };
})();
