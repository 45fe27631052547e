/**
 * The form for a new job. As it stands it works without scripts; with this nothing that was given
 * is lost when it is refused, each field says what is wrong with it, and large files tell how far
 * they are.
 */

import { UwsClient, UwsError } from "./uwsLib.js";
import { bytes, fill, made } from "./fill.js";

const CONTROLS = ["RUNID", "EXECUTIONDURATION"];

export class JobForm {
  #form;
  #client;
  #pageOf;
  #sending = null; // AbortController
  #key = null; // of the job that is being made, until it is or the form changes

  /** `client`: of the job list; `pageOf(id)`: the address of the page of a job. */
  constructor(form, { client, pageOf }) {
    this.#form = form;
    this.#client = client;
    this.#pageOf = pageOf;
    form.addEventListener("submit", (event) => this.#submit(event));
    form.addEventListener("input", () => (this.#key = null));
    form.addEventListener("click", ({ target }) => this.#click(target.closest("button")));
    for (const button of form.querySelectorAll("[data-do=more]")) button.hidden = false;
  }

  #one(selector) {
    return this.#form.querySelector(selector);
  }

  #click(button) {
    if (button?.dataset.do === "more") this.#more(button);
    if (button?.dataset.do === "cancel") this.#sending?.abort();
  }

  /** A further field for an input that may have several values. */
  #more(button) {
    const last = [...button.parentElement.querySelectorAll("input, textarea, select")].at(-1);
    const number = button.parentElement.querySelectorAll("input, textarea, select").length + 1;
    const next = last.cloneNode(true);
    next.value = "";
    next.id = last.id.replace(/\d+$/, number);
    next.required = false;
    next.setAttribute("aria-label", last.getAttribute("aria-label").replace(/\d+$/, number));
    last.after(next);
    next.focus();
  }

  async #submit(event) {
    event.preventDefault();
    if (this.#sending) return;
    const { values, files, size } = this.#given();
    const most = Number(this.#form.dataset.most);
    const run = event.submitter?.value === "RUN";
    if (size > most) {
      return this.#refuse(new UwsError(`The files have ${bytes(size)}; this server takes ${bytes(most)}.`));
    }
    this.#sending = new AbortController();
    // A network that fails leaves open whether there is a job: asked again, it is the same one.
    this.#key ??= crypto.randomUUID?.() ?? String(Math.random()).slice(2);
    const { signal } = this.#sending;
    const options = { run, key: this.#key, signal };
    if (Object.keys(files).length) Object.assign(options, { files, onProgress: (at) => this.#progress(at) });
    this.#refused(null, {});
    try {
      const job = await this.#client.create(values, options);
      this.#key = null;
      location.assign(this.#pageOf(job.jobId));
    } catch (error) {
      if (!signal.aborted) this.#refuse(error);
    }
    this.#sending = null;
    fill(this.#one("[data-sending]"), { sending: null });
  }

  /** What was filled in: as the server itself takes it from a form, which has every field. */
  #given() {
    const values = [];
    const files = {};
    let size = 0;
    for (const [name, value] of new FormData(this.#form)) {
      if (value instanceof File) {
        if (!value.name && !value.size) continue;
        (files[name] ??= []).push(value);
        size += value.size;
      } else if (value !== "" || this.#isMeantEmpty(name)) values.push([name, value]);
    }
    return { values, files, size };
  }

  /** A text that has a default and was emptied. */
  #isMeantEmpty(name) {
    if (CONTROLS.includes(name)) return false;
    const control = this.#form.elements.namedItem(name);
    return control?.matches?.("input[type=text], textarea") && control.defaultValue !== "";
  }

  #progress({ loaded, total }) {
    const percent = total ? Math.floor((100 * loaded) / total) : null;
    const bar = this.#one("[data-sending] progress");
    if (percent === null) bar.removeAttribute("value");
    else bar.value = percent;
    const sending = total && loaded >= total ? "waiting" : "bytes";
    fill(this.#one("[data-sending]"), { sending, loaded, total, percent: String(percent ?? 0) });
  }

  #refuse(error) {
    const faults = error.faults ?? {};
    this.#refused(error.message, faults);
    this.#one("[data-summary]").focus();
  }

  #refused(fault, faults) {
    const said = Object.keys(faults).length ? "" : fault;
    fill(this.#one("[data-summary]"), { fault, said });
    const template = this.#one("template[data-fault-item]");
    const items = Object.entries(faults).map(([name, message]) => made(template, { href: `#in-${name}`, message }));
    this.#one("[data-faults]").replaceChildren(...items);
    for (const field of this.#form.querySelectorAll("[data-field]")) {
      const wrong = faults[field.dataset.field] ?? null;
      fill(field, { wrong });
      const control = field.querySelector("[aria-describedby]");
      if (wrong) control?.setAttribute("aria-invalid", "true");
      else control?.removeAttribute("aria-invalid");
    }
    if (fault && this.#one("[data-run-options] [aria-invalid]")) this.#one("[data-run-options]").open = true;
  }
}

for (const form of document.querySelectorAll("form[data-new-job]")) {
  const { list, page } = form.dataset;
  new JobForm(form, {
    client: new UwsClient(list, { json: true }),
    pageOf: (id) => page.replace("{id}", encodeURIComponent(id)),
  });
}
