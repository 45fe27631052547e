/**
 * What happens to one's jobs on an OPUS, as soon as it happens, in every tab, over one connection.
 *
 *     const live = new Live("https://opus.example.org/changes");
 *     live.addEventListener("changes", ({ detail }) => detail.forEach(show));
 *     live.addEventListener("reset", readAllAgain);
 *     live.addEventListener("state", ({ detail }) => say(detail.state));
 *     live.start();
 *
 * A browser has six connections to a server of HTTP/1.1, whatever the number of its tabs; one that
 * waits in each of six tabs would leave none to click with. So of all tabs that are seen one asks
 * and tells the others. Which one is decided by a lock that the browser keeps: a tab that is hidden
 * or closed lets go of it, and the next one goes on where the answers had come to.
 */

const WAIT = 25; // [s] that the server holds an answer back at most
const LEAST_PAUSE = 5; // [s] after an answer that was not held back and told nothing
const FIRST_RETRY = 2; // [s]
const LONGEST_RETRY = 60; // [s]

/**
 * Events: `changes`, with a list of what `/changes` tells; `reset`, where changes may have been
 * missed and all has to be read again; `state`, with `{ state, at, error }`: `connecting`, `live`,
 * `hidden`, `offline` (trying again), `signed out` (until the tab is looked at again) or `stopped`,
 * `at` being when the last answer came.
 *
 * `after` is the `seq` that belongs to what the page shows: what has happened since then is told.
 */
export class Live extends EventTarget {
  #url;
  #fetch;
  #headers;
  #name;
  #channel = null;
  #seq = null; // of the last change that this tab knows of
  #state = "stopped";
  #at = null;
  #asking = null; // AbortController of this tab's wish to ask
  #turn = false; // whether it is this one that asks
  #sleeping = null; // ends a pause early
  #listening = null; // AbortController of what is told by the browser

  constructor(url, { after = null, fetch, headers = {} } = {}) {
    super();
    this.#seq = after;
    this.#url = new URL(url, globalThis.location?.href).href;
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
    this.#headers = headers;
    this.#name = `opus live ${this.#url}`;
  }

  get state() {
    return this.#state;
  }

  start() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.addEventListener("message", ({ data }) => this.#hear(data), { signal });
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
    addEventListener("online", () => this.retry(), { signal });
    this.#look();
    this.#channel.postMessage({ question: true });
  }

  stop() {
    this.#listening?.abort();
    this.#asking?.abort();
    this.#channel?.close();
    this.#listening = this.#asking = this.#channel = null;
    this.#say("stopped");
  }

  /** Ask at once, if this tab is waiting to try again. */
  retry() {
    this.#sleeping?.();
  }

  #look() {
    if (document.visibilityState === "hidden") {
      this.#asking?.abort();
      this.#asking = null;
      this.#say("hidden");
    } else if (!this.#asking) {
      this.#asking = new AbortController();
      this.#say("connecting");
      this.#take(this.#asking.signal);
    }
  }

  /** Wait for the turn of this tab, and ask as long as it has it. */
  async #take(signal) {
    try {
      // Without locks (pages over plain http, elsewhere than on this machine) each tab that is
      // seen asks for itself.
      if (!navigator.locks) await this.#ask(signal);
      else await navigator.locks.request(this.#name, { signal }, () => this.#ask(signal));
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #ask(signal) {
    this.#turn = true;
    try {
      await this.#askOn(signal);
    } finally {
      this.#turn = false;
    }
  }

  async #askOn(signal) {
    let retry = FIRST_RETRY;
    while (!signal.aborted) {
      const began = Date.now();
      // Whoever is not connected wants to know soon whether they are.
      const wait = this.#seq !== null && this.#state === "live" ? WAIT : 0;
      try {
        const response = await this.#request(wait, signal);
        if (response.status === 401 || response.status === 403) {
          this.#tell({ state: "signed out" });
          return;
        }
        if (!response.ok) throw Object.assign(new Error(`the server answered ${response.status}`), { response });
        const answer = await response.json();
        this.#tell({ state: "live", from: this.#seq, ...answer });
        retry = FIRST_RETRY;
        const refused = wait > 0 && answer.changes.length === 0 && Date.now() - began < 1000;
        if (refused) await this.#sleep(LEAST_PAUSE, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#tell({ state: "offline", error: error.message });
        const wanted = Number(error.response?.headers.get("Retry-After")) || 0;
        // Not all browsers at once, when a server comes back.
        await this.#sleep(Math.max(wanted, retry * (0.75 + Math.random() / 2)), signal);
        retry = Math.min(retry * 2, LONGEST_RETRY);
      }
    }
  }

  async #request(wait, signal) {
    const url = new URL(this.#url);
    if (this.#seq !== null) url.searchParams.set("after", this.#seq);
    if (wait) url.searchParams.set("WAIT", wait);
    const headers = { Accept: "application/json", ...this.#headers };
    // Equal addresses wait for each other in the caches of browsers.
    return this.#fetch(url.href, { headers, signal, cache: "no-store" });
  }

  /** Take in an answer, and let the other tabs have it. */
  #tell(message) {
    this.#hear(message);
    this.#channel?.postMessage(message);
  }

  #hear({ question, state, error, from, seq, reset, changes }) {
    if (question) {
      // Of a tab that has just come, and has to know how far the one that asks has got.
      if (this.#turn && this.#at) {
        const [seq, state] = [this.#seq, this.#state];
        this.#channel.postMessage({ state, from: seq, seq, reset: false, changes: [] });
      }
      return;
    }
    if (seq !== undefined) this.#at = new Date();
    if (this.#state !== "hidden") this.#say(state, error);
    if (seq === undefined) return;
    const known = this.#seq;
    if (known !== null && seq <= known && !reset) return; // of a tab that knew less
    this.#seq = seq;
    // The answer begins behind what this tab knows: it has not heard of all.
    const missed = known !== null && (from === null || from > known);
    if (reset || missed) this.dispatchEvent(new CustomEvent("reset"));
    else {
      const news = changes.filter((one) => known === null || one.seq > known);
      if (news.length) this.dispatchEvent(new CustomEvent("changes", { detail: news }));
    }
  }

  #say(state, error = null) {
    if (state === this.#state) return;
    this.#state = state;
    const detail = { state, at: this.#at, error };
    this.dispatchEvent(new CustomEvent("state", { detail }));
  }

  #sleep(seconds, signal) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#sleeping = null;
        resolve();
      };
      const timer = setTimeout(end, seconds * 1000);
      this.#sleeping = end;
      signal.addEventListener("abort", end);
    });
  }
}
