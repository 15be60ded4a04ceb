/** CSV like that of `drugpred score`: one line is one record, so that a stray quote affects one line only. */
import { t } from "./texts.js";

export const LONGEST_LINE = 10_000;

/** A mistake in the file; the message has the expected value. */
export class CsvError extends Error {}

/** Yield lines with their numbers, from 1. @param {string} text @returns {Generator<[number, string, number]>} with the end of each */
export function* lines(text) {
  const start = text.startsWith("\ufeff") ? 1 : 0;
  for (let number = 1, from = start; from < text.length; number += 1) {
    const found = text.indexOf("\n", from);
    const end = found < 0 ? text.length : found;
    yield [number, text.slice(from, text[end - 1] === "\r" && end > from ? end - 1 : end), end + 1];
    from = end + 1;
  }
}

/** Return a line's fields. @param {string} line @returns {string[]} */
export function fields(line) {
  if (line.length > LONGEST_LINE) throw new CsvError(t.shorter_line(LONGEST_LINE));
  if (!line.includes('"')) return line.split(",");
  const found = [];
  for (let from = 0; from <= line.length; ) {
    if (line[from] !== '"') {
      const comma = line.indexOf(",", from);
      const end = comma < 0 ? line.length : comma;
      const field = line.slice(from, end);
      if (field.includes('"')) throw new CsvError(t.closed_quotes);
      found.push(field);
      from = end + 1;
    } else {
      const [field, end] = quoted(line, from + 1);
      found.push(field);
      from = end + 1;
    }
  }
  return found;
}

/** @param {string} line @param {number} from @returns {[string, number]} a field, and the index after its closing quote */
function quoted(line, from) {
  let field = "";
  for (;;) {
    const quote = line.indexOf('"', from);
    if (quote < 0) throw new CsvError(t.closed_quotes);
    field += line.slice(from, quote);
    const next = line[quote + 1];
    if (next === undefined || next === ",") return [field, quote + 1];
    if (next !== '"') throw new CsvError(t.closed_quotes);
    field += '"';
    from = quote + 2;
  }
}

/** Return a line of fields, with its line break. @param {(string | number)[]} values */
export const written = (values) => `${values.map((value) => quote(inert(value))).join(",")}\n`;

/** Return a field that no spreadsheet evaluates: a text that looks like a formula gets an apostrophe. @param {string | number} value */
const inert = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value));

/** @param {string} field */
const quote = (field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

/**
 * Return the indices of the inputs, and of the id or -1.
 * @param {string[]} headings
 * @param {import("./rules.js").Rules} rules
 */
export function columnsOf(headings, rules) {
  const { headings: names, passed_over: passedOver } = rules.form;
  const meaning = new Map(rules.inputs.flatMap((field) => names[field].map((/** @type {string} */ name) => [name, field])));
  /** @type {Map<string, number[]>} */
  const found = new Map();
  headings.forEach((heading, i) => {
    const name = heading.trim().toLowerCase();
    if (passedOver.includes(name)) return;
    const field = meaning.get(name) ?? name;
    found.set(field, [...(found.get(field) ?? []), i]);
  });
  // Checked first: without a heading the first line is a person, whose values must not be in a message.
  const missing = rules.inputs.filter((field) => !found.has(field));
  if (missing.length) throw new CsvError(t.csv_missing(missing));
  const known = [...rules.inputs, "id"];
  const unknown = [...found].filter(([name]) => !known.includes(name)).flatMap(([, places]) => places);
  if (unknown.length) throw new CsvError(t.csv_unknown(unknown.map((i) => headings[i])));
  const twice = [...found].filter(([, places]) => places.length > 1).map(([name]) => name);
  if (twice.length) throw new CsvError(t.csv_twice(twice));
  const inputs = rules.inputs.map((field) => /** @type {[string, number]} */ ([field, /** @type {number[]} */ (found.get(field))[0]]));
  return { inputs, id: found.get("id")?.[0] ?? -1, width: headings.length };
}
