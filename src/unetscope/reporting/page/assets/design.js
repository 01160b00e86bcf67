"use strict";

/** The sections of the plan and of the evidence for it: tables, pictures of cost against score, and the boundary. */
unetscope.design = (() => {
  const { element, named } = unetscope.dom;
  const { table } = unetscope.tables;

  const said = (sentences) => sentences.map((sentence) => element("p", {}, named(sentence)));

  const folded = (title, ...children) => element("details.folded", {}, element("summary", {}, title), ...children);

  /** @param {{design: Object}} content @returns {HTMLElement} */
  const renderPlan = ({ design: { sentences, decisions, plan } }) =>
    element(
      "div",
      {},
      ...said(sentences),
      decisions ? table("Decisions of the plan", decisions) : null,
      plan ? folded("The plan as a file", element("pre", { tabindex: "0" }, JSON.stringify(plan, null, 2))) : null,
    );

  const boundarySection = ({ good, failing, findings }) =>
    element(
      "section",
      {},
      element("h3", {}, "The boundary"),
      element(
        "dl.boundary",
        {},
        element("dt", {}, "Smallest network that is as good"),
        element("dd", {}, named(good)),
        element("dt", {}, "Its smaller neighbor that is not"),
        element("dd", {}, named(failing ?? "none was found")),
      ),
      findings ? folded("Every network that was judged", table("Networks that were judged", findings)) : null,
    );

  /** @param {{evidence: Object}} content @returns {HTMLElement} */
  const renderEvidence = ({ evidence: { sentences, table: compared, pareto, boundary, searches } }) =>
    element(
      "div",
      {},
      ...said(sentences),
      compared ? table("Networks compared", compared) : null,
      pareto.length ? element("div.charts", {}, ...pareto.map(unetscope.pareto.render)) : null,
      boundary ? boundarySection(boundary) : null,
      searches ? element("section", {}, element("h3", {}, "Searches"), table("Ways of searching", searches)) : null,
    );

  return { renderPlan, renderEvidence };
})();
