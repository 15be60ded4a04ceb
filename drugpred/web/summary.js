/** The summary of a scored file: shares by drug, their distribution, and the people furthest from the others. */
import { h, region, s, table } from "./dom.js";
import { drugOf } from "./results.js";
import { t } from "./texts.js";

const BINS = 10;
const UNUSUAL = 10;
const NAMED = 3;

/** @typedef {{drug: string, probability: number, prediction: number, base_rate: number, reliable: boolean}} Risk */
/** @typedef {{id: string, line: number, shares: Float32Array}} Person shares in the order of the drugs */

export class Summary {
  /** @type {{drug: string, reliable: boolean, base: number, sum: number, high: number, bins: number[]}[]} */
  #drugs = [];
  /** @type {Person[]} */
  #people = [];

  /** @param {string} id @param {number} line @param {Risk[]} risks of all drugs, always in the same order */
  add(id, line, risks) {
    if (!this.#drugs.length) {
      this.#drugs = risks.map(({ drug, reliable, base_rate: base }) => ({ drug, reliable, base, sum: 0, high: 0, bins: new Array(BINS).fill(0) }));
    }
    risks.forEach(({ probability: p, prediction }, i) => {
      const of = this.#drugs[i];
      of.sum += p;
      of.high += prediction;
      of.bins[Math.min(BINS - 1, Math.floor(BINS * p))] += 1;
    });
    this.#people.push({ id, line, shares: Float32Array.from(risks, (risk) => risk.probability) });
  }

  /** @returns {HTMLElement[]} */
  get elements() {
    const n = this.#people.length;
    const extreme = (/** @type {"min" | "max"} */ of, /** @type {number} */ i) => this.#people.reduce((found, { shares }) => Math[of](found, shares[i]), this.#people[0].shares[i]);
    const rows = this.#drugs.map(({ drug, base, sum, high, bins }, i) => [
      drugOf(drug), t.percent(sum / n), t.percent(base), histogram(bins), `${t.percent(extreme("min", i))} \u2013 ${t.percent(extreme("max", i))}`, t.people(high),
    ]);
    return [
      region(t.file_shares, table(t.file_shares, t.file_shares_columns, rows)),
      region(t.file_unusual, table(t.file_unusual, t.file_unusual_columns, this.#unusual())),
    ];
  }

  /** Return a row for each of the people with the highest mean distance from the mean of the file, over the reliable drugs. */
  #unusual() {
    const drugs = this.#drugs.map(({ drug, reliable, sum }, i) => ({ drug, reliable, i, mean: sum / this.#people.length })).filter(({ reliable }) => reliable);
    const distance = (/** @type {Person} */ { shares }) => drugs.reduce((sum, { i, mean }) => sum + Math.abs(shares[i] - mean), 0) / Math.max(1, drugs.length);
    const ranked = this.#people.map((person) => ({ ...person, distance: distance(person) })).sort((a, b) => b.distance - a.distance || a.line - b.line);
    return ranked.slice(0, UNUSUAL).map((person) => {
      const far = (/** @type {{i: number, mean: number}} */ { i, mean }) => Math.abs(person.shares[i] - mean);
      const named = drugs.toSorted((a, b) => far(b) - far(a)).slice(0, NAMED);
      return [person.id, t.points(person.distance), named.map(({ drug, i, mean }) => t.file_one(drugOf(drug), person.shares[i], mean)).join("; ")];
    });
  }
}

/** Draw people by tenths of probability, hidden from screen readers, which read the range. @param {number[]} bins */
function histogram(bins) {
  const most = Math.max(...bins);
  const d = bins.map((count, i) => (count ? `M${8 * i} 20h7v${-Math.max(1, (20 * count) / most).toFixed(1)}h-7z` : "")).join("");
  return s("svg", { viewBox: "0 0 79 21", class: "histogram", "aria-hidden": "true" }, s("path", { d }), s("path", { d: "M0 20.5h79", class: "axis" }));
}
