/** Plain SVG. What each chart shows stands in words beside it, so all are hidden from screen readers. */
import { s } from "./dom.js";

const BAR = 8;
const GAP = 2;
const HEIGHT = 28;
const REACH = 3.5;
const BINS = 28;

/** Draw the probability within each window. @param {Record<string, number>} windows @param {string} chosen */
export function windowsChart(windows, chosen) {
  const names = Object.keys(windows);
  const bars = names.map((name, i) => {
    const height = Math.max(1, HEIGHT * windows[name]);
    const place = { x: i * (BAR + GAP), width: BAR };
    return s("g", {},
      s("rect", { ...place, y: 0, height: HEIGHT, class: "track" }),
      s("rect", { ...place, y: HEIGHT - height, height, class: name === chosen ? "chosen" : "other" }),
    );
  });
  const width = names.length * (BAR + GAP) - GAP;
  return s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "windows", "aria-hidden": "true" }, ...bars);
}

/**
 * Draw how a score is distributed, and where people are.
 * @param {number[]} values @param {number[]} counts of respondents who have each
 * @param {number} now @param {number | null} before
 */
export function hill(values, counts, now, before) {
  const shares = new Array(BINS).fill(0);
  values.forEach((value, i) => {
    const bin = Math.floor(((value + REACH) / (2 * REACH)) * BINS);
    shares[Math.min(BINS - 1, Math.max(0, bin))] += counts[i];
  });
  // Levels lie at uneven distances, so neighbours are averaged.
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
