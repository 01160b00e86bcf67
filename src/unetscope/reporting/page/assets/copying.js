"use strict";

/** Commands and other text to take away. */
unetscope.copying = (() => {
  const { element } = unetscope.dom;
  const SHOWN = 1600; // milliseconds for which "copied" stands on the button

  const select = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };

  /** Copies the text of an element, or selects it where the browser gives no clipboard to a page. */
  const copy = async (node) => {
    try {
      await navigator.clipboard.writeText(node.textContent);
      return "Copied";
    } catch {
      select(node);
      return "Selected";
    }
  };

  /**
   * A command beside a button that copies it.
   * @param {string} text
   * @returns {HTMLElement}
   */
  const command = (text) => {
    const code = element("code", { tabindex: "0" }, text);
    const button = element("button.small", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
    const said = element("span.hidden", { role: "status" });
    button.addEventListener("click", async () => {
      const done = await copy(code);
      button.textContent = said.textContent = done;
      setTimeout(() => (button.textContent = "Copy"), SHOWN);
    });
    return element("div.command", {}, code, button, said);
  };

  return { command };
})();
