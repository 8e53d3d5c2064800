// The examples of a card: windows of text by group, with activation behind the tokens and the effect of ablation below them.
"use strict";

const EXAMPLES = { wide: 32, intervals: 11, bottom: 12, least: 0.05 };

/** What the examples of one card are drawn with. `max` and `effect` are the largest activation and effect, which shades and lines are relative to.
 *  @typedef {{ page: Page, entry: TableEntry, card: Card, max: number, effect: number, rows: HTMLElement[] }} Examples */

/** @param {Page} page @param {Index} index @param {Card} card @returns {Examples} */
function examplesOf(page, index, card) {
  let max = 0, effect = 0;
  for (const example of card.examples) {
    for (let i = 1; i < example[6].length; i += 2) max = Math.max(max, example[6][i]);
    for (let i = 1; i < example[7].length; i += 2) effect = Math.max(effect, Math.abs(example[7][i]));
  }
  return { page, entry: index.entry, card, max: index.max[card.feature] > 0 ? index.max[card.feature] : max, effect, rows: [] };
}

/** All groups. @param {Examples} examples @returns {HTMLElement[]} */
function exampleGroups(examples) {
  const groups = /** @type {Map<Group, number[]>} */ (new Map());
  examples.card.examples.forEach((example, k) => {
    const group = groups.get(example[0]);
    if (group) group.push(k); else groups.set(example[0], [k]);
  });
  const drawn = [...groups].sort(([a], [b]) => a - b).map(([group, places]) => ({ group, section: exampleGroup(examples, group, places) }));
  const some = (/** @type {(group: Group) => boolean} */ wanted) => drawn.filter(({ group }) => wanted(group)).map(({ section }) => section);
  const intervals = some((group) => group > 0 && group < EXAMPLES.bottom);
  return [...some((group) => group === 0), ...(intervals.length ? [make("div", { class: "card-middle" }, ...intervals)] : []), ...some((group) => group === EXAMPLES.bottom)];
}

/** @param {Group} group */
const groupName = (group) => (group === 0 ? "Top activations" : group === EXAMPLES.bottom ? "Bottom activations" : `Interval ${group}`);

/** Share of the maximum that an interval's examples are nearest to. @param {Group} group 1 to 11 */
const groupTarget = (group) => (EXAMPLES.intervals - group) / EXAMPLES.intervals;

/** @param {Examples} examples @param {Group} group @param {number[]} places @returns {HTMLElement} */
function exampleGroup(examples, group, places) {
  const own = places.map((k) => flatAt(examples.card.examples[k][6], 0) ?? 0);
  const low = numeral(Math.min(...own)), high = numeral(Math.max(...own));
  const interval = group > 0 && group < EXAMPLES.bottom;
  const grid = make("div", { class: "card-windows", role: "grid", "aria-label": groupName(group) }, ...places.map((k) => exampleRow(examples, k)));
  grid.querySelector("[data-place]")?.setAttribute("tabindex", "0");
  return make("section", { class: "card-group", "data-kind": group === 0 ? "top" : interval ? "interval" : "bottom" },
    make("h3", {}, groupName(group), make("span", { class: "card-note" },
      `${interval ? `near ${Math.round(100 * groupTarget(group))} % of the maximum · ` : ""}${low === high ? low : `${low} to ${high}`}`)),
    grid);
}

/** @param {Examples} examples @param {number} k @returns {HTMLElement} */
function exampleRow(examples, k) {
  const row = make("div", { class: "card-window", role: "row", "data-example": k });
  examples.rows[k] = row;
  fillRow(examples, k, null);
  return row;
}

/** Put a window's tokens into its row: the nine around its own, or `around`, all that its context has nearby.
 *  @param {Examples} examples @param {number} k @param {{ start: number, tokens: ArrayLike<number> } | null} around */
