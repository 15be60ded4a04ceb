/** All that the page says in English. Functions take what they name; nothing here is markup. */

/** @type {Record<string, string>} */
const WITHIN = {
  ever: "at some time in life",
  decade: "in the last ten years",
  year: "in the last year",
  month: "in the last month",
  week: "in the last week",
  day: "in the last day",
};

/** @param {number} p a share @returns {string} */
function percent(p) {
  if (p < 0.005) return "<1%";
  return p > 0.995 ? ">99%" : `${Math.round(100 * p)}%`;
}

/** @param {number} p a share @returns {string} */
function of100(p) {
  if (p < 0.005) return "fewer than 1 of 100";
  return p > 0.995 ? "more than 99 of 100" : `${Math.round(100 * p)} of 100`;
}

/** @param {number} n @param {string} one @param {string} [many] */
const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** @param {number} p a share @param {number} base the share to compare it with */
function compared(p, base) {
  const points = Math.round(100 * p) - Math.round(100 * base);
  if (Math.abs(points) < 2) return "about as many as in the whole sample";
  return `${Math.abs(points)} ${points > 0 ? "more" : "fewer"} of 100 than in the whole sample`;
}

export default {
  language: "en",
  percent,

  title: "drugpred: who uses what",
  heading: "Personality and drug use",
  lead: "Answer a few questions about a person, real or made up. A model of 1885 answers to an online survey says how many people with such answers use each of 18 drugs.",
  skip: "Skip to the result",
  sections: "Sections",
  person: "One person",
  many: "Many people",
  model: "The model",
  simulated: "SIMULATED",
  simulated_why: "This model was trained on made-up respondents. Its figures show how the page works, nothing else.",
  file_source: "This model was trained on a file of its operator, not on the published survey.",

  cautions: "Before you use a figure",
  caution_list: [
    "These are shares within the sample of one online survey of 2011 and 2012. Friends recruited friends, most had studied, and drug users took part more often than others. They are no one's risk in the population.",
    "Country says who was recruited where: of those from the UK 48% had used cannabis within ten years, of those from the USA 95%. 91% of the sample is White; the other groups are too small to tell anything of them.",
    "The survey came before legal highs were banned and before cannabis became legal in places.",
    "For research, teaching and groups of people. Not for diagnosis, employment, insurance, schooling or policing.",
  ],

  key_heading: "This service wants a key",
  key_label: "API key",
  key_use: "Use this key",
  key_note: "It is kept in this tab until you close or reload it, is sent to this service only, and is never part of a link.",
  key_refused: "The service did not take this key.",

  form: "About the person",
  examples: "Fill in an example",
  example_names: { average: "Average scores", student: "Curious student", parent: "Careful parent", thrill: "Thrill seeker" },
  basics: "The basics",
  personality: "Personality",
  fields: {
    age: "Age in years",
    gender: "Gender",
    education: "Education",
    country: "Country",
    ethnicity: "Ethnicity",
    neuroticism: "Neuroticism",
    extraversion: "Extraversion",
    openness: "Openness",
    agreeableness: "Agreeableness",
    conscientiousness: "Conscientiousness",
    impulsivity: "Impulsivity",
    sensation_seeking: "Sensation seeking",
  },
  /** What low and high mean. */
  ends: {
    neuroticism: ["calm, steady", "worries, easily upset"],
    extraversion: ["quiet, reserved", "outgoing, lively"],
    openness: ["down to earth", "curious, imaginative"],
    agreeableness: ["sceptical, blunt", "trusting, kind"],
    conscientiousness: ["spontaneous", "organised, reliable"],
    impulsivity: ["thinks first", "acts at once"],
    sensation_seeking: ["likes the familiar", "looks for thrills"],
  },
  /** Plainer words for labels of the service; others are shown as they are. */
  labels: {
    "Professional certificate/ diploma": "Professional certificate or diploma",
    "Some college or university, no certificate or degree": "Some college or university, no degree",
    "Left school before 16 years": "Left school before 16",
    "Left school at 16 years": "Left school at 16",
    "Left school at 17 years": "Left school at 17",
    "Left school at 18 years": "Left school at 18",
    "University degree": "University degree",
    "Masters degree": "Master\u2019s degree",
    "Doctorate degree": "Doctorate",
    "Mixed-Black/Asian": "Mixed Black and Asian",
    "Mixed-White/Asian": "Mixed White and Asian",
    "Mixed-White/Black": "Mixed White and Black",
    UK: "United Kingdom",
    USA: "United States",
  },
  scale: "How to give the five NEO scores",
  scales: { standardized: "Sliders", raw: "NEO-FFI-R totals" },
  scale_note: "Totals are sums of twelve items scored 1 to 5. Where your manual scores items 0 to 4, add 12.",
  expected_years: (/** @type {number} */ low, /** @type {number} */ high) => `Expected: a whole number of years from ${low} to ${high}.`,
  expected_total: (/** @type {number} */ low, /** @type {number} */ high) => `Expected: a whole number from ${low} to ${high}.`,
  expected_number: (/** @type {number} */ low, /** @type {number} */ high) => `Expected: a number from ${low} to ${high}.`,
  expected_label: "Expected: one of the list.",
  above: (/** @type {number} */ share) =>
    share < 0.5 ? `lower than ${of100(1 - share)}` : `higher than ${of100(share)}`,
  link: "Link to these answers",
  link_note: "The answers stand after the # of the link: a browser keeps that part to itself, and no server sees it.",
  link_copied: "The link was copied.",
  link_made: "Copy the link from this field.",
  link_partly: "Not all of the link was understood; what was not has its usual value.",

  result: "How many use each drug",
  window: "When was it last used?",
  windows: { ever: "Ever", decade: "10 years", year: "Year", month: "Month", week: "Week", day: "Day" },
  result_lead: (/** @type {string} */ window) =>
    `Of 100 people with such answers in this sample, so many say they used it ${WITHIN[window]}.`,
  key_bar: "people with such answers",
  key_base: "the whole sample",
  key_threshold: "from here the model says \u201chigh risk\u201d",
  key_windows: "ever to last day",
  wants: (/** @type {string[]} */ names) => `Waiting for: ${names.join(", ")}.`,
  drugs: {
    alcohol: "Alcohol",
    amphetamines: "Amphetamines",
    amyl_nitrite: "Amyl nitrite (poppers)",
    benzodiazepines: "Benzodiazepines",
    caffeine: "Caffeine",
    cannabis: "Cannabis",
    chocolate: "Chocolate",
    cocaine: "Cocaine",
    crack: "Crack",
    ecstasy: "Ecstasy",
    heroin: "Heroin",
    ketamine: "Ketamine",
    legal_highs: "Legal highs",
    lsd: "LSD",
    methadone: "Methadone",
    mushrooms: "Magic mushrooms",
    nicotine: "Nicotine",
    volatile_substances: "Volatile substances (glue, gas)",
  },
  high: "High risk",
  low: "Low risk",
  barely: "Barely predictable",
  barely_why: "Too few of the sample used it, or too few did not, or the answers hardly tell the two apart: the figure says little beyond the share in the sample.",
  row: (/** @type {number} */ p, /** @type {number} */ base) => `${of100(p)}; in the whole sample ${of100(base)}`,
  sentence: (/** @type {string} */ drug, /** @type {number} */ p, /** @type {number} */ base, /** @type {string} */ window) =>
    `${drug}: of 100 people with such answers in this sample, ${percent(p).replace("%", "")} used it ${WITHIN[window]}. That is ${compared(p, base)} (${of100(base)}).`,
  threshold: (/** @type {number} */ at, /** @type {boolean} */ high) =>
    `The model says \u201chigh risk\u201d from ${percent(at)} on, which is above the average of this sample; here it says \u201c${high ? "high" : "low"} risk\u201d.`,
  auc: (/** @type {number|null} */ auc) =>
    auc === null
      ? "How well it tells users from others could not be measured."
      : `Shown one user and one other person, it picks the right one ${Math.round(100 * auc)} times of 100; chance is 50.`,
  windows_table: "Share of people with such answers who used it",
  window_column: "within",
  share_column: "share",
  why: "Why this figure?",
  why_note: "How each answer moves the odds, compared with 28 simulated people who stand for the sample. It explains the model, not the person: no answer here is a cause.",
  why_chart: "What each answer does to the odds",
  up: (/** @type {number} */ factor) => `odds \u00d7 ${factor.toFixed(2)}`,
  why_waiting: "Working it out\u2026",
  why_not: (/** @type {string} */ reason) => `The service does not explain this: ${reason}`,
  answer_column: "answer",
  effect_column: "effect on the odds",
  summary: (/** @type {string[]} */ told) => `Furthest from the sample: ${told.join("; ")}.`,
  summary_one: (/** @type {string} */ drug, /** @type {number} */ p, /** @type {number} */ base) => `${drug} ${percent(p)} (sample ${percent(base)})`,

  what_if: "What if?",
  what_if_lead: "Keep these answers aside, then change the form: every drug shows before and now.",
  keep: "Keep these answers aside",
  swap: "Go back to them",
  forget: "End the comparison",
  unchanged: "Nothing is changed yet. Change an answer in the form.",
  change: (/** @type {string} */ field, /** @type {string} */ before, /** @type {string} */ now) => `${field}: ${before} \u2192 ${now}`,
  before: (/** @type {number} */ p, /** @type {number} */ now) => {
    const points = Math.round(100 * now) - Math.round(100 * p);
    return `before ${percent(p)} (${points === 0 ? "\u00b10" : `${points > 0 ? "+" : "\u2212"}${Math.abs(points)}`})`;
  },
  key_before: "before",

  scores: "The seven scores among the sample",
  scores_lead: "The hill shows how the 1885 people of the survey scored; the line is this person.",

  many_lead: "Score a CSV file of any number of people. It is read in this browser and sent in parts to the service that showed this page, to nothing else.",
  many_columns: "The first line names the columns, in any order:",
  many_id: "and, if you like, id. The columns of the published survey file are understood too.",
  choose: "Choose a CSV file, or drop one here",
  file_scale: "The five NEO scores of the file are raw totals",
  file_window: "Used within",
  cancel: "Cancel",
  cancelled: "Cancelled. Nothing was kept.",
  reading: "Reading the file\u2026",
  progress: (/** @type {number} */ done, /** @type {number} */ share) => `${count(done, "row")} done, ${Math.floor(100 * share)}% of the file`,
  progress_label: "Share of the file that is done",
  finished: (/** @type {number} */ scored, /** @type {number} */ rejected) =>
    `${count(scored, "row")} scored${rejected ? `, ${count(rejected, "row")} left out` : ""}.`,
  download: "Download the CSV with predictions",
  download_rejected: "Download the list of rows left out",
  rejected: (/** @type {number} */ n, /** @type {number} */ shown) =>
    shown < n ? `Rows left out (the first ${shown} problems of ${n.toLocaleString("en")})` : "Rows left out",
  line_column: "line",
  column_column: "column",
  expected_column: "expected",
  a_number: "a number",
  a_value: "a value",
  n_fields: (/** @type {number} */ n) => count(n, "field"),
  closed_quotes: "quotes that open and close around a whole field",
  shorter_line: (/** @type {number} */ n) => `a line of at most ${n.toLocaleString("en")} characters`,
  csv_empty: "The file is empty: expected a line of column names, and a line for each person.",
  csv_no_rows: "There is no person in the file: expected a line for each below the column names.",
  csv_missing: (/** @type {string[]} */ names) => `PredictionService 1 must name the columns. Missing: ${names.join(", ")}.`,
  csv_twice: (/** @type {string[]} */ names) => `PredictionService 1 names a column more than once: ${names.join(", ")}.`,
  csv_unknown: (/** @type {string[]} */ names) => `PredictionService 1 names columns that are neither inputs nor an id: ${names.join(", ")}.`,
  csv_too_large: (/** @type {number} */ mb) => `The file is over ${mb} MB. For so many people use the command: drugpred score.`,
  csv_unreadable: "The browser could not read the file.",
  csv_stopped: (/** @type {string} */ reason) => `Stopped: ${reason}`,

  model_open: "Show what is known of the model and of this server",
  model_waiting: "Loading\u2026",
  facts: {
    model: "Model",
    source: "Trained on",
    created: "Trained at",
    estimator: "Kind",
    auc: "AUC, 15 drugs, ten years",
    status: "Service",
    version: "Version",
    uptime: "Up for",
  },
  sources: { uci: "the published survey", file: "a file of the operator", simulated: "SIMULATED respondents" },
  respondents: (/** @type {number} */ n, /** @type {string} */ source) => `${count(n, "respondent")}, ${source}`,
  duration: (/** @type {number} */ seconds) =>
    seconds < 120 ? count(Math.round(seconds), "second") : seconds < 7200 ? count(Math.round(seconds / 60), "minute") : count(Math.round(seconds / 3600), "hour"),
  report: "The whole model card, with its plots",
  report_note: "ROC curves, reliability, effects of each input, fairness by group",
  figures: "Cross-validated figures, use within ten years",
  figures_columns: ["drug", "share of users", "AUC", "sensitivity", "specificity", "calibration error", "reliable"],
  yes: "yes",
  no: "barely predictable",
  drift: "Has what this server was asked moved away from the sample?",
  drift_unknown: (/** @type {number} */ fewest) => `Too few people were asked about to tell; it takes ${fewest}.`,
  drift_none: "No: neither the inputs nor the probabilities have.",
  drift_some: (/** @type {string[]} */ names) => `Yes: ${names.join(", ")}.`,
  drift_of: (/** @type {string} */ drug) => `probabilities of ${drug}`,
  not_offered: (/** @type {string} */ reason) => `Not offered here: ${reason}`,

  errors: {
    lost: "The service cannot be reached.",
    limited: "The service has had many requests and asks for a pause.",
    overloaded: "The service is busy.",
    forbidden: "This key may not do that.",
    other: (/** @type {number} */ status, /** @type {string} */ told) => `The service answered ${status}: ${told}`,
    broken: "The service sent an answer that this page does not understand.",
    again: (/** @type {string} */ what, /** @type {number} */ seconds) => `${what} Trying again in ${count(seconds, "second")}.`,
    start: "The page could not load what it needs from the service. Reload it to try again.",
  },
  foot: "Nothing that you enter is stored by this page. It talks to the service that showed it, and to nothing else.",
  docs: "For programs: the API",
};
