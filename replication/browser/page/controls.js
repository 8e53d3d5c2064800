// What stands above the list: search, order, filters, the choice of a scatter. All of it only changes the link, and shows what the link says.
"use strict";

const TYPING = 150; // milliseconds of rest before a query is asked

/** A number of things. @param {number} count @param {string} one @param {string} [many] */
const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** @param {[value: string, label: string][]} pairs */
const options = (pairs) => pairs.map(([value, label]) => make("option", { value }, label));

/** Change a status only where it says something else, so that it is read out once. @param {HTMLElement} element @param {string} text */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {HTMLInputElement} box @param {string} sign @param {string} meaning */
function switchLabel(box, sign, meaning) {
  return make("label", { class: "find-switch", title: meaning }, box, make("span", { "aria-hidden": "true" }, sign),
    make("span", { class: "find-unseen" }, meaning));
}

/** All controls of a table. */
class Controls {
  /** @param {Page} page @param {Index} index @param {() => void} save hands the listed features over as a file
   *  @param {() => void} enter leads from the search field into the list */
  constructor(page, index, save, enter) {
    this.page = page;
    this.search = new SearchField(page, enter);
    this.order = new OrderField(page, index.entry);
    this.filters = new Filters(page, index);
    this.tabs = /** @type {[Panel, string][]} */ ([["density", "Density and bias"], ["map", "Map"]]).map(([panel, label]) => {
      const turn = () => page.go({ panel: page.route.panel === panel ? "" : panel, select: null, scroll: 0 });
      return make("button", { type: "button", class: "find-tab", "data-panel": panel, onclick: turn }, label);
    });
    this.count = make("span", { class: "find-count", role: "status" });
    this.features = index.entry.features;
    this.element = make("div", { class: "find" }, this.search.element, make("div", { class: "find-row" }, this.order.element, this.count),
      make("div", { class: "find-row" }, this.filters.button, ...this.tabs,
        make("button", { type: "button", class: "find-tab", onclick: save }, "Table as CSV")),
      this.filters.element);
  }

  /** @param {Found | null} found @param {number} listed how many features are */
  update(found, listed) {
    const { route } = this.page;
    this.search.update(found);
    this.order.update();
    this.filters.update();
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", String(tab.dataset.panel === route.panel));
    say(this.count, `${listed.toLocaleString("en")} of ${this.features.toLocaleString("en")}`);
  }
}

