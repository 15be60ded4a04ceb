/** The page of the API: the operations of the OpenAPI document, each with a call that works. */
import { CODE } from "./code.js";
import { at, h, region, table } from "./dom.js";
import { t } from "./texts/api.js";

/** @typedef {{path: string, method: string, operation: any, document: any}} Call */

const MAX_SHOWN = 20_000;
const PLACEHOLDER = /^A+$/;

/** @param {any} node @param {any} document a schema, response or parameter @returns {any} the referenced one */
const resolved = (node, document) => (node.$ref ? node.$ref.slice(2).split("/").reduce((/** @type {any} */ of, /** @type {string} */ part) => of[part], document) : node);

/** @param {any} schema @param {any} document @returns {string} */
function typeOf(schema, document) {
  const of = resolved(schema, document);
  if (of.const !== undefined) return JSON.stringify(of.const);
  if (of.enum) return of.enum.map((/** @type {unknown} */ value) => JSON.stringify(value)).join(" | ");
  const any = of.anyOf ?? of.oneOf;
  if (any) return any.map((/** @type {any} */ one) => typeOf(one, document)).join(" or ");
  if (of.type === "array") return `list of ${typeOf(of.items ?? {}, document)}`;
  const bounds = [of.minimum, of.maximum].some((bound) => bound !== undefined) ? ` from ${of.minimum ?? "\u2212\u221e"} to ${of.maximum ?? "\u221e"}` : "";
  return `${of.title && of.type === "object" ? of.title : (of.type ?? "any")}${bounds}`;
}

/** Send a request with the reader's key. @param {string} path @param {string} [body] */
function fetched(path, body) {
  const key = at("key").value.trim();
  /** @type {Record<string, string>} */
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (/^[\x21-\x7e]+$/.test(key)) headers.authorization = `Bearer ${key}`;
  return fetch(path, { method: body === undefined ? "GET" : "POST", body, headers, redirect: "error" });
}

/** @param {Call} call @returns {HTMLElement} */
function section({ path, method, operation, document }) {
  const content = operation.requestBody?.content["application/json"];
  const body = content ? h("textarea", { spellcheck: "false", rows: 8, "aria-label": t.body }) : null;
  if (body) {
    const written = JSON.stringify(content.example, null, 1);
    body.value = written.length < 900 ? written : JSON.stringify(content.example);
  }
  let target = path.slice(1);
  const versioned = async () => {
    if (target.includes("{version}")) target = target.replace("{version}", (await version()) ?? "{version}");
  };
  const code = h("pre");
  const outcome = h("div", { class: "outcome", role: "status" });
  const write = () => {
    const url = new URL(target, location.href).href;
    code.textContent = body
      ? CODE.curl({ url, body: parsed(body.value), key: at("key").value !== "" })
      : `curl ${url}${at("key").value ? ' -H "authorization: Bearer $KEY"' : ""}\n`;
  };

  const send = async () => {
    outcome.replaceChildren(h("p", {}, t.waiting));
    const began = performance.now();
    try {
      await versioned();
      const note = body && (await borrowed(body, document));
      const answer = await fetched(target, body?.value);
      const text = await answer.text();
      const shown = pretty(text);
      outcome.replaceChildren(
        h("p", {}, h("strong", { class: answer.ok ? "fine" : "problem" }, t.status(answer.status, Math.round(performance.now() - began))), note ? ` ${note}` : ""),
        shown.length > MAX_SHOWN ? h("p", { class: "note" }, t.cut(MAX_SHOWN)) : "",
        h("pre", {}, shown.slice(0, MAX_SHOWN)));
      write();
    } catch {
      outcome.replaceChildren(h("p", { class: "problem" }, t.lost));
    }
  };

  const scope = operation.security?.flatMap((/** @type {any} */ one) => Object.values(one).flat())[0];
  const details = h("details", { class: "operation", id: `${method}${path.replaceAll("/", "-")}` },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()), " ", h("code", {}, path), " ", h("span", { class: "note" }, operation.summary)),
    h("p", { class: "note" }, scope ? t.scope(scope) : t.no_key),
    body,
    h("p", {}, h("button", { type: "button", class: "first", click: send }, t.send)),
    outcome,
    h("h3", {}, t.curl), code,
    content ? fields(resolved(content.schema, document), document) : null,
    answers(operation, document));
  body?.addEventListener("input", write);
  details.addEventListener("toggle", async () => {
    if (details.open) await versioned();
    write();
  });
  return details;
}

/** Replace a prediction_id that only shows the form by that of a prediction. @param {HTMLTextAreaElement} body @param {any} document */
async function borrowed(body, document) {
  const value = parsed(body.value);
  if (!PLACEHOLDER.test(String(value.prediction_id ?? ""))) return "";
  const { example } = document.paths["/predict"].post.requestBody.content["application/json"];
  const answer = await fetched("predict", JSON.stringify(example));
  if (!answer.ok) return "";
  body.value = JSON.stringify({ ...value, prediction_id: (await answer.json()).prediction_id }, null, 1);
  return t.borrowed;
}

/** @returns {Promise<string | undefined>} the version of the model that is served */
async function version() {
  const answer = await fetched("v2/models/drug_consumption").catch(() => null);
  return answer?.ok ? (await answer.json()).versions?.[0] : undefined;
}

/** @param {any} schema @param {any} document */
function fields(schema, document) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, of]) => [
    name, typeOf(of, document), schema.required?.includes(name) ? t.required : "", resolved(of, document).description ?? /** @type {any} */ (of).description ?? "",
  ]);
  return scrolling(t.fields, t.field_columns, rows);
}

/** @param {any} operation @param {any} document */
function answers(operation, document) {
  const rows = Object.entries(operation.responses).map(([status, of]) => [status, resolved(of, document).description]);
  return scrolling(t.answers, t.answer_columns, rows);
}

/** @param {string} name @param {string[]} columns @param {string[][]} rows */
function scrolling(name, columns, rows) {
  const content = table(name, columns, rows);
  // A heading without a text is no heading.
  for (const empty of content.querySelectorAll("th:empty")) empty.replaceWith(h("td"));
  return region(name, content);
}

/** @param {string} text @returns {any} */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** @param {string} text @returns {string} indented if it is JSON */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

async function start() {
  const document = await (await fetch("docs.json")).json();
  at("title").textContent = `${document.info.title} ${document.info.version}`;
  const [first, ...more] = document.info.description.split("\n\n").map((/** @type {string} */ words) => h("p", {}, words));
  at("about").append(first, h("details", {}, h("summary", {}, t.all), ...more));
  at("links").append(h("a", { href: "./app" }, t.page), h("a", { href: "docs.json" }, t.document));
  at("key-label").textContent = t.key;
  at("key-note").textContent = t.key_note;
  const calls = Object.entries(document.paths).flatMap(([path, item]) =>
    ["get", "post"].filter((method) => /** @type {any} */ (item)[method]).map((method) => ({ path, method, operation: /** @type {any} */ (item)[method], document })));
  for (const { name, description } of document.tags) {
    const own = calls.filter(({ operation }) => operation.tags[0] === name).map(section);
    at("operations").append(h("section", { class: "card" }, h("h2", {}, name), h("p", { class: "note" }, description), ...own));
  }
  const chosen = location.hash && at(decodeURIComponent(location.hash.slice(1)));
  if (chosen instanceof HTMLDetailsElement) {
    chosen.open = true;
    chosen.scrollIntoView();
  }
}

start().catch(() => {
  at("about").textContent = t.lost;
});
