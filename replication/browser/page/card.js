// The card of a feature or neuron.
"use strict";

/** @typedef {{ table: string, feature: number, refresh: () => void }} Drawn */

const cardTickets = /** @type {WeakMap<HTMLElement, object>} */ (new WeakMap());
const cardsDrawn = /** @type {WeakMap<HTMLElement, Drawn>} */ (new WeakMap());
const PART_BADGES = [
  ["dead", "It fired on none of the evaluation tokens."],
  ["ultralow", "It fires on hardly any token."],
];

/** Draw a card in place of what the host holds; a later call for the same host overtakes an earlier one. A card that is there already is kept as it is,
 *  with its widened windows, and only the marks of the search change.
 *  @param {HTMLElement} host @param {Page} page @param {Index} index @param {number} feature @returns {Promise<void>} */
async function drawCard(host, page, index, feature) {
  const { entry } = index;
  const ticket = {};
  cardTickets.set(host, ticket);
  const drawn = cardsDrawn.get(host);
  if (drawn && drawn.table === entry.name && drawn.feature === feature && host.querySelector(".card")) return drawn.refresh();
  host.setAttribute("aria-busy", "true");
  let root, made;
  try {
    const card = await loadCard(entry, feature);
    if (cardTickets.get(host) !== ticket) return;
    made = cardOf(page, index, card);
    root = made.root;
  } catch (error) {
    if (cardTickets.get(host) !== ticket) return;
    root = make("div", { class: "card-root" }, make("p", { class: "card-error", role: "alert" }, error instanceof Error ? error.message : String(error)));
  }
  const held = host.contains(document.activeElement) ? document.activeElement?.getAttribute("data-keep") ?? "title" : null;
  host.removeAttribute("aria-busy");
  host.replaceChildren(root);
  if (held) /** @type {HTMLElement | null} */ (root.querySelector(`[data-keep="${held}"]`) ?? root.querySelector('[data-keep="title"]'))?.focus({ preventScroll: true });
  cardsDrawn.delete(host);
  if (!made) return;
  cardsDrawn.set(host, { table: entry.name, feature, refresh: made.refresh });
  made.refresh();
  made.later();
}

/** @param {Page} page @param {Index} index @param {Card} card */
function cardOf(page, index, card) {
  const { entry } = index, { feature } = card;
  const examples = examplesOf(page, index, card);
  const dead = index.part[feature] === 0;
  const activations = dead || !card.activations ? null : chartHistogram(card.activations, { title: "Activations", counted: "positive activations" });
  const logits = card.logits ? chartHistogram(card.logits, { title: "Logit weights", counted: "tokens of the vocabulary", signed: true }) : null;
  const found = make("span", { class: "card-found", role: "status" });
  const relations = cardRelations(page, index, card);
  const sections = [
    dead ? make("p", { class: "card-dead" }, `This ${oneOf(entry)} is dead: it fired on none of the evaluation tokens, so there are no activations and no examples to show.`) : null,
    card.explanations.length ? cardExplanations(page, index, card) : null,
    activations || logits || card.up.length ? make("section", { class: "card-section" }, make("h2", {}, activations ? "Activations and logit weights" : "Logit weights"),
      make("div", { class: "card-panels" },
        activations || logits ? make("div", { class: "card-charts" }, activations?.figure, logits?.figure) : null,
        card.up.length || card.down.length ? cardLogits(page, entry, card) : null)) : null,
    relations?.section,
    card.texts.length ? cardTexts(page, entry, card) : null,
    card.examples.length ? cardExamples(examples, found) : null,
    cardHelp(),
  ];
  const article = make("div", { class: "card" }, cardHead(page, index, card), ...sections);
  const root = make("div", { class: "card-root" }, article);
  listenOnCard(root, examples, activations);
  return {
    root,
    refresh: () => {
      const matched = markMatches(examples, page.route);
      found.textContent = matched === null ? "" : `${matched} of ${card.examples.length} windows match the search`;
    },
    later: () => relations?.label(),
  };
}

/** @param {TableEntry} entry */
const oneOf = (entry) => (entry.kind === "neurons" ? "neuron" : "feature");

