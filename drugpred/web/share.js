/** Takes a result away: code, files, and feedback on it. */
import { CODE } from "./code.js";
import { written } from "./csv.js";
import { at, copied, download, h } from "./dom.js";
import { fieldOf, inputText } from "./form.js";
import { drugOf, ranked } from "./results.js";
import { t } from "./texts.js";

/** @typedef {{profile: import("./rules.js").Profile, window: string, answer: any}} Shown a prediction, with its request */

const WIDTH = 900;
const LINE = 28;
const BAR = { left: 262, width: 360 };

/**
 * @param {import("./rules.js").Rules} rules
 * @param {import("./service.js").Service} service
 * @returns {{code: (profile: import("./rules.js").Profile, window: string) => void, show: (shown: Shown | null) => void}}
 *   to be called with what the form holds, and with the prediction on the screen
 */
export function startShare(rules, service) {
  /** @type {Shown | null} */
  let current = null;
  let request = { url: new URL("predict", location.href).href, body: {}, key: false };
  let language = "curl";

  const write = () => {
    at("code-text").textContent = CODE[language](request);
    at("code-copied").textContent = "";
  };
  at("code-languages").append(...Object.keys(CODE).map((name) => {
    const change = () => {
      language = name;
      write();
    };
    return h("label", {}, h("input", { type: "radio", name: "language", value: name, checked: name === language, change }), h("span", {}, name));
  }));
  at("code-copy").addEventListener("click", async () => {
    at("code-copied").textContent = (await copied(at("code-text").textContent)) ? t.code_copied : t.code_select;
    if (at("code-copied").textContent === t.code_select) getSelection()?.selectAllChildren(at("code-text"));
  });
  at("code-copy").disabled = false;

  for (const [name, file] of Object.entries(FILES)) {
    const click = async () => current && download(`drugpred.${name}`, await file(current, rules));
    at("save").append(h("button", { type: "button", click }, name.toUpperCase()));
  }

  const choices = rules.form.drugs.map((/** @type {string} */ drug) => {
    const options = Object.entries(t.outcomes).map(([value, words]) => h("option", { value }, words));
    const select = h("select", { id: `outcome-${drug}`, name: drug, autocomplete: "off" }, ...options);
    return h("div", { class: "field" }, h("label", { for: `outcome-${drug}` }, drugOf(drug)), select);
  });
  at("outcomes").append(...choices);
  at("feedback-form").addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const known = [...new FormData(at("feedback-form"))].filter(([, value]) => value !== "");
    const status = at("feedback-status");
    if (!current || !known.length) {
      status.textContent = t.feedback_none;
      return;
    }
    const body = { prediction_id: current.answer.prediction_id, outcomes: Object.fromEntries(known.map(([drug, value]) => [drug, value === "used"])) };
    status.textContent = t.feedback_sending;
    status.textContent = await service.json("feedback", { body }).then(({ accepted }) => t.feedback_taken(accepted), (error) => t.not_offered(error.message));
  });

  return {
    code(profile, window) {
      request = { url: request.url, body: { ...profile, window }, key: service.hasKey };
      write();
    },
    show(shown) {
      if (shown?.answer.prediction_id !== current?.answer.prediction_id) at("feedback-status").textContent = "";
      current = shown;
      for (const button of [...at("save").children, at("feedback-send")]) button.disabled = shown === null;
      if (shown) at("feedback").hidden = !shown.answer.prediction_id;
    },
  };
}

/** @type {Record<string, (shown: Shown, rules: import("./rules.js").Rules) => Blob | Promise<Blob>>} */
const FILES = { png, csv, json };

/** @param {Shown} shown */
function json({ profile, window, answer }) {
  return new Blob([JSON.stringify({ request: { ...profile, window }, answer }, null, 2), "\n"], { type: "application/json" });
}

