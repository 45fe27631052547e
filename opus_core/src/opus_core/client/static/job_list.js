/**
 * A job list on a page: filters, pages, columns, live rows, and what can be done to many jobs.
 *
 * The page has the markup (`templates/list.html`), this fills it. The address of the page is the
 * state of the list: filters, order and place in it can be kept and sent to somebody.
 */

import { ACTIVE, PHASES } from "./uwsLib.js";
import { fill, fillFault, localDay, made } from "./fill.js";
import { Selection, titleOf } from "./selection.js";

const QUERY = ["NAME", "PHASE", "AFTER", "BEFORE", "TEXT", "OWNER", "SORT", "LIMIT", "CURSOR"];
const FILTERS = ["NAME", "PHASE", "AFTER", "BEFORE", "TEXT", "OWNER"];
const SIZE = "50"; // rows of a page
const ORDER = "-created";
const COLUMNS = "opus.columns"; // in localStorage: names of those that are not shown
const LATER = 1000; // [ms] in which changes gather until the list is read again
const POLL = 15_000; // [ms] between readings where nobody tells of changes
const SAY = 5000; // [ms] between two announcements
const TICK = 1000; // [ms]

export class JobList {
  #root;
  #client;
  #clientOf;
  #pageOf;
  #kept; // names and values that the page's address has besides
  #plain; // the service's lists say what the standard has, and no more
  #rows = new Map(); // by job id, in order: { job, element, gone }
  #reading = null;
  #failed = false; // the last reading
  #later = null;
  #news = new Map(); // what is still to be announced, by job id
  #said = 0;

