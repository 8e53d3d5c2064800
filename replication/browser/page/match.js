// The one meaning of a query: for the worker that searches, and for the page that marks what was found.
"use strict";

/** @typedef {{ query: string, regex: boolean, caseSensitive: boolean }} Query */
/** @typedef {{ what: "windows", k: number, first: number, tokens: ArrayBuffer }} WindowsPiece */
/** @typedef {{ what: "explanations", k: number, rows: ExplanationsShard }} ExplanationsPiece */
/** @typedef {Query & { id: number, what: "windows" | "explanations" | "tokens" }} Asked */
/** @typedef {{ vocabulary: string[], wide: boolean } | { piece: WindowsPiece | ExplanationsPiece } | { asked: Asked }
 *    | { mark: number, id: number }} ToWorker */
/** Hits of a piece, tokens that match, or the texts of a feature that match.
 *  @typedef {{ id: number, features: Uint32Array, counts: Uint32Array } | { id: number, tokens: number[], count: number }
 *    | { id: number, marked: number, texts: string[] }} FromWorker */

/** Text without case. A final sigma depends on what follows it, so that tokens and their joined text would differ. @param {string} text */
const folded = (text) => text.toLowerCase().replaceAll("ς", "σ");

/** Whether a text matches. Throws an error with a sentence for people where a regular expression is none.
 *  @param {Query} query @returns {(text: string) => boolean} */
function compiled({ query, regex, caseSensitive }) {
  if (!regex) {
    const wanted = caseSensitive ? query : folded(query);
    return caseSensitive ? (text) => text.includes(wanted) : (text) => folded(text).includes(wanted);
  }
  try {
    const pattern = new RegExp(query, caseSensitive ? "u" : "iu");
    return (text) => pattern.test(text);
  } catch (error) {
    const why = String(/** @type {Error} */ (error).message).split(": ").at(-1);
    throw new Error(`This is not a regular expression: ${why}.`, { cause: error });
  }
}
