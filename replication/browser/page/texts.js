// The text view: all features on each token of a fixed text.
"use strict";

/** A feature on one token of a text, or over all of it: then `count` tokens, its largest activation and its largest effect.
 *  @typedef {{ feature: number, activation: number, effect: number | null, share: number, count: number }} Active */
/** @typedef {{ key: string, update: () => void }} TextDrawn */

const textTickets = /** @type {WeakMap<HTMLElement, object>} */ (new WeakMap());
const textsDrawn = /** @type {WeakMap<HTMLElement, TextDrawn>} */ (new WeakMap());
const TEXT = { rows: 50, fields: 4, tall: 7 };

/** Draw the text of the route; where the host shows it already, only what is chosen changes.
 *  @param {HTMLElement} host @param {Page} page @returns {Promise<void>} */
async function drawText(host, page) {
  const { run, route } = page;
  const able = run.tables.filter((table) => table.texts.length);
  const entry = able.find((table) => table.name === route.table) ?? able[0];
  const key = JSON.stringify([route.text, entry?.name]);
  const ticket = {};
  textTickets.set(host, ticket);
  const drawn = textsDrawn.get(host);
  if (drawn?.key === key && host.querySelector(".text")) return drawn.update();
  host.setAttribute("aria-busy", "true");
  let root, update;
  try {
    if (!entry) throw new Error("This run has no features of fixed texts; the stage features makes them.");
    const [text, firings, index] = await Promise.all([
      /** @type {Promise<TextShard>} */ (load(`texts/${route.text}`)),
      /** @type {Promise<TextFirings>} */ (entry.texts.includes(route.text) ? load(`${entry.name}/texts/${route.text}`) : Promise.resolve([])),
      page.index(entry.name),
    ]);
    if (textTickets.get(host) !== ticket) return;
    ({ root, update } = textOn(page, index, text, firings, able));
  } catch (error) {
    if (textTickets.get(host) !== ticket) return;
    root = make("div", { class: "card-root" }, make("p", { class: "card-error", role: "alert" }, error instanceof Error ? error.message : String(error)));
  }
  const held = host.contains(document.activeElement) ? document.activeElement?.getAttribute("data-keep") : null;
  host.removeAttribute("aria-busy");
  host.replaceChildren(root);
  if (held) /** @type {HTMLElement | null} */ (root.querySelector(`[data-keep="${held}"]`))?.focus();
  textsDrawn.delete(host);
  if (!update) return;
  textsDrawn.set(host, { key, update });
  update();
}

/** What fires where, by token and by feature. @param {Index} index @param {number} length @param {TextFirings} firings */
function activeOn(index, length, firings) {
  const byToken = Array.from({ length }, () => /** @type {Active[]} */ ([]));
  const whole = /** @type {Map<number, Active>} */ (new Map());
  const byFeature = /** @type {Map<number, [pos: number, activation: number][]>} */ (new Map());
  for (let i = 0; i < firings.length; i += TEXT.fields) {
    const [pos, feature, activation] = /** @type {number[]} */ (firings.slice(i, i + 3)), effect = firings[i + 3];
    const share = index.max[feature] > 0 ? activation / index.max[feature] : 0;
    byToken[pos]?.push({ feature, activation, effect, share, count: 1 });
    const known = whole.get(feature), places = byFeature.get(feature);
    if (places) places.push([pos, activation]); else byFeature.set(feature, [[pos, activation]]);
    if (!known) whole.set(feature, { feature, activation, effect, share, count: 1 });
    else {
      known.count++;
      known.activation = Math.max(known.activation, activation);
      known.share = Math.max(known.share, share);
      if (effect !== null && Math.abs(effect) > Math.abs(known.effect ?? 0)) known.effect = effect;
    }
  }
  return { byToken, byFeature, whole: [...whole.values()] };
}

