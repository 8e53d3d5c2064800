// The page: from the link to what is drawn, and back.
"use strict";

const HOLD = 70; // milliseconds between steps while a key is held: browsers refuse links that change faster

/** A sentence where something cannot be shown, with the way home. @param {unknown} error */
function complaint(error) {
  return make("div", { class: "find-alert", role: "alert" }, make("h1", { class: "find-unseen" }, "This cannot be shown"),
    make("p", {}, error instanceof Error ? error.message : String(error)), make("p", {}, make("a", { href: "#/" }, "All dictionaries of this run")));
}

const main = make("main", { id: "main", tabindex: -1 });

/** @returns {Promise<void>} */
async function begin() {
  const app = byId("app");
  app.replaceChildren(main);
  const run = await loadRun();
  const vocabulary = loadVocabulary(run);
  const indexes = /** @type {Map<string, Promise<Index>>} */ (new Map());
  const page = /** @type {Page} */ ({ run, vocabulary: [], route: start(), index: (table) => {
    const entry = run.tables.find((one) => one.name === table);
    if (!entry) return Promise.reject(new Error(`This run has no table ${table}.`));
    const known = indexes.get(table) ?? loadIndex(run, entry);
    indexes.set(table, known);
    known.catch(() => indexes.delete(table));
    return known;
  }, go: (change, how = "push") => {
    const hash = href({ ...current(run, page), ...change });
    if (hash === location.hash) return;
    if (how === "replace") location.replace(hash); else location.hash = hash;
  } });
  const header = new Header(page);
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault(); // the part after # is the route's
    main.focus();
  };
  app.replaceChildren(make("a", { class: "find-skip", href: "#main", onclick: skip }, "To the content"), header.element, main);
  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    try {
      page.route = parse(location.hash, run);
      header.update();
      await show(page, vocabulary, () => mine === turn);
    } catch (error) {
      if (mine !== turn) return;
      closeTable();
      document.title = `Not found · ${run.run}`;
      main.className = "";
      main.replaceChildren(complaint(error));
    }
  };
  addEventListener("hashchange", draw);
  listen(page, header);
  await draw();
}

/** The route of the link as it stands now, which the page may not have drawn yet. @param {Run} run @param {Page} page */
function current(run, page) {
  try {
    return parse(location.hash, run);
  } catch {
    return page.route;
  }
}

/** Draw the page's route. @param {Page} page @param {Promise<string[]>} vocabulary
 *  @param {() => boolean} wanted whether no later link has been followed meanwhile */
async function show(page, vocabulary, wanted) {
  const { run, route } = page;
  document.title = titleOf(page, null);
  if (route.page !== "table") closeTable();
  main.className = `find-${route.page}`;
  if (route.page === "run") {
    drawRuns(main, page);
    return;
  }
  if (!page.vocabulary.length || (route.page === "table" && !main.querySelector("#list"))) {
    main.replaceChildren(make("p", { class: "find-wait" }, `Loading ${route.page === "table" ? route.table : "the text"} …`));
  }
  const entry = run.tables.find((one) => one.name === route.table);
  // What the card needs is asked for at once, not after the index is here.
  if (entry && route.page === "table" && route.feature !== null) loadCard(entry, route.feature).catch(() => undefined);
  const index = entry && route.page === "table" ? page.index(route.table) : null;
  [page.vocabulary] = await Promise.all([vocabulary, index]);
  if (!wanted()) return;
  if (route.page === "text") {
    await drawText(main, page);
    return;
  }
  await drawTable(main, page);
  if (wanted() && index) document.title = titleOf(page, await index);
}

/** @param {Page} page @param {Index | null} index */
function titleOf(page, index) {
  const { run, route } = page;
  const text = run.texts.find((one) => one.id === route.text);
  const place = route.page === "text" ? visible(text?.title ?? "") : route.page === "run" ? "" : route.feature === null ? route.table
    : `${route.table}/${route.feature}${index ? ` ${featureName(page, index, route.feature)}` : ""}`;
  return [place, run.run, "feature browser"].filter(Boolean).join(" · ");
}

