/** Starts what a page has of job lists and jobs; all they need to know stands in its attributes. */

import { UwsClient } from "./uwsLib.js";

/** An address of a pattern like `/rest/{name}/{id}`. */
const at = (pattern, values) =>
  pattern.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(values[key] ?? ""));

const OPTIONS = { json: true };

/** What happens to jobs, and what the page says of that. */
async function follow({ dataset: { changes, seq } }, note) {
  if (!changes) return null;
  const [{ Live }, { noteLive }] = await Promise.all([import("./live.js"), import("./live_note.js")]);
  const live = new Live(changes, { after: Number(seq) });
  noteLive(note, live);
  return live;
}

async function startList(element) {
  const { JobList } = await import("./job_list.js");
  const { list, jobs, page, others } = element.dataset;
  const clients = new Map();
  const clientOf = (name) => {
    if (!clients.has(name)) clients.set(name, new UwsClient(at(jobs, { name }), OPTIONS));
    return clients.get(name);
  };
  const shown = new JobList(element, {
    client: new UwsClient(list, OPTIONS),
    clientOf: (job) => clientOf(job.definition.name),
    pageOf: ({ jobId, definition }) => at(page, { name: definition.name, id: jobId }),
    live: await follow(element, element.querySelector("[data-live]")),
    others: others !== undefined,
  });
  shown.read();
}

async function startJob(element) {
  const { JobPage } = await import("./job_page.js");
  const { list, id, token, library } = element.dataset;
  const shown = new JobPage(element, {
    client: new UwsClient(list, OPTIONS),
    id,
    live: await follow(element, element.querySelector("[data-live]")),
    token: token !== undefined,
    library: new URL(library, location.href).href,
  });
  shown.read();
}

/** Menus go when somebody turns to something else. */
function closeMenus({ type, key, target }) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (type === "click" ? menu.contains(target) : key !== "Escape") continue;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
}

for (const element of document.querySelectorAll("[data-job-list]")) startList(element);
for (const element of document.querySelectorAll("[data-job]")) startJob(element);
for (const element of document.querySelectorAll("[data-service-jobs]")) {
  import("./service_jobs.js").then(({ start }) => start(element));
}
for (const element of document.querySelectorAll("[data-service-job]")) {
  import("./service_job.js").then(({ start }) => start(element));
}
for (const element of document.querySelectorAll("[data-service-new]")) {
  import("./service_new.js").then(({ start }) => start(element));
}
document.addEventListener("click", closeMenus);
document.addEventListener("keydown", closeMenus);
