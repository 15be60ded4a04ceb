/** The first request. A script without imports, so that the request is sent while the modules load. */
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
      body: JSON.stringify({ ...profile, window, include: ["windows", "interval", "support"] }),
      signal: AbortSignal.timeout(8000),
      redirect: "error",
    });
    // Read at once: otherwise the answer is shown one frame later.
    const text = await answer.text();
    answer.json = async () => JSON.parse(text);
    return answer;
  };
  // A link sends another request, and a module reads it.
  globalThis.usual = { profile, window, answer: location.hash ? null : ask() };
  // The code that awaits it handles a failure.
  globalThis.usual.answer?.catch(() => {});
}
