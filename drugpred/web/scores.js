/** The seven scores of a person compared with the survey. */
import { h, s } from "./dom.js";
import { fieldOf } from "./form.js";
import { t } from "./texts.js";

const REACH = 3.5;
const BINS = 28;

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
    return h("li", {}, h("span", { class: "name" }, fieldOf(score)), chart, h("span", { class: "caption" }, t.above(rules.share(score, now), now)));
  });
  list.replaceChildren(...rows);
}

/**
 * Draw the distribution of a score, and the scores of the person now and before.
 * @param {number[]} values @param {number[]} counts respondents with each value
 * @param {number} now @param {number | null} before
 */
function hill(values, counts, now, before) {
  const shares = new Array(BINS).fill(0);
  values.forEach((value, i) => {
    const bin = Math.floor(((value + REACH) / (2 * REACH)) * BINS);
    shares[Math.min(BINS - 1, Math.max(0, bin))] += counts[i];
  });
  // Levels have uneven distances, so neighbours are averaged.
  const smooth = shares.map((_, i) => (at(shares, i - 2) + 2 * at(shares, i - 1) + 3 * at(shares, i) + 2 * at(shares, i + 1) + at(shares, i + 2)) / 9);
  const highest = Math.max(...smooth);
  const points = smooth.map((share, i) => `${((i + 0.5) * 200) / BINS},${(38 - (34 * share) / highest).toFixed(1)}`);
  const x = (/** @type {number} */ value) => (100 * (value + REACH)) / REACH;
  return s("svg", { viewBox: "0 0 200 46", class: "hill", "aria-hidden": "true" },
    s("polygon", { points: `0,38 ${points.join(" ")} 200,38`, class: "people" }),
    s("line", { x1: 0, x2: 200, y1: 38, y2: 38, class: "axis" }),
    s("line", { x1: 100, x2: 100, y1: 38, y2: 42, class: "axis" }),
    before === null ? null : s("path", { d: `M${x(before)},34l4,4l-4,4l-4,-4z`, class: "before" }),
    s("line", { x1: x(now), x2: x(now), y1: 2, y2: 38, class: "now" }),
    s("circle", { cx: x(now), cy: 38, r: 4, class: "now" }),
  );
}

const at = (/** @type {number[]} */ list, /** @type {number} */ i) => list[i] ?? 0;
