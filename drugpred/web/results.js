/** The ranked list of drugs. */
import { h, s, table } from "./dom.js";
import { t } from "./texts.js";

/** @typedef {"probability" | "difference" | "name"} Order */
/** @typedef {{drug: string, probability: number, prediction: number, threshold: number, base_rate: number, auc: number | null, reliable: boolean, interval: {low: number, high: number}, windows: Record<string, number>}} Risk */

const BAR = 8;
const GAP = 2;
const HEIGHT = 28;

/** @type {Record<Order, (a: Risk, b: Risk) => number>} */
const ORDERS = {
  probability: (a, b) => b.probability - a.probability,
  difference: (a, b) => Math.abs(b.probability - b.base_rate) - Math.abs(a.probability - a.base_rate),
  name: (a, b) => drugOf(a.drug).localeCompare(drugOf(b.drug), t.language),
};

/** Return the risks in an order, those that are barely predictable last. @param {Risk[]} risks @param {Order} order */
export const ranked = (risks, order) => risks.toSorted((a, b) => Number(b.reliable) - Number(a.reliable) || ORDERS[order](a, b));

export class Results {
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #places = "";
  /** @type {{risks: Risk[], window: string, before: Risk[] | null} | null} */
  #shown = null;
  /** @type {Order} */
  #order = "probability";

  /** @param {Element} list @param {() => void} opened called when a drug is opened or closed */
  constructor(list, opened) {
    this.list = list;
    this.opened = opened;
  }

  /** The open drugs, with the elements of their explanations. @returns {[string, HTMLElement][]} */
  get open() {
    return [...this.#rows].filter(([, row]) => row.element.open).map(([drug, row]) => [drug, row.why]);
  }

  /** @param {Order} order */
  sort(order) {
    this.#order = order;
    if (this.#shown) this.show(this.#shown.risks, this.#shown.window, this.#shown.before);
  }

  /** @param {Risk[]} risks @param {string} window @param {Risk[] | null} before */
  show(risks, window, before) {
    this.#shown = { risks, window, before };
    const earlier = new Map((before ?? []).map((risk) => [risk.drug, risk.probability]));
    const inOrder = ranked(risks, this.#order);
    const barely = inOrder.find((risk) => !risk.reliable);
    for (const risk of inOrder) {
      const row = this.#rows.get(risk.drug) ?? new Row(this.opened);
      this.#rows.set(risk.drug, row);
      row.show(risk, window, earlier.get(risk.drug), risk === barely);
    }
    const places = inOrder.map(({ drug }) => drug).join();
    if (places === this.#places) return;
    this.#places = places;
    // Moving an element takes the focus from it.
    const focused = document.activeElement;
    this.list.replaceChildren(...inOrder.map(({ drug }) => /** @type {Row} */ (this.#rows.get(drug)).item));
    if (focused instanceof HTMLElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
  }
}

class Row {
  /** @param {() => void} opened */
  constructor(opened) {
    this.group = h("p", { class: "group" });
    this.name = h("span", { class: "name" });
    this.figure = h("span", { class: "figure" });
    this.caption = h("span", { class: "caption" });
    this.before = h("span", { class: "change" });
    this.bar = h("span", { class: "bar", "aria-hidden": "true" },
      h("i", { class: "fill" }), h("i", { class: "base" }), h("i", { class: "interval" }), h("i", { class: "before" }));
    this.windows = h("span", { class: "over-time" });
    this.facts = h("div", { class: "facts" });
    this.why = h("div", { class: "why" });
    /** @type {{risk: Risk, window: string} | null} */
    this.shown = null;
    const toggle = () => {
      this.#describe();
      opened();
    };
    this.element = h("details", { toggle },
      h("summary", {}, this.name, this.bar, this.figure, " ", this.caption, " ", this.before, this.windows),
      h("div", { class: "detail" }, this.facts, this.why));
    this.item = h("li", {}, this.group, this.element);
  }

  /** @param {Risk} risk @param {string} window @param {number | undefined} before @param {boolean} first of those that are barely predictable */
  show(risk, window, before, first) {
    this.shown = { risk, window };
    this.item.classList.toggle("barely", !risk.reliable);
    this.name.textContent = drugOf(risk.drug);
    this.figure.textContent = t.percent(risk.probability);
    this.group.textContent = first ? t.barely_group : "";
    this.caption.replaceChildren(h("span", { class: "range" }, t.range(risk.interval.low, risk.interval.high)), h("br"), t.row(risk.base_rate));
    this.before.textContent = before === undefined ? "" : t.before(before, risk.probability);
    this.bar.classList.toggle("compared", before !== undefined);
    place(this.bar, { now: risk.probability, low: risk.interval.low, high: risk.interval.high, base: risk.base_rate, before: before ?? 0 });
    this.windows.replaceChildren(windowsChart(risk.windows, window));
    this.#describe();
  }

  /** Fill in the details of an open drug. */
  #describe() {
    if (!this.shown || !this.element.open) return;
    const { risk, window } = this.shown;
    const rows = Object.entries(risk.windows).map(([of, share]) => [/** @type {any} */ (t.windows)[of], t.percent(share)]);
    this.facts.replaceChildren(
      h("div", {},
        h("p", {}, t.sentence(drugOf(risk.drug), risk.probability, risk.base_rate, window)),
        h("p", {}, t.interval(risk.interval.low, risk.interval.high)),
        risk.reliable ? null : h("p", {}, h("strong", {}, `${t.barely}. `), t.barely_why),
        h("p", {}, t.threshold(risk.threshold, risk.prediction === 1)),
        h("p", {}, t.auc(risk.auc))),
      table(t.windows_table, [t.window_column, t.share_column], rows));
  }
}

/** Draw the probability within each window, hidden from screen readers, which read the text next to it. @param {Record<string, number>} windows @param {string} chosen */
function windowsChart(windows, chosen) {
  const names = Object.keys(windows);
  // One path for all bars of a kind: there are 108.
  const bars = (/** @type {string} */ kind, /** @type {(name: string) => number} */ height) =>
    s("path", { class: kind, d: names.map((name, i) => `M${i * (BAR + GAP)} ${HEIGHT}h${BAR}v${-height(name)}h${-BAR}z`).join("") });
  const tall = (/** @type {string} */ name) => Math.max(1, HEIGHT * windows[name]);
  return s("svg", { viewBox: `0 0 ${names.length * (BAR + GAP) - GAP} ${HEIGHT}`, class: "windows", "aria-hidden": "true" },
    bars("track", () => HEIGHT),
    bars("other", (name) => (name === chosen ? 0 : tall(name))),
    bars("chosen", (name) => (name === chosen ? tall(name) : 0)));
}

/** Set lengths in percent; the Content-Security-Policy forbids style attributes. @param {HTMLElement} element @param {Record<string, number>} shares */
export function place(element, shares) {
  for (const [name, share] of Object.entries(shares)) element.style.setProperty(`--${name}`, `${100 * share}%`);
}

/** @param {string} drug @returns {string} */
export const drugOf = (drug) => /** @type {any} */ (t.drugs)[drug] ?? drug;