/** @param {Shown} shown */
function csv({ answer }) {
  const figures = ["probability", "low", "high", "base_rate", "threshold", "prediction", "auc"];
  const windows = Object.keys(answer.risks[0].windows);
  const rows = answer.risks.map((/** @type {any} */ risk) => [
    risk.drug, ...figures.map((name) => risk[name] ?? risk.interval[name] ?? ""), String(risk.reliable), ...windows.map((window) => risk.windows[window]),
  ]);
  return new Blob([written(["drug", ...figures, "reliable", ...windows]), ...rows.map(written)], { type: "text/csv" });
}

/** Draw the bars, with the answers and the cautions. @param {Shown} shown @param {import("./rules.js").Rules} rules @returns {Promise<Blob>} */
function png({ profile, window, answer }, rules) {
  const canvas = h("canvas");
  const pen = canvas.getContext("2d");
  const scores = rules.scores.map((name) => `${fieldOf(name)} ${inputText(name, profile, rules)}`);
  const answers = rules.categories.map((name) => inputText(name, profile, rules)).join(", ");
  const risks = ranked(answer.risks, "probability");
  const small = "13px system-ui, sans-serif";
  pen.font = small;
  const head = [...wrapped(pen, answers), ...wrapped(pen, `${scores.join(", ")}.`)];
  const foot = [...wrapped(pen, `${t.cautions} ${t.caution_line}`), answer.data_source === "simulated" ? `${t.simulated}: ${answer.model}` : answer.model];
  const top = 74 + 18 * head.length;
  const height = top + LINE * risks.length + 18 * foot.length + 30;
  [canvas.width, canvas.height] = [2 * WIDTH, 2 * height];
  pen.scale(2, 2);
  pen.textBaseline = "middle";
  const text = (/** @type {string} */ words, /** @type {number} */ x, /** @type {number} */ y, font = small, color = "#1b1e22") => {
    [pen.font, pen.fillStyle] = [font, color];
    pen.fillText(words, x, y);
  };
  const box = (/** @type {string} */ color, /** @type {number[]} */ ...[x, y, width, tall]) => {
    pen.fillStyle = color;
    pen.fillRect(x, y, width, tall);
  };
  box("#fff", 0, 0, WIDTH, height);
  text(t.result, 24, 32, "bold 20px system-ui, sans-serif");
  text(t.result_lead(window), 24, 58);
  head.forEach((line, i) => text(line, 24, 80 + 18 * i, small, "#555c64"));
  risks.forEach((/** @type {any} */ risk, /** @type {number} */ i) => {
    const y = top + LINE * i + LINE / 2 + 6;
    text(drugOf(risk.drug), 24, y, `${risk.reliable ? "bold " : ""}14px system-ui, sans-serif`);
    box("#e7eaed", BAR.left, y - 7, BAR.width, 14);
    box(risk.reliable ? "#0b6ba8" : "#9dbdd3", BAR.left, y - 7, BAR.width * risk.probability, 14);
    box("#1b1e22", BAR.left + BAR.width * risk.base_rate - 1, y - 10, 3, 20);
    box("#1b1e22", BAR.left + BAR.width * risk.interval.low, y - 1, BAR.width * (risk.interval.high - risk.interval.low), 2);
    text(t.percent(risk.probability), BAR.left + BAR.width + 16, y, "bold 15px system-ui, sans-serif");
    text(risk.reliable ? t.row(risk.base_rate) : `${t.row(risk.base_rate)}, ${t.no}`, BAR.left + BAR.width + 66, y, small, "#555c64");
  });
  foot.forEach((line, i) => text(line, 24, height - 18 * (foot.length - i), small, "#555c64"));
  return new Promise((resolve) => canvas.toBlob(resolve));
}

/** Break a text into lines that fit. @param {CanvasRenderingContext2D} pen @param {string} words @returns {string[]} */
function wrapped(pen, words) {
  /** @type {string[]} */
  const lines = [];
  let line = "";
  for (const word of words.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && pen.measureText(longer).width > WIDTH - 48) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