function fillRow(examples, k, around) {
  const [, context, , repeated, start, tokens] = examples.card.examples[k];
  const shown = around ?? { start, tokens };
  const cells = exampleTokens(examples, k, shown.start, shown.tokens);
  const own = Math.min(cells.length, Math.max(0, -shown.start));
  const row = examples.rows[k];
  row.classList.toggle("card-wide", around !== null);
  const text = make("span", { class: "card-before" }, make("span", {}, ...cells.slice(0, own)));
  row.replaceChildren(text, make("span", { class: "card-after" }, ...cells.slice(own)),
    make("span", { class: "card-tail", role: "gridcell" },
      make("span", { class: "card-match-note" }, "match"),
      repeated ? make("span", { class: "card-repeat", "data-tip": "These tokens stand in an example further up as well.", role: "img", "aria-label": "repeated window" }, "↻") : null,
      context < 0 ? null : make("button", { class: "card-widen", type: "button", "aria-expanded": String(around !== null), "aria-label": `More text around example ${k + 1}` }, around ? "−" : "+")));
}

/** The tokens of a window, each with `data-place` counted from the example's own. @param {Examples} examples @param {number} k @param {number} start @param {ArrayLike<number>} tokens */
function exampleTokens(examples, k, start, tokens) {
  const [, , , , , , fired, effects] = examples.card.examples[k];
  const cells = Array.from(tokens, (id, i) => token(textOf(examples.page, id), {
    class: start + i ? "token" : "token card-own", role: "gridcell", "data-place": start + i,
  }));
  for (let i = 0; i < fired.length; i += 2) shade(cells[fired[i] - start], fired[i + 1] / examples.max);
  for (let i = 0; i < effects.length; i += 2) underline(cells[effects[i] - start], effects[i + 1], examples.effect);
  return cells;
}

/** @param {Page} page @param {TokenId} id */
const textOf = (page, id) => page.vocabulary[id] ?? `#${id}`;

/** A name for the ear of a token that is spaces only, null where its text is one. @param {string} text */
const spacesOf = (text) => (visible(text).trim() || !text ? null : text.length === 1 ? "space" : `${text.length} spaces`);

/** An orange background. @param {HTMLElement | undefined} cell @param {number} share of the maximum */
function shade(cell, share) {
  if (!cell || !(share > 0)) return;
  cell.classList.add("card-fired");
  cell.style.setProperty("--share", Math.min(1, share).toFixed(3));
}

/** A red solid line below a token that ablation makes less likely, a blue dashed one below a token that it makes likelier.
 *  @param {HTMLElement | undefined} cell @param {number} effect in nats @param {number} largest */
function underline(cell, effect, largest) {
  const share = Math.abs(effect) / largest;
  if (!cell || !(share >= EXAMPLES.least)) return;
  cell.classList.add(effect < 0 ? "card-hurt" : "card-helped");
  cell.style.borderBlockEndWidth = `${(1 + 3 * Math.min(1, share)).toFixed(1)}px`;
}

/** The value of a place in a list of places and values in turn. @param {number[]} flat @param {number} place @returns {number | null} */
function flatAt(flat, place) {
  for (let i = 0; i < flat.length; i += 2) if (flat[i] === place) return flat[i + 1];
  return null;
}

/** What is known of a token that is pointed at. @param {Examples} examples @param {Element} cell @returns {{ content: HTMLElement[], activation: number }} */
function aboutToken(examples, cell) {
  const place = Number(cell.getAttribute("data-place")), example = examples.card.examples[Number(cell.closest("[data-example]")?.getAttribute("data-example"))];
  const [, context, pos, , , , fired, effects] = example;
  const activation = flatAt(fired, place) ?? 0, effect = flatAt(effects, place);
  const where = place === 0 ? "the example's own token" : `${Math.abs(place)} ${Math.abs(place) === 1 ? "token" : "tokens"} ${place < 0 ? "before" : "after"} the example's own`;
  return { activation, content: [
    make("p", {}, token(cell.textContent ?? "", { class: "token card-own" })),
    make("p", {}, activation > 0 ? `Activation ${numeral(activation)}, ${percent(activation / examples.max)} of the maximum` : "Does not fire here"),
    effect === null ? null : make("p", {}, effectWords(effect)),
    make("p", { class: "card-faint" }, `${where}${context < 0 ? "" : `, position ${pos + place} of context ${context}`}`),
  ].filter((line) => line !== null) };
}

/** @param {number} effect in nats */
const effectWords = (effect) => `Ablation: ${signed(effect)} nats on this token (${effect < 0 ? "less likely" : effect > 0 ? "likelier" : "no change"} without the feature)`;

