/** The texts in the reader's language, if available; another language is a file next to en.js and a line here. */

/** @typedef {typeof import("./texts/en.js").default} Texts */

/** @type {Record<string, () => Promise<{default: Texts}>>} */
const languages = {
  en: () => import("./texts/en.js"),
  de: () => import("./texts/de.js"),
};

const preferred = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in languages);

export const t = (await languages[preferred ?? "en"]()).default;
