/** Starts what a page has of job lists and jobs; all they need to know stands in its attributes. */

import { JobList } from "./job_list.js";
import { Live } from "./live.js";
import { noteLive } from "./live_note.js";
import { UwsClient } from "./uwsLib.js";

/** An address of a pattern like `/rest/{name}/{id}`. */
const at = (pattern, values) =>
  pattern.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(values[key] ?? ""));

function start(element) {
  const { changes, seq, list, jobs, page, others } = element.dataset;
  const live = changes ? new Live(changes, { after: Number(seq) }) : null;
  const options = { json: true };
  const clients = new Map();
  const clientOf = (name) => {
    if (!clients.has(name)) clients.set(name, new UwsClient(at(jobs, { name }), options));
    return clients.get(name);
  };
  const shown = new JobList(element, {
    client: new UwsClient(list, options),
    clientOf: (job) => clientOf(job.definition.name),
    pageOf: ({ jobId, definition }) => at(page, { name: definition.name, id: jobId }),
    live,
    others: others !== undefined,
  });
  shown.read();
  if (live) noteLive(element.querySelector("[data-live]"), live);
}

for (const element of document.querySelectorAll("[data-job-list]")) start(element);
