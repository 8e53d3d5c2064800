// The small charts of a card: histograms, scores by interval, bars.
"use strict";

const CHART = { width: 340, height: 116, left: 4, right: 4, top: 8, bottom: 20, least: 1.5 };

/** @typedef {{ figure: HTMLElement, mark: (value: number | null) => void }} Chart */

/** A histogram whose bins can be pointed at or walked through with the arrow keys, with its quartiles in words.
 *  @param {Histogram} histogram @param {{ title: string, counted: string, signed?: boolean }} about @returns {Chart} */
function chartHistogram(histogram, { title, counted, signed = false }) {
  const { counts, edges } = histogram;
  const low = edges[0], high = edges[edges.length - 1], largest = Math.max(1, ...counts);
  const floor = CHART.height - CHART.bottom, tall = floor - CHART.top, wide = CHART.width - CHART.left - CHART.right;
  const x = (/** @type {number} */ value) => CHART.left + (high > low ? (value - low) / (high - low) : 0.5) * wide;
  const bars = (/** @type {boolean} */ below) => counts.map((count, k) => {
    if (!count || below !== (signed && edges[k] + edges[k + 1] < 0)) return "";
    const left = x(edges[k]), right = x(edges[k + 1]), gap = right - left > 3 ? 0.5 : 0;
    return `M${(left + gap).toFixed(2)} ${floor}V${(floor - Math.max(CHART.least, (count / largest) * tall)).toFixed(2)}H${(right - gap).toFixed(2)}V${floor}Z`;
  }).join("");
  const line = svg("line", { class: "chart-mark", y1: 0, y2: floor, visibility: "hidden" });
  const busiest = counts.indexOf(Math.max(...counts));
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "group", "aria-label": `${title}, ${counts.length} bins` },
    svg("path", { class: "chart-bars chart-below", d: bars(true) }),
    svg("path", { class: "chart-bars", d: bars(false) }),
    svg("line", { class: "chart-axis", x1: CHART.left, x2: CHART.width - CHART.right, y1: floor, y2: floor }),
    svg("g", { "aria-hidden": "true" }, ...chartTicks(low, high).flatMap((tick) => [
      svg("line", { class: "chart-axis", x1: x(tick), x2: x(tick), y1: floor, y2: floor + 3 }),
      svg("text", { class: "chart-text", x: Math.min(Math.max(x(tick), 10), CHART.width - 10), y: CHART.height - 5 }, numeral(tick)),
    ])),
    svg("g", { role: "list", "aria-label": "bins" }, ...counts.map((count, k) => {
      const range = `${numeral(edges[k])} to ${numeral(edges[k + 1])}: ${count.toLocaleString("en")} ${counted}`;
      return svg("rect", { class: "chart-bin", role: "listitem", tabindex: k === busiest ? 0 : -1, "data-tip": range, "aria-label": range,
        x: x(edges[k]), width: Math.max(0.1, x(edges[k + 1]) - x(edges[k])), y: CHART.top - 4, height: tall + 4 });
    })),
    line);
  return {
    figure: make("figure", { class: "card-figure" }, make("figcaption", {}, make("strong", {}, title), ` ${chartWords(histogram, counted)}`), picture),
    mark: (value) => {
      line.setAttribute("visibility", value === null ? "hidden" : "visible");
      if (value === null) return;
      const at = x(Math.min(Math.max(value, low), high));
      line.setAttribute("x1", String(at));
      line.setAttribute("x2", String(at));
    },
  };
}

/** A histogram in words: how many, and the values that half of them lie between. @param {Histogram} histogram @param {string} counted */
function chartWords({ counts, edges }, counted) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return `none of ${counted}`;
  const quantile = (/** @type {number} */ share) => {
    let passed = 0;
    for (let k = 0; k < counts.length; k++) {
      if (passed + counts[k] >= share * total) return edges[k] + (edges[k + 1] - edges[k]) * ((share * total - passed) / (counts[k] || 1));
      passed += counts[k];
    }
    return edges[edges.length - 1];
  };
  return `${total.toLocaleString("en")} ${counted}, half of them from ${numeral(quantile(0.25))} to ${numeral(quantile(0.75))}`;
}

/** Round numbers inside a range, about four. @param {number} low @param {number} high */
function chartTicks(low, high) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= span / 4.5) ?? 10) * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}

/** Arrow keys move between the bins of a histogram. Whether the key was one. @param {KeyboardEvent} event */
function chartKey(event) {
  const bin = event.target;
  if (!(bin instanceof SVGElement) || !bin.classList.contains("chart-bin")) return false;
  const bins = [...(bin.parentElement?.children ?? [])];
  const places = /** @type {Record<string, number>} */ ({ ArrowLeft: bins.indexOf(bin) - 1, ArrowRight: bins.indexOf(bin) + 1, Home: 0, End: bins.length - 1 });
  const next = bins[places[event.key]];
  if (!(next instanceof SVGElement)) return event.key in places;
  bin.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
  return true;
}

/** A score of each interval, from strong to weak, as bars above and below zero.
 *  @param {(number | null)[]} values @param {string} label @param {(k: number) => string} name of an interval @returns {SVGElement} */
function chartScores(values, label, name) {
  const bar = 9, tall = 34, zero = 27;
  const words = values.map((value, k) => `${name(k)}: ${value === null ? "not scored" : numeral(value)}`);
  return svg("svg", { class: "chart-scores", viewBox: `0 0 ${values.length * bar} ${tall}`, width: values.length * bar, height: tall, role: "img", "aria-label": `${label}: ${words.join("; ")}` },
    ...values.map((value, k) => {
      const height = value === null ? 0 : Math.min(1, Math.abs(value)) * (value < 0 ? tall - zero : zero - 2);
      return svg("g", { "data-tip": words[k] },
        svg("rect", { class: "chart-bin", x: k * bar, y: 0, width: bar, height: tall }),
        value === null ? svg("circle", { class: "chart-missing", cx: k * bar + bar / 2, cy: zero - 3, r: 1.5 })
          : svg("rect", { class: value < 0 ? "chart-bars chart-below" : "chart-bars", x: k * bar + 1, width: bar - 2, y: value < 0 ? zero : zero - height, height }));
    }),
    svg("line", { class: "chart-axis", x1: 0, x2: values.length * bar, y1: zero, y2: zero }));
}

/** A bar that fills a share of its place. @param {number} share 0 to 1 @param {boolean} [below] whether it stands for a value below zero */
function chartBar(share, below = false) {
  const bar = make("span", { class: below ? "card-bar card-bar-below" : "card-bar", "aria-hidden": "true" });
  bar.style.inlineSize = `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`;
  return make("span", { class: "card-bar-room" }, bar);
}
