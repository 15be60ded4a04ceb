/** One request in flight, and after it the latest that is wanted: a moving slider neither floods nor starves. */
import { patiently } from "./service.js";

/** @template W, A */
export class Latest {
  /** @type {W | undefined} */
  #wanted;
  /** @type {AbortController | null} */
  #running = null;

  /**
   * @param {(wanted: W, signal: AbortSignal) => Promise<A>} ask
   * @param {(answer: A, wanted: W) => void} show
   * @param {(error: any, seconds: number | null) => void} fail with the seconds until it is tried again, or null
   */
  constructor(ask, show, fail) {
    this.ask = ask;
    this.show = show;
    this.fail = fail;
  }

  /** @param {W} wanted */
  put(wanted) {
    this.#wanted = wanted;
    if (!this.#running) this.#run();
  }

  /** Want nothing any more. */
  clear() {
    this.#wanted = undefined;
    this.#running?.abort();
    this.#running = null;
  }

  async #run() {
    const running = (this.#running = new AbortController());
    const { signal } = running;
    /** @type {any} */
    let wanted;
    const ask = () => {
      // What came while it waited goes first.
      wanted = this.#wanted ?? wanted;
      this.#wanted = undefined;
      return this.ask(wanted, signal);
    };
    while (this.#wanted !== undefined && !signal.aborted) {
      try {
        const answer = await patiently(ask, signal, (error, seconds) => signal.aborted || this.fail(error, seconds));
        if (!signal.aborted) this.show(answer, wanted);
      } catch (error) {
        if (!signal.aborted) this.fail(error, null);
      }
    }
    if (this.#running === running) this.#running = null;
  }
}