  /**
   * `client`: of the list; `clientOf(job)`: for what is done to one of its jobs; `pageOf(job)`: the
   * address of its page; `live`: a `Live`, or null; `others`: the list also has jobs of which
   * `live` does not tell; `columns`: those alone that can be filled; `kept`: names and values that
   * the page's address has besides those of the list.
   */
  constructor(root, options) {
    const { client, clientOf = () => client, pageOf, live = null, others = false } = options;
    const { columns = null, kept = {} } = options;
    this.#root = root;
    this.#client = client;
    this.#clientOf = clientOf;
    this.#pageOf = pageOf;
    this.#kept = kept;
    this.#plain = columns !== null;
    this.#listen();
    if (columns) this.#keepColumns(columns);
    this.#columns();
    this.selection = new Selection(root, {
      jobs: () => [...this.#rows.values()].filter(({ gone }) => !gone),
      matching: (signal) => this.#matching(signal),
      act: (action, job, signal) => this.#act(action, job, signal),
      done: () => this.read(),
    });
    live?.addEventListener("changes", ({ detail }) => this.#changed(detail));
    live?.addEventListener("reset", () => this.#refreshLater());
    live?.addEventListener("state", ({ detail }) => {
      if (detail.state === "live" && this.#failed) this.read();
    });
    if (others || !live) setInterval(() => document.hidden || this.#refreshLater(), POLL);
    setInterval(() => this.#tick(), TICK);
  }

  #one(selector) {
    return this.#root.querySelector(selector);
  }

  // -- what is asked for

  /** What the page's address says, as the server is asked it. */
  #query() {
    const query = new URLSearchParams();
    for (const [name, value] of new URLSearchParams(location.search)) {
      if (value && QUERY.includes(name.toUpperCase())) query.append(name.toUpperCase(), value);
    }
    if (!query.has("SORT")) query.set("SORT", ORDER);
    if (!query.has("LIMIT")) query.set("LIMIT", SIZE);
    return query;
  }

  /** The same page with other values; those that are what they are without are left out. */
  #address(changes) {
    const query = this.#query();
    for (const [name, value] of Object.entries({ CURSOR: null, ...changes })) {
      query.delete(name);
      for (const one of [value ?? []].flat()) if (one !== "") query.append(name, one);
    }
    if (query.get("SORT") === ORDER) query.delete("SORT");
    if (query.get("LIMIT") === SIZE) query.delete("LIMIT");
    const text = new URLSearchParams([...Object.entries(this.#kept), ...query]).toString();
    return location.pathname + (text && `?${text}`);
  }

  #go(address) {
    history.pushState(null, "", address);
    this.selection.clear();
    this.#fault(null);
    return this.read();
  }

  // -- reading

  /** Show the list anew. */
  async read() {
    const jobs = await this.#ask();
    if (jobs) this.#show(jobs);
  }

  #show(jobs) {
    this.#rows.clear();
    const elements = jobs.map((job) => this.#row(job));
    this.#one("tbody").replaceChildren(...elements);
    this.#controls(jobs);
    this.selection.show();
  }

  /**
   * Read it again, and change of what is shown only what has changed. Jobs that belong between those
   * that are shown are offered, and not put under the pointer of whoever is about to click.
   */
  async #refresh() {
    if (this.#reading) return this.#refreshLater(); // what is being read may be older than the news
    const jobs = await this.#ask();
    if (!jobs) return;
    if (!this.#rows.size) return this.#show(jobs);
    const last = jobs.findLastIndex(({ jobId }) => this.#rows.has(jobId));
    let fresh = 0;
    jobs.forEach((job, at) => {
      const row = this.#rows.get(job.jobId);
      if (row) this.#update(row, job);
      else if (at > last && last >= 0) this.#one("tbody").append(this.#row(job));
      else fresh += 1;
    });
    this.#controls(jobs, fresh);
    this.selection.show();
  }

  #refreshLater() {
    this.#later ??= setTimeout(() => {
      this.#later = null;
      this.#refresh();
    }, LATER);
  }

  async #ask() {
    this.#reading?.abort();
    const { signal } = (this.#reading = new AbortController());
    let jobs = null;
    this.#root.setAttribute("aria-busy", "true");
    try {
      jobs = await this.#client.page(`${this.#client.url}?${this.#query()}`, { signal });
    } catch (error) {
      if (signal.aborted) return null;
      this.#fault(error);
    }
    if (jobs && this.#failed) this.#fault(null); // what somebody did in vain is still to be read
    this.#reading = null;
    this.#failed = jobs === null;
    this.#root.removeAttribute("aria-busy");
    return jobs;
  }

  #fault(error) {
    fillFault(this.#one("[data-fault]"), error);
  }

  // -- rows

  #row(job) {
    const element = made(this.#one("template[data-row]"), {
      name: job.definition?.name,
      title: titleOf(job),
      runId: job.runId,
      short: job.jobId.slice(0, 8),
      owner: job.ownerId,
      created: job.creationTime,
      page: this.#pageOf(job),
    });
    element.dataset.job = job.jobId;
    const row = { job, element, gone: false };
    this.#rows.set(job.jobId, row);
    this.#update(row, job);
    return element;
  }

  #update(row, job) {
    row.job = job;
    fill(row.element, {
      phase: job.phase,
      started: job.startTime,
      ended: job.endTime,
      kept: job.destruction,
      ...this.#doing(job),
      ...this.#ran(job),
    });
  }

  #doing({ phase }) {
    return { runs: phase === "PENDING", aborts: ACTIVE.includes(phase) };
  }

  #ran({ startTime, endTime }) {
    return { ran: startTime ? ((endTime ?? new Date()) - startTime) / 1000 : null };
  }

  #tick() {
    if (document.hidden) return;
    for (const { job, element, gone } of this.#rows.values()) {
      if (!gone && job.startTime && !job.endTime) fill(element, this.#ran(job));
    }
  }

  // -- what happens meanwhile

