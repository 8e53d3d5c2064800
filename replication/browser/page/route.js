// The link is the state: everything that is chosen on the page stands in the part after #, and only what is allowed there is read back.
"use strict";

/** @returns {Route} */
const start = () => ({
  page: "run", table: "", feature: null, text: "", token: null, order: "index", descending: true, seed: 1, query: "", mode: "text", regex: false,
  caseSensitive: false, aspect: "fires", parts: "uo", single: "", density: [null, null], score: [null, null], cluster: null, panel: "", select: null, scroll: 0, by: "activation",
});

const ORDERS = /** @type {Order[]} */ (["index", "random", "max", "density", "hits", "score", "logit_score", "universality"]);
const MODES = /** @type {Mode[]} */ (["text", "token", "explanation"]);

/** The route of a link's hash. Throws an error with a sentence for people when it names something that the run does not have.
 *  @param {string} hash @param {Run} run @returns {Route} */
function parse(hash, run) {
  const [path, ...rest] = hash.replace(/^#?\/?/, "").split("?");
  const route = start();
  const query = new URLSearchParams(rest.join("?"));
  readQuery(route, query, run);
  const parts = path.split("/").filter(Boolean);
  if (!parts.length) return route;
  if (parts[0] === "text") {
    if (!run.texts.some((text) => text.id === parts[1]) || parts.length !== 2) throw new Error("There is no such text in this run.");
    const feature = whole(query.get("feature")), shaded = run.tables.find((table) => table.name === route.table);
    return { ...route, page: "text", text: parts[1], feature: feature !== null && shaded && feature < shaded.features ? feature : null };
  }
  const entry = run.tables.find((table) => table.name === parts.slice(0, 2).join("/"));
  if (!entry || parts.length > 3) throw new Error(`There is no such table; this run has ${run.tables.map((table) => table.name).join(", ")}.`);
  if (parts.length === 2) return { ...route, page: "table", table: entry.name };
  const feature = whole(parts[2]);
  if (feature === null || feature >= entry.features) throw new Error(`${entry.name} has no such ${entry.kind === "neurons" ? "neuron" : "feature"}; they go from 0 to ${entry.features - 1}.`);
  return { ...route, page: "table", table: entry.name, feature };
}

/** @param {Route} route @param {URLSearchParams} query @param {Run} run */
function readQuery(route, query, run) {
  const table = query.get("table");
  if (table && run.tables.some((one) => one.name === table)) route.table = table;
  route.order = among(query.get("order"), ORDERS, route.order);
  route.descending = query.get("direction") !== "up";
  route.seed = whole(query.get("seed")) ?? route.seed;
  route.query = (query.get("q") || "").slice(0, 500);
  route.mode = among(query.get("mode"), MODES, route.mode);
  route.regex = query.has("regex");
  route.caseSensitive = query.has("case");
  route.aspect = among(query.get("aspect"), /** @type {Route["aspect"][]} */ (["fires", "promotes", "suppresses"]), route.aspect);
  if (/^[duo]{1,3}$/.test(query.get("parts") || "")) route.parts = /** @type {string} */ (query.get("parts"));
  route.single = among(query.get("single"), /** @type {Route["single"][]} */ (["yes", "no"]), "");
  route.density = range(query.get("density"));
  route.score = range(query.get("score"));
  route.cluster = whole(query.get("cluster"));
  route.panel = among(query.get("panel"), /** @type {Panel[]} */ (["density", "map"]), "");
  const box = (query.get("select") || "").split(",").map(real);
  if (box.length === 4 && box.every((value) => value !== null)) route.select = /** @type {Route["select"]} */ (box);
  route.scroll = whole(query.get("scroll")) ?? 0;
  route.token = whole(query.get("token"));
  route.by = among(query.get("by"), /** @type {TextOrder[]} */ (["activation", "effect", "share"]), route.by);
}

/** The hash of a route: what `parse` reads back. @param {Route} route @returns {string} */
function href(route) {
  const query = new URLSearchParams();
  const usual = start();
  /** @param {string} name @param {unknown} value @param {unknown} [plain] */
  const put = (name, value, plain) => { if (value !== plain && value !== null) query.set(name, String(value)); };
  put("table", route.page === "text" ? route.table : "", "");
  put("order", route.order, usual.order);
  put("direction", route.descending ? "down" : "up", "down");
  put("seed", route.seed, usual.seed);
  put("q", route.query, "");
  put("mode", route.mode, usual.mode);
  if (route.regex) query.set("regex", "");
  if (route.caseSensitive) query.set("case", "");
  put("aspect", route.aspect, usual.aspect);
  put("parts", route.parts, usual.parts);
  put("single", route.single, "");
  put("density", bounds(route.density), ":");
  put("score", bounds(route.score), ":");
  put("cluster", route.cluster);
  put("panel", route.panel, "");
  put("select", route.select ? route.select.map((value) => Number(value.toPrecision(5))).join(",") : null);
  put("scroll", route.scroll, 0);
  put("feature", route.page === "text" ? route.feature : null);
  put("token", route.token);
  put("by", route.by, usual.by);
  const path = route.page === "run" ? "" : route.page === "text" ? `text/${route.text}` : route.feature === null ? route.table : `${route.table}/${route.feature}`;
  const search = query.toString();
  return `#/${path}${search ? `?${search}` : ""}`;
}

/** The plain link of a feature, without search and filters. @param {string} table @param {number} feature */
const featureLink = (table, feature) => `#/${table}/${feature}`;

/** @param {string | null} text @returns {number | null} */
const whole = (text) => (text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null);

/** @param {string} text @returns {number | null} */
const real = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : null);

/** @template T @param {string | null} value @param {T[]} allowed @param {T} plain @returns {T} */
const among = (value, allowed, plain) => allowed.find((one) => one === value) ?? plain;

/** @param {string | null} text @returns {[number | null, number | null]} */
function range(text) {
  const [low = "", high = ""] = (text || "").split(":");
  return [real(low), real(high)];
}

/** @param {[number | null, number | null]} both */
const bounds = ([low, high]) => `${low ?? ""}:${high ?? ""}`;
