// Searches apart from the page, which stays quick meanwhile: it is sent token texts once and pieces of text as they are loaded, keeps them,
// and scans every piece for the newest query, one piece at a time so that a newer query can overtake.
"use strict";

/** @typedef {{ what: "windows", first: number, last: number, ids: Uint16Array | Uint32Array } | ExplanationsPiece} Piece */

const CONTAINS = 1, ENDS = 2, BEGINS = 4, INSIDE = 8;
const MOST_TOKENS = 1000;

let texts = /** @type {string[]} */ ([]);
let foldedTexts = /** @type {string[]} */ ([]);
let wide = false;
const pieces = /** @type {Piece[]} */ ([]);
let asked = /** @type {Asked | null} */ (null);
let test = /** @type {(text: string) => boolean} */ (() => false);
let flags = new Uint8Array(0);
let next = 0; // the first piece that the newest query has not seen
let marking = /** @type {number | null} */ (null);
let busy = false;

const turn = new MessageChannel(); // a timer would wait four milliseconds after each piece
turn.port1.onmessage = step;

/** @param {MessageEvent<ToWorker>} event */
self.onmessage = ({ data }) => {
  if ("vocabulary" in data) {
    texts = data.vocabulary;
    foldedTexts = texts.map(folded);
    wide = data.wide;
    return;
  }
  if ("piece" in data) pieces.push(data.piece.what === "windows" ? decoded(data.piece) : data.piece);
  else if ("asked" in data) begin(data.asked);
  else if (data.id === asked?.id) marking = data.mark;
  if (!busy) {
    busy = true;
    turn.port2.postMessage(0);
  }
};

/** @param {WindowsPiece} piece @returns {Piece} */
function decoded({ first, tokens }) {
  const ids = wide ? new Uint32Array(tokens) : new Uint16Array(tokens);
  let last = first - 1;
  for (const id of ids) if (id === texts.length + 1) last++;
  return { what: "windows", first, last, ids };
}

/** @param {Asked} query */
function begin(query) {
  asked = query;
  test = compiled(query);
  next = 0;
  marking = null;
  flags = query.what === "windows" && !query.regex ? tokenFlags(query) : new Uint8Array(0);
}

/** One piece of work, then a turn for messages. */
function step() {
  busy = false;
  if (!asked) return;
  if (asked.what === "tokens") {
    if (next++ === 0) answer(tokensThatMatch(asked));
    return;
  }
  if (marking !== null && mark(marking)) marking = null;
  while (next < pieces.length && pieces[next].what !== asked.what) next++;
  if (next >= pieces.length) return;
  answer(scan(pieces[next++], asked.id));
  busy = true;
  turn.port2.postMessage(0);
}

/** @param {FromWorker} message */
function answer(message) {
  self.postMessage(message);
}

/** What each token can have to do with a plain query: hold it whole, end with a beginning of it, begin with an end of it, lie inside it.
 *  @param {Asked} query */
function tokenFlags({ query, caseSensitive }) {
  const wanted = caseSensitive ? query : folded(query);
  const starts = Array.from({ length: wanted.length - 1 }, (_, n) => wanted.slice(0, n + 1));
  const ends = Array.from({ length: wanted.length - 1 }, (_, n) => wanted.slice(n + 1));
  return Uint8Array.from(caseSensitive ? texts : foldedTexts, (text) => (text.includes(wanted) ? CONTAINS : 0)
    | (starts.some((part) => text.endsWith(part)) ? ENDS : 0)
    | (ends.some((part) => text.startsWith(part)) ? BEGINS : 0) | (wanted.includes(text) ? INSIDE : 0));
}

/** Hits of each feature in a piece. @param {Piece} piece @param {number} id @returns {FromWorker} */
function scan(piece, id) {
  const counts = /** @type {Map<number, number>} */ (new Map());
  if (piece.what === "explanations") {
    for (const [feature, , text] of piece.rows) if (test(text)) counts.set(feature, (counts.get(feature) || 0) + 1);
  } else windows(piece, (feature, from, to) => { if (matches(piece.ids, from, to)) counts.set(feature, (counts.get(feature) || 0) + 1); });
  return { id, features: Uint32Array.from(counts.keys()), counts: Uint32Array.from(counts.values()) };
}

/** Every window of a piece. @param {Piece & { what: "windows" }} piece @param {(feature: number, from: number, to: number) => void} visit */
function windows({ first, ids }, visit) {
  const end = texts.length;
  let feature = first, from = 0;
  for (let at = 0; at < ids.length; at++) {
    if (ids[at] < end) continue;
    if (ids[at] === end) visit(feature, from, at); else feature++;
    from = at + 1;
  }
}

/** Whether a window matches; a plain query joins only tokens that can hold it together.
 *  @param {Uint16Array | Uint32Array} ids @param {number} from @param {number} to */
function matches(ids, from, to) {
  if (flags.length) {
    let open = false, possible = false;
    for (let at = from; at < to; at++) {
      const flag = flags[ids[at]];
      if (flag & CONTAINS) return true;
      if (open && flag & BEGINS) possible = true;
      open = Boolean(flag & ENDS) || (open && Boolean(flag & INSIDE));
    }
    if (!possible) return false;
  }
  return test(joined(ids, from, to));
}

/** @param {Uint16Array | Uint32Array} ids @param {number} from @param {number} to */
function joined(ids, from, to) {
  let text = "";
  for (let at = from; at < to; at++) text += texts[ids[at]];
  return text;
}

/** Answers which windows of a feature match, once its piece is here. @param {number} wanted */
function mark(wanted) {
  const piece = pieces.findLast((one) => one.what === "windows" && one.first <= wanted && wanted <= one.last);
  if (!piece || piece.what !== "windows" || !asked) return false;
  const found = /** @type {string[]} */ ([]);
  windows(piece, (feature, from, to) => { if (feature === wanted && matches(piece.ids, from, to)) found.push(joined(piece.ids, from, to)); });
  answer({ id: asked.id, marked: wanted, texts: found });
  return true;
}

/** The tokens that match: those that are the query first, then by length. @param {Asked} query @returns {FromWorker} */
function tokensThatMatch({ id, query, regex, caseSensitive }) {
  const found = [];
  for (let k = 0; k < texts.length; k++) if (test(texts[k])) found.push(k);
  const same = caseSensitive ? (/** @type {number} */ k) => texts[k] === query : (/** @type {number} */ k) => foldedTexts[k] === folded(query);
  /** @param {number} k */
  const rank = (k) => (regex ? 3 : texts[k] === query ? 0 : same(k) ? 1 : 2);
  found.sort((a, b) => rank(a) - rank(b) || texts[a].length - texts[b].length || a - b);
  return { id, tokens: found.slice(0, MOST_TOKENS), count: found.length };
}
