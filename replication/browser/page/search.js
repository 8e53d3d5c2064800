// Search: what is asked, the worker that scans, and what was found so far.
"use strict";

const AT_ONCE = 6; // shards that are loaded side by side
const PATIENCE = 4000; // milliseconds after which a worker that says nothing is ended
const STUCK = 400; // the same when a newer query waits
const TOKENS = 50; // tokens whose features are listed together
const CHIPS = 12; // tokens that are offered

/** What a query has found. `hits` is by feature, NaN where there are none: windows, explanations, or the strength on a token; `tokens` are those that match,
 *  the chosen ones first; `broken` says that the error is a file's.
 *  @typedef {{ key: string, hits: Float32Array, total: number, features: number, have: number, all: number, done: boolean, error: string, broken: boolean,
 *    tokens: number[], chosen: number, matching: number }} Found */

let marks = { key: "", feature: -1, texts: /** @type {Set<string>} */ (new Set()) };

/** What of a route asks for a search. @param {Route} route */
const searchKey = (route) => JSON.stringify([route.table, route.mode, route.query, route.regex, route.caseSensitive, route.mode === "token" && route.aspect]);

/** Whether the text of a window matches the text query, null without one. Regular expressions can take forever, so that only the worker tries them: for them
 *  this looks up what it said of the open feature.
 *  @param {Route} route @returns {((text: string) => boolean) | null} */
function matcher(route) {
  if (!route.query || route.mode !== "text") return null;
  if (!route.regex) return compiled(route);
  const { texts } = marks;
  return marks.key === searchKey(route) && marks.feature === route.feature ? (text) => texts.has(text) : null;
}

/** The search of one table. */
class Search {
  /** @param {Page} page @param {Index} index
   *  @param {(marked: boolean) => void} changed called when more was found, `marked` when the windows of the open feature were */
  constructor(page, index, changed) {
    this.page = page;
    this.index = index;
    this.changed = changed;
    this.found = /** @type {Found | null} */ (null);
    this.worker = /** @type {Worker | null} */ (null);
    this.id = 0;
    this.what = /** @type {Asked["what"]} */ ("windows"); // what the newest query goes through
    this.sent = { windows: 0, explanations: 0, tokens: 0 };
    this.marking = ""; // for which query and feature marks were asked
    this.pending = 0;
    this.heard = 0;
    this.feeding = new Set();
    this.watch = setInterval(() => this.check(PATIENCE, "This search takes too long and was stopped; a simpler regular expression may do."), 500);
  }

  close() {
    clearInterval(this.watch);
    this.end();
  }

  end() {
    this.worker?.terminate();
    this.worker = null;
    this.pending = 0;
    this.feeding.clear();
    this.sent = { windows: 0, explanations: 0, tokens: 0 };
  }

  /** Search for what a route asks, if that is new. @param {Route} route */
  ask(route) {
    const key = searchKey(route);
    if (!route.query) this.found = null;
    if (!route.query || this.found?.key === key) return;
    this.check(STUCK, "");
    const { entry } = this.index;
    const what = this.what = route.mode === "text" ? "windows" : route.mode === "token" ? "tokens" : "explanations";
    const all = what === "windows" ? entry.windows.length : what === "tokens" ? 1 : entry.explanations;
    this.found = { key, hits: new Float32Array(entry.features).fill(NaN), total: 0, features: 0, have: 0, all, done: all === 0, error: "", broken: false,
      tokens: [], chosen: 0, matching: 0 };
    try {
      compiled(route);
    } catch (error) {
      this.found.error = /** @type {Error} */ (error).message;
      this.found.done = true;
      return;
    }
    this.start();
    this.id++;
    this.pending = what === "tokens" ? 1 : this.sent[what];
    this.heard = performance.now();
    this.post({ asked: { id: this.id, what, query: route.query, regex: route.regex, caseSensitive: route.caseSensitive } });
    if (what !== "tokens") this.feed(what, route);
  }

  /** Ask which windows of the open feature match. @param {Route} route */
  mark(route) {
    if (!route.query || route.mode !== "text" || !route.regex || route.feature === null || this.found?.error || !this.worker) return;
    const asked = `${this.id} ${route.feature}`;
    if (this.marking === asked) return;
    this.marking = asked;
    this.post({ mark: route.feature, id: this.id });
  }

  start() {
    if (this.worker) return;
    const address = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
    this.worker = new Worker(address);
    URL.revokeObjectURL(address);
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.post({ vocabulary: this.page.vocabulary, wide: this.page.run.vocabulary.bytes === 4 });
  }

  /** @param {ToWorker} message @param {Transferable[]} [moved] */
  post(message, moved = []) {
    this.worker?.postMessage(message, moved);
  }

