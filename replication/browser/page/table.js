// A table: list at the left, card at the right. Going from card to card leaves the list as it is.
"use strict";

const MARKING = 400; // milliseconds of rest before a card is drawn again for a changed query

let tableView = /** @type {TableView | null} */ (null);

/** Draw the table of the page's route. @param {HTMLElement} host @param {Page} page @returns {Promise<void>} */
async function drawTable(host, page) {
  const index = await page.index(page.route.table);
  if (tableView?.index !== index || tableView.host !== host || !host.contains(tableView.list)) {
    tableView?.close();
    tableView = new TableView(host, page, index);
  }
  tableView.update();
}

function closeTable() {
  tableView?.close();
  tableView = null;
}

class TableView {
  /** @param {HTMLElement} host @param {Page} page @param {Index} index */
  constructor(host, page, index) {
    this.host = host;
    this.page = page;
    this.index = index;
    this.search = new Search(page, index, (marked) => this.later(marked));
    this.rows = new Rows(page, index);
    this.controls = new Controls(page, index, () => this.save(), () => this.rows.focus());
    this.map = make("div", { class: "map" });
    this.list = make("section", { id: "list", "aria-label": "Features" }, this.controls.element, this.map, this.rows.element);
    this.card = make("article", { id: "card", tabindex: -1, "aria-label": "Card" });
    this.back = make("a", { class: "find-back" }, "‹ list");
    this.shown = /** @type {Uint32Array} */ (new Uint32Array(0));
    this.order = { key: "", features: this.shown };
    this.known = { key: "", list: "", card: "", feature: /** @type {number | null} */ (null) };
    this.news = 0; // how often a search has found more
    this.timer = 0;
    this.cardTimer = 0;
    this.opened = false; // whether anything was shown before
    host.replaceChildren(this.list, make("div", { class: "find-card", role: "region", "aria-label": "Feature", tabindex: 0 }, this.back, this.card));
  }

  close() {
    this.search.close();
    clearTimeout(this.timer);
    clearTimeout(this.cardTimer);
  }

  /** More was found: show it soon, together with what else is found by then. @param {boolean} marked */
  later(marked) {
    this.news++;
    if (marked) this.known.card = "";
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.update();
    }, 100);
  }

  /** Show what the route says. */
  update() {
    const { page, index, rows } = this;
    const { route } = page;
    if (!this.list.isConnected || route.table !== index.entry.name) return;
    this.search.ask(route);
    this.search.mark(route);
    const { found } = this.search;
    const moved = this.known.feature !== route.feature;
    const key = `${href({ ...route, scroll: 0 })} ${this.news}`;
    if (key !== this.known.key || route.scroll !== rows.scrolled) {
      this.known.key = key;
      this.arrange(found);
      rows.show(this.shown, found);
      this.controls.update(found, this.shown.length);
      drawScatter(this.map, page, index, this.shown);
    }
    this.known.feature = route.feature;
    this.host.classList.toggle("find-opened", route.feature !== null);
    this.back.href = href({ ...route, feature: null });
    if (route.feature !== null && moved) rows.reveal(route.feature);
    this.showCard(moved);
  }

  /** Order and filter, where either has changed. @param {Found | null} found */
  arrange(found) {
    const { route } = this.page;
    const hits = found?.hits ?? null;
    const asked = `${href({ ...route, feature: null, scroll: 0 })} ${this.news}`;
    if (asked === this.known.list) return;
    this.known.list = asked;
    const key = JSON.stringify([route.order, route.descending, route.seed, route.order === "hits" && [searchKey(route), this.news]]);
    if (key !== this.order.key) this.order = { key, features: ordered(this.index, route, hits) };
    this.shown = listed(this.order.features, this.index, route, hits);
  }

  /** @param {boolean} moved */
  showCard(moved) {
    const { page, index, card } = this;
    const { route } = page;
    const key = JSON.stringify([route.feature, route.mode === "text" && searchKey(route)]);
    if (key === this.known.card) return;
    this.known.card = key;
    clearTimeout(this.cardTimer);
    const { feature } = route;
    if (feature === null) {
      this.opened = true;
      card.replaceChildren(...this.overview());
      return;
    }
    const draw = () => drawCard(card, page, index, feature).catch((error) => { if (page.route.feature === feature) card.replaceChildren(complaint(error)); });
    if (!moved) {
      this.cardTimer = setTimeout(draw, MARKING);
      return;
    }
    void draw();
    const scroller = /** @type {HTMLElement} */ (card.parentElement);
    scroller.scrollTop = 0;
    if (this.opened && !this.list.offsetParent) scroller.focus({ preventScroll: true }); // on a phone the list has made way
    this.opened = true;
    const next = this.rows.neighbour(1);
    if (next !== null) loadCard(index.entry, next).catch(() => undefined); // ready when asked for; if it fails, it says so then
  }

  /** What is said while no feature is open: what the table is, and ways into it. */
  overview() {
    const { entry, part } = this.index;
    const { run, route } = this.page;
    const [dead, ultralow] = [0, 1].map((wanted) => part.reduce((sum, one) => sum + Number(one === wanted), 0));
    const thing = entry.kind === "neurons" ? "neuron" : "feature";
    const row = run.dictionaries.find((one) => one.name === entry.name);
    const measured = /** @type {[string, number | null | undefined][]} */ ([["L0", row?.l0], ["loss recovered", row?.recovered], ["L1 coefficient", row?.l1]])
      .filter(([, value]) => typeof value === "number").map(([name, value]) => `${name} ${numeral(value)}`);
    const sentences = [`${counted(entry.features, thing)}, of which ${dead.toLocaleString("en")} dead and ${ultralow.toLocaleString("en")} ultralow.`,
      measured.length ? `${measured.join(", ")}.` : "", row?.shuffled ? "The weights of its model are shuffled: a control." : ""];
    const ways = /** @type {[string, Partial<Route>, boolean][]} */ ([
      [`${thing}s whose explanations predict them best`, { order: "score" }, entry.scored],
      [`${thing}s that the other model has as well`, { order: "universality" }, entry.universal],
      ["largest activations", { order: "max" }, true],
      ["rarest", { order: "density", descending: false }, true],
      ["single tokens", { single: "yes", order: "density" }, this.index.single_token.includes(1)],
      ["in random order", { order: "random" }, true],
      ["ultralow densities", { parts: "u" }, ultralow > 0],
      ["the map", { panel: "map" }, entry.mapped]]);
    const plain = { ...start(), page: /** @type {const} */ ("table"), table: route.table };
    const links = ways.filter(([, , there]) => there).map(([label, change]) => make("a", { href: href({ ...plain, ...change }) }, label));
    return [make("h1", {}, entry.name), make("p", {}, sentences.filter(Boolean).join(" ")), make("h2", {}, "Ways in"),
      make("ul", { class: "find-ways" }, ...links.map((link) => make("li", {}, link))),
      make("p", { class: "find-hint" }, "Keys: ", make("kbd", {}, "j"), " next, ", make("kbd", {}, "k"), " previous, ",
        make("kbd", {}, "/"), " search, ", make("kbd", {}, "?"), " all keys.")];
  }

  /** @param {number} by */
  step(by) {
    const next = this.rows.neighbour(by, current(this.page.run, this.page).feature); // keys may come faster than the page draws
    if (next === null) return;
    this.rows.reveal(next);
    this.page.go({ feature: next, scroll: this.rows.first() });
  }

  save() {
    download(`${this.index.entry.name.replaceAll("/", "-")}.csv`, asCsv(this.page, this.index, this.shown, this.search.found?.hits ?? null));
  }
}
