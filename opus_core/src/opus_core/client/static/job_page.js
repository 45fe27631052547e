/**
 * The page of a job: its state as it changes, what it was given, what it writes, what it leaves.
 *
 * The page has the markup (`templates/job.html`), this fills it.
 */

import { ACTIVE, FINAL } from "./uwsLib.js";
import { fill, fillFault, localDay, made } from "./fill.js";
import { LogView } from "./log_view.js";
import { kindOf, showPreview } from "./previews.js";
import { snippets } from "./snippets.js";

const OFTEN = 3000; // [ms]
const RARELY = 10_000; // [ms]
// Between readings: what a running job says of itself is no change that anybody is told of.
const PAUSES = { EXECUTING: OFTEN, PENDING: 3 * RARELY };
const LOGS = 1500; // [ms]
const OPEN = 3; // results that are shown without asking
const SMALL = 1_000_000; // [byte] of those
const LONG = 500; // characters of a value that are shown
const DAY = 86_400_000; // [ms]
const SAID = ["doing", "waiting", "resume", "fetching"]; // of jobInfo, in sentences
const OUTPUTS = ["stdout", "stderr"];
const SENT = ["votable", "fits"]; // kinds of results that programs of astronomers load

export class JobPage {
  #root;
  #client;
  #id;
  #token;
  #library;
  #elsewhere;
  #isOpus;
  #job = null;
  #live;
  #reading = false;
  #now = false; // somebody wants it to be read at once
  #wake = null; // ends a pause
  #held = null; // AbortController of what is being asked
  #unread = false; // the last reading has failed
  #logs = new Map(); // views by the names of the outputs
  #followed = new Set(); // names of outputs
  #gone = new AbortController(); // aborted when there is no such job any longer
  #given = ""; // parameters as they are shown
  #editing = false; // one of them

