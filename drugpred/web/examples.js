/** Example people; none is a respondent. */

const BASE = { scale: "standardized", gender: "Female", education: "University degree", country: "UK", ethnicity: "White" };

/** @param {number[]} scores in the order of the form */
const scores = ([neuroticism, extraversion, openness, agreeableness, conscientiousness, impulsivity, sensation_seeking]) => ({
  neuroticism, extraversion, openness, agreeableness, conscientiousness, impulsivity, sensation_seeking,
});

/** @type {Record<string, import("./rules.js").Profile>} */
export const EXAMPLES = {
  average: /** @type {any} */ (globalThis).usual.profile,
  student: {
    ...BASE, age: 21, gender: "Male", education: "Some college or university, no certificate or degree",
    ...scores([0.2, 0.3, 1.2, -0.1, -0.7, 0.5, 0.9]),
  },
  parent: { ...BASE, age: 47, education: "Masters degree", ...scores([-0.4, 0.1, -0.3, 0.7, 0.9, -0.7, -0.9]) },
  thrill: {
    ...BASE, age: 26, gender: "Male", education: "Left school at 16 years",
    ...scores([0.6, 0.4, 0.7, -1.1, -1.3, 1.6, 1.7]),
  },
};
