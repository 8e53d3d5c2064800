// The list of features: only the rows in sight are elements, so that 131,072 features scroll as a hundred do.
"use strict";

const ROW = 30; // pixels of a row, as in find.css
const SPARE = 8; // rows drawn beyond each edge
const SETTLE = 300; // milliseconds of rest before the scroll position goes to the link

/** The tokens that name a feature. @param {Page} page @param {Index} index @param {number} feature @returns {string[]} */
function labelTokens(page, index, feature) {
  const width = index.fires.length / index.density.length;
  return Array.from(index.fires.subarray(feature * width, (feature + 1) * width)).filter((id) => id < page.vocabulary.length).map((id) => page.vocabulary[id]);
}

/** A short name: the tokens on which the feature is strongest. @param {Page} page @param {Index} index @param {number} feature */
function featureName(page, index, feature) {
  return labelTokens(page, index, feature).map(visible).join(" · ") || (index.part[feature] === 0 ? "dead" : "no examples");
}

/** @typedef {{ title: string, order: Order | null, value: ((feature: number) => number) | null, explained: string }} Column */

/** The columns for a route: search and the chosen order add theirs.
 *  @param {Index} index @param {Route} route @param {Found | null} found @returns {Column[]} */
function listColumns(index, route, found) {
  const columns = /** @type {Column[]} */ ([
    { title: index.entry.kind === "neurons" ? "neuron" : "feature", order: "index", value: null, explained: "number" },
    { title: "strongest on", order: null, value: null, explained: "tokens of its strongest activations" },
    { title: "density", order: "density", value: (k) => index.density[k], explained: "share of tokens on which it is active" },
    { title: "max", order: "max", value: (k) => index.max[k], explained: "largest activation" },
  ]);
  const hits = found?.hits;
  if (hits) columns.push(hitsColumn(route, hits));
  if (route.order === "universality") {
    columns.push({ title: "univ.", order: "universality", value: (k) => index.universality[k],
      explained: "correlation with its best match in the other model" });
  } else if (route.order === "logit_score") {
    columns.push({ title: "logit sc.", order: "logit_score", value: (k) => index.logit_score[k], explained: "interpretability score of its logit weights" });
  } else if (!hits && index.entry.scored) {
    columns.push({ title: "score", order: "score", value: (k) => index.spearman[k],
      explained: "interpretability score: Spearman correlation of predicted and true activations" });
  }
  return columns;
}

/** @param {Route} route @param {Float32Array} hits @returns {Column} */
function hitsColumn({ mode, aspect }, hits) {
  if (mode !== "token") return { title: "hits", order: "hits", value: (k) => hits[k], explained: "windows or explanations that match" };
  if (aspect === "fires") return { title: "share", order: "hits", value: (k) => hits[k], explained: "largest activation on it, as a share of the maximum" };
  return { title: "weight", order: "hits", value: (k) => (aspect === "suppresses" ? -hits[k] : hits[k]), explained: "logit weight" };
}

/** What orders a table by a column. @param {string} title @param {boolean} chosen @param {boolean} falling @param {() => void} sort */
function sortButton(title, chosen, falling, sort) {
  return make("button", { type: "button", class: "list-sort", onclick: sort }, title,
    chosen && make("span", { "aria-hidden": "true" }, falling ? " ↓" : " ↑"));
}

/** The windowed table of a list. */
class Rows {
  /** @param {Page} page @param {Index} index */
  constructor(page, index) {
    this.page = page;
    this.index = index;
    this.shown = /** @type {Uint32Array} */ (new Uint32Array(0));
    this.columns = /** @type {Column[]} */ ([]);
    this.drawn = /** @type {Map<number, HTMLElement>} */ (new Map());
    this.scrolled = 0; // what the last route said
    this.timer = 0;
    this.head = make("div", { class: "list-head", role: "row", "aria-rowindex": 1 });
    this.body = make("div", { class: "list-body", role: "rowgroup" });
    this.view = make("div", { class: "list-view", onscroll: () => this.scroll() }, this.body);
    this.element = make("div", { class: "list-table", role: "table", "aria-label": `Features of ${index.entry.name}` },
      make("div", { role: "rowgroup" }, this.head), this.view);
    this.height = 0;
    new ResizeObserver(() => this.resize()).observe(this.view);
  }

