/** The section about the model and the server: card, report, health and drift. */
import { at, download, h, table } from "./dom.js";
import { drugOf } from "./results.js";
import { fieldOf } from "./form.js";
import { t } from "./texts.js";

/** @param {import("./service.js").Service} service */
export function startModel(service) {
  const section = at("model-details");
  const opened = () => section.open && show(service);
  section.addEventListener("toggle", opened);
  // It may have been opened before this module was loaded.
  opened();
  at("report").addEventListener("click", (/** @type {Event} */ event) => {
    // A plain link sends no key.
    if (!service.hasKey) return;
    event.preventDefault();
    service.answer("app/report/").then(async (answer) => download("report.html", await answer.blob()), (error) => {
      at("report-problem").textContent = t.not_offered(error.message);
    });
  });
}

/** @param {import("./service.js").Service} service */
async function show(service) {
  const place = at("model-facts");
  if (!place.childElementCount) place.replaceChildren(h("p", {}, t.model_waiting));
  const json = (/** @type {string} */ path) => service.json(path).catch((error) => error);
  const card = await json("model");  // may ask for a key, without which health has fewer facts
  const [health, drift] = await Promise.all([json("health"), json("drift")]);
  place.replaceChildren(
    facts(card, health),
    h("h3", {}, t.drift),
    h("p", {}, drift instanceof Error ? t.not_offered(drift.message) : drifted(drift)),
    card instanceof Error ? "" : figures(card),
  );
}

/** @param {any} card @param {any} health */
function facts(card, health) {
  /** @type {[string, string][]} */
  const known = [];
  if (card instanceof Error) known.push([t.facts.model, t.not_offered(card.message)]);
  else {
    const { data, overall } = card;
    known.push(
      [t.facts.model, card.model],
      [t.facts.source, t.respondents(data.respondents, /** @type {any} */ (t.sources)[data.source])],
      [t.facts.created, card.created.slice(0, 10)],
      [t.facts.estimator, card.estimator],
    );
    if (overall.decade_auc15) known.push([t.facts.auc, overall.decade_auc15.toFixed(3)]);
  }
  if (health instanceof Error) known.push([t.facts.status, t.not_offered(health.message)]);
  else known.push([t.facts.status, health.status]);
  // If keys are configured, only a key with the scope read gets them.
  if (health.version) known.push([t.facts.version, health.version], [t.facts.uptime, t.duration(health.uptime_seconds)]);
  return h("dl", {}, ...known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {any} drift @returns {string} */
function drifted({ drifted: found, fewest, inputs, scores }) {
  if (found === null) return t.drift_unknown(fewest);
  const moved = (/** @type {Record<string, any>} */ of) => Object.keys(of).filter((name) => of[name].drifted);
  const names = [...moved(inputs).map(fieldOf), ...moved(scores).map((drug) => t.drift_of(drugOf(drug)))];
  return found ? t.drift_some(names) : t.drift_none;
}

/** @param {any} card */
function figures(card) {
  const figure = (/** @type {number | null} */ value) => (value === null ? "\u2013" : value.toFixed(3));
  const rows = Object.entries(card.drugs).map(([drug, windows]) => {
    const of = /** @type {any} */ (windows).decade;
    const measured = [of.base_rate, of.auc, of.sensitivity, of.specificity, of.calibration_error].map(figure);
    return [drugOf(drug), ...measured, of.reliable ? t.yes : t.no];
  });
  const region = { class: "scroll", tabindex: "0", role: "region", "aria-label": t.figures };
  return h("div", region, table(t.figures, t.figures_columns, rows));
}
