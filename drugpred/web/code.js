/** The request of the form, in three languages. */

/** @typedef {{url: string, body: Record<string, unknown>, key: boolean}} Request key: whether the service requires one */

const json = (/** @type {unknown} */ value) => JSON.stringify(value);
const TYPE = { "content-type": "application/json" };

/** Code that prints each drug's probability; a key is read from the environment variable KEY. @type {Record<string, (request: Request) => string>} */
export const CODE = {
  curl: ({ url, body, key }) =>
    `curl -X POST ${url} -H 'content-type: application/json'${key ? ' -H "authorization: Bearer $KEY"' : ""} \\\n  -d '${json(body).replaceAll("'", "'\\''")}'\n`,
  Python: ({ url, body, key }) => `import json${key ? "\nimport os" : ""}
import urllib.request

profile = ${spaced(body)}
headers = {"content-type": "application/json"${key ? ', "authorization": "Bearer " + os.environ["KEY"]' : ""}}
request = urllib.request.Request(${json(url)}, json.dumps(profile).encode(), headers)
for risk in json.load(urllib.request.urlopen(request))["risks"]:
    print(risk["drug"], risk["probability"])
`,
  JavaScript: ({ url, body, key }) => `const profile = ${spaced(body)};
const headers = { ${json(TYPE).slice(1, -1)}${key ? ", authorization: `Bearer ${process.env.KEY}`" : ""} };
const answer = await fetch(${json(url)}, { method: "POST", headers, body: JSON.stringify(profile) });
for (const { drug, probability } of (await answer.json()).risks) console.log(drug, probability);
`,
};

/** An object in lines, valid in Python and JavaScript, as its values are texts and numbers. @param {Record<string, unknown>} body */
const spaced = (body) => `{\n${Object.entries(body).map(([name, value]) => `    ${json(name)}: ${json(value)},\n`).join("")}}`;
