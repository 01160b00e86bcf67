"use strict";

/** The five questions and their answers, each with the way to its section. */
unetscope.answers = (() => {
  const { element, named } = unetscope.dom;
  const { command } = unetscope.copying;
  const SECTIONS = { segment: "segmentation", flow: "flow", design: "design", cost: "evidence", trust: "provenance" };

  const SHOWN = 2; // sentences; the rest is folded

  const paragraph = (sentence) => element("p", {}, named(sentence));

  const folded = (sentences) =>
    sentences.length
      ? element("details", {}, element("summary", {}, `${sentences.length} more`), ...sentences.map(paragraph))
      : null;

  const answer = ({ id, question, sentences, missing }) =>
    element(
      "li.answer",
      {},
      element("h3", {}, element("a", { href: `#${SECTIONS[id]}` }, question)),
      element(
        "div.said",
        {},
        ...sentences.slice(0, SHOWN).map(paragraph),
        folded(sentences.slice(SHOWN)),
        missing ? element("p.way", {}, "What would tell:") : null,
        missing ? command(missing) : null,
      ),
    );

  /** @param {{answers: Object[]}} content */
  const render = ({ answers }) =>
    element(
      "section",
      { id: "answers", "aria-labelledby": "answers-title" },
      element("h2.hidden", { id: "answers-title" }, "Answers"),
      element("ol.answers", {}, ...answers.map(answer)),
    );

  return { render };
})();
