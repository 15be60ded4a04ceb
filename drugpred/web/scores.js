/** The seven scores of a person among those of the survey. */
import { hill } from "./charts.js";
import { h } from "./dom.js";
import { fieldOf } from "./form.js";
import { t } from "./texts.js";

/**
 * @param {Element} list
 * @param {import("./rules.js").Rules} rules
 * @param {import("./rules.js").Profile} profile
 * @param {import("./rules.js").Profile | null} before
 */
export function showScores(list, rules, profile, before) {
  const rows = rules.scores.map((score) => {
    const { values, counts } = rules.form.scores[score];
    const now = rules.standardized(score, profile);
    const chart = hill(values, counts, now, before && rules.standardized(score, before));
    return h("li", {}, h("span", { class: "name" }, fieldOf(score)), chart, h("span", { class: "told" }, t.above(rules.share(score, now))));
  });
  list.replaceChildren(...rows);
}
