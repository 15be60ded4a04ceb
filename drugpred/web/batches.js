/** Many people: converts the lines of a file to batches, two of them in flight, and the answers to lines, in order. */
import { columnsOf, CsvError, fields, lines, written } from "./csv.js";
import { patiently, ServiceError } from "./service.js";
import { Summary } from "./summary.js";
import { t } from "./texts.js";

const IN_FLIGHT = 2;
const MAX_CHARACTERS = 1_000_000;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @typedef {{line: number, id: string, profile: Record<string, unknown>}} Person */
/** @typedef {[number, string, string]} Rejected line, column, expected value */

export class Job {
  #rejected = /** @type {Rejected[][]} */ ([]);
  #parts = /** @type {string[]} */ ([]);
  summary = new Summary();
  scored = 0;
  rejected = 0;

  /**
   * @param {string} text of the file
   * @param {{rules: import("./rules.js").Rules, service: import("./service.js").Service, scale: string, window: string, signal: AbortSignal}} how
   * @param {{progress: (rows: number, share: number) => void, waiting: (error: ServiceError, seconds: number) => void}} listeners
   */
  constructor(text, how, listeners) {
    this.text = text;
    this.how = how;
    this.listeners = listeners;
    const [first] = lines(text);
    if (!first || !text.trim()) throw new CsvError(t.csv_empty);
    this.headings = fields(first[1]);
    this.columns = columnsOf(this.headings, how.rules);
  }

  /** Score all lines, and set `result` and `problems`. */
  async run() {
    const batches = this.#batches();
    const work = async () => {
      for (const batch of batches) {
        this.#parts[batch.number] = await this.#score(batch.people, this.#rejected[batch.number]);
        this.rejected += new Set(this.#rejected[batch.number].map(([line]) => line)).size;
        this.listeners.progress(this.scored + this.rejected, batch.end / this.text.length);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, work));
    if (this.scored + this.rejected === 0) throw new CsvError(t.csv_no_rows);
  }

  /** @returns {Blob} */
  get result() {
    const { drugs } = this.how.rules.form;
    return new Blob([written([this.columns.id < 0 ? "line" : "id", ...drugs]), ...this.#parts], { type: "text/csv" });
  }

  /** @returns {Rejected[]} in the order of the file */
  get problems() {
    return this.#rejected.flat().toSorted(([a], [b]) => a - b);
  }

  /** Yield people in batches of the size that the service accepts. */
  *#batches() {
    const most = this.how.rules.form.most_profiles;
    let people = /** @type {Person[]} */ ([]);
    let characters = 0;
    let number = 0;
    let last = 0;
    this.#rejected[0] = [];
    for (const [line, content, end] of lines(this.text)) {
      if (line === 1) continue;
      try {
        people.push(this.#person(line, content));
        characters += content.length;
      } catch (error) {
        if (!(error instanceof CsvError)) throw error;
        this.#rejected[number].push([line, "", error.message]);
      }
      last = end;
      if (people.length === most || characters > MAX_CHARACTERS) {
        this.#rejected[number + 1] = [];
        yield { number, people, end };
        [people, characters, number] = [[], 0, number + 1];
      }
    }
    if (people.length || this.#rejected[number].length) yield { number, people, end: Math.min(last, this.text.length) };
  }

  /** @param {number} line @param {string} content @returns {Person} */
  #person(line, content) {
    const cells = fields(content);
    const { inputs, id, width } = this.columns;
    if (cells.length !== width) throw new CsvError(t.n_fields(width));
    const { categories } = this.how.rules;
    /** @type {Record<string, unknown>} */
    const profile = { scale: this.how.scale, window: this.how.window };
    for (const [field, place] of inputs) {
      const cell = cells[place].trim();
      const isNumber = NUMBER.test(cell) && (field === "age" || !categories.includes(field));
      // A text in place of a number is sent unchanged, and the service rejects it with its own message.
      profile[field] = isNumber ? Number(cell) : cell;
    }
    return { line, id: id < 0 ? String(line) : cells[id], profile };
  }

  /** Return the lines of the result; people that the service rejects are left out. @param {Person[]} people @param {Rejected[]} rejected */
  async #score(people, rejected) {
    const { service, signal } = this.how;
    let left = people;
    while (left.length) {
      const body = { profiles: left.map(({ profile }) => profile) };
      try {
        const answers = await patiently(() => service.json("predict_batch", { body, signal }), signal, this.listeners.waiting);
        this.scored += left.length;
        return answers.map((/** @type {any} */ answer, /** @type {number} */ i) => this.#line(left[i], answer.risks)).join("");
      } catch (error) {
        const bad = error instanceof ServiceError && error.status === 400 ? this.#refused(left, error, rejected) : new Set();
        if (!bad.size) throw error;
        left = left.filter((_, i) => !bad.has(i));
      }
    }
    return "";
  }

  /** @param {Person[]} people @param {ServiceError} error @param {Rejected[]} rejected @returns {Set<number>} their indices */
  #refused(people, error, rejected) {
    const bad = new Set();
    for (const { loc: [where, place, field], msg, type } of error.details) {
      if (where !== "profiles" || typeof place !== "number" || !people[place]) continue;
      bad.add(place);
      rejected.push([people[place].line, this.#heading(String(field ?? "")), expected(msg, type)]);
    }
    return bad;
  }

  /** @param {string} field @returns {string} its heading in the file */
  #heading(field) {
    const found = this.columns.inputs.find(([name]) => name === field);
    return found ? this.headings[found[1]] : field;
  }

  /** @param {Person} person @param {import("./summary.js").Risk[]} risks */
  #line(person, risks) {
    this.summary.add(person.id, person.line, risks);
    const of = new Map(risks.map(({ drug, probability }) => [drug, probability]));
    return written([person.id, ...this.how.rules.form.drugs.map((/** @type {string} */ drug) => of.get(drug) ?? "")]);
  }
}

/** @param {string} message of the service @param {string} type */
function expected(message, type) {
  if (type.startsWith("float_")) return t.a_number;
  return type === "missing" ? t.a_value : message.replace(/^expected /, "");
}
