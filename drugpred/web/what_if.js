/** The kept answers, and the changes since. */
import { at, h } from "./dom.js";
import { fieldOf, inputText } from "./form.js";
import { t } from "./texts.js";

/**
 * @param {import("./rules.js").Rules} rules
 * @param {import("./rules.js").Profile} profile
 * @param {import("./rules.js").Profile | null} before
 */
export function showWhatIf(rules, profile, before) {
  at("keep").hidden = before !== null;
  at("comparing").hidden = before === null;
  if (!before) return;
  const words = (/** @type {string} */ field, /** @type {import("./rules.js").Profile} */ of) => inputText(field, of, rules);
  const changed = rules.inputs.filter((field) => words(field, profile) !== words(field, before));
  const items = changed.map((field) => h("li", {}, t.change(fieldOf(field), words(field, before), words(field, profile))));
  at("changes").replaceChildren(items.length ? h("ul", {}, ...items) : h("p", {}, t.unchanged));
}