class SearchField {
  /** @param {Page} page @param {() => void} enter */
  constructor(page, enter) {
    this.page = page;
    this.typed = "";
    this.timer = 0;
    const typed = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.ask(), TYPING);
    };
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.ask();
      enter();
    };
    this.query = make("input", { type: "search", id: "query", class: "find-query", maxlength: 500, placeholder: "Search", "aria-label": "Search",
      autocomplete: "off", autocapitalize: "off", spellcheck: "false", oninput: typed });
    this.mode = make("select", { "aria-label": "Search in", onchange: () => this.go({ mode: /** @type {Mode} */ (this.mode.value) }) },
      ...options([["text", "text"], ["token", "token"], ["explanation", "explanation"]]));
    this.aspect = make("select", { "aria-label": "What the feature does with the token",
      onchange: () => this.go({ aspect: /** @type {Route["aspect"]} */ (this.aspect.value) }) },
      ...options([["fires", "fires on"], ["promotes", "promotes"], ["suppresses", "suppresses"]]));
    this.regex = make("input", { type: "checkbox", onchange: () => this.go({ regex: this.regex.checked }) });
    this.cased = make("input", { type: "checkbox", onchange: () => this.go({ caseSensitive: this.cased.checked }) });
    this.chips = make("div", { class: "find-chips", role: "group", "aria-label": "Tokens that match", hidden: true });
    this.said = make("p", { class: "find-said", role: "status" });
    this.element = make("div", {},
      make("form", { class: "find-search", role: "search", onsubmit: submit }, this.query, this.mode, this.aspect,
        switchLabel(this.regex, ".*", "Regular expression"), switchLabel(this.cased, "Aa", "Upper and lower case differ")),
      this.chips, this.said);
  }

  /** @param {Partial<Route>} change @param {"push" | "replace"} [how] */
  go(change, how = "replace") {
    this.page.go({ ...change, scroll: 0 }, how);
  }

  /** Ask what stands in the field. A search is ordered by hits unless another order was chosen, and going back leaves it. */
  ask() {
    clearTimeout(this.timer);
    const query = this.query.value;
    const { route } = this.page;
    if (query === route.query.replace(/[\r\n]/g, "")) return; // the field drops line ends, which a token or a link may hold
    this.typed = query;
    const order = query && route.order === "index" ? "hits" : !query && route.order === "hits" ? "index" : route.order;
    this.go({ query, order, descending: order === route.order ? route.descending : true }, route.query ? "replace" : "push");
  }

  /** @param {Found | null} found */
  update(found) {
    const { route } = this.page;
    const asked = current(this.page.run, this.page).query; // not the drawn route's, which may lag behind: what is typed meanwhile would be lost
    if (asked !== this.typed) this.query.value = this.typed = asked;
    this.mode.value = route.mode;
    this.aspect.value = route.aspect;
    this.aspect.hidden = route.mode !== "token";
    this.regex.checked = route.regex;
    this.cased.checked = route.caseSensitive;
    this.said.setAttribute("role", found?.broken ? "alert" : "status");
    say(this.said, found ? this.sentence(found) : "");
    this.offer(found);
  }

  /** @param {Found} found */
  sentence(found) {
    const { mode } = this.page.route;
    if (found.error) return found.error;
    const progress = found.done ? "" : `; searched ${found.have} of ${found.all} parts`;
    if (mode === "text") return `${counted(found.total, "window")} of ${counted(found.features, "feature")}${progress}`;
    if (mode === "explanation" && found.all === 0) return "This table has no explanations.";
    if (mode === "explanation") return `${counted(found.total, "explanation")} of ${counted(found.features, "feature")}${progress}`;
    if (!found.done) return "Searching …";
    if (!found.matching) return "No token matches.";
    const chosen = found.chosen < found.matching ? (found.chosen === 1 ? "the first" : `the first ${found.chosen}`) : "all";
    return `${counted(found.matching, "token")}; features of ${chosen}: ${found.features.toLocaleString("en")}`;
  }

  /** Tokens that match, to choose one. @param {Found | null} found */
  offer(found) {
    const { route, vocabulary } = this.page;
    const some = found && route.mode === "token" ? found.tokens.slice(0, CHIPS) : [];
    const key = JSON.stringify([some, found?.chosen]);
    if (this.chips.dataset.key === key) return;
    this.chips.dataset.key = key;
    this.chips.hidden = !some.length;
    this.chips.replaceChildren(...some.map((id, k) => make("button", { type: "button", class: "find-chip", "aria-pressed": String(k < (found?.chosen || 0)),
      onclick: () => this.go({ query: vocabulary[id], regex: false, caseSensitive: true }, "push") }, token(vocabulary[id]))));
  }
}

class OrderField {
  /** @param {Page} page @param {TableEntry} entry */
  constructor(page, entry) {
    this.page = page;
    this.orders = /** @type {[Order, string][]} */ ([["index", "index"], ["random", "random"], ["max", "maximum"], ["density", "density"], ["hits", "hits"],
      ...(entry.scored ? [["score", "score"], ["logit_score", "logit score"]] : []), ...(entry.universal ? [["universality", "universality"]] : [])]);
    /** @param {Partial<Route>} change */
    const go = (change) => page.go({ ...change, scroll: 0 }, "replace");
    this.order = make("select", { onchange: () => go({ order: /** @type {Order} */ (this.order.value), descending: true }) });
    this.direction = make("button", { type: "button", class: "find-direction", onclick: () => go({ descending: !page.route.descending }) });
    this.reseed = make("button", { type: "button", onclick: () => go({ seed: 1 + Math.floor(Math.random() * 999_999) }) }, "Shuffle again");
    this.element = make("div", { class: "find-order" }, make("label", {}, "Order ", this.order), this.direction, this.reseed);
  }

  update() {
    const { route } = this.page;
    const random = route.order === "random", first = route.order === "index";
    this.order.replaceChildren(...options(this.orders.filter(([order]) => order !== "hits" || route.query || route.order === "hits")));
    this.order.value = route.order;
    this.reseed.hidden = !random;
    this.direction.hidden = random;
    this.direction.textContent = route.descending === first ? "↑" : "↓";
    this.direction.title = first ? (route.descending ? "First to last" : "Last to first") : route.descending ? "Largest first" : "Smallest first";
    this.direction.setAttribute("aria-label", this.direction.title);
  }
}

