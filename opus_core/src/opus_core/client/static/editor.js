/**
 * The editor of a job description: what stands in its fields is a document in JSON, which is looked
 * at by the server while one types, kept as a draft, and published.
 *
 * The page has the markup (`templates/edit.html`), this reads and fills it.
 */

import { fill, made } from "./fill.js";

const LISTS = ["parameters", "used", "generated"];
const SOON = 400; // [ms] without a key until the server looks at it

class Editor {
  #form;
  #later = null;
  #looking = null; // AbortController
  #saved; // the document as it was saved last, in JSON
  #dragged = null;

  constructor(form) {
    this.#form = form;
    this.#saved = JSON.stringify(this.document());
    form.addEventListener("input", () => this.#lookLater());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("click", ({ target }) => this.#click(target.closest("button")));
    for (const type of ["dragstart", "dragover", "drop"]) {
      form.addEventListener(type, (event) => this[`_${type}`](event));
    }
    addEventListener("beforeunload", (event) => {
      if (JSON.stringify(this.document()) !== this.#saved) event.preventDefault();
    });
    this.#look();
  }

  #one(selector) {
    return this.#form.querySelector(selector);
  }

  // -- the document

  /** What stands in the fields. */
  document() {
    const found = JSON.parse(this.#form.dataset.rest);
    for (const part of this.#form.querySelectorAll("[data-general]")) Object.assign(found, entry(part));
    for (const list of LISTS) {
      const rows = [...this.#one(`[data-list=${list}]`).children];
      found[list] = rows.map(entry);
    }
    return found;
  }

  // -- looking at it

  #lookLater() {
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.#look(), SOON);
  }

  async #look() {
    this.#looking?.abort();
    const { signal } = (this.#looking = new AbortController());
    const body = JSON.stringify(this.document());
    try {
      const { faults, form } = await this.#ask(this.#form.dataset.preview, { method: "POST", body, signal });
      this.#told(faults);
      // Made by the server, which escapes all that authors write; scripts in it would not run.
      const parsed = new DOMParser().parseFromString(form, "text/html");
      this.#one("[data-preview-place]").replaceChildren(...parsed.body.children);
      fill(this.#form, { unseen: null });
    } catch (error) {
      if (signal.aborted) return;
      if (error.faults) this.#told(error.faults);
      else fill(this.#form, { unseen: error.message });
    }
  }

  /** Say at each field what is wrong with it, and all of it in one place. */
  #told(faults) {
    for (const said of this.#form.querySelectorAll("[data-wrong]")) {
      said.hidden = true;
      said.removeAttribute("id");
      said.textContent = "";
      const control = said.parentElement.querySelector("[data-key]");
      control.removeAttribute("aria-invalid");
      control.removeAttribute("aria-describedby");
    }
    for (const [place, sentence] of Object.entries(faults)) {
      const control = this.#at(place);
      const said = control?.closest(".cell")?.querySelector("[data-wrong]");
      if (!said) continue;
      said.textContent = sentence;
      said.hidden = false;
      said.id = `wrong-${place}`;
      control.setAttribute("aria-invalid", "true");
      control.setAttribute("aria-describedby", said.id);
      reveal(control);
    }
    const template = this.#one("template[data-wrong-item]");
    const items = Object.entries(faults).map(([place, sentence]) => made(template, { place, sentence }));
    this.#one("[data-wrongs]").replaceChildren(...items);
    fill(this.#form, { wrongs: items.length || null });
    const named = this.#form.querySelectorAll("[data-list] [data-key=name]");
    const variables = Array.from(named, ({ value }) => value && `$${value}`);
    this.#one("[data-names]").textContent = variables.filter(Boolean).join("  ");
  }

  /** The control of a place such as `parameters.0.name`. */
  #at(place) {
    const [list, number, key] = place.split(".");
    if (!LISTS.includes(list)) return this.#one(`[data-general] [data-key="${CSS.escape(place)}"]`);
    return this.#one(`[data-list=${list}]`).children[number]?.querySelector(`[data-key="${CSS.escape(key ?? "name")}"]`);
  }

  // -- rows

  #click(button) {
    const row = button?.closest("[data-row]");
    const actions = {
      add: () => this.#add(button.dataset.kind),
      up: () => row.previousElementSibling && this.#move(row, row.previousElementSibling, button),
      down: () => row.nextElementSibling && this.#move(row.nextElementSibling, row, button),
      remove: () => this.#remove(row),
      go: () => this.#go(button.dataset.name),
      save: () => this.#save(),
      publish: () => this.#publish(),
      "publish-theirs": () => this.#send({ AUTHOR: this.#form.dataset.author }),
      request: () => this.#request(),
      import: () => this.#import(),
      discard: () => this.#one("dialog").showModal(),
      "discard-no": () => this.#one("dialog").close(),
      "discard-yes": () => this.#discard(),
    };
    actions[button?.dataset.do]?.();
  }

  #add(kind) {
    const row = document.querySelector(`template[data-new=${kind}]`).content.firstElementChild.cloneNode(true);
    this.#one(`[data-list=${kind}]`).append(row);
    row.querySelector("[data-key=name]").focus();
    this.#lookLater();
  }

  #move(row, before, button) {
    before.before(row);
    button.focus();
    this.#lookLater();
  }

  #remove(row) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    const adding = row.closest("section").querySelector("[data-do=add]");
    row.remove();
    (next?.querySelector("[data-key=name]") ?? adding).focus();
    this.#lookLater();
  }

