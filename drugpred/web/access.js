/** Asks for a key if the service requires one. The key is passed on and not stored here. */
import { at } from "./dom.js";
import { t } from "./texts.js";

/** @param {boolean} refused whether the last one was @returns {Promise<string>} */
export function askKey(refused) {
  const section = at("access");
  const input = at("key");
  at("key-problem").textContent = refused ? t.key_refused : "";
  section.hidden = false;
  input.value = "";
  input.focus();
  return new Promise((resolve) => {
    at("key-form").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      // A key must fit in a header.
      const key = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) return;
      section.hidden = true;
      input.value = "";
      resolve(key);
    };
  });
}
