/** A UWS service elsewhere: how our pages reach it, as whom, and what it says of itself. */

import { UwsClient, readXml } from "./uwsLib.js";
import { fill } from "./fill.js";

const WAITS = 25; // [s]
const UWS = /^ivo:\/\/ivoa\.net\/std\/uws\b/i; // and a version (VOSI)

/** Event: `credentials`, when somebody has said who they are, or nobody any more. */
export class Service extends EventTarget {
  #proxy;
  #way;
  #asksProxy = false;

  /** As elements say it: the addresses of the service, of our proxy, and of what tells the way. */
  constructor({ service, proxy, way }) {
    super();
    this.url = service;
    this.origin = new URL(service).origin;
    this.#proxy = proxy;
    this.#way = way;
  }

  /** Find out how to reach it, once in each tab. */
  async open() {
    const key = `opus.way ${this.url}`;
    let way = stored(key);
    if (!way) {
      const response = await fetch(this.#way, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error((await response.json()).error);
      way = await response.json();
      sessionStorage.setItem(key, JSON.stringify(way));
    }
    this.#asksProxy = way.proxy;
    return this;
  }

  client(options = {}) {
    return new UwsClient(this.url, {
      maxWait: WAITS,
      auth: () => this.#authorization(),
      ...(this.#asksProxy ? { proxy: this.#proxy } : {}),
      ...options,
    });
  }

  // -- who is asking

  get #key() {
    return `opus.credentials ${this.origin}`;
  }

  /** A user's name, or a word for a token; null for nobody. */
  get who() {
    const known = stored(this.#key);
    return known && (known.user || "somebody with a token");
  }

  #authorization() {
    const known = stored(this.#key);
    if (!known) return {};
    if (!known.user) return { Authorization: `Bearer ${known.secret}` };
    const bytes = new TextEncoder().encode(`${known.user}:${known.secret}`);
    return { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
  }

  signIn(user, secret) {
    sessionStorage.setItem(this.#key, JSON.stringify({ user, secret }));
    this.dispatchEvent(new Event("credentials"));
  }

  forget() {
    sessionStorage.removeItem(this.#key);
    this.dispatchEvent(new Event("credentials"));
  }

  // -- what it says of itself

  /**
   * The description of its jobs, `{ text, isOpus }`; null if it has none that is known here. An OPUS
   * has it beside the job list, in JSON; the original has it in a format of its own.
   */
  async description() {
    const [, root, name] = /^(.*)\/rest\/([^/]+)$/.exec(this.url) ?? [];
    if (!root) return null;
    for (const [ending, isOne] of [[".json", isDescription], ["", isMarkup]]) {
      try {
        const text = await this.client().file(`${root}/jdl/${name}${ending}`, { as: "text" });
        if (isOne(text)) return { text, isOpus: isOne === isDescription };
      } catch (error) {
        if (![401, 403, 404, 405, 406].includes(error.status)) throw error;
      }
    }
    return null;
  }

  /** The job lists of a server that is none itself: `{ url, description }` (VOSI capabilities). */
  async lists() {
    const text = await this.client().file(`${this.url}/capabilities`, { as: "text" });
    const found = readXml(text).children.filter(
      ({ name, attributes }) => name === "capability" && UWS.test(attributes.standardID ?? ""),
    );
    return found.flatMap(({ children }) => {
      const said = (elements, name) => elements.find((one) => one.name === name)?.text.trim() ?? "";
      const description = said(children, "description");
      const ways = children.filter(({ name }) => name === "interface");
      // Often there is an interface for each way to sign in.
      const urls = new Set(ways.map((one) => said(one.children, "accessURL").replace(/\/+$/, "")));
      return [...urls].filter((url) => url.startsWith(`${this.url}/`)).map((url) => ({ url, description }));
    });
  }
}

function isDescription(text) {
  try {
    return Array.isArray(JSON.parse(text).parameters);
  } catch {
    return false;
  }
}

const isMarkup = (text) => text.trimStart().startsWith("<");

/** The panel in which somebody says who they are at the service. */
export function noteCredentials(service) {
  const panel = document.querySelector("[data-credentials]");
  const form = panel.querySelector("form");
  const show = () => fill(panel, { who: service.who });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    service.signIn(form.elements.user.value.trim(), form.elements.secret.value);
    form.reset();
    panel.open = false;
    panel.querySelector("summary").focus();
  });
  form.addEventListener("click", ({ target }) => {
    if (target.closest("button")?.dataset.do !== "forget") return;
    service.forget();
    form.elements.user.focus();
  });
  document.addEventListener("click", ({ target }) => {
    if (target.closest("button")?.dataset.do !== "credentials") return;
    panel.open = true;
    form.elements.user.focus();
  });
  service.addEventListener("credentials", show);
  show();
}

/** What this tab knows; null if it is nothing that can be read. */
function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}