  /**
   * `client`: of the job's list; `id`: of the job; `live`: a `Live`, or null; `token`: programs need
   * one here; `library`: the address of uwsLib.js for programs; `elsewhere`: it is of another
   * server, which is an OPUS if it `isOpus`.
   */
  constructor(root, { client, id, live = null, token = false, library, elsewhere = false, isOpus = true }) {
    this.#root = root;
    this.#client = client;
    this.#id = id;
    this.#live = live;
    this.#token = token;
    this.#library = library;
    this.#elsewhere = elsewhere;
    this.#isOpus = isOpus;
    root.addEventListener("click", ({ target }) => this.#click(target.closest("button")?.dataset.do, target));
    root.addEventListener("submit", (event) => this.#submit(event));
    document.addEventListener("visibilitychange", () => document.hidden || this.read());
    live?.addEventListener("changes", ({ detail }) => {
      const mine = detail.filter(({ jobId }) => jobId === id);
      if (mine.some(({ phase }) => phase === null)) this.#lose();
      else if (mine.length) this.read();
    });
    live?.addEventListener("reset", () => this.read());
    for (const name of OUTPUTS) {
      this.#logs.set(name, new LogView(this.#one(`[data-output="${name}"]`)));
    }
    this.#one("[data-snippets]").addEventListener("toggle", () => this.#snippets());
    setInterval(() => this.#tick(), 1000);
  }

  #one(selector) {
    return this.#root.querySelector(selector);
  }

  // -- reading

  /** Read the job now; and go on as long as it may change. */
  read() {
    if (this.#gone.signal.aborted) return;
    this.#now = true;
    this.#wake?.();
    this.#held?.abort();
    if (!this.#reading) this.#readOn();
  }

  async #readOn() {
    this.#reading = true;
    while (this.#now || this.#mayChange()) {
      const phase = this.#job?.phase;
      const pause = PAUSES[phase] ?? RARELY;
      const alone = !this.#live && (!phase || ACTIVE.includes(phase)) ? OFTEN : pause;
      // Where nobody tells of changes, the server is asked to hold its answer back for one.
      const holds = !this.#now && !this.#live && Number.parseFloat(this.#job?.version) >= 1.1;
      if (!this.#now && !holds) await this.#rest(alone);
      if (this.#gone.signal.aborted) break;
      this.#now = false;
      const began = Date.now();
      await this.#readOnce(holds ? { wait: pause / 1000, phase } : {});
      const refused = holds && this.#job?.phase === phase && Date.now() - began < OFTEN / 2;
      if (refused && !this.#now) await this.#rest(alone);
    }
    this.#reading = false;
  }

  #mayChange() {
    return !document.hidden && !this.#gone.signal.aborted && !FINAL.includes(this.#job?.phase);
  }

  async #readOnce(options) {
    this.#held = new AbortController();
    const { signal } = this.#held;
    try {
      this.#show(await this.#client.job(this.#id, { ...options, signal }));
      if (this.#unread) this.#fault(null); // what somebody did in vain is still to be read
      this.#unread = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#unread = error.status !== 404;
      if (this.#unread) this.#fault(error);
      else this.#lose();
    }
  }

  #rest(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #lose() {
    this.#gone.abort();
    this.#wake?.();
    this.#held?.abort();
    fill(this.#root, { gone: true, runs: false, aborts: false });
  }

  #fault(error) {
    fillFault(this.#one("[data-fault]"), error);
  }

  // -- showing

  #show(job) {
    const before = this.#job;
    this.#job = job;
    const { phase, jobInfo } = job;
    const over = FINAL.includes(phase);
    const percent = /^\s*(\d{1,3})/.exec(jobInfo.progress ?? "")?.[1];
    fill(this.#root, {
      phase,
      title: job.runId || job.jobId,
      runs: phase === "PENDING",
      aborts: ACTIVE.includes(phase),
      over,
      percent: ACTIVE.includes(phase) && percent ? String(Math.min(100, percent)) : null,
      percentText: percent && ACTIVE.includes(phase) ? jobInfo.progress : null,
      said: over ? null : SAID.map((key) => jobInfo[key]).filter(Boolean).join(" "),
      failed: job.errorSummary && phase === "ERROR" ? job.errorSummary.message : null,
      stopped: job.errorSummary && phase !== "ERROR" ? job.errorSummary.message : null,
      transient: job.errorSummary?.type === "transient",
      created: job.creationTime,
      started: job.startTime,
      ended: job.endTime,
      quote: over ? null : job.quote,
      kept: job.destruction,
      limit: job.executionDuration || null,
      owner: job.ownerId,
      ...this.#lengths(),
    });
    document.title = document.title.replace(/^([A-Z]+: )?/, `${phase}: `);
    if (JSON.stringify(job.results) !== JSON.stringify(before?.results)) this.#results(job.results);
    const given = JSON.stringify([job.parameters, phase === "PENDING"]);
    if (given !== this.#given && !this.#editing) {
      this.#given = given;
      this.#parameters(job);
    }
    this.#info(jobInfo);
    this.#outputs();
    this.#snippets();
  }

  #lengths() {
    const { creationTime, startTime, endTime, phase } = this.#job;
    const seconds = (from, to) => (from && to ? Math.max(0, (to - from) / 1000) : null);
    const over = FINAL.includes(phase);
    const now = over ? null : new Date();
    const begun = startTime ?? (over ? endTime : now);
    return {
      // Some services do not tell when a job has begun.
      waited: phase === "PENDING" || (phase === "EXECUTING" && !startTime) ? null : seconds(creationTime, begun),
      ran: seconds(startTime, endTime ?? now),
    };
  }

  #tick() {
    if (this.#job && !document.hidden && ACTIVE.includes(this.#job.phase)) fill(this.#root, this.#lengths());
  }

  // -- what it was given

  /** What the page was told of the description's parameters and results. */
  #told(list, name, what) {
    return this.#one(`[data-told="${list}"] [data-name="${CSS.escape(name)}"] [data-is="${what}"]`)?.textContent ?? "";
  }

  #parameters({ parameters, phase }) {
    const rows = parameters.map((one, at) => {
      const { id, byReference, file, size, sha256 } = one;
      const href = one.href ?? one.value ?? "";
      const value = byReference ? "" : (one.value ?? "");
      const same = (entries) => entries.filter((other) => other.id === id).length;
      const number = same(parameters) > 1 ? `?VALUE=${same(parameters.slice(0, at + 1))}` : "";
      const here = this.#at("parameters", id) + number;
      const isGiven = byReference && !href.includes(`/${this.#id}/`); // as an address elsewhere
      return made(this.#one("template[data-parameter]"), {
        id,
        value: value.length > LONG ? `${value.slice(0, LONG)}…` : value,
        empty: !byReference && value === "",
        all: value.length > LONG && this.#isOpus ? here : null,
        length: String(value.length),
        href: isGiven ? href : byReference ? here : null,
        file: isGiven ? href : byReference ? file || "text" : null,
        fetched: isGiven && sha256 ? here : null,
        size: size ?? null,
        sha256: sha256 ?? null,
        unit: value && this.#told("parameters", id, "unit"),
        changes: phase === "PENDING" && !byReference,
      });
    });
    this.#one("[data-parameters]").replaceChildren(...rows);
    fill(this.#root, { parameters: rows.length || null });
  }

  #at(...steps) {
    return [this.#client.url, this.#id, ...steps.map(encodeURIComponent)].join("/");
  }

  #info(info) {
    const shown = Object.entries(info).filter(([key]) => key !== "progress" && !SAID.includes(key));
    const rows = shown.map(([key, value]) => made(this.#one("template[data-info]"), { key, value }));
    const place = this.#one("[data-infos]");
    if (JSON.stringify(shown) === place.dataset.shownNow) return;
    place.dataset.shownNow = JSON.stringify(shown);
    place.replaceChildren(...rows);
    place.hidden = rows.length === 0;
  }

  // -- what it leaves

  #results(results) {
    let open = 0;
    const items = results.map((result) => {
      const { id, file, size, mimeType } = result;
      // By the address that this page was called by, whatever the document says of that.
      const href = this.#elsewhere ? result.href : this.#at("results", id);
      const description = this.#told("results", id, "help");
      const shown = { ...result, href, title: file || id, description };
      if (this.#elsewhere) shown.load = (last) => this.#client.file(href, { range: [0, last] });
      // A page may ask its service, and nobody else that a service names.
      const isThere = !this.#elsewhere || originOf(href) === originOf(this.#client.url);
      const item = made(this.#one("template[data-result]"), {
        href, size, mimeType, description, file: file || id,
        previews: isThere && (kindOf(shown) !== null || (this.#elsewhere && !mimeType)),
        sends: SENT.includes(kindOf(shown)),
      });
      this.#sends(item.querySelector("[data-send-of]"), shown);
      const details = item.querySelector("[data-preview-of]");
      const read = (first, last) => this.#client.file(href, { range: [first, last] });
      details.addEventListener("toggle", () => {
        const place = details.querySelector("[data-preview-place]");
        if (details.open && !place.firstChild) {
          showPreview(place, this.#one("[data-preview-templates]"), shown, read);
        }
      });
      if (isThere && kindOf(shown) && open < OPEN && (size ?? (this.#elsewhere ? Infinity : 0)) <= SMALL) {
        open += 1;
        details.open = true;
      }
      return item;
    });
    this.#one("[data-results]").replaceChildren(...items);
    fill(this.#root, { results: results.length || null, several: results.length > 1 });
  }

  /** `details`: where the page offers it; null where it does not. */
  #sends(details, { id, href, title, ...result }) {
    details?.addEventListener("toggle", async () => {
      const place = details.querySelector("[data-send-place]");
      if (!details.open || place.firstChild) return;
      const { showPrograms } = await import("./samp_panel.js");
      const templates = this.#one("[data-send-templates]");
      const named = { kind: kindOf(result), name: title, title: templates.dataset.title };
      // A program knows nothing of who is signed in here.
      const addressOf = async () => (this.#isOpus ? (await this.#client.ticket(this.#id, id)).url : href);
      await showPrograms(place, templates, named, addressOf);
    });
  }

  // -- what it writes

  #outputs() {
    if (!this.#isOpus) return;
    const { phase, startTime } = this.#job;
    if (!startTime && phase !== "EXECUTING") return; // nothing of it has run
    for (const name of OUTPUTS) if (!this.#followed.has(name)) this.#follow(name);
  }

  async #follow(name) {
    this.#followed.add(name);
    const element = this.#one(`[data-output="${name}"]`);
    fill(element, { href: this.#at(name) });
    const follow = !FINAL.includes(this.#job.phase);
    const { signal } = this.#gone;
    const every = async () => {
      await new Promise((resolve) => setTimeout(resolve, LOGS));
      if (document.hidden) await once(document, "visibilitychange");
    };
    try {
      const pieces = this.#client.log(this.#id, name, { follow, every, signal });
      for await (const text of pieces) this.#logs.get(name).add(text);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status !== 404) fill(element, { unread: error.message }); // it has written none
    }
  }

  // -- what can be done

  #click(action, target) {
    if (action === "run" || action === "abort") this.#do(() => this.#client[action](this.#id));
    if (action === "read") this.read();
    if (action === "delete") this.#one("dialog[data-confirm]").showModal();
    if (action === "extend") this.#edit("kept", this.#job.destruction, 30);
    if (action === "limit") this.#edit("limit", this.#job.executionDuration);
    if (action === "change") this.#change(target.closest("[data-parameter-row]"));
    if (action === "keep") this.#close(target.closest("form"));
    if (action === "copy") this.#copy(target.closest("[data-snippet]"));
  }

  async #do(action) {
    try {
      const job = await action();
      if (job) this.#show(job);
      this.#fault(null);
      this.read();
      return true;
    } catch (error) {
      this.#fault(error);
      return false;
    }
  }

  async #submit(event) {
    const form = event.target;
    const kind = form.dataset.edit;
    if (form.method === "dialog") return void (await this.#delete(event.submitter));
    if (!kind) return;
    event.preventDefault();
    const value = new FormData(form).get("value");
    const actions = {
      kept: () => this.#client.setDestruction(this.#id, new Date(`${value}T23:59:59`)),
      limit: () => this.#client.setExecutionDuration(this.#id, value || "0"),
      parameter: () => this.#client.setParameters(this.#id, { [form.dataset.name]: value }),
    };
    const done = await this.#do(actions[kind]);
    if (done) this.#close(form);
  }

  #edit(kind, value, days = 0) {
    const form = this.#one(`form[data-edit="${kind}"]`);
    const input = form.elements.namedItem("value");
    if (kind === "kept") {
      const from = Math.max(Date.now(), value ?? 0);
      input.value = localDay(new Date(from + days * DAY));
      input.min = localDay(new Date());
    } else input.value = value || "";
    this.#opened(form);
  }

  #change(row) {
    const form = row.querySelector("form");
    const { value } = this.#job.parameters.find(({ id }) => id === form.dataset.name);
    form.elements.namedItem("value").value = value;
    this.#editing = true;
    this.#opened(form);
  }

  #opened(form) {
    form.hidden = false;
    form.elements.namedItem("value").focus();
  }

  #close(form) {
    form.hidden = true;
    this.#editing = false;
    this.#given = "";
    this.#show(this.#job);
    const opener = form.dataset.edit === "parameter" ? null : this.#one(`[data-opens="${form.dataset.edit}"]`);
    (opener ?? this.#one("h1")).focus();
  }

  async #delete(button) {
    if (button?.value !== "delete") return;
    try {
      await this.#client.delete(this.#id);
      this.#gone.abort();
      location.assign(this.#root.dataset.after);
    } catch (error) {
      this.#fault(error);
    }
  }

  // -- as code

  #snippets() {
    if (!this.#job || !this.#one("[data-snippets]").open) return;
    const { parameters, runId } = this.#job;
    const values = parameters.filter(({ byReference }) => !byReference).map(({ id, value }) => [id, value]);
    const files = parameters.filter(({ byReference }) => byReference).map(({ id, file }) => [id, file || id]);
    if (runId) values.push(["RUNID", runId]);
    const url = this.#client.url;
    const code = snippets({ url, library: this.#library, values, files, token: this.#token });
    for (const [language, text] of Object.entries(code)) {
      const area = this.#one(`[data-snippet="${language}"] textarea`);
      if (area.value !== text) area.value = text; // somebody may have marked some of it
    }
  }

  async #copy(place) {
    const area = place.querySelector("textarea");
    area.select();
    // Over plain http browsers have no clipboard but the older way.
    const copied = navigator.clipboard
      ? await navigator.clipboard.writeText(area.value).then(() => true, () => false)
      : document.execCommand("copy");
    fill(place, { copied });
  }
}

/** Null for what is no address. */
function originOf(address) {
  try {
    return new URL(address).origin;
  } catch {
    return null;
  }
}

const once = (target, event) =>
  new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