  #changed(changes) {
    let concerned = false;
    for (const { jobId, phase, from, name } of changes) {
      const row = this.#rows.get(jobId);
      if (row && !phase) this.#lose(row);
      else if (row) {
        row.job = { ...row.job, phase };
        fill(row.element, { phase, ...this.#doing(row.job) });
        this.#news.set(jobId, row);
      }
      concerned ||= Boolean(row) || (from === null && this.#mayShow(name));
    }
    if (!concerned) return;
    this.#announce();
    this.selection.show();
    this.#refreshLater();
  }

  /** Whether a new job could be on this page. */
  #mayShow(name) {
    const query = this.#query();
    return !query.has("CURSOR") && (!query.has("NAME") || query.get("NAME") === name);
  }

  #lose(row) {
    row.gone = true;
    row.element.classList.add("gone");
    row.element.querySelector("input[data-pick]").disabled = true;
    fill(row.element, { gone: true, runs: false, aborts: false });
    this.selection.forget(row.job.jobId);
  }

  /** Tell who cannot see it; not more often than one can listen. */
  #announce() {
    const wait = this.#said + SAY - Date.now();
    if (!this.#news.size) return;
    if (wait > 0) return void setTimeout(() => this.#announce(), wait + 10);
    const [{ job }] = this.#news.values();
    const one = this.#news.size === 1;
    const told = { one, many: !one, count: this.#news.size, title: titleOf(job), phase: job.phase };
    fill(this.#one("[data-news]"), told);
    this.#news.clear();
    this.#said = Date.now();
  }

  // -- what is around the rows

  /** `fresh`: how many jobs belong between those that are shown. */
  #controls(jobs, fresh = 0) {
    const query = this.#query();
    const filtered = FILTERS.some((name) => query.has(name));
    const none = this.#rows.size === 0;
    const cursor = (page) => page && this.#address({ CURSOR: cursorOf(page) });
    fill(this.#root, {
      listed: !none,
      none: none && !filtered,
      noneMatch: none && filtered,
      filtered,
      dated: !this.#plain && (query.has("AFTER") || query.has("BEFORE")),
      unfiltered: this.#address(Object.fromEntries(FILTERS.map((name) => [name, null]))),
      previous: cursor(jobs.previous),
      next: cursor(jobs.next),
      fresh: fresh || null,
    });
    for (const format of ["json", "xml"]) {
      const all = new URLSearchParams([...query].filter(([name]) => !["CURSOR", "LIMIT"].includes(name)));
      all.set("RESPONSEFORMAT", format);
      fill(this.#root, { [format]: `${this.#client.url}?${all}` });
    }
    this.#showFilters(query);
    this.#showOrder(query);
  }

  #showFilters(query) {
    const form = this.#one("form[data-filters]");
    const day = (name, less) => {
      const instant = query.has(name) ? new Date(query.get(name)) - less : NaN;
      return Number.isNaN(instant) ? "" : localDay(new Date(instant));
    };
    const values = { from: day("AFTER", 0), to: day("BEFORE", 1), LIMIT: query.get("LIMIT") };
    for (const name of ["NAME", "TEXT", "OWNER"]) values[name] = query.get(name) ?? "";
    for (const [name, value] of Object.entries(values)) {
      const control = form.elements.namedItem(name);
      if (!control || control === document.activeElement) continue;
      if (control.options && ![...control.options].some((one) => one.value === value)) {
        control.add(new Option(value, value));
      }
      control.value = value;
    }
    const phases = query.getAll("PHASE");
    for (const box of form.querySelectorAll("[name=PHASE]")) box.checked = phases.includes(box.value);
    fill(form, { phases: phases.filter((one) => PHASES.includes(one)).join(", "), anyPhase: !phases.length });
  }

  #showOrder(query) {
    const order = query.get("SORT").toLowerCase();
    for (const button of this.#root.querySelectorAll("button[data-sort]")) {
      const word = button.dataset.sort;
      const direction = order === word ? "ascending" : order === `-${word}` ? "descending" : "none";
      button.closest("th").setAttribute("aria-sort", direction);
    }
  }

  #keepColumns(columns) {
    const roots = [this.#one("table"), this.#one("template[data-row]").content];
    for (const cell of roots.flatMap((root) => [...root.querySelectorAll("[data-column]")])) {
      if (!columns.includes(cell.dataset.column)) cell.remove();
    }
    for (const box of this.#root.querySelectorAll("[data-columns] input")) {
      if (!columns.includes(box.value)) box.closest("label").remove();
    }
  }