  /** @param {Uint32Array} shown @param {Found | null} found */
  show(shown, found) {
    const { route } = this.page;
    this.shown = shown;
    this.columns = listColumns(this.index, route, found);
    this.element.setAttribute("aria-rowcount", String(shown.length + 1));
    this.element.style.setProperty("--columns", String(this.columns.length));
    this.head.replaceChildren(...this.columns.map((column) => this.heading(column)));
    this.body.style.height = `${shown.length * ROW}px`;
    this.redraw();
    if (route.scroll !== this.scrolled) this.view.scrollTop = route.scroll * ROW;
    this.scrolled = route.scroll;
  }

  /** A list that comes into sight, as on a phone after the card, has not scrolled meanwhile. */
  resize() {
    const hidden = this.height === 0;
    this.height = this.view.clientHeight;
    if (hidden && this.height) this.view.scrollTop = this.page.route.scroll * ROW;
    if (hidden && this.height && this.page.route.feature !== null) this.reveal(this.page.route.feature);
    this.draw();
  }

  /** @param {Column} column */
  heading({ title, order, explained }) {
    const { route } = this.page;
    const chosen = order !== null && route.order === order;
    const falling = order === "index" ? !route.descending : route.descending;
    const sort = () => order && this.page.go({ order, descending: chosen ? !route.descending : true, scroll: 0 }, "replace");
    return make("span", { role: "columnheader", "aria-sort": chosen ? (falling ? "descending" : "ascending") : null, title: explained },
      order === null ? title : sortButton(title, chosen, falling, sort));
  }

  /** Rows anew, after what they show has changed. */
  redraw() {
    const focused = this.body.contains(document.activeElement);
    for (const row of this.drawn.values()) row.remove();
    this.drawn.clear();
    this.draw();
    if (focused) this.focus();
  }

  draw() {
    const first = Math.max(0, this.first() - SPARE), last = Math.min(this.shown.length, this.first() + Math.ceil(this.view.clientHeight / ROW) + SPARE);
    for (const [at, row] of this.drawn) {
      if (at >= first && at < last) continue;
      row.remove();
      this.drawn.delete(at);
    }
    const entry = this.entry();
    for (let at = first; at < last; at++) {
      if (!this.drawn.has(at)) {
        const row = this.row(at);
        this.drawn.set(at, row);
        // Rows stand in the order of the list, for whoever goes through them by key or by ear.
        this.body.insertBefore(row, this.drawn.get(at + 1) ?? null);
      }
      /** @type {HTMLElement} */ (this.drawn.get(at)).querySelector("a")?.setAttribute("tabindex", at === entry ? "0" : "-1");
    }
  }

  /** The row that Tab goes to: the open feature, else the first in sight. */
  entry() {
    const open = this.page.route.feature === null ? -1 : this.shown.indexOf(this.page.route.feature);
    return open >= this.first() && open <= this.first() + this.view.clientHeight / ROW ? open : Math.ceil(this.view.scrollTop / ROW);
  }

  /** @param {number} at */
  row(at) {
    const { page, index } = this;
    const feature = this.shown[at];
    const part = index.part[feature];
    const open = page.route.feature === feature;
    const link = make("a", { href: href({ ...page.route, feature }), class: "list-link", "aria-current": open ? "true" : null,
      onclick: (/** @type {MouseEvent} */ event) => this.open(event, feature) }, feature);
    const label = labelTokens(page, index, feature);
    const marked = part === 0 ? "dead" : part === 1 ? "ultralow" : "";
    const row = make("div", { role: "row", class: `list-row${open ? " list-open" : ""}`, "aria-rowindex": at + 2 }, make("span", { role: "cell" }, link),
      make("span", { role: "cell", class: "list-label" }, marked && make("span", { class: "list-part" }, marked), ...label.map((text) => token(text))),
      ...this.columns.slice(2).map(({ value }) => make("span", { role: "cell", class: "list-number" }, value && numeral(value(feature)))));
    row.style.top = `${at * ROW}px`;
    return row;
  }

