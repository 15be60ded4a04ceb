/** Requests to the page's own service, and to no other. */
import { t } from "./texts.js";

const SECONDS = 60;
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 30;

/** @typedef {{body?: unknown, signal?: AbortSignal, seconds?: number}} Options POST if there is a body; seconds to wait */

/** A failed request, with a message for the reader. */
export class ServiceError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 if there was no answer
   * @param {{loc: (string|number)[], msg: string, type: string}[]} [details]
   * @param {number} [pause] seconds to wait, if the service says so
   */
  constructor(message, status, details = [], pause = 0) {
    super(message);
    this.status = status;
    this.details = details;
    this.pause = pause;
  }

  /** Whether the same call may succeed later. */
  get passes() {
    return [0, 408, 429, 502, 503, 504].includes(this.status);
  }
}

export class Service {
  /** @type {string} */
  #key = "";
  /** @type {Promise<string> | null} */
  #asked = null;

  /** @type {Promise<Response> | null} */
  #first;

  /**
   * @param {(refused: boolean) => Promise<string>} askKey asks the reader for a key
   * @param {Promise<Response> | null} first the answer to the first request, if it was sent before
   */
  constructor(askKey, first) {
    this.askKey = askKey;
    this.#first = first;
  }

  get hasKey() {
    return this.#key !== "";
  }

  /**
   * Return the JSON of an answer.
   * @param {string} path
   * @param {Options} [options]
   */
  async json(path, options) {
    const answer = await this.answer(path, options);
    try {
      return await answer.json();
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      // Incomplete, or not JSON.
      throw error instanceof SyntaxError ? new ServiceError(t.errors.broken, 0) : lost(error);
    }
  }

  /**
   * Return an answer with status 200; if the service requires a key, ask the reader first.
   * @param {string} path
   * @param {Options} [options]
   */
  async answer(path, { body, signal, seconds = SECONDS } = {}) {
    for (;;) {
      const used = this.#key;
      const answer = await this.#fetch(path, body, used, signal, seconds);
      if (answer.ok) return answer;
      if (answer.status !== 401) throw await failure(answer);
      if (used === this.#key) await this.#newKey(used !== "");
      signal?.throwIfAborted();
    }
  }

  /** Ask once for all waiting requests. */
  async #newKey(/** @type {boolean} */ refused) {
    this.#asked ??= this.askKey(refused);
    this.#key = await this.#asked;
    this.#asked = null;
  }

  /** @param {string} path @param {unknown} body @param {string} key @param {AbortSignal | undefined} signal @param {number} seconds */
  async #fetch(path, body, key, signal, seconds) {
    const first = this.#first;
    this.#first = null;
    /** @type {Record<string, string>} */
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    if (key) headers.authorization = `Bearer ${key}`;
    const limit = AbortSignal.timeout(1000 * seconds);
    try {
      return await (first ?? fetch(path, {
        method: body === undefined ? "GET" : "POST",
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
        redirect: "error",
      }));
    } catch (error) {
      if (signal?.aborted) throw error;
      throw lost(error);
    }
  }
}

/** Return the error of a request without an answer. @param {any} error */
const lost = (error) => new ServiceError(error.name === "TimeoutError" ? t.errors.hanging : t.errors.lost, 0);

/** @param {Response} answer */
async function failure(answer) {
  const content = await answer.json().catch(() => ({}));
  const named = { 403: t.errors.forbidden, 429: t.errors.limited, 503: t.errors.overloaded }[answer.status];
  const details = Array.isArray(content.detail) ? content.detail : [];
  const words = [content.error ?? answer.statusText, ...details.slice(0, 3).map((/** @type {any} */ one) => one.msg)].join("; ");
  return new ServiceError(named ?? t.errors.other(answer.status, words), answer.status, details, pauseOf(answer));
}

/** @param {Response} answer @returns {number} seconds */
function pauseOf(answer) {
  const after = answer.headers.get("retry-after");
  if (after === null) return 0;
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : 0;
}

/**
 * Retry a call while the error is temporary, and wait at least for the service's Retry-After.
 * @template T
 * @param {() => Promise<T>} call
 * @param {AbortSignal} signal ends the waiting
 * @param {(error: ServiceError, seconds: number) => void} waiting called before each pause
 * @returns {Promise<T>}
 */
export async function patiently(call, signal, waiting) {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ServiceError) || !error.passes) throw error;
      const seconds = Math.max(error.pause, pause);
      waiting(error, seconds);
      await sleep(1000 * seconds, signal);
    }
  }
}

/** @param {number} ms @param {AbortSignal} signal */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(done, ms);
    function done() {
      signal.removeEventListener("abort", stop);
      resolve(undefined);
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal.addEventListener("abort", stop, { once: true });
  });
}
