/** The form as the fragment of a link, which browsers never send to a server. */

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
 * @returns {(State & {partly: boolean}) | null}
 */
export function decode(fragment, rules, usual) {
  const read = new URLSearchParams(fragment.replace(/^#/, ""));
  if (!rules.inputs.some((field) => read.has(field))) return null;
  const now = profileOf(read, "", rules, usual);
  const before = rules.inputs.some((field) => read.has(BEFORE + field)) ? profileOf(read, BEFORE, rules, now.profile) : null;
  const asked = read.get("window") ?? "decade";
  const window = rules.form.windows.includes(asked) ? asked : "decade";
  const partly = now.partly || Boolean(before?.partly) || window !== asked;
  return { profile: now.profile, before: before?.profile ?? null, window, partly };
}

/**
 * @param {URLSearchParams} read
 * @param {string} prefix
 * @param {import("./rules.js").Rules} rules
 * @param {import("./rules.js").Profile} usual
 */
function profileOf(read, prefix, rules, usual) {
  const scale = read.get(`${prefix}scale`) === "raw" ? "raw" : "standardized";
  const profile = rules.converted(usual, scale);
  let partly = false;
  for (const field of rules.inputs) {
    const text = read.get(prefix + field);
    const isLabel = field in rules.form.categories && field !== "age";
    const value = isLabel ? text : text?.trim() ? Number(text) : NaN;
    /** @type {import("./rules.js").Profile} */
    const taken = { ...profile, [field]: value ?? "" };
    if (rules.problem(field, taken)) partly = true;
    else profile[field] = taken[field];
  }
  return { profile, partly };
}

/** @param {import("./rules.js").Profile} profile */
const strings = (profile) => Object.fromEntries(Object.entries(profile).map(([name, value]) => [name, String(value)]));