  #columns() {
    const boxes = [...this.#root.querySelectorAll("[data-columns] input")];
    const table = this.#one("table");
    const template = this.#one("template[data-row]").content;
    const apply = () => {
      for (const { value, checked } of boxes) {
        for (const root of [table, template]) {
          for (const cell of root.querySelectorAll(`[data-column="${value}"]`)) cell.hidden = !checked;
        }
      }
    };
    const hidden = stored(COLUMNS);
    for (const box of boxes) {
      if (Array.isArray(hidden)) box.checked = !hidden.includes(box.value);
      box.addEventListener("change", () => {
        const off = boxes.filter((one) => !one.checked).map((one) => one.value);
        localStorage.setItem(COLUMNS, JSON.stringify(off));
        apply();
      });
    }
    apply();
  }

  // -- what the reader does

  #listen() {
    const form = this.#one("form[data-filters]");
    const search = () => {
      const given = new FormData(form);
      const instant = (name, days) => {
        if (!given.get(name)) return null;
        const [year, month, day] = given.get(name).split("-").map(Number);
        return new Date(year, month - 1, day + days).toISOString();
      };
      const changes = { PHASE: given.getAll("PHASE"), AFTER: instant("from", 0), BEFORE: instant("to", 1) };
      for (const name of ["NAME", "TEXT", "OWNER", "LIMIT"]) {
        if (form.elements.namedItem(name)) changes[name] = given.get(name).trim();
      }
      this.#go(this.#address(changes));
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      search();
    });
    form.addEventListener("change", ({ target }) => {
      if (target.type !== "search" && target.type !== "text") search();
    });
    addEventListener("popstate", () => {
      this.selection.clear();
      this.#fault(null);
      this.read();
    });
    this.#root.addEventListener("click", (event) => this.#click(event));
  }

  #click(event) {
    const link = event.target.closest("a[data-stays]");
    const plain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (link && plain) {
      event.preventDefault();
      // To the head of the list, where a new page would begin, and not to where this link was.
      this.#go(link.getAttribute("href")).then(() => this.#one("[data-head]").focus());
      return;
    }
    const button = event.target.closest("button");
    if (button?.dataset.sort) {
      const [word, order] = [button.dataset.sort, this.#query().get("SORT").toLowerCase()];
      this.#go(this.#address({ SORT: order === `-${word}` ? word : `-${word}` }));
    }
    if (button?.dataset.do === "fresh") {
      this.#go(this.#address({})).then(() => this.#one("[data-head]").focus());
    }
    if (button?.dataset.do === "read") this.read();
    const id = event.target.closest("tr[data-job]")?.dataset.job;
    if (id && ["run", "abort"].includes(button?.dataset.do)) this.#actOnRow(button.dataset.do, id, button);
  }

  async #actOnRow(action, id, button) {
    const row = this.#rows.get(id);
    button.disabled = true;
    try {
      const job = await this.#act(action, row.job);
      this.#update(row, { ...row.job, ...job, definition: row.job.definition });
      this.#fault(null);
    } catch (error) {
      this.#fault(error);
    }
    button.disabled = false;
    // The next one to press; the button that was pressed may be hidden now.
    if (button.hidden) row.element.querySelector("a").focus();
  }

  // -- what is done to jobs

  #act(action, job, signal) {
    return this.#clientOf(job)[action](job.jobId, { signal });
  }

  /** All jobs that match the filters, on whatever page. */
  async *#matching(signal) {
    const query = this.#query();
    query.delete("CURSOR");
    query.set("LIMIT", "1000");
    for (;;) {
      const jobs = await this.#client.page(`${this.#client.url}?${query}`, { signal });
      yield* jobs;
      if (!jobs.next) return;
      query.set("CURSOR", cursorOf(jobs.next));
    }
  }
}

const cursorOf = (page) => new URL(page).searchParams.get("CURSOR");

/** What was kept in this browser; null if it is nothing that can be read. */
function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}
