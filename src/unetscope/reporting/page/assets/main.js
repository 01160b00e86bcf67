"use strict";

/** The page from its content: header, answers, sections; each section is a file of its own. */
unetscope.main = (() => {
  const { element, named } = unetscope.dom;
  const { design, provenance, segmentation, flow, answers } = unetscope;

  const hasSegmentation = ({ segmentation: { scores, gallery, training, check, learning } }) =>
    scores || gallery.length || training.length || check.length || learning;

  const SECTIONS = [
    { id: "segmentation", answer: "segment", title: "Segmentation", has: hasSegmentation, render: segmentation.render },
    { id: "flow", answer: "flow", title: "The U", has: ({ networks }) => networks.length, render: flow.render },
    { id: "design", answer: "design", title: "Design", has: (content) => content.design, render: design.renderPlan },
    {
      id: "evidence",
      answer: "cost",
      title: "Evidence",
      has: ({ evidence }) => evidence,
      render: design.renderEvidence,
    },
    { id: "provenance", answer: "trust", title: "Provenance", has: () => true, render: provenance.render },
  ];

  /** What is chosen when the page opens. */
  const firstChoices = ({ networks, measures }) => ({
    measure: measures[0]?.key ?? null,
    epoch: flow.epochsOf(networks).at(-1) ?? null,
    layer: null,
    image: 0,
    overlay: "errors",
    fade: 80,
    order: "dice",
    network: 0,
  });

  const header = ({ title }) =>
    element(
      "header.top",
      {},
      element("div", {}, element("p.eyebrow", {}, "unetscope report"), element("h1", {}, named(title))),
      unetscope.scheme.render(),
    );

  const contents = () =>
    element(
      "nav.contents",
      { "aria-label": "Sections" },
      ...SECTIONS.map(({ id, title }) => element("a", { href: `#${id}` }, title)),
    );

  const nothing = (content, { answer }) => {
    const { missing } = content.answers.find(({ id }) => id === answer) ?? {};
    return element(
      "div.nothing",
      {},
      element("p.quiet", {}, "Nothing was given for this section."),
      missing ? unetscope.copying.command(missing) : null,
    );
  };

  const section = (content, store) => (one) =>
    element(
      "section.part",
      { id: one.id, "aria-labelledby": `${one.id}-title` },
      element("h2", { id: `${one.id}-title` }, one.title),
      one.has(content) ? one.render(content, store) : nothing(content, one),
    );

  /**
   * Shows a content, in place of an earlier one.
   * @param {Object} content - See `content.py`.
   */
  const show = (content) => {
    const store = unetscope.state.create(firstChoices(content));
    const main = element("main", {}, answers.render(content), ...SECTIONS.map(section(content, store)));
    document.getElementById("page").replaceChildren(header(content), contents(), main);
  };

  return { show };
})();

unetscope.printing.listen();
unetscope.main.show(JSON.parse(document.getElementById("content").textContent));