/** @param {Page} page @param {Index} index @param {TextShard} text @param {TextFirings} firings @param {TableEntry[]} able tables that can be chosen */
function textOn(page, index, text, firings, able) {
  const { entry } = index;
  const active = activeOn(index, text.tokens.length, firings);
  const texts = text.tokens.map((id) => textOf(page, id));
  const most = Math.max(1, ...active.byToken.map((some) => some.length));
  // what stands after the last line end of a token opens the next line
  const lines = texts.map((string) => /^([^]*\n)([ \t]*)$/.exec(string));
  const buttons = texts.map((string, pos) => {
    const button = make("button", { type: "button", class: "text-token token", tabindex: pos ? -1 : 0, "data-pos": pos, "aria-label": spacesOf(string) }, make("bdi", {}, visible(lines[pos]?.[1] ?? string) || "∅"));
    button.style.setProperty("--count", `${((TEXT.tall * active.byToken[pos].length) / most).toFixed(1)}px`);
    return button;
  });
  const right = rightToLeft(texts.join(""));
  const body = make("div", { class: "text-body", role: "toolbar", "aria-label": "Tokens of the text", dir: right ? "rtl" : "ltr" },
    ...buttons.flatMap((button, pos) => {
      const line = lines[pos];
      return line ? [button, make("br"), make("span", { class: "text-indent", "aria-hidden": "true" }, visible(line[2]))] : [button];
    }));
  const list = make("section", { class: "text-list", "aria-label": "Features" });
  const mean = active.byToken.reduce((sum, some) => sum + some.length, 0) / Math.max(1, text.tokens.length);
  const kind = oneOf(entry);
  const root = make("div", { class: "card-root" }, make("article", { class: "card text" },
    make("header", { class: "card-title" }, make("h1", { tabindex: -1 }, make("bdi", {}, visible(text.title)))),
    make("div", { class: "text-choices" },
      textChoice("Text", "text", page.run.texts.map(({ id, title }) => [id, title]), text.id, (id) => page.go({ text: id, table: entry.name, token: null, feature: null })),
      textChoice("Features of", "table", able.map(({ name }) => [name, name]), entry.name, (name) => page.go({ table: name, feature: null }))),
    make("p", { class: "card-note" }, `${text.tokens.length} tokens; on average ${numeral(mean)} ${kind}s of ${entry.name} are active on a token${entry.strongest === null ? "" : ` (at most the ${entry.strongest} strongest are counted)`}. The grey bar below a token is the number that are active on it, up to ${most}. Choose a token to see them; point at a ${kind} to see where it fires.`),
    make("div", { class: "text-panes" }, body, list)));

  let shaded = /** @type {number | null} */ (null), all = false, listedFor = "";
  const paint = (/** @type {number | null} */ feature) => {
    if (feature === shaded) return;
    for (const [pos] of active.byFeature.get(shaded ?? -1) ?? []) {
      buttons[pos].classList.remove("card-fired");
      buttons[pos].style.removeProperty("--share");
    }
    shaded = feature;
    for (const [pos, activation] of active.byFeature.get(feature ?? -1) ?? []) shade(buttons[pos], Math.max(0.08, activation / (index.max[feature ?? 0] || activation)));
  };
  const tip = makeTip(root);
  const tell = (/** @type {Element | null} */ target, spoken = false) => {
    const pos = target?.getAttribute("data-pos") ?? null;
    if (!target || pos === null) return tip.hide();
    tip.show(target, aboutPlace(texts, active.byToken, Number(pos), entry, shaded), spoken);
  };
  const near = (/** @type {EventTarget | null} */ target, /** @type {string} */ wanted) => (target instanceof Element ? target.closest(wanted) : null);
  const rowOf = (/** @type {EventTarget | null} */ target) => {
    const row = near(target, "tr[data-feature]");
    return row ? Number(row.getAttribute("data-feature")) : page.route.feature;
  };
  body.addEventListener("pointerover", (event) => { if (event.pointerType !== "touch") tell(near(event.target, "[data-pos]")); });
  body.addEventListener("pointerleave", () => tip.hide());
  body.addEventListener("focusin", (event) => tell(near(event.target, "[data-pos]"), true));
  body.addEventListener("focusout", () => tip.hide());
  body.addEventListener("click", (event) => {
    const button = near(event.target, "[data-pos]");
    if (!button) return;
    const pos = Number(button.getAttribute("data-pos"));
    page.go({ token: pos === page.route.token ? null : pos, table: entry.name });
  });
  body.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hide();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = buttons.findIndex((button) => button === document.activeElement), forward = right ? "ArrowLeft" : "ArrowRight";
    const next = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : event.key === forward ? at + 1 : event.key === (right ? "ArrowRight" : "ArrowLeft") ? at - 1 : null;
    if (next === null || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    focusAmong(buttons, next);
  });
  list.addEventListener("pointerover", (event) => paint(rowOf(event.target)));
  list.addEventListener("pointerleave", () => paint(page.route.feature));
  list.addEventListener("focusin", (event) => paint(rowOf(event.target)));
  list.addEventListener("focusout", () => paint(page.route.feature));

  const update = () => {
    const { route } = page;
    const token = route.token !== null && route.token < buttons.length ? route.token : null;
    buttons.forEach((button, pos) => {
      if (pos === token) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    });
    if (token !== null && !body.contains(document.activeElement)) reachAmong(buttons, token);
    if (listedFor !== `${token}`) all = false;
    listedFor = `${token}`;
    const held = list.contains(document.activeElement) ? document.activeElement?.getAttribute("data-keep") : null;
    const found = token === null ? active.whole : active.byToken[token];
    list.replaceChildren(...textList(page, index, found, texts, token, all, () => {
      all = true;
      update();
    }));
    if (held) /** @type {HTMLElement | null} */ (list.querySelector(`[data-keep="${held}"]`))?.focus();
    paint(route.feature);
  };
  return { root, update };
}