  /** End a worker that is busy and silent. @param {number} limit @param {string} sentence */
  check(limit, sentence) {
    if (!this.worker || this.pending <= 0 || performance.now() - this.heard < limit) return;
    this.end();
    if (!this.found || !sentence) return;
    this.found.error = sentence;
    this.found.done = true;
    this.changed(false);
  }

  /** Load the shards of a table and send them on, those of the open feature first. @param {"windows" | "explanations"} what @param {Route} route */
  async feed(what, route) {
    if (this.feeding.has(what)) return;
    this.feeding.add(what);
    const { worker } = this;
    const { entry } = this.index;
    const count = what === "windows" ? entry.windows.length : entry.explanations;
    const first = what === "windows" && route.feature !== null ? Math.max(0, shardOf(entry.windows, route.feature)) : 0;
    const order = Array.from({ length: count }, (_, k) => (k === 0 ? first : k <= first ? k - 1 : k));
    const take = async () => {
      for (let k = order.shift(); k !== undefined && this.worker === worker; k = order.shift()) {
        const path = `${entry.name}/${what}/${k}`;
        const shard = await load(path);
        forget(path); // the worker keeps it
        if (this.worker !== worker) return;
        if (this.pending === 0) this.heard = performance.now();
        this.sent[what]++;
        if (this.what === what) this.pending++;
        if (what === "explanations") this.post({ piece: { what, k, rows: shard } });
        else {
          const tokens = bytes(shard.tokens);
          this.post({ piece: { what, k, first: shard.first, tokens } }, [tokens]);
        }
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, take));
    } catch (error) {
      if (this.worker !== worker || !this.found) return;
      this.found.broken = true;
      this.found.error = /** @type {Error} */ (error).message;
      this.found.done = true;
      this.changed(false);
    }
  }

  /** @param {FromWorker} message */
  hear(message) {
    const { found } = this;
    this.heard = performance.now();
    if (message.id !== this.id || !found) return;
    if ("marked" in message) {
      marks = { key: found.key, feature: message.marked, texts: new Set(message.texts) };
      this.changed(true);
      return;
    }
    this.pending--;
    found.have++;
    if ("tokens" in message) {
      this.collect(found, message.tokens, message.count);
      return;
    }
    message.features.forEach((feature, k) => {
      if (Number.isNaN(found.hits[feature])) {
        found.hits[feature] = 0;
        found.features++;
      }
      found.hits[feature] += message.counts[k];
      found.total += message.counts[k];
    });
    found.done = found.have >= found.all;
    this.changed(false);
  }

  /** The features of the tokens that match: of the token itself where there is one, else of the shortest that contain it.
   *  @param {Found} found @param {number[]} tokens @param {number} count */
  async collect(found, tokens, count) {
    const { route, vocabulary } = this.page;
    /** @param {string} text */
    const same = (text) => !route.regex && (route.caseSensitive ? text === route.query : folded(text) === folded(route.query));
    const exact = tokens.filter((id) => same(vocabulary[id])).length;
    found.tokens = tokens;
    found.matching = count;
    found.chosen = exact || Math.min(tokens.length, TOKENS);
    try {
      await Promise.all(tokens.slice(0, found.chosen).map((id) => this.add(found, id, route.aspect)));
    } catch (error) {
      found.broken = true;
      found.error = /** @type {Error} */ (error).message;
    }
    found.done = true;
    if (this.found === found) this.changed(false);
  }

  /** Adds the features of one token. @param {Found} found @param {number} id @param {Route["aspect"]} aspect */
  async add(found, id, aspect) {
    const { entry } = this.index;
    const kind = aspect === "fires" ? "fires" : "promotes";
    const k = shardOf(entry[kind], id);
    if (k < 0) return;
    const shard = /** @type {PostingsShard} */ (await load(`${entry.name}/${kind}/${k}`));
    const tokens = new Uint32Array(bytes(shard.tokens));
    const place = shardOf(/** @type {any} */ (tokens), id);
    if (tokens[place] !== id) return;
    const [from, to] = new Uint32Array(bytes(shard.offsets)).subarray(place, place + 2);
    const features = new Uint32Array(bytes(shard.features)).subarray(from, to);
    const strengths = floats(shard.strengths).subarray(from, to);
    features.forEach((feature, at) => {
      const strength = aspect === "suppresses" ? -strengths[at] : strengths[at];
      if (strength <= 0) return;
      if (Number.isNaN(found.hits[feature])) found.features++;
      if (!(found.hits[feature] >= strength)) found.hits[feature] = strength;
    });
  }
}
