/** The job list of a service elsewhere; of a server with several, which there are. */

import { fillFault, made } from "./fill.js";
import { ForeignList } from "./foreign_list.js";
import { JobList } from "./job_list.js";
import { Service, noteCredentials } from "./service.js";

const PLAIN = ["job", "phase", "created", "owner"]; // columns that every UWS may know

export async function start(element) {
  const { page, listsPage } = element.dataset;
  const service = new Service(element.dataset);
  noteCredentials(service);
  service.addEventListener("credentials", () => location.reload());
  const at = (address, values) => {
    const query = Object.entries(values).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return address + (address.includes("?") ? "&" : "?") + query.join("&");
  };
  let isOpus = false;
  let lists = [];
  try {
    await service.open();
    isOpus = (await service.description())?.isOpus ?? false;
    if (!isOpus) lists = await listsOf(service);
  } catch (error) {
    fillFault(element.querySelector("[data-fault]"), error);
  }
  if (lists.length) {
    const place = document.querySelector("[data-lists]");
    const template = place.querySelector("template");
    const items = lists.map(({ url, description }) =>
      made(template, { name: url.split("/").at(-1), description, page: at(listsPage, { SERVICE: url }) }),
    );
    place.querySelector("ul").replaceChildren(...items);
    place.hidden = false;
    element.hidden = true;
    return;
  }
  const client = service.client({ json: isOpus });
  const foreign = isOpus ? null : new ForeignList(client);
  const shown = new JobList(element, {
    client: foreign ?? client,
    clientOf: () => foreign?.actions() ?? client,
    pageOf: ({ jobId }) => at(page, { ID: jobId }),
    columns: isOpus ? null : PLAIN,
    kept: { SERVICE: service.url },
  });
  shown.read();
}

/** None, if the service is a job list itself, or says nothing that could be understood. */
async function listsOf(service) {
  try {
    await service.client().list({ last: 1 });
    return [];
  } catch (error) {
    // What went wrong is told by the list, if this leads nowhere either.
    if (error.status === 401 || error.status === 0) return [];
  }
  return service.lists().catch(() => []);
}
