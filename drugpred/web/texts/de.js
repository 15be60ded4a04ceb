/** All German texts of the page, in the order of en.js. Nothing here is markup. */

/** @type {Record<string, string>} */
const WITHIN = {
  ever: "irgendwann im Leben",
  decade: "in den letzten zehn Jahren",
  year: "im letzten Jahr",
  month: "im letzten Monat",
  week: "in der letzten Woche",
  day: "am letzten Tag",
};

/** @param {number} value @param {number} digits */
const decimal = (value, digits) => value.toLocaleString("de", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace(/^-(0(,0*)?)$/, "$1").replace("-", "\u2212");

/** @param {number} p a share @returns {string} */
function percent(p) {
  if (p < 0.005) return "<1\u00a0%";
  return p > 0.995 ? ">99\u00a0%" : `${Math.round(100 * p)}\u00a0%`;
}

/** @param {number} p a share @returns {string} */
function of100(p) {
  if (p < 0.005) return "weniger als 1 von 100";
  return p > 0.995 ? "mehr als 99 von 100" : `${Math.round(100 * p)} von 100`;
}

/** @param {number} n @param {string} one @param {string} many */
const count = (n, one, many) => `${n.toLocaleString("de")} ${n === 1 ? one : many}`;

/** @param {number} p a share @param {number} base the share to compare it with */
function compared(p, base) {
  const points = Math.round(100 * p) - Math.round(100 * base);
  if (Math.abs(points) < 2) return "etwa so viele wie in der ganzen Stichprobe";
  return `${Math.abs(points)} von 100 ${points > 0 ? "mehr" : "weniger"} als in der ganzen Stichprobe`;
}

/** @type {typeof import("./en.js").default} */
export default {
  language: "de",
  percent,

  title: "drugpred: wer was nimmt",
  heading: "Pers\u00f6nlichkeit und Drogen",
  lead: "Wie viele von 100 Menschen mit denselben Antworten jede von 18 Drogen nehmen, nach einer Umfrage unter 1885.",
  skip: "Zum Ergebnis",
  sections: "Abschnitte",
  person: "Eine Person",
  many: "Viele Personen",
  model: "Das Modell",
  simulated: "SIMULIERT",
  simulated_why: "Dieses Modell wurde mit erfundenen Befragten trainiert. Seine Zahlen zeigen nur, wie die Seite funktioniert.",
  file_source: "Dieses Modell wurde mit einer Datei des Betreibers trainiert, nicht mit der ver\u00f6ffentlichten Umfrage.",

  cautions: "Bevor Sie eine Zahl verwenden:",
  caution_line: "Anteile in einer Online-Umfrage von 2011 und 2012, nicht das Risiko einer Person. Nicht f\u00fcr Diagnose, Anstellung, Versicherung, Schule oder Polizei.",
  caution_list: [
    "Dies sind Anteile in der Stichprobe einer Online-Umfrage von 2011 und 2012. Freunde warben Freunde, die meisten hatten studiert, und wer Drogen nimmt, machte \u00f6fter mit als andere. Es ist nicht das Risiko einer Person in der Bev\u00f6lkerung.",
    "Das Land gibt wieder, wie die Befragten geworben wurden: 48 % derer aus Gro\u00dfbritannien und 95 % derer aus den USA hatten in zehn Jahren Cannabis genommen. 91 % der Stichprobe sind wei\u00df; die anderen Gruppen sind f\u00fcr jeden Schluss zu klein.",
    "Die Umfrage liegt vor dem Verbot der \u201eLegal Highs\u201c, und bevor Cannabis an manchen Orten legal wurde.",
    "F\u00fcr Forschung, Lehre und Gruppen von Menschen. Nicht f\u00fcr Diagnose, Anstellung, Versicherung, Schule oder Polizei.",
  ],

  key_heading: "Dieser Dienst verlangt einen Schl\u00fcssel",
  key_label: "API-Schl\u00fcssel",
  key_use: "Diesen Schl\u00fcssel verwenden",
  key_note: "Der Schl\u00fcssel bleibt in diesem Tab, bis Sie ihn schlie\u00dfen oder neu laden. Er geht nur an diesen Dienst und steht nie in einem Link.",
  key_refused: "Der Dienst hat diesen Schl\u00fcssel abgelehnt.",

  form: "\u00dcber die Person",
  examples: "Ein Beispiel einsetzen",
  example_names: { average: "Mittlere Werte", student: "Neugieriger Student", parent: "Vorsichtige Mutter", thrill: "Nervenkitzel" },
  basics: "Grunddaten",
  personality: "Pers\u00f6nlichkeit",
  fields: {
    age: "Alter in Jahren",
    gender: "Geschlecht",
    education: "Bildung",
    country: "Land",
    ethnicity: "Ethnie",
    neuroticism: "Neurotizismus",
    extraversion: "Extraversion",
    openness: "Offenheit",
    agreeableness: "Vertr\u00e4glichkeit",
    conscientiousness: "Gewissenhaftigkeit",
    impulsivity: "Impulsivit\u00e4t",
    sensation_seeking: "Reizsuche",
  },
  ends: {
    neuroticism: ["ruhig, best\u00e4ndig", "besorgt, leicht verstimmt"],
    extraversion: ["still, zur\u00fcckhaltend", "gesellig, lebhaft"],
    openness: ["bodenst\u00e4ndig", "neugierig, fantasievoll"],
    agreeableness: ["skeptisch, schroff", "vertrauensvoll, freundlich"],
    conscientiousness: ["spontan", "ordentlich, verl\u00e4sslich"],
    impulsivity: ["denkt zuerst", "handelt sofort"],
    sensation_seeking: ["mag das Vertraute", "sucht den Reiz"],
  },
  labels: {
    Female: "Weiblich",
    Male: "M\u00e4nnlich",
    "Professional certificate/ diploma": "Berufsabschluss oder Diplom",
    "Some college or university, no certificate or degree": "Studium ohne Abschluss",
    "Left school before 16 years": "Schule vor 16 verlassen",
    "Left school at 16 years": "Schule mit 16 verlassen",
    "Left school at 17 years": "Schule mit 17 verlassen",
    "Left school at 18 years": "Schule mit 18 verlassen",
    "University degree": "Hochschulabschluss",
    "Masters degree": "Master",
    "Doctorate degree": "Promotion",
    "Mixed-Black/Asian": "Schwarz und asiatisch",
    "Mixed-White/Asian": "Wei\u00df und asiatisch",
    "Mixed-White/Black": "Wei\u00df und schwarz",
    Asian: "Asiatisch",
    Black: "Schwarz",
    White: "Wei\u00df",
    Other: "Andere",
    UK: "Gro\u00dfbritannien",
    USA: "USA",
    Australia: "Australien",
    Canada: "Kanada",
    "New Zealand": "Neuseeland",
    "Republic of Ireland": "Irland",
  },
  scale: "Skala der f\u00fcnf NEO-Werte",
  scales: { standardized: "Regler", raw: "NEO-FFI-R-Summen" },
  scale_note: "Die Summen sind von zw\u00f6lf Fragen mit 1 bis 5 Punkten. Z\u00e4hlt Ihr Handbuch von 0 bis 4, addieren Sie 12.",
  expected_years: (low, high) => `Erwartet: eine ganze Zahl von Jahren von ${low} bis ${high}.`,
  expected_total: (low, high) => `Erwartet: eine ganze Zahl von ${low} bis ${high}.`,
  expected_number: (low, high) => `Erwartet: eine Zahl von ${low.toLocaleString("de", { maximumFractionDigits: 5 })} bis ${high.toLocaleString("de", { maximumFractionDigits: 5 })}.`,
  expected_label: "Erwartet: ein Wert aus der Liste.",
  above: (share, value) => `h\u00f6her als ${percent(share)} der Stichprobe (${decimal(value, 2)})`,
  save: "Speichern",
  code: "Im Programm verwenden",
  code_language: "Sprache",
  code_copy: "Code kopieren",
  code_copied: "Kopiert.",
  code_select: "Ausgew\u00e4hlt: kopieren Sie mit der Tastatur.",
  code_note: "Er sendet diese Antworten an diesen Dienst und druckt die Wahrscheinlichkeit jeder Droge. Verlangt der Dienst einen Schl\u00fcssel, liest der Code ihn aus der Umgebungsvariablen KEY.",
  feedback: "Ausg\u00e4nge melden",
  feedback_note: "Wenn Sie wissen, ob die Person eine Droge in dieser Zeit genommen hatte, melden Sie es: Der Dienst z\u00e4hlt es, um das Modell zu messen, einmal f\u00fcr jede Antwort, und speichert keine Person.",
  feedback_send: "Senden",
  feedback_sending: "Wird gesendet\u2026",
  feedback_none: "W\u00e4hlen Sie mindestens einen Ausgang.",
  feedback_taken: (n) => `${count(n, "Ausgang", "Ausg\u00e4nge")} gez\u00e4hlt.`,
  outcomes: { "": "nicht bekannt", used: "genommen", unused: "nicht genommen" },
  link: "Link kopieren",
  link_field: "Link zu diesen Antworten",
  link_note: "Die Antworten stehen hinter dem # des Links. Browser senden diesen Teil an keinen Server.",
  link_copied: "Der Link wurde kopiert.",
  link_made: "Kopieren Sie den Link aus diesem Feld.",
  link_partly: "Die Seite konnte nicht alle Antworten des Links \u00fcbernehmen",
  link_absent: (names) => `Nicht im Link: ${names.join(", ")}.`,
  link_instead: "Hier haben sie ihre Vorgabewerte.",
  link_before: (field) => `${field} (gemerkte Antworten)`,

  loading: "Zahlen werden geladen\u2026",
  updating: "Warten auf den Dienst. Die Zahlen unten geh\u00f6ren nicht zu diesen Antworten.",
  outdated: "Die Zahlen unten geh\u00f6ren nicht zu diesen Antworten.",
  result: "Wie viele jede Droge nehmen",
  sort: "Sortiert nach",
  sorts: { probability: "Anteil", difference: "Abstand zur Stichprobe", name: "Name" },
  window: "Wann zuletzt genommen?",
  windows: { ever: "Jemals", decade: "10 Jahre", year: "Jahr", month: "Monat", week: "Woche", day: "Tag" },
  result_lead: (window) => `Von 100 Menschen dieser Stichprobe mit diesen Antworten: Gebrauch ${WITHIN[window]}.`,
  key_bar: "diese Antworten",
  key_base: "ganze Stichprobe; ab hier \u201ehohes Risiko\u201c",
  key_interval: "90-%-Intervall",
  key_windows: "jemals bis letzter Tag",
  wants: (names) => `Warten auf: ${names.join(", ")}.`,
  drugs: {
    alcohol: "Alkohol",
    amphetamines: "Amphetamine",
    amyl_nitrite: "Amylnitrit (Poppers)",
    benzodiazepines: "Benzodiazepine",
    caffeine: "Koffein",
    cannabis: "Cannabis",
    chocolate: "Schokolade",
    cocaine: "Kokain",
    crack: "Crack",
    ecstasy: "Ecstasy",
    heroin: "Heroin",
    ketamine: "Ketamin",
    legal_highs: "Legal Highs",
    lsd: "LSD",
    methadone: "Methadon",
    mushrooms: "Zauberpilze",
    nicotine: "Nikotin",
    volatile_substances: "Schn\u00fcffelstoffe (Kleber, Gas)",
  },
  barely: "Kaum vorhersagbar",
  barely_why: "Zu wenige der Stichprobe haben sie genommen, oder zu wenige nicht, oder die Antworten trennen beide Gruppen kaum. Die Zahl sagt wenig mehr als der Anteil in der Stichprobe.",
  barely_group: "Kaum vorhersagbar: Diese Zahlen sagen wenig mehr als der Anteil in der Stichprobe",
  range: (low, high) => `${percent(low).replace("\u00a0%", "")}\u2013${percent(high)}`,
  interval: (low, high) =>
    `Der Anteil selbst liegt mit einer Wahrscheinlichkeit von 90\u00a0% zwischen ${percent(low)} und ${percent(high)}. Das gilt f\u00fcr den Anteil in einer solchen Stichprobe, nicht f\u00fcr die Person.`,
  support: {
    usual: () => "",
    thin: (similar, percentile) => `Wenige wie diese Person: Die Zahlen sind so sicher wie die von nur ${count(similar, "Befragten", "Befragten")}; ${100 - percentile}\u00a0% der Stichprobe haben mehr.`,
    unusual: (similar, percentile) => `Kaum jemand wie diese Person: Die Zahlen sind so sicher wie die von nur ${count(similar, "Befragten", "Befragten")}; ${100 - percentile}\u00a0% der Stichprobe haben mehr, oder die Werte liegen weit au\u00dfen.`,
  },
  row: (base) => `Schnitt ${percent(base)}`,
  sentence: (drug, p, base, window) =>
    `${drug}: Von 100 Menschen dieser Stichprobe mit diesen Antworten haben ${percent(p).replace("\u00a0%", "")} sie ${WITHIN[window]} genommen. Das sind ${compared(p, base)} (${of100(base)}).`,
  threshold: (at, high) =>
    `Das Modell sagt \u201ehohes Risiko\u201c ab ${percent(at)}, dem Mittel dieser Stichprobe; hier sagt es \u201e${high ? "hohes" : "niedriges"} Risiko\u201c.`,
  auc: (auc) =>
    auc === null
      ? "Wie gut das Modell die beiden Gruppen trennt, konnte nicht gemessen werden."
      : `Von zwei Menschen, deren einer sie genommen hat, erkennt ihn das Modell ${Math.round(100 * auc)} von 100 Mal; Zufall w\u00e4re 50.`,
  windows_table: "Anteil der Menschen mit diesen Antworten, die sie genommen haben",
  window_column: "innerhalb",
  share_column: "Anteil",
  why: "Warum diese Zahl?",
  why_note: "Die Wirkung jeder Antwort auf die Chance, verglichen mit 28 simulierten Menschen, die die Stichprobe vertreten. Das erkl\u00e4rt das Modell, nicht die Person: Keine Antwort ist eine Ursache.",
  why_chart: "Wirkung jeder Antwort auf die Chance",
  up: (factor) => `Chance \u00d7 ${decimal(factor, 2)}`,
  why_waiting: "Wird berechnet\u2026",
  why_not: (reason) => `Keine Erkl\u00e4rung: ${reason}`,
  answer_column: "Antwort",
  effect_column: "Wirkung auf die Chance",
  summary: (drugs) => `Am weitesten von der Stichprobe: ${drugs.join("; ")}.`,
  summary_one: (drug, p, base) => `${drug} ${percent(p)} (Stichprobe ${percent(base)})`,

  what_if: "Was w\u00e4re, wenn?",
  what_if_lead: "Merken Sie diese Antworten, dann \u00e4ndern Sie das Formular: Jede Droge zeigt vorher und jetzt.",
  keep: "Diese Antworten merken",
  swap: "Zur\u00fcck zu ihnen",
  forget: "Vergleich beenden",
  unchanged: "Noch ist nichts ge\u00e4ndert. \u00c4ndern Sie eine Antwort im Formular.",
  change: (field, before, now) => `${field}: ${before} \u2192 ${now}`,
  before: (p, now) => {
    const points = Math.round(100 * now) - Math.round(100 * p);
    return `vorher ${percent(p)} (${points === 0 ? "\u00b10" : `${points > 0 ? "+" : "\u2212"}${Math.abs(points)}`})`;
  },
  key_before: "vorher",

  scores: "Die sieben Werte im Vergleich mit der Stichprobe",
  scores_lead: "Die Fl\u00e4che ist die Verteilung der 1885 Befragten; die Linie ist diese Person.",

  many_lead: "Berechnen Sie eine CSV-Datei mit beliebig vielen Personen. Der Browser liest sie und sendet sie in Teilen an den Dienst dieser Seite, sonst nirgendwohin.",
  many_columns: "Die erste Zeile hat die Namen der Spalten, in beliebiger Reihenfolge:",
  many_id: "und auf Wunsch id. Auch die Spalten der ver\u00f6ffentlichten Umfrage werden angenommen.",
  sample: "Eine Beispieldatei herunterladen",
  people: (n) => n.toLocaleString("de"),
  points: (share) => `${decimal(100 * share, 1)} Punkte`,
  file_shares: "Anteile je Droge",
  file_shares_columns: ["Droge", "Mittel der Datei", "Stichprobe", "Personen nach Anteil, 0 bis 100 %", "niedrigster und h\u00f6chster", "hohes Risiko"],
  file_one: (drug, p, mean) => `${drug} ${percent(p)} (Mittel ${percent(mean)})`,
  file_unusual: "Am weitesten von den anderen, im Mittel der Drogen, die mehr als kaum vorhersagbar sind",
  file_unusual_columns: ["id", "Abstand", "am weitesten bei"],
  choose: "CSV-Datei w\u00e4hlen oder hier ablegen",
  file_scale: "Die f\u00fcnf NEO-Werte sind Summen",
  file_window: "Genommen innerhalb",
  cancel: "Abbrechen",
  cancelled: "Abgebrochen. Nichts wurde behalten.",
  reading: "Die Datei wird gelesen\u2026",
  progress: (done, share) => `${count(done, "Zeile", "Zeilen")} fertig, ${Math.floor(100 * share)}\u00a0% der Datei`,
  progress_label: "Fortschritt",
  finished: (scored, rejected) => `${count(scored, "Zeile", "Zeilen")} berechnet${rejected ? `, ${count(rejected, "Zeile", "Zeilen")} ausgelassen` : ""}.`,
  download: "CSV mit Vorhersagen herunterladen",
  download_rejected: "Liste der ausgelassenen Zeilen herunterladen",
  rejected: (n, shown) => (shown < n ? `Ausgelassene Zeilen (die ersten ${shown} Probleme von ${n.toLocaleString("de")})` : "Ausgelassene Zeilen"),
  line_column: "Zeile",
  column_column: "Spalte",
  expected_column: "erwartet",
  a_number: "eine Zahl",
  a_value: "ein Wert",
  n_fields: (n) => count(n, "Feld", "Felder"),
  closed_quotes: "Anf\u00fchrungszeichen um ein ganzes Feld",
  shorter_line: (n) => `eine Zeile von h\u00f6chstens ${n.toLocaleString("de")} Zeichen`,
  csv_empty: "Die Datei ist leer: Erwartet wird eine Zeile mit Spaltennamen und eine Zeile je Person.",
  csv_no_rows: "Die Datei hat keine Personen: Erwartet wird eine Zeile je Person unter den Spaltennamen.",
  csv_missing: (names) => `Zeile 1 muss die Spalten nennen. Es fehlen: ${names.join(", ")}.`,
  csv_twice: (names) => `Zeile 1 nennt eine Spalte mehrmals: ${names.join(", ")}.`,
  csv_unknown: (names) => `Zeile 1 nennt Spalten, die weder Eingaben noch eine id sind: ${names.join(", ")}.`,
  csv_too_large: (mb) => `Die Datei hat \u00fcber ${mb} MB. F\u00fcr mehr Personen gibt es den Befehl drugpred score.`,
  csv_unreadable: "Der Browser konnte die Datei nicht lesen.",
  csv_stopped: (reason) => `Angehalten: ${reason}`,

  model_open: "Einzelheiten des Modells und dieses Servers zeigen",
  model_waiting: "Wird geladen\u2026",
  facts: {
    model: "Modell",
    source: "Trainiert mit",
    created: "Trainiert am",
    estimator: "Art",
    auc: "AUC, 15 Drogen, zehn Jahre",
    status: "Dienst",
    version: "Version",
    uptime: "In Betrieb seit",
  },
  sources: { uci: "der ver\u00f6ffentlichten Umfrage", file: "einer Datei des Betreibers", simulated: "SIMULIERTEN Befragten" },
  respondents: (n, source) => `${count(n, "Befragter", "Befragte")}, ${source}`,
  duration: (seconds) =>
    seconds < 120
      ? count(Math.round(seconds), "Sekunde", "Sekunden")
      : seconds < 7200
        ? count(Math.round(seconds / 60), "Minute", "Minuten")
        : count(Math.round(seconds / 3600), "Stunde", "Stunden"),
  report: "Der ganze Modellbericht mit Abbildungen",
  report_note: "ROC-Kurven, Zuverl\u00e4ssigkeit, Wirkung jeder Eingabe, Fairness nach Gruppen (englisch)",
  figures: "Kreuzvalidierte Zahlen, Gebrauch in zehn Jahren",
  figures_columns: ["Droge", "Anteil", "AUC", "Sensitivit\u00e4t", "Spezifit\u00e4t", "Kalibrierfehler", "verl\u00e4sslich"],
  yes: "ja",
  no: "kaum vorhersagbar",
  drift: "Weichen die Personen der Anfragen an diesen Server von der Stichprobe ab?",
  drift_unknown: (fewest) => `Zu wenige Personen f\u00fcr eine Antwort; es braucht ${fewest}.`,
  drift_none: "Nein: weder in den Eingaben noch in den Wahrscheinlichkeiten.",
  drift_some: (names) => `Ja: ${names.join(", ")}.`,
  drift_of: (drug) => `Wahrscheinlichkeiten von ${drug}`,
  not_offered: (reason) => `Nicht verf\u00fcgbar: ${reason}`,

  errors: {
    lost: "Der Dienst ist nicht erreichbar.",
    hanging: "Der Dienst antwortet nicht.",
    limited: "Der Dienst hatte viele Anfragen von Ihnen und bittet um eine Pause.",
    overloaded: "Der Dienst ist ausgelastet.",
    forbidden: "Dieser Schl\u00fcssel darf das nicht.",
    other: (status, message) => `Der Dienst antwortete ${status}: ${message}`,
    broken: "Der Dienst sandte eine unerwartete Antwort.",
    again: (reason, seconds) => `${reason} Neuer Versuch in ${count(seconds, "Sekunde", "Sekunden")}.`,
    start: "Die Seite konnte nicht ganz geladen werden. Laden Sie sie neu.",
  },
  foot: "Diese Seite speichert nichts, was Sie eingeben. Sie sendet Anfragen nur an ihren eigenen Dienst.",
  docs: "F\u00fcr Programme: die API",
  links: [
    ["Modellbericht", "app/report/"],
    ["Daten: Drug Consumption (Quantified), UCI, CC BY 4.0", "https://doi.org/10.24432/C5TC7S"],
    ["Artikel: Fehrman und andere, arXiv 1506.06297", "https://arxiv.org/abs/1506.06297"],
    ["Code: MIT-Lizenz", "https://opensource.org/license/mit"],
  ],
};