/** The line on top of every page. */
class Header {
  /** @param {Page} page */
  constructor(page) {
    const { run } = page;
    this.page = page;
    this.tables = make("select", { id: "table", "aria-label": "Table", onchange: () => { if (this.tables.value) location.hash = `#/${this.tables.value}`; } },
      make("option", { value: "" }, "Table …"), ...run.tables.map(({ name }) => make("option", { value: name }, name)));
    this.said = make("span", { class: "find-copied", role: "status" });
    this.help = help();
    this.texts = run.texts.length ? make("a", {}, "texts") : null;
    this.home = make("a", { href: "#/", class: "find-run-name" }, run.run);
    this.element = make("header", { id: "top" }, this.home, this.tables,
      make("nav", { "aria-label": "Pages" }, make("a", { href: "#/" }, "dictionaries"), this.texts, ...runLinks(run)),
      make("span", { class: "find-tools" }, this.said, make("button", { type: "button", onclick: () => this.copy() }, "Copy link"),
        make("button", { type: "button", "aria-label": "Help and keys", onclick: () => this.help.showModal() }, "?")), this.help);
  }

  update() {
    const { route, run } = this.page;
    this.tables.value = route.page === "table" ? route.table : "";
    if (this.texts) this.texts.href = href({ ...start(), page: "text", text: run.texts[0].id, table: route.table });
    say(this.said, "");
  }

  async copy() {
    say(this.said, await copied(location.href) ? "copied" : "copy failed");
  }
}

const KEYS = [["j, →, ↓", "next feature of the list"], ["k, ←, ↑", "previous feature"], ["/", "search"], ["?", "this help"],
  ["Esc", "leave: field, card, table"]];

/** @returns {HTMLDialogElement} */
function help() {
  const dialog = make("dialog", { class: "find-help", "aria-labelledby": "help-title" },
    make("h2", { id: "help-title" }, "Keys"),
    make("dl", {}, ...KEYS.flatMap(([keys, what]) => [make("dt", {}, ...keys.split(", ").map((key) => make("kbd", {}, key))), make("dd", {}, what)])),
    make("p", {}, "↑ and ↓ scroll while the focus is in the card."),
    make("h2", {}, "Search"),
    make("p", {}, "Text looks through the windows of all examples; with .* the query is a regular expression, where \\n is the end of a line. ",
      "Token finds the features that fire on a token, promote or suppress it."),
    make("h2", {}, "Links"), make("p", {}, "The address holds everything that is chosen: copy it, and whoever opens it sees the same."),
    make("form", { method: "dialog" }, make("button", {}, "Close")));
  return dialog;
}

/** @param {Page} page @param {Header} header */
function listen(page, header) {
  let stepped = 0;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || header.help.open) return;
    const focused = document.activeElement;
    if (focused instanceof HTMLElement && (focused.isContentEditable || focused.matches("input:not([type=checkbox]), select, textarea"))) {
      if (event.key !== "Escape") return;
      event.preventDefault(); // a search field would empty itself
      focused.blur();
      return;
    }
    const by = stepOf(event.key, focused);
    if (by && tableView && page.route.page === "table") {
      event.preventDefault();
      if (event.repeat && event.timeStamp - stepped < HOLD) return;
      stepped = event.timeStamp;
      tableView.step(by);
    } else if (event.key === "/" && document.getElementById("query")) {
      event.preventDefault();
      const field = /** @type {HTMLInputElement} */ (byId("query"));
      const enter = () => { field.focus(); field.select(); };
      if (page.route.feature !== null && !byId("list").offsetParent) {
        page.go({ feature: null });
        setTimeout(enter); // a hidden field takes no focus
      } else enter(); // at once, or letters typed right after would be lost
    } else if (event.key === "?") header.help.showModal();
    else if (event.key === "Escape") leave(page);
  });
}

/** @param {string} key @param {Element | null} focused */
function stepOf(key, focused) {
  if (key === "j" || key === "ArrowRight") return 1;
  if (key === "k" || key === "ArrowLeft") return -1;
  if (focused?.closest(".find-card, .run-box")) return 0; // there the arrows scroll
  return key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0;
}

/** One step out: from a card to its list, from there to the run index. @param {Page} page */
function leave(page) {
  const { route } = page;
  if (route.page === "table" && route.feature !== null) page.go({ feature: null });
  else if (route.page === "text" && route.table) location.hash = `#/${route.table}`;
  else if (route.page !== "run") location.hash = "#/";
}

addEventListener("unhandledrejection", (event) => main.prepend(complaint(event.reason)));
addEventListener("error", ({ message }) => { // ResizeObserver's is a notice; a broken shard is told of by load, to whoever asked for it
  if (!message.startsWith("ResizeObserver") && !waiting.size) main.prepend(complaint(message));
});
begin().catch((error) => byId("app").replaceChildren(complaint(error)));
