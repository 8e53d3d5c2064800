// What an explanation predicted beside what the feature did, token by token, in levels from 0 to 9.
"use strict";

const INTERVAL = /^interval (\d+)$/;

/** @param {Page} page @param {TableEntry} entry @param {number} feature @returns {Promise<HTMLElement>} */
async function drawPredictions(page, entry, feature) {
  const shard = /** @type {PredictionsShard} */ (await load(`${entry.name}/predictions/${shardOf(entry.predictions, feature)}`));
  const found = shard.find((one) => one.feature === feature);
  if (!found) return make("p", {}, "No explanation of this one was tested.");
  const groups = /** @type {Map<string, PredictionsShard[0]["windows"]>} */ (new Map());
  for (const window of found.windows) groups.set(window[0], [...(groups.get(window[0]) ?? []), window]);
  return make("div", { class: "card-predictions" },
    make("p", { class: "card-note" }, "Each token has its true level from 0 to 9 of the maximum first, then the level that each explanation predicts for it."),
    ...[...groups].sort(([a], [b]) => predictionRank(a) - predictionRank(b)).map(([name, windows]) => make("section", {}, make("h3", {}, predictionGroup(name)),
      make("div", { class: "card-tested" }, ...windows.map((window) => predictionWindow(page, window))))));
}

/** Where a group stands: from strong to weak, then those drawn from anywhere. @param {string} name */
function predictionRank(name) {
  const interval = INTERVAL.exec(name);
  return interval ? Number(interval[1]) + 1 : ["top", ...Array(EXAMPLES.intervals).fill(""), "bottom", "random"].indexOf(name) >>> 0;
}

/** The heading of a group of tested windows. @param {string} name as in the data: top, interval 0, ..., bottom, random, out of context */
function predictionGroup(name) {
  const interval = INTERVAL.exec(name);
  return interval ? groupName(Number(interval[1]) + 1) : name.charAt(0).toUpperCase() + name.slice(1);
}

/** @param {Page} page @param {PredictionsShard[0]["windows"][0]} window */
function predictionWindow(page, [, start, tokens, levels, predicted]) {
  const rows = /** @type {[string, number[]][]} */ ([["true", levels], ...Object.entries(predicted)]);
  return make("div", { class: "card-levels" },
    make("span", { class: "card-level card-level-names" }, make("span", {}, "\u00a0"), ...rows.map(([name]) => make("span", {}, name))),
    ...tokens.map((id, i) => make("span", { class: "card-level" },
      token(textOf(page, id), { class: start + i ? "token" : "token card-own" }),
      ...rows.map(([, given]) => {
        const level = make("span", { class: given[i] ? "card-digit" : "card-digit card-zero" }, given[i]);
        shade(level, given[i] / 9);
        return level;
      }))));
}
