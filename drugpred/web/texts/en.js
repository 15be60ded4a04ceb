/** All English texts of the page. Nothing here is markup. */

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

/** @param {number} value */
const signed = (value) => value.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "\u2212");

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
  lead: "How many of 100 people with the same answers use each of 18 drugs, by a survey of 1885.",
  skip: "Skip to the result",
  sections: "Sections",
  person: "One person",
  many: "Many people",
  model: "The model",
  simulated: "SIMULATED",
  simulated_why: "This model was trained on made-up respondents. Its figures only show how the page works.",
  file_source: "This model was trained on a file of the operator, not on the published survey.",

  cautions: "Before you use a figure:",
  caution_line: "shares within one online survey of 2011 and 2012, not the risk of a person. Not for diagnosis, employment, insurance, schooling or policing.",
  caution_list: [
    "These are shares within the sample of one online survey of 2011 and 2012. Friends recruited friends, most had studied, and drug users took part more often than others. They are not the risk of a person in the population.",
    "Country reflects how people were recruited: 48% of those from the UK and 95% of those from the USA had used cannabis within ten years. 91% of the sample is White; the other groups are too small for any conclusion.",
    "The survey was made before legal highs were banned and before cannabis became legal in some places.",
    "For research, teaching and groups of people. Not for diagnosis, employment, insurance, schooling or policing.",
  ],

  key_heading: "This service requires a key",
  key_label: "API key",
  key_use: "Use this key",
  key_note: "The key stays in this tab until you close or reload it. It is sent to this service only, and is never part of a link.",
  key_refused: "The service rejected this key.",

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
  /** Meaning of low and high scores. */
  ends: {
    neuroticism: ["calm, steady", "worries, easily upset"],
    extraversion: ["quiet, reserved", "outgoing, lively"],
    openness: ["down to earth", "curious, imaginative"],
    agreeableness: ["sceptical, blunt", "trusting, kind"],
    conscientiousness: ["spontaneous", "organised, reliable"],
    impulsivity: ["thinks first", "acts at once"],
    sensation_seeking: ["likes the familiar", "looks for thrills"],
  },
  /** Plainer words for some of the service's labels. */
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
  scale: "Scale of the five NEO scores",
  scales: { standardized: "Sliders", raw: "NEO-FFI-R totals" },
  scale_note: "Totals are sums of twelve items scored 1 to 5. If your manual scores items 0 to 4, add 12.",
  expected_years: (/** @type {number} */ low, /** @type {number} */ high) => `Expected: a whole number of years from ${low} to ${high}.`,
  expected_total: (/** @type {number} */ low, /** @type {number} */ high) => `Expected: a whole number from ${low} to ${high}.`,
  expected_number: (/** @type {number} */ low, /** @type {number} */ high) => `Expected: a number from ${low} to ${high}.`,
  expected_label: "Expected: a value from the list.",
  above: (/** @type {number} */ share, /** @type {number} */ value) => `higher than ${percent(share)} of the sample (${signed(value)})`,
  sort: "Sort by",
  sorts: { probability: "share", difference: "difference from the sample", name: "name" },
  save: "Save",
  code: "Use it from code",
  code_language: "Language",
  code_copy: "Copy the code",
  code_copied: "Copied.",
  code_select: "Selected: copy it with the keyboard.",
  code_note: "It sends these answers to this service and prints each drug\u2019s probability. If the service requires a key, the code reads it from the environment variable KEY.",
  feedback: "Report the outcomes",
  feedback_note: "If you know whether the person had used a drug in this time, report it: the service counts it to measure the model, once for each answer, and stores no person.",
  feedback_send: "Send",
  feedback_sending: "Sending\u2026",
  feedback_none: "Choose at least one outcome.",
  feedback_taken: (/** @type {number} */ n) => `${count(n, "outcome")} counted.`,
  outcomes: { "": "not known", used: "used", unused: "not used" },
  link: "Copy a link",
  link_field: "Link to these answers",
  link_note: "The answers are after the # of the link. Browsers do not send that part to any server.",
  link_copied: "The link was copied.",
  link_made: "Copy the link from this field.",
  link_partly: "The page could not take all answers of the link",
  link_absent: (/** @type {string[]} */ names) => `Not in the link: ${names.join(", ")}.`,
  link_instead: "They have their default values here.",
  link_before: (/** @type {string} */ field) => `${field} (kept answers)`,

  loading: "Loading the figures\u2026",
  updating: "Waiting for the service. The figures below are not of these answers.",
  outdated: "The figures below are not of these answers.",
  result: "How many use each drug",
  window: "When was it last used?",
  windows: { ever: "Ever", decade: "10 years", year: "Year", month: "Month", week: "Week", day: "Day" },
  result_lead: (/** @type {string} */ window) =>
    `Of 100 people with these answers in this sample, how many report use ${WITHIN[window]}.`,
  key_bar: "these answers",
  key_base: "whole sample; \u201chigh risk\u201d from here",
  key_interval: "90% interval",
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
  barely: "Barely predictable",
  barely_why: "Too few people in the sample used it, or too few did not, or the answers hardly separate the two groups. The figure says little more than the share in the sample.",
  barely_group: "Barely predictable: these figures say little more than the share in the sample",
  range: (/** @type {number} */ low, /** @type {number} */ high) => `${percent(low).replace("%", "")}\u2013${percent(high)}`,
  interval: (/** @type {number} */ low, /** @type {number} */ high) =>
    `The share itself is between ${percent(low)} and ${percent(high)} with a chance of 90%. This is an interval of the share in such a sample, not of the person.`,
  /** @type {Record<string, (similar: number, percentile: number) => string>} */
  support: {
    usual: () => "",
    thin: (similar, percentile) => `Few like this: the figures are as sure as those from ${count(similar, "respondent")} alone; ${100 - percentile}% of the sample have more.`,
    unusual: (similar, percentile) => `Hardly any like this: the figures are as sure as those from ${count(similar, "respondent")} alone; ${100 - percentile}% of the sample have more, or the scores are far out.`,
  },
  row: (/** @type {number} */ base) => `sample ${percent(base)}`,
  sentence: (/** @type {string} */ drug, /** @type {number} */ p, /** @type {number} */ base, /** @type {string} */ window) =>
    `${drug}: of 100 people with these answers in this sample, ${percent(p).replace("%", "")} used it ${WITHIN[window]}. That is ${compared(p, base)} (${of100(base)}).`,
  threshold: (/** @type {number} */ at, /** @type {boolean} */ high) =>
    `The model predicts \u201chigh risk\u201d from ${percent(at)}, the average of this sample; here it predicts \u201c${high ? "high" : "low"} risk\u201d.`,
  auc: (/** @type {number|null} */ auc) =>
    auc === null
      ? "How well the model separates users from others could not be measured."
      : `Given a user and another person, the model identifies the user ${Math.round(100 * auc)} times of 100; chance is 50.`,
  windows_table: "Share of people with these answers who used it",
  window_column: "within",
  share_column: "share",
  why: "Why this figure?",
  why_note: "The effect of each answer on the odds, compared with 28 simulated people who represent the sample. It explains the model, not the person: no answer is a cause.",
  why_chart: "Effect of each answer on the odds",
  up: (/** @type {number} */ factor) => `odds \u00d7 ${factor.toFixed(2)}`,
  why_waiting: "Computing\u2026",
  why_not: (/** @type {string} */ reason) => `No explanation: ${reason}`,
  answer_column: "answer",
  effect_column: "effect on the odds",
  summary: (/** @type {string[]} */ drugs) => `Furthest from the sample: ${drugs.join("; ")}.`,
  summary_one: (/** @type {string} */ drug, /** @type {number} */ p, /** @type {number} */ base) => `${drug} ${percent(p)} (sample ${percent(base)})`,

  what_if: "What if?",
  what_if_lead: "Keep these answers, then change the form: every drug shows before and now.",
  keep: "Keep these answers",
  swap: "Go back to them",
  forget: "End the comparison",
  unchanged: "Nothing has changed yet. Change an answer in the form.",
  change: (/** @type {string} */ field, /** @type {string} */ before, /** @type {string} */ now) => `${field}: ${before} \u2192 ${now}`,
  before: (/** @type {number} */ p, /** @type {number} */ now) => {
    const points = Math.round(100 * now) - Math.round(100 * p);
    return `before ${percent(p)} (${points === 0 ? "\u00b10" : `${points > 0 ? "+" : "\u2212"}${Math.abs(points)}`})`;
  },
  key_before: "before",

  scores: "The seven scores compared with the sample",
  scores_lead: "The area is the distribution of the 1885 people of the survey; the line is this person.",

  many_lead: "Score a CSV file of any number of people. The browser reads it and sends it in parts to the service of this page, and nowhere else.",
  many_columns: "The first line has the names of the columns, in any order:",
  many_id: "and optionally id. The columns of the published survey file are accepted too.",
  sample: "Download a sample file",
  people: (/** @type {number} */ n) => n.toLocaleString("en"),
  points: (/** @type {number} */ share) => `${(100 * share).toFixed(1)} points`,
  file_shares: "Shares by drug",
  file_shares_columns: ["drug", "mean of the file", "sample", "people by share, 0 to 100%", "lowest and highest", "high risk"],
  file_unusual: "Furthest from the others, on average of the drugs that are more than barely predictable",
  file_one: (/** @type {string} */ drug, /** @type {number} */ p, /** @type {number} */ mean) => `${drug} ${percent(p)} (mean ${percent(mean)})`,
  file_unusual_columns: ["id", "distance", "furthest in"],
  choose: "Choose a CSV file, or drop one here",
  file_scale: "The five NEO scores are raw totals",
  file_window: "Used within",
  cancel: "Cancel",
  cancelled: "Cancelled. Nothing was kept.",
  reading: "Reading the file\u2026",
  progress: (/** @type {number} */ done, /** @type {number} */ share) => `${count(done, "row")} done, ${Math.floor(100 * share)}% of the file`,
  progress_label: "Progress",
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
  csv_no_rows: "The file has no people: expected a line for each person below the column names.",
  csv_missing: (/** @type {string[]} */ names) => `Line 1 must name the columns. Missing: ${names.join(", ")}.`,
  csv_twice: (/** @type {string[]} */ names) => `Line 1 names a column more than once: ${names.join(", ")}.`,
  csv_unknown: (/** @type {string[]} */ names) => `Line 1 names columns that are neither inputs nor an id: ${names.join(", ")}.`,
  csv_too_large: (/** @type {number} */ mb) => `The file is over ${mb} MB. For more people use the command drugpred score.`,
  csv_unreadable: "The browser could not read the file.",
  csv_stopped: (/** @type {string} */ reason) => `Stopped: ${reason}`,

  model_open: "Show details of the model and of this server",
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
  drift: "Do the people of this server\u2019s requests differ from the sample?",
  drift_unknown: (/** @type {number} */ fewest) => `Too few people for an answer; it takes ${fewest}.`,
  drift_none: "No: neither in the inputs nor in the probabilities.",
  drift_some: (/** @type {string[]} */ names) => `Yes: ${names.join(", ")}.`,
  drift_of: (/** @type {string} */ drug) => `probabilities of ${drug}`,
  not_offered: (/** @type {string} */ reason) => `Not available: ${reason}`,

  errors: {
    lost: "The service cannot be reached.",
    hanging: "The service does not answer.",
    limited: "The service has had many requests from you and asks for a pause.",
    overloaded: "The service is busy.",
    forbidden: "This key is not allowed to do that.",
    other: (/** @type {number} */ status, /** @type {string} */ message) => `The service answered ${status}: ${message}`,
    broken: "The service sent an unexpected answer.",
    again: (/** @type {string} */ what, /** @type {number} */ seconds) => `${what} Trying again in ${count(seconds, "second")}.`,
    start: "The page could not be loaded completely. Reload it to try again.",
  },
  foot: "This page stores nothing that you enter. It sends requests to its own service, and nowhere else.",
  docs: "For programs: the API",
  links: [
    ["Model card", "app/report/"],
    ["Data: Drug Consumption (Quantified), UCI, CC BY 4.0", "https://doi.org/10.24432/C5TC7S"],
    ["Paper: Fehrman and others, arXiv 1506.06297", "https://arxiv.org/abs/1506.06297"],
    ["Code: MIT licence", "https://opensource.org/license/mit"],
  ],
};
