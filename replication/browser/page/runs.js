// The run index: every dictionary of the run, what made it, and what else there is to read.
"use strict";

/** @typedef {{ title: string, value: (row: Dictionary) => string | number | null, explained: string }} RunColumn */

const RUN_COLUMNS = /** @type {RunColumn[]} */ ([
  { title: "table", value: (row) => row.name, explained: "tables with cards are links" },
  { title: "size", value: (row) => row.d_sae, explained: "features, or neurons" },
  { title: "l1 mean", value: (row) => row.l1, explained: "coefficient of the L1 penalty where the squared error is averaged over elements" },
  { title: "l1 summed", value: (row) => row.l1_summed, explained: "the same where the squared error is summed over elements" },
  { title: "L0", value: (row) => row.l0, explained: "features active on a token, on average" },
  { title: "recovered", value: (row) => row.recovered, explained: "share of the model's loss that is recovered" },
  { title: "dead", value: (row) => row.dead, explained: "features that are never active" },
  { title: "ultralow", value: (row) => row.ultralow, explained: "features of the ultralow density cluster" },
  { title: "vectors", value: (row) => row.vectors, explained: "activation vectors it was trained on" },
  { title: "seed", value: (row) => row.seed, explained: "seed of its initialisation" },
  { title: "commit", value: (row) => row.commit, explained: "source that made it" },
  { title: "config", value: (row) => row.config, explained: "hash of its settings" },
]);

let runsSorted = { column: 0, falling: false };

/** @param {HTMLElement} host @param {Page} page */
function drawRuns(host, page) {
  const { run } = page;
  const rows = [...run.dictionaries, ...run.tables.filter(({ name }) => !run.dictionaries.some((row) => row.name === name)).map(tableRow)];
  const box = make("div", { class: "run-box", role: "region", "aria-label": "Dictionaries", tabindex: 0 });
  const fill = () => box.replaceChildren(dictionaries(run, rows, (column) => {
    runsSorted = { column, falling: runsSorted.column === column ? !runsSorted.falling : column > 0 };
    fill();
    box.querySelectorAll("button")[column].focus();
  }));
  fill();
  host.replaceChildren(make("div", { class: "run" }, make("h1", {}, run.run),
    run.links.length > 0 && make("p", { class: "run-links" }, ...runLinks(run)),
    make("h2", {}, "Dictionaries"), box,
    run.texts.length > 0 && make("h2", {}, "Texts"),
    run.texts.length > 0 && make("ul", { class: "run-texts" }, ...run.texts.map(({ id, title }) => make("li", {}, make("a", { href: `#/text/${id}` }, title)))),
    make("h2", {}, "Made from"),
    make("dl", { class: "run-facts" }, ...Object.entries(run.facts).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]))));
}

/** Links to the report and the ledger. @param {Run} run */
const runLinks = (run) => run.links.filter(([, address]) => harmless(address)).map(([label, address]) => make("a", { href: address }, label));

/** Whether an address is one that a browser opens without running it. @param {string} address */
function harmless(address) {
  try {
    return ["http:", "https:", "file:"].includes(new URL(address, location.href).protocol);
  } catch {
    return false;
  }
}

/** A table that no dictionary is behind: neurons. @param {TableEntry} entry @returns {Dictionary} */
function tableRow({ name, features }) {
  return { name, table: true, d_sae: features, l1: null, l1_summed: null, l0: null, recovered: null, dead: null, ultralow: null, seed: null, commit: null,
    config: null, vectors: null, shuffled: false };
}

/** @param {Run} run @param {Dictionary[]} all @param {(column: number) => void} sort */
function dictionaries(run, all, sort) {
  const { column, falling } = runsSorted;
  const rows = [...all].sort((a, b) => compared(RUN_COLUMNS[column].value(a), RUN_COLUMNS[column].value(b), falling));
  return make("table", { class: "run-table" },
    make("thead", {}, make("tr", {}, ...RUN_COLUMNS.map(({ title, explained }, k) => make("th",
      { scope: "col", title: explained, "aria-sort": k === column ? (falling ? "descending" : "ascending") : null },
      sortButton(title, k === column, falling, () => sort(k)))))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...RUN_COLUMNS.map(({ value }, k) => (k === 0 ? nameCell(run, row) : valueCell(value(row))))))));
}

/** @param {Run} run @param {Dictionary} row */
function nameCell(run, row) {
  const neurons = run.tables.some((table) => table.name === row.name && table.kind === "neurons");
  return make("th", { scope: "row" }, row.table ? make("a", { href: `#/${row.name}` }, row.name) : row.name,
    neurons && make("span", { class: "run-mark" }, "neurons"),
    row.shuffled && make("span", { class: "run-mark" }, "shuffled"));
}

/** @param {string | number | null} value */
function valueCell(value) {
  if (typeof value === "string") return make("td", { class: "run-hash" }, value.slice(0, 12));
  return make("td", {}, value !== null && Number.isInteger(value) ? value.toLocaleString("en") : numeral(value));
}

/** What is not known comes last. @param {string | number | null} a @param {string | number | null} b @param {boolean} falling */
function compared(a, b, falling) {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const difference = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return falling ? -difference : difference;
}
