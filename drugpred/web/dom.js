/** Creates elements; text is never parsed as markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} element
 * @param {Record<string, any>} properties functions listen to the event of that name, true and false set or leave out
 * @param {(Node | string | null)[]} children
 */
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @param {string} tag @param {Record<string, any>} [properties] @param {...(Node | string | null)} children @returns {any} */
export const h = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);

/** @param {string} tag @param {Record<string, any>} [properties] @param {...(Node | string | null)} children @returns {any} */
export const s = (tag, properties = {}, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** @param {string} id @returns {any} the element of the page with that id */
export const at = (id) => document.getElementById(id);

/**
 * @param {string} caption
 * @param {string[]} columns
 * @param {(string | Node)[][]} rows the first of each names it
 */
export function table(caption, columns, rows) {
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map(([name, ...cells]) =>
    h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell) => h("td", {}, cell))),
  );
  return h("table", {}, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, ...body));
}

/** Offer text parts as a file. @param {string} name @param {Blob} blob */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Return an element that scrolls, and that the keyboard reaches. @param {string} name @param {HTMLElement} content */
export const region = (name, content) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, content);

/** Copy a text if the browser allows it. @param {string} text @returns {Promise<boolean>} */
export const copied = async (text) => (await navigator.clipboard?.writeText(text).then(() => true, () => false)) ?? false;
