"use strict";

/** Light or dark: what the reader's system says, until a button says otherwise. */
unetscope.scheme = (() => {
  const { element } = unetscope.dom;
  const isDark = () => {
    const chosen = document.documentElement.style.colorScheme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };

  /** @returns {HTMLElement} */
  const render = () => {
    const button = element("button.small.scheme", { type: "button" });
    const name = () => (button.textContent = isDark() ? "Light colors" : "Dark colors");
    button.addEventListener("click", () => {
      document.documentElement.style.colorScheme = isDark() ? "light" : "dark";
      name();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
    name();
    return button;
  };

  return { render };
})();