  /** @param {MouseEvent} event @param {number} feature */
  open(event, feature) {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.page.go({ feature, scroll: this.first() });
  }

  first() {
    return Math.min(Math.floor(this.view.scrollTop / ROW + 0.01), Math.max(0, this.shown.length - 1));
  }

  scroll() {
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (!this.element.isConnected || this.view.clientHeight === 0) return;
      this.scrolled = this.first();
      if (this.scrolled !== this.page.route.scroll) this.page.go({ scroll: this.scrolled }, "replace");
    }, SETTLE);
  }

  /** Bring a feature into sight. @param {number} feature */
  reveal(feature) {
    const at = this.shown.indexOf(feature);
    const { scrollTop, clientHeight } = this.view;
    if (at < 0 || clientHeight === 0 || (at * ROW >= scrollTop && (at + 1) * ROW <= scrollTop + clientHeight)) return;
    this.view.scrollTop = at * ROW < scrollTop && at * ROW > scrollTop - 3 * ROW ? at * ROW
      : at * ROW > scrollTop && (at + 1) * ROW < scrollTop + clientHeight + 3 * ROW ? (at + 1) * ROW - clientHeight : Math.max(0, at * ROW - clientHeight / 3);
    this.draw();
  }

  /** The feature so many places after the open one; the first in sight when that is not listed. @param {number} by @param {number | null} [open] @returns {number | null} */
  neighbour(by, open = this.page.route.feature) {
    const at = open === null ? -1 : this.shown.indexOf(open);
    const wanted = at < 0 ? this.first() : at + by;
    return wanted >= 0 && wanted < this.shown.length ? this.shown[wanted] : null;
  }

  /** Put the keyboard on the open feature's row. */
  focus() {
    /** @type {HTMLElement | null} */ (this.body.querySelector('[tabindex="0"]'))?.focus({ preventScroll: true });
  }
}

/** The listed features as a table of comma-separated values; token texts are JSON, so that a spreadsheet takes none of them for a formula.
 *  @param {Page} page @param {Index} index @param {Uint32Array} shown @param {Float32Array | null} hits */
function asCsv(page, index, shown, hits) {
  const numbers = /** @type {const} */ (["density", "max", "bias", "spearman", "logit_score", "universality", "x", "y"]);
  const width = index.fires.length / index.density.length;
  const tokens = /** @type {const} */ (["fires", "up"]).flatMap((name) => Array.from({ length: width }, (_, k) => /** @type {const} */ ([name, k])));
  const names = ["feature", "part", "single_token", "cluster", ...numbers, ...tokens.map(([name, k]) => `${name}_${k + 1}`), ...(hits ? ["hits"] : [])];
  /** @param {number} value */
  const written = (value) => (Number.isNaN(value) ? "" : String(Number(value.toPrecision(7))));
  /** @param {number} id */
  const quoted = (id) => (id < page.vocabulary.length ? `"${JSON.stringify(page.vocabulary[id]).replaceAll('"', '""')}"` : "");
  const lines = Array.from(shown, (k) => [k, ["dead", "ultralow", "other"][index.part[k]], index.single_token[k], index.cluster[k] < 0 ? "" : index.cluster[k],
    ...numbers.map((name) => written(index[name][k])), ...tokens.map(([name, place]) => quoted(index[name][k * width + place])),
    ...(hits ? [written(hits[k])] : [])].join(","));
  return [names.join(","), ...lines, ""].join("\n");
}

/** Hand a file to the reader. @param {string} name @param {string} text */
function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
