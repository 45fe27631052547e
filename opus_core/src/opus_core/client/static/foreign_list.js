/**
 * The job list of any UWS, in pages, filtered and in order like that of an OPUS.
 *
 * The standard has filters by phase and time, and the last so many jobs (UWS 1.1 section 2.2.2.1);
 * version 1.0 has none. What a service does not do is done here, of as few jobs as will do: the last
 * ones where these are wanted in the order of their creation, all of them otherwise.
 */

const ORDERS = {
  created: ({ creationTime }) => creationTime?.getTime() ?? 0,
  phase: ({ phase }) => phase,
};
const FRESH = 5000; // [ms] for which all jobs need not be read again

export class ForeignList {
  #client;
  #version = 0; // of UWS, as soon as it is known
  #all = null; // { jobs, at }

  constructor(client) {
    this.#client = client;
    this.url = client.url;
  }

  /** What is done to a job, after which none is as it was read. */
  actions() {
    const action = (name) => async (...request) => {
      try {
        return await this.#client[name](...request);
      } finally {
        this.#all = null;
      }
    };
    return { run: action("run"), abort: action("abort"), delete: action("delete") };
  }

  /** As `page` of a client, for the query that an OPUS would be asked. */
  async page(address, { signal } = {}) {
    const query = new URL(address).searchParams;
    const size = Math.max(1, Number(query.get("LIMIT")) || 50);
    const first = Math.max(0, Math.floor(Number(query.get("CURSOR")) || 0));
    const wanted = {
      phases: query.getAll("PHASE"),
      after: query.get("AFTER"),
      before: query.get("BEFORE"),
      text: query.get("TEXT")?.toLowerCase() ?? "",
      owner: query.get("OWNER") ?? "",
    };
    const sort = query.get("SORT") ?? "-created";
    const jobs = await this.#read(wanted, sort, first + size + 1, signal);
    const found = ordered(jobs.filter((job) => matches(job, wanted)), sort);
    const at = (cursor) => `${this.url}?CURSOR=${cursor}`;
    return Object.assign(found.slice(first, first + size), {
      version: jobs.version,
      next: found.length > first + size ? at(first + size) : null,
      previous: first > 0 ? at(Math.max(0, first - size)) : null,
    });
  }

  /** The jobs of which those that are wanted are some. */
  async #read({ phases, after, before, text, owner }, sort, most, signal) {
    const isLast = this.#version >= 1.1 && sort === "-created" && !before && !text && !owner;
    if (isLast) return this.#list({ phase: phases, after, last: most, signal });
    if (!this.#all || this.#all.at + FRESH < Date.now()) {
      const jobs = await this.#list({ signal });
      this.#all = { jobs, at: Date.now() };
    }
    return this.#all.jobs;
  }

  async #list(filters) {
    const jobs = await this.#client.list(filters);
    this.#version = Number.parseFloat(jobs.version);
    return jobs;
  }
}

/** Whether a job is one of those: also where the service was to see to that, and did not. */
function matches({ jobId, runId, ownerId, phase, creationTime }, { phases, after, before, text, owner }) {
  if (phases.length ? !phases.includes(phase) : phase === "ARCHIVED") return false;
  if (after && creationTime && creationTime <= new Date(after)) return false;
  if (before && creationTime && creationTime >= new Date(before)) return false;
  if (owner && ownerId !== owner) return false;
  return !text || jobId.toLowerCase().startsWith(text) || (runId ?? "").toLowerCase().includes(text);
}

/** In that order, and within equals by id: a service may tell of those as it likes each time. */
function ordered(jobs, sort) {
  const [, minus, word] = /^(-?)(.*)$/.exec(sort.toLowerCase());
  const key = ORDERS[word] ?? ORDERS.created;
  const by = (which, a, b) => (which(a) < which(b) ? -1 : Number(which(a) > which(b)));
  const compare = (a, b) => by(key, a, b) || by((job) => job.jobId, a, b);
  return jobs.slice().sort((a, b) => (minus ? compare(b, a) : compare(a, b)));
}
