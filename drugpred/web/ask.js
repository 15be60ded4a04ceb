/** The first question. A script without imports, so that it is on its way while the modules load. */
{
  const profile = {
    scale: "standardized", age: 30, gender: "Female", education: "University degree", country: "UK", ethnicity: "White",
    neuroticism: 0, extraversion: 0, openness: 0, agreeableness: 0, conscientiousness: 0, impulsivity: 0, sensation_seeking: 0,
  };
  const window = "decade";
  const ask = async () => {
    const answer = await fetch("predict", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...profile, window, include: ["windows"] }),
      signal: AbortSignal.timeout(60_000),
      redirect: "error",
    });
    // Read now: what is not, when the modules run, comes one frame later.
    const text = await answer.text();
    answer.json = async () => JSON.parse(text);
    return answer;
  };
  // A link asks another question, and takes a module to read.
  globalThis.usual = { profile, window, answer: location.hash ? null : ask() };
  // Whoever waits for it hears of a failure.
  globalThis.usual.answer?.catch(() => {});
}
