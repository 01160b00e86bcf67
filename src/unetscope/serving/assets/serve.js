"use strict";

/** The page: an image comes, each network segments it, and a pixel is asked about; knows the order of things. */
unetscope.serve = (() => {
  const { element, named } = unetscope.dom;
  const { number } = unetscope.format;
  const { get, post, send, Refused } = unetscope.requests;
  const { swatches, fader, milliseconds, factsOf, waiting, classPicker, advice } = unetscope.around;
  const { highest, ramp, create: createKnowledge } = unetscope.knowledge;
  const POLL = 400; // milliseconds
  const INVITATION = "Click a pixel, or move the cross with the arrow keys and press Enter.";

  const titleOf = ({ title, name }) => title || name;

  /** Tells how far the server is while a promise is open. */
  const follow = async (promise, tell) => {
    const timer = setInterval(async () => {
      const { done, total } = await get("/api/progress").catch(() => ({ total: 0 }));
      if (total > 1) tell(done, total);
    }, POLL);
    try {
      return await promise;
    } finally {
      clearInterval(timer);
    }
  };

  /** What is on the page, and what happens on it. */
  class Live {
    constructor(session) {
      this.session = session;
      this.answers = [];
      this.status = element("p.status", { role: "status" });
      this.alert = element("p.alert", { role: "alert" });
      this.heading = element("h2", {});
      this.about = element("p.quiet", {});
      this.planes = element("div.planes", {});
      this.where = element("p.where", {});
      this.known = session.networks.map((network) => createKnowledge(network, (text) => this.say(text)));
      this.picker = classPicker(session.classes, (chosen) => this.paint(chosen));
      this.views = unetscope.views.create(session.networks.map(titleOf), {
        move: (pixel) => this.say(this.write(pixel)),
        pick: (pixel) => this.attempt(() => this.pick(pixel)),
      });
    }

    say(text) {
      this.status.textContent = text;
    }

    /** Shows why something did not happen; what was ended by something newer is no news. */
    refuse(error) {
      if (error.name === "AbortError") return;
      this.say("");
      this.where.textContent = INVITATION;
      this.alert.textContent = error instanceof Refused ? error.message : `the page failed: ${error.message}`;
    }

    async attempt(task) {
      this.alert.textContent = "";
      try {
        await task();
      } catch (error) {
        this.refuse(error);
      }
    }

    /** A pixel in words. */
    write([y, x]) {
      const { planes, volume } = this.current;
      return `Row ${y}, column ${x}${planes > 1 ? `, ${volume ? "plane" : "page"} ${this.plane + 1}` : ""}`;
    }

    /** Ends what is going on, and forgets what was known of pixels. */
    begin() {
      this.images?.abort();
      this.pixels?.abort();
      this.images = new AbortController();
      this.answers = [];
      this.asking.classList.remove("asked");
      this.where.textContent = INVITATION;
      return this.images.signal;
    }

    /** Shows an image that is on its way. */
    async take(coming, name) {
      const signal = this.begin();
      this.say(`reading ${name} \u2026`);
      const found = await coming(signal);
      this.current = found;
      this.plane = found.plane;
      this.describe(found);
      this.work.hidden = this.asking.hidden = false;
      this.views.show(found, found.picture);
      await this.segment(signal);
    }

    describe({ name, planes, volume, width, height, channels }) {
      const depth = planes > 1 ? `${planes} ${volume ? "planes" : "pages"} of ` : "";
      this.heading.replaceChildren(named(name));
      this.about.textContent = `${depth}${number(width, 0)} \u00d7 ${number(height, 0)} pixels, ${channels} channel${channels > 1 ? "s" : ""}`;
      this.planes.replaceChildren(...(planes > 1 ? [this.planeSlider()] : []));
    }

    planeSlider() {
      const { planes, volume } = this.current;
      const slider = element("input", { type: "range", min: 0, max: planes - 1, value: this.plane });
      const output = element("output", {}, `${this.plane + 1} of ${planes}`);
      slider.addEventListener("input", () => (output.textContent = `${slider.valueAsNumber + 1} of ${planes}`));
      slider.addEventListener("change", () => this.attempt(() => this.turn(slider.valueAsNumber)));
      return element("label.field", {}, volume ? "Plane" : "Page", slider, output);
    }

    /** Shows another plane. */
    async turn(plane) {
      const signal = this.begin();
      const { picture } = await post("/api/planes", { key: this.current.key, plane }, signal);
      this.plane = plane;
      this.views.show(this.current, picture);
      await this.segment(signal);
    }

    async segment(signal) {
      const { networks } = this.session;
      for (const each of networks.keys()) this.views.cover(each, null, waiting("waiting \u2026"));
      for (const [each, network] of networks.entries()) {
        const tell = (done, total) => this.views.cover(each, null, waiting("segmenting \u2026", done, total));
        tell(0, 0);
        const asked = { key: this.current.key, plane: this.plane, network: each };
        const found = await follow(post("/api/segmentations", asked, signal), tell);
        this.views.cover(each, found.labels, factsOf(found, network));
        this.say(`${titleOf(network)}: ${milliseconds(found.milliseconds)} milliseconds`);
      }
    }

    /** Asks every network about a pixel. */
    async pick([y, x]) {
      const { networks, classes } = this.session;
      this.pixels?.abort();
      this.pixels = new AbortController();
      this.where.textContent = `${this.write([y, x])}: asking \u2026`;
      const asked = { key: this.current.key, plane: this.plane, y, x };
      const found = [];
      for (const network of networks.keys()) found.push(await post("/api/pixels", { ...asked, network }, this.pixels.signal));
      this.answers = found;
      this.asking.classList.add("asked");
      this.where.textContent = `${this.write([y, x])}.`;
      this.paint(highest(found[0].chances));
      const said = found.map(({ chances }, each) => `${titleOf(networks[each])} says ${classes[highest(chances)]}`);
      this.say(`${this.write([y, x])}: ${said.join("; ")}.`);
    }

    /** Shows what is known of the pixel, for one class. */
    paint(place) {
      const { classes, colors } = this.session;
      this.picker.set(place);
      this.answers.forEach((known, each) => this.known[each].show({ classes, colors, known, place }));
    }

    header() {
      const names = this.session.networks.flatMap(({ name }, place) => [place ? " beside " : "", named(name)]);
      const title = element("div", {}, element("p.eyebrow", {}, "unetscope serve"), element("h1", {}, ...names));
      return element("header.top", {}, title, unetscope.scheme.render());
    }

    zone() {
      return unetscope.dropping.render(this.session, {
        file: (file) => this.attempt(() => this.take((signal) => send("/api/images", file, signal), file.name)),
        sample: (name) => this.attempt(() => this.take((signal) => post("/api/samples", { name }, signal), name)),
        refuse: (reason) => this.refuse(new Refused(reason)),
      });
    }

    /** Everything, in the place of what was there. */
    render() {
      const { networks } = this.session;
      const tools = element("div.toolbar", {}, swatches(this.session), fader(), this.planes);
      this.picker.picker.hidden = !networks[0].taught;
      this.work = element("section.part", { hidden: true }, this.heading, this.about, tools, this.views.element);
      const answer = element(
        "div.answer-here",
        {},
        element("div.toolbar", {}, this.picker.picker),
        element("p.quiet", {}, advice(networks)),
        ramp(),
        element("div.networks-here", { "data-count": networks.length }, ...this.known.map((one) => one.element)),
      );
      this.asking = element("section.part", { hidden: true }, element("h2", {}, "What each layer knows"), this.where, answer);
      const main = element("main", {}, this.zone(), this.alert, this.status, this.work, this.asking);
      document.getElementById("page").replaceChildren(this.header(), main);
    }
  }

  return { Live };
})();

unetscope.requests.get("/api/session").then(
  (session) => new unetscope.serve.Live(session).render(),
  (error) => (document.getElementById("page").textContent = error.message),
);
