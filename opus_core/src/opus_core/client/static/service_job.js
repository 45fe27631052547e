/** The page of a job of a service elsewhere. */

import { fill, fillFault } from "./fill.js";
import { JobPage } from "./job_page.js";
import { Service, noteCredentials } from "./service.js";

export async function start(element) {
  const { id, library } = element.dataset;
  const service = new Service(element.dataset);
  noteCredentials(service);
  service.addEventListener("credentials", () => location.reload());
  let isOpus = false;
  try {
    await service.open();
    isOpus = (await service.description())?.isOpus ?? false;
  } catch (error) {
    fillFault(element.querySelector("[data-fault]"), error);
  }
  const client = service.client({ json: isOpus });
  fill(element, { isOpus, address: `${service.url}/${encodeURIComponent(id)}` });
  const shown = new JobPage(element, {
    client,
    id,
    token: service.who !== null,
    library: new URL(library, location.href).href,
    elsewhere: true,
    isOpus,
  });
  element.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-download]");
    // A link is followed without credentials.
    if (!link || !service.who) return;
    event.preventDefault();
    save(client, link).catch((error) => fillFault(element.querySelector("[data-fault]"), error));
  });
  shown.read();
}

async function save(client, link) {
  const address = URL.createObjectURL(await client.file(link.href));
  const way = Object.assign(document.createElement("a"), { href: address, download: link.download });
  way.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