/** One set of listeners for all tokens, bins and badges of a card. @param {HTMLElement} root @param {Examples} examples @param {Chart | null} activations */
function listenOnCard(root, examples, activations) {
  const tip = makeTip(root);
  const find = (/** @type {EventTarget | null} */ target) => (target instanceof Element ? target.closest("[data-place],[data-tip]") : null);
  const hide = () => {
    tip.hide();
    activations?.mark(null);
  };
  const tell = (/** @type {Element | null} */ target, spoken = false) => {
    if (!target) return hide();
    if (!target.hasAttribute("data-place")) {
      activations?.mark(null);
      return tip.show(target, [make("p", {}, target.getAttribute("data-tip"))], spoken);
    }
    const { content, activation } = aboutToken(examples, target);
    activations?.mark(activation > 0 ? activation : null);
    tip.show(target, content, spoken);
  };
  const focused = () => (root.contains(document.activeElement) ? find(document.activeElement) : null);
  root.addEventListener("pointerover", (event) => { if (event.pointerType !== "touch") tell(find(event.target) ?? focused()); });
  root.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") tell(focused()); });
  root.addEventListener("focusin", (event) => tell(find(event.target), true));
  root.addEventListener("focusout", hide);
  root.addEventListener("click", (event) => {
    const target = find(event.target);
    if (target instanceof HTMLElement && target.hasAttribute("data-place")) return focusToken(target);
    const button = event.target instanceof Element ? event.target.closest(".card-widen") : null;
    if (button) return widenOne(examples, button);
    tell(target);
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && tip.shown()) {
      hide();
      event.stopPropagation();
    }
    const next = exampleStep(event);
    if (next) focusToken(next);
    const cell = event.target instanceof Element && event.target.hasAttribute("data-place") ? event.target : null;
    const opened = cell && (event.key === "Enter" || event.key === " ");
    if (opened) widenOne(examples, cell);
    if (next || opened || chartKey(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
}

/** Widen the window that an element is in, or narrow it again. @param {Examples} examples @param {Element} inside */
function widenOne(examples, inside) {
  const row = inside.closest("[data-example]");
  if (row) return attempt(row, () => widen(examples, [Number(row.getAttribute("data-example"))], !row.classList.contains("card-wide")));
}

/** Do something that loads a file; if that fails, say so beside what was asked. @param {Element} place @param {() => Promise<void>} action */
async function attempt(place, action) {
  place.querySelector(":scope > .card-error")?.remove();
  try {
    await action();
  } catch (error) {
    place.append(make("span", { class: "card-error", role: "alert" }, error instanceof Error ? error.message : String(error)));
  }
}

/** @param {Page} page @param {Index} index @param {Card} card */
function cardHead(page, index, card) {
  const { entry } = index, { feature } = card;
  const density = index.density[feature];
  const facts = /** @type {[string, Child][]} */ ([
    ["Density", density > 0 ? `${percent(density)} · 1 in ${Math.max(1, Math.round(1 / density)).toLocaleString("en")} tokens` : density === 0 ? "never fires" : null],
    ["Maximum", index.max[feature] > 0 ? numeral(index.max[feature]) : null],
    ["Map cluster", index.cluster[feature] < 0 ? null : make("a", { href: href({ ...start(), page: "table", table: entry.name, feature, cluster: index.cluster[feature] }) }, index.cluster[feature])],
    ["Bias", Number.isNaN(index.bias[feature]) ? null : numeral(index.bias[feature])],
  ]);
  const part = PART_BADGES[index.part[feature]];
  return make("header", { class: "card-head" },
    make("div", { class: "card-title" },
      make("h1", { tabindex: -1, "data-keep": "title" }, `${entry.name}/${feature}`, " ", tokensOf(page, index, feature)),
      make("div", { class: "card-actions" }, cardSteps(), copyButton(featureLink(entry.name, feature)))),
    make("p", { class: "card-badges" },
      part ? make("span", { class: `card-badge card-badge-${part[0]}`, "data-tip": part[1], tabindex: 0 }, part[0]) : null,
      index.single_token[feature] && index.part[feature] !== 0 ? make("span", { class: "card-badge", "data-tip": "The strongest token of all 20 top examples is the same.", tabindex: 0 }, "single-token") : null,
      ...card.contexts.map(([label, correlation]) => make("span", { class: "card-badge card-badge-context", tabindex: 0,
        "data-tip": `Its activation follows “${visible(label)}” with a correlation of ${numeral(correlation)}.` }, `${visible(label)} ${numeral(correlation)}`))),
    make("dl", { class: "card-facts" }, ...facts.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))));
}

/** The tokens on which a feature is strongest: what names it. @param {Page} page @param {Index} index @param {number} feature */
function tokensOf(page, index, feature) {
  return make("span", { class: "card-name" }, ...[...new Set(labelTokens(page, index, feature))].flatMap((text, k) => [k ? " " : "", token(text)]));
}

/** Buttons for the features before and after in the list. @returns {HTMLElement} */
function cardSteps() {
  const step = (/** @type {number} */ by, /** @type {string} */ sign, /** @type {string} */ name) => make("button", {
    class: "card-step", type: "button", "data-keep": name, "aria-label": `${name} in the list`, onclick: () => tableView?.step(by) }, sign);
  return make("span", { class: "card-steps" }, step(-1, "←", "previous"), step(1, "→", "next"));
}

/** A button that copies a card's plain link, without the search and filters that the page's own link holds. @param {string} link @returns {HTMLButtonElement} */
function copyButton(link) {
  const name = "Copy card link";
  const button = make("button", { class: "card-copy", type: "button", "data-keep": "copy", "aria-live": "polite", onclick: async () => {
    const done = await copied(`${location.href.split("#", 1)[0]}${link}`);
    button.textContent = done ? "Copied" : "Copy failed";
    setTimeout(() => { button.textContent = name; }, 2000);
  } }, name);
  return button;
}

/** Whether a text could be copied. @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { class: "card-unseen", "aria-hidden": "true" }, text);
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

const FEW_EXPLANATIONS = 2; // that are shown side by side; of more, the one that the list's score is of, and the rest on demand

/** @param {Page} page @param {Index} index @param {Card} card */
function cardExplanations(page, index, card) {
  const { entry } = index, all = card.explanations;
  const room = make("div", { class: "card-predicted", hidden: true });
  const tested = entry.predictions.length && shardOf(entry.predictions, card.feature) >= 0 && all.some((one) => !one.error);
  const button = make("button", { type: "button", "aria-expanded": "false", onclick: async () => {
    const open = room.hidden;
    room.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Hide what was predicted" : "Show what was predicted";
    if (open && !room.firstChild) await attempt(room, async () => room.replaceChildren(await drawPredictions(page, entry, card.feature)));
  } }, "Show what was predicted");
  const listed = Math.max(0, all.findIndex((one) => one.spearman !== null && Math.abs(one.spearman - index.spearman[card.feature]) < 1e-3));
  const first = all.length > FEW_EXPLANATIONS ? [all[listed]] : all, rest = all.filter((one) => !first.includes(one));
  return make("section", { class: "card-section" }, make("h2", {}, all.length > 1 ? "Explanations" : "Explanation"),
    cardSaid(first), rest.length ? make("details", {}, make("summary", {}, `${rest.length} more, by ${rest.map((one) => visible(one.explainer)).join(", ")}`), cardSaid(rest)) : null,
    tested ? button : null, room);
}

/** @param {Explanation[]} some */
const cardSaid = (some) => make("ul", { class: "card-explanations" }, ...some.map((one) => make("li", {},
  make("p", { class: "card-said" }, make("strong", { class: "card-explainer" }, visible(one.explainer)), " ", one.text ? make("bdi", {}, ...quotedParts(one.text)) : null),
  one.error ? make("p", { class: "card-error" }, make("strong", {}, one.text ? "Not scored: " : "No explanation: "), make("bdi", {}, visible(one.error))) : cardScores(one))));

/** Text with what stands between backticks set as code. @param {string} text @returns {Child[]} */
const quotedParts = (text) => text.split("`").map((part, k, all) => (k % 2 && k < all.length - 1 ? make("code", { class: "token" }, visible(part) || "∅") : (k % 2 ? "`" : "") + visible(part)));

/** @param {Explanation} said */
function cardScores(said) {
  const scores = /** @type {[string, number | null, string][]} */ ([
    ["Spearman", said.spearman, "Rank correlation of predicted and true activations."],
    ["Pearson", said.pearson, "Correlation of predicted and true activations."],
    ["logit test", said.logits, "Share of right answers on which tokens are made likelier; 0.5 is chance."],
    ["wrong explanation", said.control, "Spearman correlation that the explanation of another one reaches: the control."],
  ]);
  return make("div", { class: "card-scores" },
    make("dl", { class: "card-facts" }, ...scores.map(([name, value, tip]) => make("div", { "data-tip": tip }, make("dt", {}, name), make("dd", {}, numeral(value))))),
    said.intervals.some((value) => value !== null) ? make("span", { class: "card-intervals" },
      make("span", { class: "card-note" }, "by interval, strong to weak"),
      chartScores(said.intervals, "Spearman by interval", (k) => `interval ${k + 1}, near ${Math.round(100 * groupTarget(k + 1))} % of the maximum`)) : null);
}

/** A token that leads to all features that raise it, or lower it. @param {Page} page @param {TableEntry} entry @param {number} feature @param {TokenId} id @param {number} weight */
function tokenLink(page, entry, feature, id, weight) {
  const text = textOf(page, id);
  return make("a", { class: "card-token-link", "aria-label": spacesOf(text), "data-tip": `All ${oneOf(entry)}s that ${weight < 0 ? "suppress" : "promote"} it`,
    href: href({ ...start(), page: "table", table: entry.name, feature, query: text, mode: "token", aspect: weight < 0 ? "suppresses" : "promotes", order: "hits" }) }, token(text));
}

/** @param {Page} page @param {TableEntry} entry @param {Card} card */
function cardLogits(page, entry, card) {
  const largest = Math.max(...[...card.up, ...card.down].map(([, weight]) => Math.abs(weight)), 1e-9);
  const list = (/** @type {string} */ title, /** @type {[TokenId, number][]} */ pairs) => make("div", {}, make("h3", {}, title),
    make("ol", { class: "card-logits" }, ...pairs.map(([id, weight]) => make("li", {}, tokenLink(page, entry, card.feature, id, weight), chartBar(Math.abs(weight) / largest, weight < 0), make("span", { class: "card-number" }, signed(weight))))));
  return make("div", { class: "card-directions" }, list("Makes likelier", card.up), list("Makes less likely", card.down));
}

/** @type {Record<RelationKind, { heading: (table: string) => string, note: string }>} */
const RELATIONS = {
  match: { heading: (table) => `Best match in ${table}`, note: "correlation of activations · of logit weights" },
  matched_by: { heading: (table) => `In ${table}, best matched by this one`, note: "correlation of activations · of logit weights" },
  neuron: { heading: (table) => `Closest neurons by activation (${table})`, note: "correlation of activations · of logit weights" },
  weight: { heading: (table) => `Closest neurons by weight (${table})`, note: "decoder weight · share of the row’s L1 norm" },
  parent: { heading: (table) => `Parents in the smaller ${table}`, note: "masked cosine" },
  child: { heading: (table) => `Children in the larger ${table}`, note: "masked cosine" },
  decoder: { heading: (table) => `Nearest decoder directions in ${table}`, note: "cosine" },
};

/** @param {Page} page @param {Index} index @param {Card} card @returns {{ section: HTMLElement, label: () => void } | null} */
function cardRelations(page, index, card) {
  if (!card.relations.length) return null;
  const groups = /** @type {Map<string, Relation[]>} */ (new Map());
  for (const relation of card.relations) groups.set(`${relation[0]} ${relation[1]}`, [...(groups.get(`${relation[0]} ${relation[1]}`) ?? []), relation]);
  const names = /** @type {[string, number, HTMLElement][]} */ ([]);
  const order = Object.keys(RELATIONS);
  const blocks = [...groups.values()].sort((a, b) => order.indexOf(a[0][0]) - order.indexOf(b[0][0])).map((some) => {
    const [kind, table] = some[0];
    return make("div", { class: "card-relation" }, make("h3", {}, RELATIONS[kind].heading(table), make("span", { class: "card-note" }, RELATIONS[kind].note)),
      make("ul", {}, ...some.map(([, , feature, value, second]) => {
        const known = page.run.tables.some((one) => one.name === table && feature < one.features);
        const name = make("span", { class: "card-partner" });
        if (known) names.push([table, feature, name]);
        return make("li", {}, known ? make("a", { href: featureLink(table, feature) }, `${table}/${feature}`) : `${table}/${feature}`, name,
          make("span", { class: "card-number" }, kind === "weight" && second !== null ? `${numeral(value)} · ${percent(second)}` : second === null ? numeral(value) : `${numeral(value)} · ${numeral(second)}`));
      })));
  });
  const label = (/** @type {Index} */ theirs) => {
    for (const [table, feature, place] of names) if (table === theirs.entry.name) place.replaceChildren(tokensOf(page, theirs, feature));
  };
  label(index);
  return {
    section: make("section", { class: "card-section" }, make("h2", {}, "Related"), make("div", { class: "card-relations" }, ...blocks)),
    label: () => {
      // a table whose index is missing keeps its links, without the tokens
      for (const table of new Set(names.map(([table]) => table))) if (table !== index.entry.name) setTimeout(() => page.index(table).then(label, () => {}), 50);
    },
  };
}

/** @param {Page} page @param {TableEntry} entry @param {Card} card */
function cardTexts(page, entry, card) {
  const titles = new Map(page.run.texts.map((text) => [text.id, text.title]));
  const known = card.texts.filter(([id]) => titles.has(id)).sort((a, b) => b[1] - a[1]);
  return make("section", { class: "card-section" }, make("h2", {}, "Fixed texts where it fires", make("span", { class: "card-note" }, "largest activation")),
    make("ul", { class: "card-texts" }, ...known.map(([id, largest]) => make("li", {},
      make("a", { href: href({ ...start(), page: "text", text: id, table: entry.name, feature: card.feature }) }, visible(titles.get(id) ?? id)), " ", make("span", { class: "card-number" }, numeral(largest))))));
}

/** @param {Examples} examples @param {HTMLElement} found */
function cardExamples(examples, found) {
  const all = examples.card.examples.map((_, k) => k);
  const wider = examples.page.run.contexts !== null && examples.card.examples.some((example) => example[1] >= 0);
  const button = make("button", { type: "button", "aria-pressed": "false", onclick: () => attempt(/** @type {Element} */ (button.parentElement), async () => {
    const wide = button.getAttribute("aria-pressed") !== "true";
    await widen(examples, all, wide);
    button.setAttribute("aria-pressed", String(wide));
  }) }, "Widen all");
  const few = examples.card.examples.every((example) => example[0] === 0);
  return make("section", { class: "card-section" },
    make("div", { class: "card-examples-head" }, make("h2", {}, "Examples"), found, wider ? button : null),
    make("p", { class: "card-note card-legend" },
      make("span", { class: "card-sample" }, sample("token", "card-fired"), "activation as a share of the maximum"),
      make("span", { class: "card-sample" }, sample("token", "card-hurt"), "ablation makes this token less likely"),
      make("span", { class: "card-sample" }, sample("token", "card-helped"), "ablation makes it likelier"),
      make("span", { class: "card-sample" }, make("span", { class: "card-repeat" }, "↻"), "window seen before"),
      few ? make("span", { class: "card-sample" }, "It fires on fewer than 20 tokens, so there are no intervals.") : null),
    make("div", { class: "card-groups" }, ...exampleGroups(examples)));
}

/** @param {string} text @param {string} look */
function sample(text, look) {
  const shown = make("span", { class: `token ${look}` }, text);
  if (look === "card-fired") shown.style.setProperty("--share", "0.7");
  return shown;
}

const CARD_WORDS = [
  ["density", "Share of the evaluation tokens on which it is active."],
  ["ultralow", "Active on less than one token in a million; where the evaluation text is too short to tell, in the lower of the two clusters of densities."],
  ["single-token", "The strongest token of all 20 top examples is the same."],
  ["Spearman, Pearson", "Correlation of the activations that an explanation predicts with the true ones, by rank and plain."],
  ["logit test", "Share of right answers on which tokens are made likelier; one half is chance."],
  ["wrong explanation", "The Spearman correlation that the explanation of another one reaches: the control."],
  ["masked cosine", "Cosine of the activations of two features over the tokens on which one of them is active, whichever of the two is higher."],
  ["effect", "Change of the log-likelihood of a token when the feature is set to zero on the token before."],
  ["keys in the examples", "Arrow keys walk over the tokens, Enter widens a window, Escape closes the box."],
];

/** What the words on a card mean. */
const cardHelp = () => make("details", { class: "card-help" }, make("summary", {}, "What the words on this card mean"),
  make("dl", {}, ...CARD_WORDS.map(([word, meaning]) => make("div", {}, make("dt", {}, word), make("dd", {}, meaning)))));
