/** The form as the fragment of a link, which browsers never send to a server. */

import { fieldOf } from "./form.js";
import { t } from "./texts.js";

const BEFORE = "before.";

/**
 * @typedef {{profile: import("./rules.js").Profile, before: import("./rules.js").Profile | null, window: string}} State
 */

/** @param {State} state @returns {string} */
export function encode({ profile, before, window }) {
  const written = new URLSearchParams({ ...strings(profile), window });
  for (const [name, value] of Object.entries(before ?? {})) written.set(BEFORE + name, String(value));
  return `#${written}`;
}

/**
 * Return the form in a fragment, or null if there is none. Values that break the rules are replaced by those of `usual`.
 * @param {string} fragment
 * @param {import("./rules.js").Rules} rules
 * @param {import("./rules.js").Profile} usual
 * @returns {(State & {invalid: [string, string][], absent: string[]}) | null} with the problem of each invalid answer, by its name
 */
export function decode(fragment, rules, usual) {
  const read = new URLSearchParams(fragment.replace(/^#/, ""));
  if (!rules.inputs.some((field) => read.has(field))) return null;
  const now = profileOf(read, "", rules, usual);
  const before = rules.inputs.some((field) => read.has(BEFORE + field)) ? profileOf(read, BEFORE, rules, now.profile) : null;
  const asked = read.get("window") ?? "decade";
  const window = rules.form.windows.includes(asked) ? asked : "decade";
  const invalid = [...now.invalid, ...(before?.invalid ?? []).map(([name, problem]) => /** @type {[string, string]} */ ([t.link_before(name), problem]))];
  if (window !== asked) invalid.push([t.window, t.expected_label]);
  return { profile: now.profile, before: before?.profile ?? null, window, invalid, absent: now.absent };
}

/**
 * @param {URLSearchParams} read
 * @param {string} prefix
 * @param {import("./rules.js").Rules} rules
 * @param {import("./rules.js").Profile} usual
 */
function profileOf(read, prefix, rules, usual) {
  const asked = read.get(`${prefix}scale`) ?? "standardized";
  const scale = asked === "raw" ? "raw" : "standardized";
  const profile = rules.converted(usual, scale);
  /** @type {[string, string][]} */
  const invalid = scale === asked ? [] : [[t.scale, t.expected_label]];
  const absent = rules.inputs.filter((field) => !read.has(prefix + field));
  for (const field of rules.inputs.filter((name) => !absent.includes(name))) {
    const text = read.get(prefix + field);
    const isLabel = field in rules.form.categories && field !== "age";
    const value = isLabel ? text : text?.trim() ? Number(text) : NaN;
    /** @type {import("./rules.js").Profile} */
    const taken = { ...profile, [field]: value ?? "" };
    const problem = rules.problem(field, taken);
    if (problem) invalid.push([fieldOf(field), problem]);
    else profile[field] = taken[field];
  }
  return { profile, invalid, absent: absent.map(fieldOf) };
}

/** @param {import("./rules.js").Profile} profile */
const strings = (profile) => Object.fromEntries(Object.entries(profile).map(([name, value]) => [name, String(value)]));