class Filters {
  /** @param {Page} page @param {Index} index */
  constructor(page, index) {
    this.page = page;
    const { parts, single, density, score, cluster } = start();
    const reset = () => this.go({ parts, single, density, score, cluster, select: null });
    const turn = () => this.unfold(Boolean(this.element.hidden));
    this.button = make("button", { type: "button", class: "find-tab", "aria-controls": "filters", onclick: turn }, "Filters");
    this.ranges = /** @type {const} */ (["density", "score"]).map((name) => this.range(name));
    this.parts = /** @type {const} */ ([["o", "active"], ["u", "ultralow"], ["d", "dead"]]).map(([letter, label]) => {
      const count = index.part.reduce((sum, part) => sum + Number("duo"[part] === letter), 0);
      const box = make("input", { type: "checkbox", value: letter, onchange: () => this.choose(box) });
      return { box, label: make("label", {}, box, ` ${label} ${count.toLocaleString("en")}`) };
    });
    this.single = make("select", { onchange: () => this.go({ single: /** @type {Route["single"]} */ (this.single.value) }) },
      ...options([["", "any"], ["yes", "only"], ["no", "without"]]));
    const clusters = clusterSizes(index);
    this.cluster = make("select", { onchange: () => this.go({ cluster: whole(this.cluster.value) }) }, ...options([["", "any"], ...clusters]));
    const ranges = this.ranges.filter(({ name }) => name === "density" || index.entry.scored).map((range) => range.element);
    this.element = make("div", { class: "find-fields", id: "filters" }, ...ranges,
      make("fieldset", {}, make("legend", {}, "Parts"), ...this.parts.map((part) => part.label)),
      make("label", {}, "Single token ", this.single), clusters.length > 0 && make("label", {}, "Cluster ", this.cluster),
      make("button", { type: "button", onclick: reset }, "Reset filters"));
    this.unfold(filtersSet(page.route) > 0);
  }

  /** @param {Partial<Route>} change */
  go(change) {
    this.page.go({ ...change, scroll: 0 }, "replace");
  }

  /** @param {boolean} open */
  unfold(open) {
    this.element.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
  }

  /** Parts that are listed: at least one. @param {HTMLInputElement} changed */
  choose(changed) {
    const chosen = this.parts.filter(({ box }) => box.checked).map(({ box }) => box.value);
    if (chosen.length) this.go({ parts: ["d", "u", "o"].filter((letter) => chosen.includes(letter)).join("") }); else changed.checked = true;
  }

  /** @param {"density" | "score"} name */
  range(name) {
    const change = () => this.go({ [name]: [real(low.value), real(high.value)] });
    const [low, high] = ["from", "to"].map((end) => make("input",
      { type: "number", step: "any", class: "find-number", placeholder: end, "aria-label": `${name} ${end}`, onchange: change }));
    return { name, low, high, element: make("fieldset", {}, make("legend", {}, name === "density" ? "Density" : "Score"), low, " to ", high) };
  }

  update() {
    const { route } = this.page;
    const set = filtersSet(route);
    this.button.textContent = set ? `Filters (${set})` : "Filters";
    for (const { name, low, high } of this.ranges) {
      const ends = route[name];
      [low, high].forEach((field, k) => { if (document.activeElement !== field) field.value = String(ends[k] ?? ""); });
    }
    for (const { box } of this.parts) box.checked = route.parts.includes(box.value);
    this.single.value = route.single;
    this.cluster.value = route.cluster === null ? "" : String(route.cluster);
  }
}

/** Clusters of the map with how many features they have. @param {Index} index @returns {[string, string][]} */
function clusterSizes(index) {
  const sizes = /** @type {Map<number, number>} */ (new Map());
  for (const cluster of index.cluster) if (cluster >= 0) sizes.set(cluster, (sizes.get(cluster) || 0) + 1);
  return [...sizes].sort(([a], [b]) => a - b).map(([cluster, size]) => [String(cluster), `${cluster} (${size.toLocaleString("en")})`]);
}