/** @param {HTMLElement[]} buttons @param {number} place */
function focusAmong(buttons, place) {
  const next = buttons[Math.min(Math.max(place, 0), buttons.length - 1)];
  reachAmong(buttons, buttons.indexOf(next));
  next.focus();
}

/** Let Tab reach one of several buttons. @param {HTMLElement[]} buttons @param {number} place */
function reachAmong(buttons, place) {
  buttons.forEach((button, k) => button.setAttribute("tabindex", k === place ? "0" : "-1"));
}

/** Whether more than half of the letters of a text are written from right to left. @param {string} text */
function rightToLeft(text) {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return (text.match(/[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/gu)?.length ?? 0) > letters / 2;
}

/** @param {string} label @param {string} keep @param {[value: string, name: string][]} options @param {string} chosen @param {(value: string) => void} choose */
function textChoice(label, keep, options, chosen, choose) {
  return make("label", { class: "text-choice" }, label, make("select", { "data-keep": `choose-${keep}`, onchange: (/** @type {Event} */ event) => choose(/** @type {HTMLSelectElement} */ (event.target).value) },
    ...options.map(([value, name]) => make("option", { value, selected: value === chosen }, visible(name)))));
}

/** What is known of a token of the text. @param {string[]} texts @param {Active[][]} byToken @param {number} pos @param {TableEntry} entry @param {number | null} shaded @returns {HTMLElement[]} */
function aboutPlace(texts, byToken, pos, entry, shaded) {
  const some = byToken[pos], of = some.find((one) => one.feature === shaded);
  return [
    make("p", {}, token(texts[pos], { class: "token card-own" }), ` token ${pos + 1}`),
    make("p", {}, `${some.length} ${oneOf(entry)}${some.length === 1 ? "" : "s"} active`),
    shaded === null ? null : make("p", {}, of ? `${entry.name}/${shaded}: ${numeral(of.activation)}${of.effect === null ? "" : `, effect on the next token ${signed(of.effect)} nats`}` : `${entry.name}/${shaded} does not fire here`),
  ].filter((line) => line !== null);
}

/** The features of a token or of the whole text. @param {Page} page @param {Index} index @param {Active[]} found @param {string[]} texts @param {number | null} pos @param {boolean} all whether to show more than the first @param {() => void} more
 *  @returns {HTMLElement[]} */
function textList(page, index, found, texts, pos, all, more) {
  const { entry } = index, { by, feature: pinned } = page.route, kind = oneOf(entry);
  const value = (/** @type {Active} */ one) => (by === "effect" ? Math.abs(one.effect ?? 0) : one[by]);
  const sorted = [...found].sort((a, b) => Number(b.feature === pinned) - Number(a.feature === pinned) || value(b) - value(a) || a.feature - b.feature);
  const shown = all ? sorted : sorted.slice(0, TEXT.rows);
  const largest = Math.max(...found.map((one) => Math.abs(one.effect ?? 0)), 1e-9);
  const heading = (/** @type {TextOrder} */ order, /** @type {string} */ name) => make("th", { scope: "col", "aria-sort": by === order ? "descending" : null },
    make("button", { type: "button", class: "text-sort", "data-keep": `by-${order}`, onclick: () => page.go({ by: order }, "replace") }, name, by === order ? make("span", { "aria-hidden": "true" }, " ↓") : null));
  return [
    make("div", { class: "text-list-head" },
      pos === null ? make("h2", {}, `${found.length.toLocaleString("en")} ${kind}s in the whole text`)
        : make("h2", {}, `${found.length.toLocaleString("en")} ${kind}${found.length === 1 ? "" : "s"} on `, token(texts[pos]), " ", make("span", { class: "card-note" }, `token ${pos + 1}`)),
      pos === null ? null : make("button", { type: "button", "data-keep": "whole", onclick: () => page.go({ token: null }) }, "Whole text")),
    pos === null ? make("p", { class: "card-note" }, "The largest of each over the text.") : pos + 1 < texts.length ? make("p", { class: "card-note" }, "Effect: what ablating it does to the next token, ", token(texts[pos + 1]), ", in nats.")
      : make("p", { class: "card-note" }, "This is the last token, so that there is nothing after it to predict."),
    found.length ? make("table", { class: "text-table" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, kind), heading("activation", "activation"), heading("share", "of max."), heading("effect", "effect"), make("th", { scope: "col" }, make("span", { class: "card-unseen" }, "shade the text")))),
      make("tbody", {}, ...shown.map((one) => textRow(page, index, one, largest, pinned)))) : make("p", {}, `No ${kind} of ${entry.name} is active here.`),
    shown.length < sorted.length ? make("button", { type: "button", "data-keep": "more", onclick: more }, `Show all ${sorted.length.toLocaleString("en")}`) : null,
  ].filter((child) => child !== null);
}

