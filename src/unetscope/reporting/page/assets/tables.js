"use strict";

/** Tables for reading and for screen readers; knows cells, not what they say. */
unetscope.tables = (() => {
  const { element, named } = unetscope.dom;
  const NUMBER = /^[\u2212+-]?[\d.,]+([eE][+-]?\d+)?( ?%)?$/;

  /** Whether every cell of a column that says something is a number. */
  const isNumeric = (rows, column) => {
    const texts = rows.map((row) => String(row[column] ?? "")).filter((text) => text && text !== "\u2013");
    return texts.length > 0 && texts.every((text) => NUMBER.test(text));
  };

  const content = (cell) => (cell instanceof Node ? cell : named(String(cell ?? "")));

  /**
   * A table whose first column names its rows; it scrolls by itself where it is too wide.
   * @param {string} caption - What it shows.
   * @param {{columns: string[], rows: Array<Array<any>>}} table - Cells are texts, numbers or elements.
   * @returns {HTMLElement}
   */
  const table = (caption, { columns, rows }) => {
    const numeric = columns.map((_, column) => isNumeric(rows, column));
    const kind = (column) => (numeric[column] ? "numeric" : null);
    const head = columns.map((name, column) => element("th", { scope: "col", class: kind(column) }, named(name)));
    const body = rows.map((row) =>
      element(
        "tr",
        {},
        ...row.map((cell, column) =>
          column === 0
            ? element("th", { scope: "row", class: kind(column) }, content(cell))
            : element("td", { class: kind(column) }, content(cell)),
        ),
      ),
    );
    return element(
      "div.scroll",
      { role: "region", "aria-label": caption, tabindex: "0" },
      element(
        "table",
        {},
        element("caption", {}, caption),
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...body),
      ),
    );
  };

  return { table };
})();
