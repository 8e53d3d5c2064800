// Shards are classic scripts that call `shard(path, value)`: scripts load from disk, where fetch and modules do not.
"use strict";

const KEPT = 48; // shards that are remembered
const waiting = /** @type {Map<string, (value: any) => void>} */ (new Map());
const loaded = /** @type {Map<string, Promise<any>>} */ (new Map());

window.shard = (path, value) => {
  const resolve = waiting.get(path);
  waiting.delete(path);
  if (resolve) resolve(value);
};

/** The value of a shard, such as `A/1/cards/0`; rejects with a sentence for people when its file is missing or broken.
 *  @param {string} path @param {string} [address] @returns {Promise<any>} */
function load(path, address = `data/${path}.js`) {
  const known = loaded.get(path);
  if (known) {
    loaded.delete(path);
    loaded.set(path, known);
    return known;
  }
  const promise = new Promise((resolve, reject) => {
    waiting.set(path, resolve);
    const script = document.createElement("script");
    const refuse = () => {
      script.remove();
      if (!waiting.delete(path)) return;
      loaded.delete(path);
      reject(new Error(`${address} is missing or broken; make the browser again with snakemake --cores all`));
    };
    script.src = address;
    script.onerror = refuse;
    script.onload = refuse; // a script that ran and registered is no longer waited for
    document.head.append(script);
  });
  loaded.set(path, promise);
  for (const one of loaded.size > KEPT ? [...loaded.keys()] : []) { // one that is still on its way is not forgotten: its script would be asked for twice
    if (loaded.size > KEPT && !waiting.has(one)) loaded.delete(one);
  }
  return promise;
}

/** Let go of a shard that somebody else keeps. @param {string} path */
function forget(path) {
  if (!waiting.has(path)) loaded.delete(path);
}

/** @param {Base64} text @returns {ArrayBuffer} */
function bytes(text) {
  const binary = atob(text);
  const found = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) found[i] = binary.charCodeAt(i);
  return found.buffer;
}

/** @param {Base64} text */
const floats = (text) => new Float32Array(bytes(text));

/** Token ids, two or four bytes each. @param {Base64} text @param {Run} run @returns {Uint16Array | Uint32Array} */
const ids = (text, run) => (run.vocabulary.bytes === 2 ? new Uint16Array(bytes(text)) : new Uint32Array(bytes(text)));

/** The run index. @returns {Promise<Run>} */
const loadRun = () => load("run", "run.js");

/** All token texts, by id. @param {Run} run @returns {Promise<string[]>} */
async function loadVocabulary(run) {
  const shards = await Promise.all(Array.from({ length: run.vocabulary.shards }, (_, k) => load(`vocabulary/${k}`)));
  return shards.flat();
}

/** @param {Run} run @param {TableEntry} entry @returns {Promise<Index>} */
async function loadIndex(run, entry) {
  const shard = /** @type {IndexShard} */ (await load(`${entry.name}/index`));
  return {
    entry,
    density: floats(shard.density), max: floats(shard.max), bias: floats(shard.bias), spearman: floats(shard.spearman),
    logit_score: floats(shard.logit_score), universality: floats(shard.universality), x: floats(shard.x), y: floats(shard.y),
    cluster: new Int16Array(bytes(shard.cluster)), part: new Uint8Array(bytes(shard.part)), single_token: new Uint8Array(bytes(shard.single_token)),
    fires: ids(shard.fires, run), up: ids(shard.up, run),
  };
}

/** The shard that holds a number, where `firsts` has the first number of each. @param {number[]} firsts @param {number} wanted */
function shardOf(firsts, wanted) {
  let low = 0, high = firsts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (firsts[middle] <= wanted) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** @param {TableEntry} entry @param {number} feature @returns {Promise<Card>} */
async function loadCard(entry, feature) {
  const k = shardOf(entry.cards, feature);
  const cards = /** @type {CardsShard} */ (await load(`${entry.name}/cards/${k}`));
  const card = cards.find((one) => one.feature === feature);
  if (!card) throw new Error(`data/${entry.name}/cards/${k}.js lacks feature ${feature}; make the browser again with snakemake --cores all`);
  return card;
}
