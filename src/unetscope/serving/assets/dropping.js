"use strict";

/** Where an image comes from: dropped anywhere on the page, chosen, or taken from the samples; knows files by name. */
unetscope.dropping = (() => {
  const { element } = unetscope.dom;
  const { number } = unetscope.format;

  /** Why a file is not sent at all, or nothing. */
  const objection = (file, { suffixes, limits }) => {
    const name = file.name.toLowerCase();
    if (!suffixes.some((suffix) => name.endsWith(suffix))) {
      return `${file.name} does not end like an image, and ${suffixes.join(", ")} are read; convert it to one of them`;
    }
    if (file.size > limits.bytes) {
      return `${file.name} has ${number(file.size / 1e6, 1)} million bytes, and ${number(limits.megabytes, 0)} million are taken; cut it into parts, or start the server with a larger --max-megabytes`;
    }
    return "";
  };

  const take = (files, session, tell) => {
    const [file] = files;
    if (!file) return;
    const reason = objection(file, session);
    if (reason) tell.refuse(reason);
    else tell.file(file);
  };

  /** Files that are dropped beside the zone are taken too: a browser would open them instead of the page. */
  const listen = (zone, session, tell) => {
    const over = (event) => {
      event.preventDefault();
      zone.classList.toggle("over", event.type === "dragover");
    };
    for (const name of ["dragover", "dragleave", "drop"]) window.addEventListener(name, over);
    window.addEventListener("drop", (event) => take(event.dataTransfer?.files ?? [], session, tell));
  };

  const chooser = (session, tell) => {
    const accept = session.suffixes.map((suffix) => suffix.slice(suffix.lastIndexOf("."))).join(",");
    const input = element("input.hidden", { type: "file", accept, tabindex: -1, "aria-hidden": "true" });
    input.addEventListener("change", () => {
      take(input.files, session, tell);
      input.value = "";
    });
    const button = element("button.primary", { type: "button", id: "choose", on: { click: () => input.click() } }, "Choose a file");
    return [button, input];
  };

  const sampler = ({ samples }, tell) => {
    if (!samples.length) return null;
    const select = element("select", { id: "sample" }, ...samples.map((name) => element("option", { value: name }, name)));
    const show = () => tell.sample(select.value);
    const next = () => {
      select.selectedIndex = (select.selectedIndex + 1) % samples.length;
      show();
    };
    return element(
      "div.field.samples",
      {},
      element("label", { for: "sample" }, "or a sample"),
      select,
      element("button", { type: "button", on: { click: show } }, "Show"),
      element("button", { type: "button", on: { click: next } }, "Next"),
    );
  };

  /**
   * @param {Object} session - What the server takes.
   * @param {{file: function(File): void, sample: function(string): void, refuse: function(string): void}} tell
   * @returns {HTMLElement}
   */
  const render = (session, tell) => {
    const { suffixes, limits } = session;
    const zone = element(
      "section.zone",
      { "aria-label": "An image to segment" },
      element("p.call", {}, "Drop an image here"),
      element("div.ways", {}, ...chooser(session, tell), sampler(session, tell)),
      element(
        "p.quiet",
        {},
        `${suffixes.join(" ")}, up to ${number(limits.megabytes, 0)} million bytes and ${number(limits.megapixels, 0)} million pixels. It stays on the machine that runs this page.`,
      ),
    );
    listen(zone, session, tell);
    return zone;
  };

  return { render };
})();
