/** The rules of a profile. All bounds and labels come from the service. */
import { t } from "./texts.js";

/** @typedef {Record<string, string | number>} Profile of POST /predict */

export class Rules {
  /** @param {any} form the rules from the service */
  constructor(form) {
    this.form = form;
    /** @type {string[]} */
    this.categories = Object.keys(form.categories);
    /** @type {string[]} */
    this.scores = Object.keys(form.scores);
    this.inputs = [...this.categories, ...this.scores];
  }

  /** Whether raw totals of a score are known. @param {string} score */
  isNeo(score) {
    return "totals" in (this.form.scores[score] ?? {});
  }

  /** Whether an input of a profile is a raw total. @param {string} field @param {Profile} profile */
  isTotal(field, profile) {
    return profile.scale === "raw" && this.isNeo(field);
  }

  get totals() {
    const low = this.form.lowest_total;
    return [low, low + this.form.scores.neuroticism.totals.length - 1];
  }

  /** Return the problem of an input, or "". @param {string} field @param {Profile} profile @returns {string} */
  problem(field, profile) {
    const value = profile[field];
    if (field === "age") {
      const [low, high] = this.form.age;
      return isWhole(value, low, high) ? "" : t.expected_years(low, high);
    }
    if (field in this.form.categories) {
      return this.form.categories[field].labels.includes(value) ? "" : t.expected_label;
    }
    if (this.isTotal(field, profile)) {
      const [low, high] = this.totals;
      return isWhole(value, low, high) ? "" : t.expected_total(low, high);
    }
    const { lowest, highest } = this.form.scores[field];
    const within = typeof value === "number" && lowest <= value && value <= highest;
    return within ? "" : t.expected_number(lowest, highest);
  }

  /** @param {Profile} profile @returns {string[]} the inputs that have a problem */
  problems(profile) {
    return this.inputs.filter((field) => this.problem(field, profile));
  }

  /** Return a score of a profile as standardized. @param {string} score @param {Profile} profile @returns {number} */
  standardized(score, profile) {
    const value = Number(profile[score]);
    return this.isTotal(score, profile) ? this.form.scores[score].totals[value - this.form.lowest_total] : value;
  }

  /** Return a profile in the other scale: the nearest totals, or their values. @param {Profile} profile @param {string} scale */
  converted(profile, scale) {
    /** @type {Profile} */
    const converted = { ...profile, scale };
    for (const score of this.scores.filter((name) => this.isNeo(name) && profile.scale !== scale)) {
      if (this.problem(score, profile)) continue;
      const value = this.standardized(score, profile);
      converted[score] = scale === "raw" ? this.#nearest(score, value) : value;
    }
    return converted;
  }

  /** @param {string} score @param {number} value */
  #nearest(score, value) {
    const distances = this.form.scores[score].totals.map((/** @type {number} */ of) => Math.abs(of - value));
    return this.form.lowest_total + distances.indexOf(Math.min(...distances));
  }

  /** Return the share of the survey below a standardized score, including half of those who have it. @param {string} score @param {number} value */
  share(score, value) {
    const { values, counts } = this.form.scores[score];
    let below = 0;
    let all = 0;
    for (let i = 0; i < values.length; i += 1) {
      all += counts[i];
      if (values[i] < value - 1e-6) below += counts[i];
      else if (values[i] <= value + 1e-6) below += counts[i] / 2;
    }
    return below / all;
  }
}

/** @param {unknown} value @param {number} low @param {number} high */
const isWhole = (value, low, high) => Number.isInteger(value) && low <= Number(value) && Number(value) <= high;