/** @param {number} value */
const signed = (value) => (value > 0 ? `+${numeral(value)}` : numeral(value));

/** A share in per cent. @param {number} share */
const percent = (share) => `${numeral(Number((100 * share).toPrecision(share < 0.1 ? 2 : 3)))} %`;

/** Show up to 32 tokens on each side of windows, or the nine again. @param {Examples} examples @param {number[]} places @param {boolean} wide */
async function widen(examples, places, wide) {
  const { run } = examples.page;
  const contexts = run.contexts;
  if (!contexts) return;
  const shards = /** @type {Map<number, number[]>} */ (new Map());
  for (const k of places) {
    const context = examples.card.examples[k][1];
    if (context < 0 || examples.rows[k].classList.contains("card-wide") === wide) continue;
    const shard = Math.floor(context / contexts.perShard);
    shards.set(shard, [...(shards.get(shard) ?? []), k]);
  }
  await Promise.all([...shards].map(async ([shard, some]) => {
    const tokens = wide ? ids(await load(`contexts/${shard}`), run) : null;
    for (const k of some) {
      const [, context, pos] = examples.card.examples[k];
      const from = Math.max(0, pos - EXAMPLES.wide), to = Math.min(contexts.n_ctx, pos + EXAMPLES.wide + 1), first = (context % contexts.perShard) * contexts.n_ctx;
      const held = heldIn(examples.rows[k]);
      fillRow(examples, k, tokens && { start: from - pos, tokens: tokens.subarray(first + from, first + to) });
      held();
    }
  }));
}

/** Remember what has the focus in a row that is about to be filled anew; calling the result gives it back. @param {HTMLElement} row */
function heldIn(row) {
  const held = row.contains(document.activeElement) ? document.activeElement : null;
  const place = row.querySelector('[data-place][tabindex="0"]')?.getAttribute("data-place");
  return () => {
    const cell = place ? /** @type {HTMLElement | null} */ (row.querySelector(`[data-place="${place}"]`) ?? row.querySelector(".card-own")) : null;
    cell?.setAttribute("tabindex", "0");
    if (held instanceof HTMLButtonElement) /** @type {HTMLElement | null} */ (row.querySelector(".card-widen"))?.focus();
    else if (held) cell?.focus();
  };
}

/** Arrow keys walk over the tokens: left and right in a window, up and down between windows. @param {KeyboardEvent} event @returns {HTMLElement | null} the token to go to */
function exampleStep(event) {
  const cell = event.target;
  if (!(cell instanceof HTMLElement) || !cell.hasAttribute("data-place") || event.ctrlKey || event.metaKey || event.altKey) return null;
  const row = /** @type {HTMLElement} */ (cell.closest(".card-window"));
  const cells = /** @type {HTMLElement[]} */ ([...row.querySelectorAll("[data-place]")]);
  const at = cells.indexOf(cell);
  if (event.key === "ArrowLeft") return cells[Math.max(0, at - 1)];
  if (event.key === "ArrowRight") return cells[Math.min(cells.length - 1, at + 1)];
  if (event.key === "Home") return cells[0];
  if (event.key === "End") return cells[cells.length - 1];
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return null;
  const rows = [...(row.closest(".card-groups")?.querySelectorAll(".card-window") ?? [])];
  const next = rows[rows.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)];
  if (!next) return cell;
  return /** @type {HTMLElement | null} */ (next.querySelector(`[data-place="${cell.getAttribute("data-place")}"]`) ?? next.querySelector(".card-own"));
}

/** Make a token the one of its grid that Tab reaches, and give it the focus. @param {HTMLElement} cell */
function focusToken(cell) {
  cell.closest(".card-windows")?.querySelector('[data-place][tabindex="0"]')?.removeAttribute("tabindex");
  cell.setAttribute("tabindex", "0");
  cell.focus();
}

/** Mark the windows that match the query of the route; how many do. @param {Examples} examples @param {Route} route */
function markMatches(examples, route) {
  const matches = matcher(route);
  let found = 0;
  examples.rows.forEach((row, k) => {
    const match = matches !== null && matches(examples.card.examples[k][5].map((id) => textOf(examples.page, id)).join(""));
    row.classList.toggle("card-match", match);
    if (match) found++;
  });
  return matches === null ? null : found;
}
