/** The texts in the reader's language, if available; another language is a file next to en.js and a line here. */
import en from "./texts/en.js";

/** @type {Record<string, typeof en>} */
const languages = { en };

const preferred = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in languages);

export const t = languages[preferred ?? "en"];
