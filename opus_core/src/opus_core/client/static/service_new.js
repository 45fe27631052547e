/** A form for a new job of a service elsewhere: by its description, or of names and values. */

import { fill, fillFault, made } from "./fill.js";
import { JobForm } from "./job_form.js";
import { Service, noteCredentials } from "./service.js";

export async function start(element) {
  const { form: formOf, page } = element.dataset;
  const form = element.querySelector("form");
  const service = new Service(element.dataset);
  noteCredentials(service);
  const again = new URLSearchParams(location.search).get("FROM");

  const show = async () => {
    fillFault(element.querySelector("[data-fault]"), null);
    try {
      await service.open();
      const description = await service.description();
      const client = service.client({ json: description?.isOpus ?? false });
      const values = again ? await valuesOf(client, again) : [];
      const asked = description && (await described(formOf, description.text, values));
      if (asked) putFields(form, asked.form);
      else new FreeFields(form.querySelector("[data-free]"), values);
      fill(element.querySelector("[data-told]"), { about: asked?.about ?? null, again });
      new JobForm(form, { client, pageOf: (id) => `${page}&ID=${encodeURIComponent(id)}` });
      form.hidden = false;
      service.removeEventListener("credentials", show);
    } catch (error) {
      fillFault(element.querySelector("[data-fault]"), error);
    }
  };
  service.addEventListener("credentials", show);
  await show();
}

async function valuesOf(client, id) {
  const { parameters, runId } = await client.job(id);
  const given = parameters.filter(({ file, value }) => !file && value !== null);
  return [...given.map((one) => [one.id, one.value]), ...(runId ? [["RUNID", runId]] : [])];
}

/** The form that a description makes, `{ form, about }`; null if it is in no format known here. */
async function described(address, description, values) {
  const body = JSON.stringify({ description, values });
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  const response = await fetch(address, { method: "POST", body, headers });
  if (response.ok) return response.json();
  if (response.status < 500) return null;
  throw new Error((await response.json()).error);
}

function putFields(form, text) {
  // Made by our server, which escapes all that authors write; scripts in it would not run.
  const parsed = new DOMParser().parseFromString(text, "text/html");
  form.querySelector("[data-fields]").replaceChildren(...parsed.body.children);
}

/** Rows of a name and a value, or files. */
class FreeFields {
  #place;
  #rows;
  #count = 0;

  constructor(place, values) {
    this.#place = place;
    this.#rows = place.querySelector("[data-rows]");
    const runId = place.closest("form").elements.namedItem("RUNID");
    for (const [name, value] of values) {
      if (name === "RUNID") runId.value = value;
      else this.#add("value", name, value);
    }
    if (!this.#count) this.#add("value");
    place.hidden = false;
    place.addEventListener("input", ({ target }) => this.#named(target.closest("[data-one]")));
    place.addEventListener("click", ({ target }) => this.#click(target.closest("button")));
  }

  #click(button) {
    const { do: action } = button?.dataset ?? {};
    if (action === "value" || action === "file") this.#add(action).querySelector("[data-name]").focus();
    if (action === "less") {
      button.closest("[data-one]").remove();
      this.#place.querySelector("button[data-do=value]").focus();
    }
  }

  #add(kind, name = "", value = "") {
    this.#count += 1;
    const template = this.#place.querySelector(`template[data-row="${kind}"]`);
    const row = made(template, { number: String(this.#count) });
    row.querySelector("[data-name]").value = name;
    if (kind === "value") row.querySelector("[data-value]").value = value;
    this.#rows.append(row);
    this.#named(row);
    return row;
  }

  /** A form sends what has a name. */
  #named(row) {
    if (row) row.querySelector("[data-value]").name = row.querySelector("[data-name]").value.trim();
  }
}
