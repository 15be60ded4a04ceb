/** Explanation of a figure: the effect of each answer on the odds. */
import { h } from "./dom.js";
import { fieldOf, inputText } from "./form.js";
import { place } from "./results.js";
import { t } from "./texts.js";

/**
 * @param {HTMLElement} element
 * @param {Record<string, number>} contributions in log-odds, by input
 * @param {import("./rules.js").Profile} profile
 * @param {import("./rules.js").Rules} rules
 */
export function showWhy(element, contributions, profile, rules) {
  const ranked = Object.entries(contributions).toSorted(([, a], [, b]) => Math.abs(b) - Math.abs(a));
  const longest = Math.max(0.5, ...ranked.map(([, of]) => Math.abs(of)));
  const rows = ranked.map(([field, of]) => {
    const bar = h("span", { class: `effect ${of < 0 ? "down" : "up"}`, "aria-hidden": "true" }, h("i"));
    place(bar, { length: Math.abs(of) / longest / 2 });
    return h("tr", {},
      h("th", { scope: "row" }, fieldOf(field), h("small", {}, inputText(field, profile, rules))),
      h("td", {}, bar, t.up(Math.exp(of))));
  });
  const head = h("tr", {}, h("th", { scope: "col" }, t.answer_column), h("th", { scope: "col" }, t.effect_column));
  element.replaceChildren(
    h("h3", {}, t.why),
    h("p", { class: "note" }, t.why_note),
    h("table", {}, h("caption", { class: "unseen" }, t.why_chart), h("thead", {}, head), h("tbody", {}, ...rows)));
}

/** Show that there is none yet, or the reason. @param {HTMLElement} element @param {string} words */
export function showNoWhy(element, words) {
  element.replaceChildren(h("h3", {}, t.why), h("p", { class: "note" }, words));
}
