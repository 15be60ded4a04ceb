/** Main module: sends the form's answers to the model, and shows the predictions. */
import { at, copied, h } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { fieldOf, Form, inputText } from "./form.js";
import { Latest } from "./latest.js";
import { drugOf, Results } from "./results.js";
import { Rules } from "./rules.js";
import { Service } from "./service.js";
import { t } from "./texts.js";
import { showWhatIf } from "./what_if.js";

/** @typedef {import("./rules.js").Profile} Profile */
/** @typedef {{profile: Profile, before: Profile | null, window: string}} Wanted */
/** @typedef {import("./share.js").Shown} Shown */

const QUIET = 800;
/** Seconds after which a request for one person is given up. */
const PATIENCE = 8;
const SUMMED_UP = 3;

/** Insert the texts. */
function write() {
  document.documentElement.lang = t.language;
  document.title = t.title;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = /** @type {any} */ (t)[/** @type {HTMLElement} */ (element).dataset.text ?? ""];
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", /** @type {any} */ (t)[/** @type {HTMLElement} */ (element).dataset.label ?? ""]);
  }
  at("links").append(...t.links.map(([words, href]) => h("li", {}, h("a", { href }, words))));
  at("cautions").append(...t.caution_list.map((caution) => h("li", {}, caution)));
}

