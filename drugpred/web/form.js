/** The questions about a person. */
import { h } from "./dom.js";
import { t } from "./texts.js";

/** @typedef {import("./rules.js").Profile} Profile */

const STEP = 0.05;

export class Form {
  /**
   * @param {import("./rules.js").Rules} rules
   * @param {{basics: Element, scale: Element, scores: Element}} places
   * @param {Profile} profile
   * @param {() => void} changed
   */
  constructor(rules, places, profile, changed) {
    this.rules = rules;
    this.profile = profile;
    this.changed = changed;
    /** @type {Map<string, (profile: Profile, own?: boolean) => void>} updates the display of each input; own if it was entered there */
    this.views = new Map();
    for (const name of rules.categories) places.basics.append(name === "age" ? this.#age() : this.#category(name));
    places.scale.append(...["standardized", "raw"].map((scale) => this.#scale(scale)));
    places.scores.append(...rules.scores.map((score) => this.#score(score)));
    this.set(profile);
  }

  /** Show a profile, without reporting a change. @param {Profile} profile */
  set(profile) {
    this.profile = { ...profile };
    for (const view of this.views.values()) view(this.profile);
  }

  #take(/** @type {string} */ field, /** @type {string | number} */ value) {
    this.profile[field] = value;
    this.views.get(field)?.(this.profile, true);
    this.changed();
  }

  #age() {
    const [low, high] = this.rules.form.age;
    const input = h("input", {
      id: "age", type: "number", min: low, max: high, inputmode: "numeric", autocomplete: "off", "aria-describedby": "age-problem",
      input: () => this.#take("age", input.valueAsNumber),
    });
    return this.#checked("age", input, h("label", { for: "age" }, t.fields.age));
  }

  #category(/** @type {string} */ name) {
    const options = this.rules.form.categories[name].labels.map((/** @type {string} */ label) =>
      h("option", { value: label }, labelOf(label)),
    );
    const select = h("select", { id: name, autocomplete: "off", change: () => this.#take(name, select.value) }, ...options);
    this.views.set(name, (profile) => {
      select.value = profile[name];
    });
    return h("div", { class: `field ${name}` }, h("label", { for: name }, fieldOf(name)), select);
  }

  #scale(/** @type {string} */ scale) {
    const input = h("input", {
      type: "radio", name: "scale", value: scale,
      change: () => {
        this.set(this.rules.converted(this.profile, scale));
        this.changed();
      },
    });
    this.views.set(`scale ${scale}`, (profile) => {
      input.checked = profile.scale === scale;
    });
    return h("label", {}, input, h("span", {}, /** @type {any} */ (t.scales)[scale]));
  }

  #score(/** @type {string} */ score) {
    const { lowest, highest } = this.rules.form.scores[score];
    const ends = /** @type {any} */ (t.ends)[score];
    const slider = h("input", {
      id: score, type: "range", step: STEP, autocomplete: "off", "aria-describedby": `${score}-ends`,
      min: (Math.floor(lowest / STEP) * STEP).toFixed(2), max: (Math.ceil(highest / STEP) * STEP).toFixed(2),
      // The range is slightly wider than the bounds, so that the bounds can be reached.
      input: () => this.#take(score, Math.min(highest, Math.max(lowest, slider.valueAsNumber))),
    });
    const caption = h("span", { class: "caption" });
    const label = h("label", { for: score }, fieldOf(score));
    const scale = h("div", {}, slider, h("div", { class: "ends", id: `${score}-ends` }, h("span", {}, ends[0]), h("span", {}, ends[1])));
    const row = h("div", { class: "field score" }, h("div", { class: "named" }, label, caption), scale);
    const total = this.rules.isNeo(score) ? this.#total(score) : null;
    if (total) row.append(...total.parts);
    const check = total?.check;
    this.views.set(score, (profile, own = false) => {
      const raw = this.rules.isTotal(score, profile);
      scale.hidden = raw;
      label.htmlFor = raw ? `${score}-total` : score;
      check?.(profile, raw, own);
      const problem = this.rules.problem(score, profile);
      const value = problem ? 0 : this.rules.standardized(score, profile);
      caption.textContent = problem ? "" : t.above(this.rules.share(score, value), value);
      if (!own) slider.value = String(value);
      slider.setAttribute("aria-valuetext", caption.textContent ?? "");
    });
    return row;
  }

  #total(/** @type {string} */ score) {
    const [low, high] = this.rules.totals;
    const id = `${score}-total`;
    const input = h("input", {
      id, type: "number", min: low, max: high, inputmode: "numeric", autocomplete: "off",
      "aria-describedby": `${id}-problem`, input: () => this.#take(score, input.valueAsNumber),
    });
    const note = h("p", { class: "problem", id: `${id}-problem` });
    const check = (/** @type {Profile} */ profile, /** @type {boolean} */ raw, /** @type {boolean} */ own) => {
      input.hidden = !raw;
      show(input, note, raw ? profile[score] : "", raw ? this.rules.problem(score, profile) : "", own);
    };
    return { parts: [input, note], check };
  }

  #checked(/** @type {string} */ field, /** @type {any} */ input, /** @type {Element} */ label) {
    const note = h("p", { class: "problem", id: `${field}-problem` });
    this.views.set(field, (profile, own = false) => show(input, note, profile[field], this.rules.problem(field, profile), own));
    return h("div", { class: `field ${field}` }, label, input, note);
  }
}

/** @param {any} input @param {any} note @param {unknown} value @param {string} problem @param {boolean} own */
function show(input, note, value, problem, own) {
  // Not during typing: it would remove unfinished text.
  if (!own) input.value = Number.isNaN(value) ? "" : value;
  input.setAttribute("aria-invalid", String(problem !== ""));
  note.textContent = problem;
}

/** @param {string} name @returns {string} */
export const fieldOf = (name) => /** @type {any} */ (t.fields)[name] ?? name;

/** @param {string} label @returns {string} */
export const labelOf = (label) => /** @type {any} */ (t.labels)[label] ?? label;

/** Return an input of a profile in words. @param {string} field @param {Profile} profile @param {import("./rules.js").Rules} rules */
export function inputText(field, profile, rules) {
  if (field === "age" || rules.isTotal(field, profile)) return String(profile[field]);
  if (field in rules.form.categories) return labelOf(String(profile[field]));
  const value = rules.standardized(field, profile);
  return t.above(rules.share(field, value), value);
}
