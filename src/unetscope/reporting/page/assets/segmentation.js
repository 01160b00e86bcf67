"use strict";

/** The section that tells how well the networks segment. */
unetscope.segmentation = (() => {
  const { element, named } = unetscope.dom;
  const { charts } = unetscope;

  const list = (title, sentences, ...more) =>
    sentences.length || more.length
      ? element(
          "section",
          {},
          element("h3", {}, title),
          element("ul.sentences", {}, ...sentences.map((sentence) => element("li", {}, named(sentence)))),
          ...more,
        )
      : null;

  /** Points of one curve; epochs without a number are left out. */
  const pointsOf = (epochs, values) =>
    epochs.map((epoch, place) => ({ epoch, v: values[place] })).filter(({ v }) => v !== null && v !== undefined);

  const seriesOf = (training, networks, pick) =>
    training
      .map((run) => ({ name: networks[run.network].name, best: run.best, points: pointsOf(run.epochs, pick(run)) }))
      .filter(({ points }) => points.length);

  const classNames = (training) => [...new Set(training.flatMap(({ classes }) => Object.keys(classes)))];

  const trainingCharts = (training, networks) => {
    const names = classNames(training);
    const perClass = names.length > 1 ? names : [];
    return [
      charts.training(
        "Training loss",
        seriesOf(training, networks, ({ loss }) => loss),
      ),
      charts.training(
        "Validation Dice",
        seriesOf(training, networks, ({ dice }) => dice),
      ),
      ...perClass.map((name) =>
        charts.training(
          `Validation Dice of ${name}`,
          seriesOf(training, networks, ({ classes }) => classes[name] ?? []),
        ),
      ),
    ];
  };

  const trainingSection = (training, networks) =>
    training.length
      ? element(
          "section",
          {},
          element("h3", {}, "Training"),
          element("p.quiet", {}, "The large mark is the epoch that was kept."),
          element("div.charts", {}, ...trainingCharts(training, networks)),
        )
      : null;

  const learningSection = (learning) =>
    learning ? list("Would more images help?", learning.sentences, charts.learning(learning)) : null;

  /** @param {Object} content @param {Object} store @returns {HTMLElement} */
  const render = (content, store) => {
    const { segmentation, networks } = content;
    const { dialog, open } = unetscope.viewer.create(segmentation.gallery, networks, store);
    return element(
      "div",
      {},
      segmentation.scores ? unetscope.tables.table("Scores", segmentation.scores) : null,
      unetscope.gallery.render(content, store, open),
      trainingSection(segmentation.training, networks),
      list("What the check of the images found", segmentation.check),
      learningSection(segmentation.learning),
      dialog,
    );
  };

  return { render };
})();
