// Elements are made here and nowhere else: text goes in as text nodes, so that nothing in a corpus can become markup.
"use strict";

/** @typedef {Node | string | number | null | false | undefined} Child */

/** An element. Properties named `on...` are listeners, `class`, `data-...`, `aria-...` and other names are attributes, null and false leave one out.
 *  @template {keyof HTMLElementTagNameMap} T
 *  @param {T} tag @param {Record<string, any>} [properties] @param {Child[]} children @returns {HTMLElementTagNameMap[T]} */
function make(tag, properties = {}, ...children) {
  return furnish(document.createElement(tag), properties, children);
}

/** An element of a drawing. @template {keyof SVGElementTagNameMap} T
 *  @param {T} tag @param {Record<string, any>} [properties] @param {Child[]} children @returns {SVGElementTagNameMap[T]} */
function svg(tag, properties = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

/** @template {Element} E @param {E} element @param {Record<string, any>} properties @param {Child[]} children @returns {E} */
function furnish(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === false || value === undefined) continue;
    if (typeof value === "function" && name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null && child !== false && child !== undefined) element.append(child instanceof Node ? child : String(child));
  return element;
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found;
}

const GLYPHS = /** @type {Record<string, string>} */ ({ "\n": "⏎", "\t": "⇥", "\r": "␍" });
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** Text of a token as it can be shown: line ends and tabs as signs, other controls, bidi marks and unassigned characters as \xNN or \uNNNN. @param {string} text */
const visible = (text) => text.replace(UNSEEN, (sign) => GLYPHS[sign] || escaped(/** @type {number} */ (sign.codePointAt(0))));

/** @param {number} code */
const escaped = (code) => (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);

/** A token, apart from the direction of the text around it. @param {string} text @param {Record<string, any>} [properties] */
const token = (text, properties = {}) => make("bdi", { class: "token", ...properties }, visible(text) || "∅");

/** A number with three significant digits, as people write it. @param {number | null | undefined} value */
function numeral(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) {
    const [digits, power] = value.toExponential(1).split("e");
    return `${digits.replace("-", "−")}e${power.replace("+", "").replace("-", "−")}`;
  }
  return (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)))).replace("-", "−");
}