  #go(place) {
    const control = this.#at(place);
    if (!control) return;
    reveal(control);
    control.focus();
  }

  _dragstart(event) {
    const row = event.target.closest?.("[data-row]");
    // Text in fields is dragged as ever.
    if (!row || event.target !== row) return;
    this.#dragged = row;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", row.querySelector("[data-key=name]").value);
  }

  _dragover(event) {
    const row = event.target.closest?.("[data-row]");
    if (row && this.#dragged && row.parentElement === this.#dragged.parentElement) event.preventDefault();
  }

  _drop(event) {
    const row = event.target.closest?.("[data-row]");
    if (!row || !this.#dragged || row === this.#dragged) return;
    event.preventDefault();
    const { top, height } = row.getBoundingClientRect();
    if (event.clientY < top + height / 2) row.before(this.#dragged);
    else row.after(this.#dragged);
    this.#dragged = null;
    this.#lookLater();
  }

  // -- what becomes of it

  async #try(action) {
    try {
      await action();
      this.#fault(null);
      return true;
    } catch (error) {
      if (error.faults) this.#told(error.faults);
      this.#fault(error);
      return false;
    }
  }

  #save() {
    return this.#try(async () => {
      const content = JSON.stringify(this.document());
      const body = new FormData();
      body.append("JSON", new Blob([content], { type: "application/json" }), "description.json");
      await this.#ask(this.#form.dataset.draft, { method: "PUT", body });
      this.#saved = content;
      this.#say({ said: "saved" });
    });
  }

  async #publish() {
    if (await this.#save()) await this.#send({});
  }

  #send(fields) {
    return this.#try(async () => {
      const body = new URLSearchParams({ EXPECTED: this.#form.dataset.last, ...fields });
      const { number } = await this.#ask(this.#form.dataset.publish, { method: "POST", body });
      this.#form.dataset.last = number;
      this.#say({ said: "published", number: String(number) });
    });
  }

  async #request() {
    if (!(await this.#save())) return;
    await this.#try(async () => {
      await this.#ask(this.#form.dataset.request, { method: "POST", body: new URLSearchParams() });
      this.#say({ said: "requested" });
    });
  }

  #import() {
    return this.#try(async () => {
      const [chosen] = this.#one("#document").files;
      if (!chosen) throw new Error("Choose a file first.");
      const body = new FormData();
      body.append("DOCUMENT", chosen);
      const [script] = this.#one("#script-file").files;
      if (script) body.append("SCRIPT", script);
      await this.#ask(this.#form.dataset.draft, { method: "PUT", body });
      this.#saved = JSON.stringify(this.document()); // what stands here now gives way to it
      location.assign(this.#form.dataset.here);
    });
  }

  #discard() {
    return this.#try(async () => {
      await this.#ask(this.#form.dataset.draft, { method: "DELETE" });
      this.#saved = JSON.stringify(this.document());
      location.assign(this.#form.dataset.after);
    });
  }

  #say(values) {
    fill(this.#one("[data-said]"), { number: null, ...values });
  }

  #fault(error) {
    const place = this.#one("[data-fault]");
    fill(place, { fault: error?.message ?? null, conflict: error?.status === 409 });
    if (error) this.#say({ said: null });
    if (error) place.focus();
  }

  async #ask(url, request) {
    const response = await fetch(url, { ...request, headers: { Accept: "application/json" } });
    if (response.ok) return response.status === 204 ? null : response.json();
    const said = await response.json().catch(() => ({}));
    const message = said.error ?? `the server answered ${response.status}`;
    throw Object.assign(new Error(message), { status: response.status, faults: said.faults });
  }
}

/** Open what a control is folded away in. */
function reveal(control) {
  const details = control.closest("details");
  if (details) details.open = true;
}

/** What stands in the fields of a part: an object by their keys. */
function entry(part) {
  const controls = [...part.querySelectorAll("[data-key]")];
  return Object.fromEntries(controls.map((one) => [one.dataset.key, valueOf(one)]));
}

function valueOf(control) {
  const { dataset, value } = control;
  const lines = () => value.split("\n").map((line) => line.trim()).filter(Boolean);
  const halves = (line, sign) => {
    const at = line.indexOf(sign);
    return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + sign.length).trim()];
  };
  if (control.type === "checkbox") return control.checked;
  if ("choices" in dataset) {
    return lines().map((line) => halves(line, " | ")).map(([one, description]) => ({ value: one, description }));
  }
  if ("pairs" in dataset) return Object.fromEntries(lines().map((line) => halves(line, "=")));
  if ("number" in dataset) return value === "" ? null : Number(value);
  return "null" in dataset && value === "" ? null : value;
}

for (const form of document.querySelectorAll("form[data-editor]")) new Editor(form);
