/** The section for many people. */
import { Job } from "./batches.js";
import { CsvError, written } from "./csv.js";
import { at, download, h, region, table } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { ServiceError } from "./service.js";
import { t } from "./texts.js";

const LARGEST_MB = 100;
const SHOWN = 50;

/** @param {import("./rules.js").Rules} rules @param {import("./service.js").Service} service */
export function startMany(rules, service) {
  const input = at("file");
  const drop = at("drop");
  const status = at("many-status");
  const progress = at("many-progress");
  const result = at("many-result");
  /** @type {AbortController | null} */
  let running = null;

  at("many-columns").textContent = rules.inputs.join(", ");
  at("many-window").append(
    ...rules.form.windows.map((/** @type {string} */ window) =>
      h("option", { value: window, selected: window === "decade" }, /** @type {any} */ (t.windows)[window])),
  );
  at("sample").addEventListener("click", () => {
    const people = Object.entries(EXAMPLES).map(([id, profile]) => written([id, ...rules.inputs.map((field) => profile[field])]));
    download("sample.csv", new Blob([written(["id", ...rules.inputs]), ...people], { type: "text/csv" }));
  });
  at("sample").disabled = false;
  const chosen = () => input.files?.[0] && start(input.files[0]);
  input.addEventListener("change", chosen);
  at("many-cancel").addEventListener("click", () => running?.abort());
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, () => drop.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));

  // It may have been chosen or dropped before this module was loaded.
  chosen();

  async function start(/** @type {File} */ file) {
    running?.abort();
    const own = (running = new AbortController());
    const { signal } = own;
    const say = (/** @type {string} */ words, problem = false) => {
      if (running !== own) return;
      status.textContent = words;
      status.classList.toggle("problem", problem);
    };
    result.replaceChildren();
    show(true);
    progress.value = 0;
    say(t.reading);
    try {
      if (file.size > LARGEST_MB * 1e6) throw new CsvError(t.csv_too_large(LARGEST_MB));
      const how = { rules, service, signal, scale: at("many-raw").checked ? "raw" : "standardized", window: at("many-window").value };
      const job = new Job(await file.text(), how, {
        progress: (rows, share) => {
          if (running === own) progress.value = Math.max(progress.value, share);
          say(t.progress(rows, progress.value));
        },
        waiting: (error, seconds) => say(t.errors.again(error.message, seconds), true),
      });
      await job.run();
      signal.throwIfAborted();
      say(t.finished(job.scored, job.rejected));
      result.replaceChildren(...outcome(job, file.name));
    } catch (error) {
      say(signal.aborted ? t.cancelled : reason(error), !signal.aborted);
      own.abort();
    }
    // The same file may be chosen again, after a correction.
    if (running === own) {
      input.value = "";
      show(false);
      running = null;
    }
  }

  function show(/** @type {boolean} */ busy) {
    at("many-busy").hidden = !busy;
  }
}

/** @param {Job} job @param {string} name of the file */
function* outcome(job, name) {
  const stem = name.replace(/\.[^.]*$/, "");
  const { problems } = job;
  if (job.scored) yield* job.summary.elements;
  if (job.scored) yield button(t.download, () => download(`${stem}.scored.csv`, job.result));
  if (!problems.length) return;
  const rejected = [written(["line", "column", "expected"]), ...problems.map(written)];
  yield button(t.download_rejected, () => download(`${stem}.rejected.csv`, new Blob(rejected, { type: "text/csv" })));
  const shown = problems.slice(0, SHOWN).map((problem) => problem.map(String));
  const list = table(t.rejected(problems.length, shown.length), [t.line_column, t.column_column, t.expected_column], shown);
  yield region(t.rejected(problems.length, shown.length), list);
}

/** @param {string} words @param {() => void} click */
const button = (words, click) => h("button", { type: "button", class: "first", click }, words);

/** @param {any} error */
function reason(error) {
  if (error instanceof CsvError) return error.message;
  return error instanceof ServiceError ? t.csv_stopped(error.message) : t.csv_unreadable;
}