/** @param {Page} page @param {Index} index @param {Active} one @param {number} largest effect in the list @param {number | null} pinned */
function textRow(page, index, one, largest, pinned) {
  const { entry } = index, { feature, effect } = one;
  const number = make("span", { class: "card-number" }, effect === null ? "–" : signed(effect));
  underline(effect === null ? undefined : number, effect ?? 0, largest);
  number.classList.add("token");
  return make("tr", { "data-feature": feature },
    make("th", { scope: "row" }, make("a", { href: featureLink(entry.name, feature), "data-keep": `link-${feature}` }, `${entry.name}/${feature}`), " ",
      one.count > 1 ? make("span", { class: "card-note" }, `${one.count} tokens `) : null, tokensOf(page, index, feature)),
    make("td", {}, make("span", { class: "card-number" }, numeral(one.activation))),
    make("td", {}, make("span", { class: "card-number" }, percent(one.share)), chartBar(one.share)),
    make("td", {}, number),
    make("td", {}, make("button", { type: "button", class: "text-pin", "aria-pressed": String(pinned === feature), "data-keep": `pin-${feature}`, "aria-label": `Shade the text by ${entry.name}/${feature}`,
      onclick: () => page.go({ feature: pinned === feature ? null : feature, table: entry.name }, "replace") }, "◐")));
}
