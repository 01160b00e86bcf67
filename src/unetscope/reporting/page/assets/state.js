"use strict";

/** What is chosen on the page, and who wants to know; knows nothing of what the choices mean. */
unetscope.state = (() => {
  /**
   * @param {Object<string, any>} initial - Every choice and its first value.
   * @returns {{get: function(): Object, set: function(Object): void, watch: function(string[], function(Object): void): void}}
   *   `watch` calls at once, and again whenever one of the named choices changes.
   */
  const create = (initial) => {
    let values = { ...initial };
    const watchers = [];
    return {
      get: () => values,
      set: (changes) => {
        const before = values;
        values = { ...before, ...changes };
        for (const { names, listener } of watchers) {
          if (names.some((name) => values[name] !== before[name])) listener(values);
        }
      },
      watch: (names, listener) => {
        watchers.push({ names, listener });
        listener(values);
      },
    };
  };

  return { create };
})();
