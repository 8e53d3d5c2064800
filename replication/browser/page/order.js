// Orders and filters of a table's features, over typed arrays.
"use strict";

const SLOTS = 2 ** 20; // more than any table has features: value and feature share one number, exactly
const LARGEST = 2 ** 32;

/** The values that an order goes by, null where it has none.
 *  @param {Index} index @param {Order} order @param {Float32Array | null} hits @returns {Float32Array | null} */
function orderValues(index, order, hits) {
  if (order === "index" || order === "random") return null;
  if (order === "hits") return hits;
  return order === "score" ? index.spearman : index[order];
}

/** All features of a table in the order of a route; unknown values come last whichever the direction, equal ones by number.
 *  @param {Index} index @param {Pick<Route, "order" | "descending" | "seed">} route @param {Float32Array | null} hits @returns {Uint32Array} */
function ordered(index, route, hits) {
  const count = index.density.length;
  if (route.order === "random") return shuffled(count, route.seed);
  const values = orderValues(index, route.order, hits);
  if (!values) {
    const plain = upTo(count);
    return route.order === "index" && !route.descending ? plain.reverse() : plain;
  }
  // The bits of a float, with the sign turned, sort as numbers do; a typed array without a comparison sorts ten times as fast as one with.
  const numbers = new Float32Array(count), bits = new Uint32Array(numbers.buffer), keys = new Float64Array(count), order = new Uint32Array(count);
  for (let k = 0; k < count; k++) {
    numbers[k] = values[k] + 0; // no zero below zero
    const rising = bits[k] >>> 31 ? LARGEST - 1 - bits[k] : bits[k] + LARGEST / 2;
    const key = Number.isNaN(numbers[k]) ? LARGEST : route.descending ? LARGEST - 1 - rising : rising;
    keys[k] = key * SLOTS + k;
  }
  keys.sort();
  for (let k = 0; k < count; k++) order[k] = keys[k] % SLOTS;
  return order;
}

/** 0, 1, 2, ... @param {number} count */
function upTo(count) {
  const numbers = new Uint32Array(count);
  for (let k = 0; k < count; k++) numbers[k] = k;
  return numbers;
}

/** The same shuffle for the same seed, everywhere. @param {number} count @param {number} seed */
function shuffled(count, seed) {
  const order = upTo(count);
  let state = seed >>> 0;
  for (let k = count - 1; k > 0; k--) {
    state = (state + 0x6d2b79f5) >>> 0; // mulberry32
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const other = Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / LARGEST) * (k + 1));
    [order[k], order[other]] = [order[other], order[k]];
  }
  return order;
}

/** The features of an order that pass a route's filters and search.
 *  @param {Uint32Array} order @param {Index} index @param {Route} route @param {Float32Array | null} hits */
function listed(order, index, route, hits) {
  const parts = ["d", "u", "o"].map((letter) => route.parts.includes(letter));
  const tests = /** @type {((feature: number) => boolean)[]} */ ([]);
  if (parts.includes(false)) tests.push((k) => parts[index.part[k]]);
  if (hits) tests.push((k) => hits[k] === hits[k]);
  if (route.single) tests.push((k) => Boolean(index.single_token[k]) === (route.single === "yes"));
  if (route.cluster !== null) tests.push((k) => index.cluster[k] === route.cluster);
  between(tests, index.density, route.density);
  between(tests, index.spearman, route.score);
  if (route.panel && route.select) {
    const [x0, y0, x1, y1] = route.select;
    const { x, y } = points(index, route.panel);
    tests.push((k) => x[k] >= x0 && x[k] <= x1 && y[k] >= y0 && y[k] <= y1);
  }
  if (!tests.length) return order;
  const left = order.slice(); // the typed array's own filter takes three times as long
  let count = left.length;
  for (const passes of tests) {
    let kept = 0;
    for (let at = 0; at < count; at++) if (passes(left[at])) left[kept++] = left[at];
    count = kept;
  }
  return left.subarray(0, count);
}

/** @param {((feature: number) => boolean)[]} tests @param {Float32Array} values @param {[number | null, number | null]} range */
function between(tests, values, [low, high]) {
  if (low !== null) tests.push((k) => values[k] >= low);
  if (high !== null) tests.push((k) => values[k] <= high);
}

/** How many filters are set, search apart. @param {Route} route */
function filtersSet(route) {
  const usual = start();
  /** @param {[number | null, number | null]} range */
  const limits = (range) => range.some((end) => end !== null);
  return [limits(route.density), limits(route.score), route.parts !== usual.parts, route.single !== "", route.cluster !== null,
    route.panel && route.select].filter(Boolean).length;
}

const places = /** @type {WeakMap<Index, Record<string, { x: Float32Array, y: Float32Array }>>} */ (new WeakMap());

/** Where features lie on a scatter: the logarithm of density and the bias, or the map. @param {Index} index @param {Panel} panel */
function points(index, panel) {
  const known = places.get(index) || {};
  places.set(index, known);
  known[panel] ??= panel === "map" ? { x: index.x, y: index.y } : { x: index.density.map((value) => (value > 0 ? Math.log10(value) : NaN)), y: index.bias };
  return known[panel];
}
