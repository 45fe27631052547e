/** The jobs of a list that somebody has selected, and what is done to all of them. */

import { ACTIVE, FINAL } from "./uwsLib.js";
import { fill, made } from "./fill.js";

/** What a job is called on a page. */
export const titleOf = ({ runId, jobId }) => runId || jobId.slice(0, 8);

const AT_ONCE = 4; // requests
const TOLD = 20; // failures

export class Selection {
  #root;
  #list;
  #chosen = new Set(); // job ids
  #all = false; // all that match the filters, and not these alone
  #last = null; // the box that was clicked last
  #working = null; // AbortController of what is being done

  /**
   * `jobs()`: rows of the page; `matching(signal)`: all jobs that match; `act(action, job, signal)`
   * does it to one; `done()` is called when it was done to all.
   */
  constructor(root, list) {
    this.#root = root;
    this.#list = list;
    root.addEventListener("click", (event) => this.#click(event));
    const dialog = this.#one("dialog[data-confirm]");
    dialog.addEventListener("close", () => dialog.returnValue && this.#work(dialog.returnValue));
  }

  #one(selector) {
    return this.#root.querySelector(selector);
  }

  clear() {
    this.#chosen.clear();
    this.#all = false;
    this.#last = null;
    this.show();
  }

  forget(jobId) {
    this.#chosen.delete(jobId);
  }

  show() {
    const rows = this.#list.jobs();
    for (const { job, element } of rows) {
      element.querySelector("input[data-pick]").checked = this.#all || this.#chosen.has(job.jobId);
    }
    const picked = rows.filter(({ job }) => this.#chosen.has(job.jobId)).length;
    const whole = rows.length > 0 && picked === rows.length;
    const head = this.#one("input[data-pick-all]");
    head.checked = this.#all || whole;
    head.indeterminate = !head.checked && picked > 0;
    head.disabled = rows.length === 0;
    const more = !this.#one("a[rel=next]").hidden || !this.#one("a[rel=prev]").hidden;
    fill(this.#one("[data-selection]"), {
      any: this.#all || this.#chosen.size > 0,
      count: String(this.#chosen.size),
      all: this.#all,
      offer: whole && more && !this.#all,
    });
  }

  #click(event) {
    const { target } = event;
    if (target.matches("input[data-pick-all]")) this.#pickPage(target.checked);
    else if (target.matches("input[data-pick]")) this.#pick(target, event.shiftKey);
    const action = target.closest("button")?.dataset.do;
    if (action === "select-all") {
      this.#all = true;
      this.show();
      this.#one("button[data-do=select-none]").focus();
    } else if (action === "select-none") {
      this.clear();
      this.#one("input[data-pick-all]").focus();
    } else if (action === "abort-selected") this.#confirm("abort");
    else if (action === "delete-selected") this.#confirm("delete");
    else if (action === "stop-work") this.#working?.abort();
  }

  #pickPage(checked) {
    this.#all = false;
    for (const { job } of this.#list.jobs()) this.#set(job.jobId, checked);
    this.show();
  }

  #pick(box, isRange) {
    const rows = this.#list.jobs();
    if (this.#all) {
      // All but this one: of those that are not seen nobody can say so, so it is this page.
      this.#all = false;
      for (const { job } of rows) this.#set(job.jobId, true);
    }
    const at = (one) => rows.findIndex(({ element }) => element.contains(one));
    const ends = [at(box), isRange && this.#last ? at(this.#last) : at(box)].sort((a, b) => a - b);
    for (const { job } of rows.slice(Math.max(0, ends[0]), ends[1] + 1)) this.#set(job.jobId, box.checked);
    this.#last = box;
    this.show();
  }

  #set(jobId, chosen) {
    if (chosen) this.#chosen.add(jobId);
    else this.#chosen.delete(jobId);
  }

  #picked() {
    return this.#list.jobs().filter(({ job }) => this.#chosen.has(job.jobId));
  }

  #confirm(action) {
    const jobs = this.#picked().map(({ job }) => job);
    const of = (phases) => jobs.filter(({ phase }) => phases.includes(phase)).length || null;
    const dialog = this.#one("dialog[data-confirm]");
    fill(dialog, {
      action,
      all: this.#all,
      some: !this.#all,
      count: String(jobs.length),
      running: action === "delete" && !this.#all && of(ACTIVE),
      over: action === "abort" && !this.#all && of(FINAL),
    });
    dialog.querySelector("button[data-yes]").value = action;
    dialog.returnValue = "";
    dialog.showModal();
  }

  async *#targets(signal) {
    if (this.#all) yield* this.#list.matching(signal);
    else yield* this.#picked().map(({ job }) => job);
  }

  async #work(action) {
    const { signal } = (this.#working = new AbortController());
    const bar = this.#one("[data-work]");
    const total = this.#all ? null : this.#picked().length;
    let done = 0;
    const failed = [];
    const say = (at) => fill(bar, { action, at, done: String(done), failed: failed.length || null, total });
    const one = async (job) => {
      if (action === "abort" && FINAL.includes(job.phase)) return;
      try {
        await this.#list.act(action, job, signal);
        done += 1;
      } catch (error) {
        if (!signal.aborted) failed.push({ job, message: error.message });
      }
      say("going on");
    };
    const progress = bar.querySelector("progress");
    if (total === null) progress.removeAttribute("value");
    else Object.assign(progress, { max: total, value: 0 });
    bar.querySelector("ul").replaceChildren();
    say("going on");
    bar.querySelector("button").focus();
    try {
      await inParallel(this.#targets(signal), one, AT_ONCE, () => {
        if (total !== null) progress.value = done + failed.length;
      });
    } catch (error) {
      if (!signal.aborted) failed.push({ job: null, message: error.message });
    }
    say(signal.aborted ? "stopped" : "over");
    const template = bar.querySelector("template");
    const told = failed.slice(0, TOLD).map(({ job, message }) =>
      made(template, { title: job && titleOf(job), message }),
    );
    bar.querySelector("ul").replaceChildren(...told);
    this.#working = null;
    this.clear();
    await this.#list.done();
    this.#one("[data-head]").focus();
  }
}

/** Call `work` with each of `items`, a few at a time; `step` after each. */
async function inParallel(items, work, atOnce, step) {
  const iterator = items[Symbol.asyncIterator]();
  const worker = async () => {
    for (let next; !(next = await iterator.next()).done; ) {
      await work(next.value);
      step();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
