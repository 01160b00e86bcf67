"use strict";

/** Controls bound to a choice of the page's state: they set it, and follow when something else does. */
unetscope.controls = (() => {
  const { element, freshId } = unetscope.dom;

  /**
   * A list to choose from.
   * @param {string} label
   * @param {Array<[any, string]>} entries - Values, and what they are called.
   * @param {string} choice - The name of the choice in the state.
   * @param {Object} store
   */
  const picker = (label, entries, choice, store) => {
    const select = element(
      "select",
      {},
      ...entries.map(([, text], place) => element("option", { value: place }, text)),
    );
    select.addEventListener("change", () => store.set({ [choice]: entries[select.value][0] }));
    store.watch([choice], (values) => (select.value = entries.findIndex(([value]) => value === values[choice])));
    return element("label.field", {}, label, select);
  };

  /** The same as radio buttons. */
  const radios = (label, entries, choice, store) => {
    const group = freshId(choice);
    const button = ([value, text]) => {
      const input = element("input", { type: "radio", name: group, value });
      input.addEventListener("change", () => store.set({ [choice]: value }));
      store.watch([choice], (values) => (input.checked = values[choice] === value));
      return element("label", {}, input, element("span", {}, text));
    };
    return element("fieldset.choices", {}, element("legend", {}, label), element("div", {}, ...entries.map(button)));
  };

  /** The same as a slider, which says its place in words. */
  const slider = (label, entries, choice, store) => {
    const output = element("output");
    const input = element("input", { type: "range", min: 0, max: entries.length - 1, step: 1 });
    input.addEventListener("input", () => store.set({ [choice]: entries[input.valueAsNumber][0] }));
    store.watch([choice], (values) => {
      const place = entries.findIndex(([value]) => value === values[choice]);
      input.value = place;
      output.textContent = entries[place][1];
      input.setAttribute("aria-valuetext", entries[place][1]);
    });
    return element("label.field", {}, label, input, output);
  };

  return { picker, radios, slider };
})();
