/** At most one request in flight; the next one is the latest: a moving slider neither floods the service nor waits. */
import { patiently } from "./service.js";

/** An answer that takes longer is late. */
const LATE = 300;

/** @template W, A */
export class Latest {
  /** @type {W | undefined} */
  #wanted;
  /** @type {AbortController | null} */
  #running = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {(wanted: W, signal: AbortSignal) => Promise<A>} ask
   * @param {(answer: A, wanted: W) => void} show
   * @param {(error: any, seconds: number | null) => void} fail with the seconds until it is tried again, or null
   * @param {() => void} late called if an answer is late
   */
  constructor(ask, show, fail, late) {
    this.ask = ask;
    this.show = show;
    this.fail = fail;
    this.late = late;
  }

  /** @param {W} wanted */
  put(wanted) {
    this.#wanted = wanted;
    if (!this.#running) this.#run();
  }

  /** Drop the pending request. */
  clear() {
    this.#wanted = undefined;
    this.#running?.abort();
    this.#running = null;
    clearTimeout(this.#timer);
  }

  async #run() {
    const running = (this.#running = new AbortController());
    const { signal } = running;
    /** @type {any} */
    let wanted;
    const ask = () => {
      // A request that came during the wait is sent first.
      wanted = this.#wanted ?? wanted;
      this.#wanted = undefined;
      return this.ask(wanted, signal);
    };
    while (this.#wanted !== undefined && !signal.aborted) {
      const timer = (this.#timer = setTimeout(this.late, LATE));
      try {
        const answer = await patiently(ask, signal, (error, seconds) => signal.aborted || this.fail(error, seconds));
        if (!signal.aborted) this.show(answer, wanted);
      } catch (error) {
        if (!signal.aborted) this.fail(error, null);
      }
      clearTimeout(timer);
    }
    if (this.#running === running) this.#running = null;
  }
}
