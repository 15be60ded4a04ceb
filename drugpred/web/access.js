/** Asks for a key where the service wants one. It is handed on and kept nowhere here. */
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
      // What no header can carry is no key.
      const key = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) return;
      section.hidden = true;
      input.value = "";
      resolve(key);
    };
  });
}
