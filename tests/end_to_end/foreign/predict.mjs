// Node's fetch with its defaults: node predict.mjs URL BODY_FILE
import { readFile } from "node:fs/promises";

const [url, file] = process.argv.slice(2);
const headers = { "Content-Type": "application/json" };
const answer = await fetch(url, { method: "POST", headers, body: await readFile(file) });
console.log(await answer.text());