/** Choose a file that is dropped into its place, also before the module that reads it is loaded. */
function takeFiles() {
  // Otherwise the browser would show a file that is dropped anywhere in place of the page.
  for (const kind of ["dragenter", "dragover", "drop"]) {
    addEventListener(kind, (/** @type {any} */ event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
  }
  at("drop").addEventListener("drop", (/** @type {any} */ { dataTransfer }) => {
    if (!dataTransfer.files.length) return;
    at("file").files = dataTransfer.files;
    at("file").dispatchEvent(new Event("change"));
  });
}

/** @param {string} words the problem, or "" */
function complain(words) {
  at("problem").textContent = words;
  at("strip-state").textContent = words || at("state").textContent;
}

async function start() {
  /** @type {{profile: Profile, window: string, answer: Promise<Response> | null}} of ask.js */
  const usual = /** @type {any} */ (globalThis).usual;
  const service = new Service(async (refused) => (await import("./access.js")).askKey(refused), usual.answer);
  // The service inserts them into the page, which saves a request.
  const rules = new Rules(JSON.parse(at("rules").textContent));
  write();
  takeFiles();
  const linked = location.hash ? await linkedState() : null;
  let window = linked?.window ?? usual.window;
  let before = linked?.before ?? null;
  let quiet = 0;
  /** @type {(() => void) | null} */
  let first = () => {
    first = null;
    performance.mark("first result");
    // After the next frame.
    requestAnimationFrame(() => setTimeout(() => startRest().catch(() => complain(t.errors.start))));
  };
  /** @type {any} what the first result does not need, once it is there */
  let rest = null;
  /** @type {Shown | null} the prediction on the screen, unless it is of other answers */
  let shown = null;

  const results = new Results(at("risks"), () => explain());

  const answers = new Latest(
    (/** @type {Wanted} */ wanted, signal) => {
      const bodies = [wanted.profile, wanted.before].filter((one) => one !== null);
      const profiles = bodies.map((one) => ({ ...one, window: wanted.window, include: ["windows", "interval", "support"] }));
      if (profiles.length === 1) return service.json("predict", { body: profiles[0], signal, seconds: PATIENCE }).then((answer) => [answer]);
      return service.json("predict_batch", { body: { profiles }, signal, seconds: PATIENCE });
    },
    ([now, earlier], wanted) => {
      mark(false);
      complain("");
      at("result-lead").textContent = t.result_lead(wanted.window);
      results.show(now.risks, wanted.window, earlier?.risks ?? null);
      at("support").textContent = t.support[now.support.level](now.support.similar, now.support.percentile);
      summarize(now);
      shown = { profile: wanted.profile, window: wanted.window, answer: now };
      rest?.share.show(shown);
      first?.();
    },
    failed,
    () => mark(true, true),
  );

  const reasons = new Latest(
    (/** @type {Wanted & {drugs: string[]}} */ { profile, drugs, window: within }, signal) =>
      service.json("predict", { body: { ...profile, drugs, window: within, include: ["explanation"] }, signal, seconds: PATIENCE }),
    (answer, { profile }) => {
      const explanations = new Map(answer.risks.map((/** @type {any} */ risk) => [risk.drug, risk.explanation]));
      for (const [drug, place] of results.open) {
        const explanation = explanations.get(drug);
        if (explanation) rest.showWhy(place, explanation.contributions, profile, rules);
      }
    },
    (error) => {
      for (const [, place] of results.open) rest.showNoWhy(place, t.why_not(error.message));
    },
    () => {
      for (const [, place] of results.open) rest.showNoWhy(place, t.why_waiting);
    },
  );

  mark(true, true);
  at("result-lead").textContent = t.result_lead(window);
  answers.put({ profile: linked?.profile ?? usual.profile, before, window });
  const form = new Form(rules, { basics: at("basics"), scale: at("scale"), scores: at("scores") }, linked?.profile ?? usual.profile, changed);

  /** Send a request after any change. */
  function changed() {
    at("link-status").textContent = "";
    at("notice").hidden = true;
    const wrong = rules.problems(form.profile);
    at("make-link").disabled = at("keep").disabled = wrong.length > 0;
    if (wrong.length) {
      answers.clear();
      reasons.clear();
      mark(true);
      complain(t.wants(wrong.map(fieldOf)));
      return;
    }
    answers.put({ profile: { ...form.profile }, before, window });
    explain();
    draw();
  }

  /** Show the parts that need no answer. */
  function draw() {
    rest?.showScores(at("score-charts"), rules, form.profile, before);
    rest?.share.code(form.profile, window);
    showWhatIf(rules, form.profile, before);
    at("who").textContent = rules.categories.map((name) => inputText(name, form.profile, rules)).join(", ");
  }

  /** Mark the figures as those of other answers, and whether the service was asked. */
  function mark(/** @type {boolean} */ old, busy = false) {
    at("result").classList.toggle("stale", old);
    at("result").setAttribute("aria-busy", String(busy));
    at("summary").hidden = old;
    at("support").hidden = old;
    if (old) shown = null;
    if (old) rest?.share.show(null);
    at("state").textContent = !old ? "" : first ? (busy ? t.loading : "") : busy ? t.updating : t.outdated;
    at("strip-state").textContent = at("problem").textContent || at("state").textContent;
  }

  function explain() {
    if (!rest) return;
    const drugs = results.open.map(([drug]) => drug);
    for (const [, place] of results.open) if (!place.childElementCount) rest.showNoWhy(place, t.why_waiting);
    if (drugs.length && !rules.problems(form.profile).length) reasons.put({ profile: { ...form.profile }, before: null, window, drugs });
  }

  function failed(/** @type {any} */ error, /** @type {number | null} */ seconds) {
    mark(true, seconds !== null);
    const fields = (error.details ?? []).map((/** @type {any} */ { loc, msg }) => `${fieldOf(String(loc.at(-1)))}: ${msg}`);
    const words = error.status === 400 && fields.length ? fields.join("; ") : error.message;
    complain(seconds === null ? words : t.errors.again(words, seconds));
  }

  /** Summarize the result in a sentence, for screen readers only once the sliders rest. */
  function summarize(/** @type {any} */ { risks, data_source: source }) {
    at("simulated").hidden = source !== "simulated";
    at("file-source").hidden = source !== "file";
    const far = (/** @type {any} */ risk) => Math.abs(risk.probability - risk.base_rate);
    const furthest = risks.filter((/** @type {any} */ risk) => risk.reliable).toSorted((/** @type {any} */ a, /** @type {any} */ b) => far(b) - far(a));
    const words = t.summary(furthest.slice(0, SUMMED_UP).map((/** @type {any} */ risk) => t.summary_one(drugOf(risk.drug), risk.probability, risk.base_rate)));
    at("summary").textContent = words;
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      at("aloud").textContent = words;
    }, QUIET);
  }

  /** @param {Wanted} state */
  function restore(state) {
    ({ before, window } = state);
    form.set(state.profile);
    for (const input of at("windows").querySelectorAll("input")) input.checked = input.value === window;
    changed();
  }

  for (const name of rules.form.windows) {
    const input = h("input", {
      type: "radio", name: "window", value: name, checked: name === window,
      change: () => {
        window = name;
        changed();
      },
    });
    at("windows").append(h("label", {}, input, h("span", {}, /** @type {any} */ (t.windows)[name])));
  }
  for (const [name, words] of Object.entries(t.sorts)) at("sort").append(h("option", { value: name }, words));
  at("sort").addEventListener("change", () => results.sort(at("sort").value));
  for (const [name, profile] of Object.entries(EXAMPLES)) {
    const click = () => restore({ profile, before, window });
    at("examples").append(h("button", { type: "button", click }, /** @type {any} */ (t.example_names)[name]));
  }
  at("keep").addEventListener("click", () => {
    before = { ...form.profile };
    changed();
    at("forget").focus();
  });
  at("swap").addEventListener("click", () => before && restore({ profile: before, before, window }));
  at("forget").addEventListener("click", () => {
    before = null;
    changed();
    at("keep").focus();
  });
  at("make-link").addEventListener("click", async () => {
    const { encode } = await import("./link.js");
    history.replaceState(null, "", encode({ profile: form.profile, before, window }));
    at("link").value = location.href;
    at("link-made").hidden = false;
    at("link").select();
    // If the browser forbids access to the clipboard, the reader copies the link.
    at("link-status").textContent = (await copied(location.href)) ? t.link_copied : t.link_made;
  });
  addEventListener("hashchange", async () => {
    const state = await linkedState();
    if (!state) return;
    restore(state);
    showProblems(state);
  });
  draw();
  if (linked) showProblems(linked);
  // On a narrow screen the form stands before the figures.
  at("form").open = !matchMedia("(max-width: 61.99rem)").matches;
  // As far as the form is higher than the screen, it scrolls with the page.
  new ResizeObserver(([{ target }]) => /** @type {HTMLElement} */ (target).style.setProperty("--height", `${target.clientHeight}px`)).observe(at("form").parentElement);

  /** Show the answers of a link that the page could not take. */
  function showProblems(/** @type {{invalid: [string, string][], absent: string[]}} */ { invalid, absent }) {
    const items = invalid.map(([name, problem]) => h("li", {}, `${name}: ${problem}`));
    if (absent.length) items.push(h("li", {}, t.link_absent(absent)));
    at("notice").hidden = items.length === 0;
    at("notice").replaceChildren(h("p", {}, h("strong", {}, t.link_partly)), h("ul", {}, ...items), h("p", {}, t.link_instead));
  }

  async function linkedState() {
    const { decode } = await import("./link.js");
    return decode(location.hash, rules, usual.profile);
  }

  async function startRest() {
    const [explanation, scores, { startShare }, { startMany }, { startModel }] = await Promise.all([
      import("./explanation.js"), import("./scores.js"), import("./share.js"), import("./many.js"), import("./model.js"),
      // Kept for a link that may be made later.
      import("./link.js"),
    ]);
    rest = { ...explanation, ...scores, share: startShare(rules, service) };
    rest.share.show(shown);
    if (!rules.problems(form.profile).length) draw();
    explain();
    startMany(rules, service);
    startModel(service);
  }
}

start().catch(() => complain(t.errors.start));
