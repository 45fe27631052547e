/**
 * A client for services of the IVOA Universal Worker Service pattern, UWS 1.0 and 1.1.
 *
 * One module without dependencies, for browsers and for Node 18 or later:
 *
 *     import { UwsClient } from "./uwsLib.js";
 *     const client = new UwsClient("https://opus.example.org/rest/periodogram");
 *     const job = await client.create({ longest: 60 }, { run: true });
 *     for await (const { phase } of client.watch(job.jobId)) console.log(phase);
 *
 * Its types, and a word on each member, stand in uwsLib.d.ts.
 */

export const PHASES = Object.freeze([
  "PENDING",
  "QUEUED",
  "EXECUTING",
  "COMPLETED",
  "ERROR",
  "ABORTED",
  "UNKNOWN",
  "HELD",
  "SUSPENDED",
  "ARCHIVED",
]);
export const FINAL = Object.freeze(["COMPLETED", "ERROR", "ABORTED", "ARCHIVED"]);
export const ACTIVE = Object.freeze(["QUEUED", "EXECUTING", "HELD", "SUSPENDED", "UNKNOWN"]);
// In these alone a server waits for a change (UWS 1.1 section 2.2.1.1); in others it answers at once.
const BLOCKING = Object.freeze(["PENDING", "QUEUED", "EXECUTING"]);

const UWS = "http://www.ivoa.net/xml/UWS/"; // and a version
const XLINK = "http://www.w3.org/1999/xlink";
const XSI = "http://www.w3.org/2001/XMLSchema-instance";
const OPUS = "urn:opus:uws:1";

const LEAST_PAUSE = 1; // [s] between two questions that were answered at once
const LONGEST_PAUSE = 15; // [s]
const LONGEST_RETRY = 60; // [s]
const TAIL = 65536; // [byte] of a log
const NO_METHOD = [405, 501]; // what a service says of a method that it has not
const XML = "application/xml, text/xml;q=0.9, */*;q=0.1";

/** What went wrong, as the server says it. */
export class UwsError extends Error {
  constructor(message, { status = 0, url = "", body = "", retryAfter = null, cause } = {}) {
    super(message, { cause });
    this.name = "UwsError";
    this.status = status;
    this.url = url;
    this.body = body;
    this.retryAfter = retryAfter;
    this.faults = errorDocument(body).faults ?? {};
  }
}

// --- XML ---------------------------------------------------------------------------------------

const ENTITIES = Object.freeze({ lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" });
const ATTRIBUTE = /\s+([^\s=/<>"'&]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
const TAG = /<([^\s=/<>"'&!?]+)/y;
const TAG_END = /\s*(\/?)>/y;
const CLOSING = /<\/([^\s=/<>"'&]+)\s*>/y;
// Its internal subset may hold quoted brackets.
const DOCTYPE = /<!DOCTYPE(?:"[^"]*"|'[^']*'|\[(?:"[^"]*"|'[^']*'|<!--[^]*?-->|[^\]"'])*\]|[^\[>"'])*>/y;
const NO_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** What prefixes stand for before any is declared. */
const SCOPE = {
  __proto__: null,
  "": "",
  xml: "http://www.w3.org/XML/1998/namespace",
  xmlns: "http://www.w3.org/2000/xmlns/",
};

/**
 * Read an XML document into a tree of elements; names are told by namespace, never by prefix.
 *
 * The same in browsers and in Node, which has no DOMParser. It fetches nothing and expands no
 * entity but those of XML itself. Throws a SyntaxError for what is not well-formed. `partial`: the
 * document may end before its elements do.
 */
export function readXml(source, { partial = false } = {}) {
  const text = source.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
  const fail = (what, at) => {
    const line = text.slice(0, at).split("\n").length;
    return new SyntaxError(`${what} in line ${line} of an XML document`);
  };
  const bad = text.search(NO_CHARACTER);
  if (bad >= 0) throw fail("a character that XML does not have", bad);
  let root = null;
  const open = []; // the elements that are not closed yet, each with its name as written and scope
  let at = 0;

  const match = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  const skip = (begin, end, what) => {
    at += begin.length;
    const found = text.indexOf(end, at);
    if (found < 0) throw fail(`${what} without end`, at);
    const inside = text.slice(at, found);
    at = found + end.length;
    return inside;
  };
  const decode = (piece, start) =>
    piece.replace(/&(?:#([0-9]+);|#x([0-9A-Fa-f]+);|(\w+);)?/g, (whole, decimal, hex, name) => {
      if (name !== undefined && Object.hasOwn(ENTITIES, name)) return ENTITIES[name];
      const code = decimal ? parseInt(decimal, 10) : hex ? parseInt(hex, 16) : -1;
      const legal = code >= 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
      const character = legal ? String.fromCodePoint(code) : "\0";
      if (NO_CHARACTER.test(character)) throw fail(`${whole} has no meaning`, start);
      return character;
    });
  const add = (piece, start, raw = false) => {
    if (open.length) open.at(-1).element.text += raw ? piece : decode(piece, start);
    else if (raw || piece.trim()) throw fail("text outside of the root element", start);
  };
  const resolve = (name, scope, start) => {
    const colon = name.indexOf(":");
    const prefix = colon < 0 ? "" : name.slice(0, colon);
    if (!(prefix in scope)) throw fail(`the prefix ${prefix} stands for nothing`, start);
    return [scope[prefix], name.slice(colon + 1)];
  };
  const begin = (name, start) => {
    const written = new Map();
    for (let found; (found = match(ATTRIBUTE)); ) {
      if (written.has(found[1])) throw fail(`${found[1]} is there twice`, start);
      written.set(found[1], decode((found[2] ?? found[3]).replace(/[\t\n]/g, " "), start));
    }
    const end = match(TAG_END);
    if (!end) throw fail(`the tag <${name} is not well-formed`, start);
    let scope = open.length ? open.at(-1).scope : SCOPE;
    const declared = [...written].filter(([key]) => key === "xmlns" || key.startsWith("xmlns:"));
    if (declared.length) scope = Object.create(scope);
    for (const [key, value] of declared) scope[key.slice(6)] = value;
    const [namespace, local] = resolve(name, scope, start);
    const attributes = Object.create(null); // any name may be one
    const element = { name: local, namespace, attributes, children: [], text: "" };
    for (const [key, value] of written) {
      if (key === "xmlns" || key.startsWith("xmlns:")) continue;
      // A name without a prefix is in no namespace, whatever the default is.
      const [space, own] = key.includes(":") ? resolve(key, scope, start) : ["", key];
      attributes[space ? `{${space}}${own}` : own] = value;
    }
    if (open.length) open.at(-1).element.children.push(element);
    else if (root) throw fail("a second root element", start);
    else root = element;
    if (!end[1]) open.push({ element, name, scope });
  };

  while (at < text.length) {
    const start = at;
    const next = text.indexOf("<", at);
    at = next < 0 ? text.length : next;
    if (at > start) add(text.slice(start, at), start);
    if (at === text.length) break;
    if (text.startsWith("<!--", at)) skip("<!--", "-->", "a comment");
    else if (text.startsWith("<?", at)) skip("<?", "?>", "an instruction");
    else if (text.startsWith("<![CDATA[", at)) add(skip("<![CDATA[", "]]>", "CDATA"), start, true);
    else if (text.startsWith("<!", at)) {
      if (root || !match(DOCTYPE)) throw fail("a declaration that is not well-formed", at);
    } else if (text.startsWith("</", at)) {
      const found = match(CLOSING);
      if (!found || open.pop()?.name !== found[1]) throw fail("a closing tag of nothing", at);
    } else {
      const found = match(TAG);
      if (!found) throw fail("a < that begins nothing", at);
      begin(found[1], next);
    }
  }
  if (open.length && !partial) throw fail(`<${open.at(-1).name}> without end`, at);
  if (!root) throw fail("no element", 0);
  return root;
}

const isUws = (element, name) => element.name === name && element.namespace.startsWith(UWS);
const child = (element, name) => element.children.find((one) => isUws(one, name));
const children = (element, name) => element.children.filter((one) => isUws(one, name));
const isTrue = (text) => text === "true" || text === "1";

/** The text of a child; null if it is not there, or nil. */
function textOf(element, name) {
  const found = child(element, name);
  if (!found || isTrue(found.attributes[`{${XSI}}nil`]?.trim())) return null;
  return found.text;
}

const TIME = /^(\d{4,}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?)?(Z|[+-]\d\d:?\d\d)?$/;

/** An instant of a document; without a zone it is UTC (UWS 1.1 section 2.2.1). Null for no time. */
export function parseTime(text) {
  const found = TIME.exec(text?.trim() ?? "");
  if (!found) return null;
  const [, day, clock = "00:00", fraction = "", zone = "Z"] = found;
  const seconds = clock.length === 5 ? `${clock}:00` : clock;
  const full = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
  const instant = new Date(`${day}T${seconds}.${fraction.padEnd(3, "0").slice(0, 3)}${full}`);
  return Number.isNaN(instant.getTime()) ? null : instant;
}

/** Whether a document says that its service knows WAIT and the filters of lists. */
const isRecent = (version) => parseFloat(version) >= 1.1;

function rootOf(source, name) {
  const root = readXml(source);
  if (!isUws(root, name)) throw new SyntaxError(`this is no uws:${name} but <${root.name}>`);
  return root;
}

function readParameters(element) {
  return children(element, "parameter").map((one) => ({
    id: one.attributes.id ?? "",
    value: isTrue(one.attributes[`{${XSI}}nil`]) ? null : one.text,
    byReference: isTrue(one.attributes.byReference),
    isPost: isTrue(one.attributes.isPost),
  }));
}

function readResults(element, base) {
  return children(element, "result").map((one) => ({
    id: one.attributes.id ?? "",
    href: absolute(one.attributes[`{${XLINK}}href`], base),
    size: one.attributes.size === undefined ? null : Number(one.attributes.size),
    mimeType: one.attributes["mime-type"] ?? null,
  }));
}

function absolute(href, base) {
  if (href === undefined) return "";
  try {
    return new URL(href, base || undefined).href;
  } catch {
    return href; // relative, and nobody knows to what
  }
}

function readError(element) {
  return {
    type: element.attributes.type ?? "fatal",
    hasDetail: isTrue(element.attributes.hasDetail),
    message: textOf(element, "message") ?? "",
  };
}

/** What an OPUS says of a job beyond the standard, by key. */
function readInfo(element) {
  const entries = element.children.filter((one) => one.namespace === OPUS && one.name === "info");
  return Object.fromEntries(entries.map((one) => [one.attributes.key, one.text]));
}

/** Read a `uws:job`; `base` is the address that relative references are taken from. */
export function parseJob(source, base = "") {
  if (isJson(source)) return jobFromJson(readJson(source, "jobId", (id) => typeof id === "string"), base);
  const root = rootOf(source, "job");
  const time = (name) => parseTime(textOf(root, name));
  const part = (name, read) => {
    const found = child(root, name);
    return found ? read(found) : null;
  };
  return {
    version: root.attributes.version ?? "1.0",
    jobId: textOf(root, "jobId")?.trim() ?? "",
    runId: textOf(root, "runId"),
    ownerId: textOf(root, "ownerId"),
    phase: textOf(root, "phase")?.trim() || "UNKNOWN",
    quote: time("quote"),
    creationTime: time("creationTime"),
    startTime: time("startTime"),
    endTime: time("endTime"),
    executionDuration: Number(textOf(root, "executionDuration")?.trim() || 0),
    destruction: time("destruction"),
    parameters: part("parameters", readParameters) ?? [],
    results: part("results", (found) => readResults(found, base)) ?? [],
    errorSummary: part("errorSummary", readError),
    jobInfo: part("jobInfo", readInfo) ?? {},
  };
}

/** Read a `uws:jobs`: an array with the further properties `version`, `next` and `previous`. */
export function parseJobs(source, base = "") {
  if (isJson(source)) {
    const { jobs, version } = readJson(source, "jobs", Array.isArray);
    const rows = jobs.map((one) => withTimes({ ...one, href: absolute(one.href, base) }));
    return Object.assign(rows, { version, next: null, previous: null });
  }
  const root = rootOf(source, "jobs");
  const jobs = children(root, "jobref").map((one) => ({
    jobId: one.attributes.id ?? "",
    href: absolute(one.attributes[`{${XLINK}}href`], base),
    phase: textOf(one, "phase")?.trim() || "UNKNOWN",
    runId: textOf(one, "runId"),
    ownerId: textOf(one, "ownerId"),
    creationTime: parseTime(textOf(one, "creationTime")),
  }));
  return Object.assign(jobs, {
    version: root.attributes.version ?? "1.0",
    next: null,
    previous: null,
  });
}

// The JSON of an OPUS has what its XML has, and more.

const isJson = (source) => /^\ufeff?\s*\{/.test(source);
const TIMES = ["quote", "creationTime", "startTime", "endTime", "destruction"];

function readJson(source, member, isOfItsKind) {
  const content = JSON.parse(source.replace(/^\ufeff/, ""));
  if (!isOfItsKind(content[member])) throw new SyntaxError(`a document in JSON without ${member}`);
  return content;
}

function withTimes(job) {
  const times = TIMES.filter((name) => name in job).map((name) => [name, parseTime(job[name])]);
  return { ...job, ...Object.fromEntries(times) };
}

function jobFromJson(job, base) {
  const files = (entries = []) =>
    entries.map(({ "mime-type": mimeType = null, href, ...rest }) => ({
      ...rest,
      ...(href === undefined ? {} : { href: absolute(href, base) }),
      size: rest.size ?? null,
      mimeType,
    }));
  const parameters = files(job.parameters).map((one) => ({
    ...one,
    value: one.byReference ? one.href : one.value,
    isPost: false,
  }));
  return { ...withTimes(job), parameters, results: files(job.results) };
}

/** Names and values of a form. A list gives a name several times; null and undefined give none. */
export function serialiseParameters(parameters) {
  const form = new URLSearchParams();
  for (const [name, value] of entriesOf(parameters)) form.append(name, value);
  return form;
}

function* entriesOf(parameters) {
  const all = typeof parameters?.[Symbol.iterator] === "function" ? parameters : undefined;
  for (const [name, given] of all ?? Object.entries(parameters ?? {})) {
    for (const value of Array.isArray(given) ? given : [given]) {
      if (value === null || value === undefined) continue;
      yield [name, value instanceof Date ? value.toISOString() : String(value)];
    }
  }
}

// --- HTTP --------------------------------------------------------------------------------------

/** Decode an answer by its byte order mark, its charset or its XML declaration; else as UTF-8. */
async function decodeBody(response) {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const charset = /charset="?([\w.:-]+)/i.exec(response.headers.get("Content-Type") ?? "")?.[1];
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 200));
  const declared = /^\s*<\?xml[^>]*\sencoding=["']([\w.:-]+)["']/.exec(head)?.[1];
  const marked = head.startsWith("\xff\xfe") ? "utf-16le" : head.startsWith("\xfe\xff") && "utf-16be";
  for (const name of [marked, charset, declared]) {
    if (!name) continue;
    try {
      return new TextDecoder(name).decode(bytes);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // an encoding that nobody knows
    }
  }
  return new TextDecoder().decode(bytes);
}

function retryAfterOf(headers) {
  const text = headers.get("Retry-After");
  if (!text) return null;
  if (/^\d+$/.test(text.trim())) return Number(text);
  const seconds = (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

/** The sentence of an answer that is an error: its own, if it has one in plain words. */
function sentenceOf(status, contentType, body) {
  const plain = !contentType || contentType.startsWith("text/plain");
  const said = plain ? body : errorDocument(body).error;
  const first = typeof said === "string" ? said.trim().split("\n", 1)[0] : "";
  return first && !first.startsWith("<") ? first : `the server answered ${status}`;
}

/** What an OPUS says of an error in JSON; nothing, if a body is none of that. */
function errorDocument(body) {
  try {
    return isJson(body) ? JSON.parse(body) : {};
  } catch {
    return {};
  }
}

/** The targets of a Link header (RFC 8288), by relation. */
function linksOf(header, base) {
  const links = {};
  for (const [, target, rest] of (header ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    const relations = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,]+))/i.exec(rest);
    for (const relation of (relations?.[1] ?? relations?.[2] ?? "").split(/\s+/)) {
      if (relation) links[relation.toLowerCase()] ??= absolute(target, base);
    }
  }
  return links;
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

function base64(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Whether it leads elsewhere, of which a browser does not tell its pages more. */
const isRedirect = ({ type, status }) => type === "opaqueredirect" || (status >= 300 && status < 400);

/** Whether it may be well if it is tried again: nobody was reached, or nobody had time. */
const isPassing = (error) =>
  error instanceof UwsError && [0, 408, 425, 429, 500, 502, 503, 504].includes(error.status);

// --- the client --------------------------------------------------------------------------------

/** The jobs of one job list. */
export class UwsClient {
  #fetch;
  #headers;
  #auth;
  #credentials;
  #documents;
  #proxy;

  constructor(url, options = {}) {
    const { fetch, headers = {}, auth = null, credentials = "same-origin", maxWait = 60, json = false } = options;
    const parsed = new URL(url, globalThis.location?.href);
    parsed.hash = parsed.search = "";
    this.url = parsed.href.replace(/\/+$/, "");
    this.maxWait = maxWait;
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
    this.#headers = headers;
    this.#auth = auth;
    this.#credentials = credentials;
    this.#documents = json ? "application/json" : XML;
    this.#proxy = options.proxy ? new URL(options.proxy, globalThis.location?.href).href : null;
  }

  // -- lists

  async list({ phase = [], last, after, signal, ...more } = {}) {
    const query = serialiseParameters({ PHASE: phase, LAST: last, AFTER: after });
    for (const [name, value] of entriesOf(more)) query.append(name.toUpperCase(), value);
    const text = query.toString();
    return this.page(text ? `${this.url}?${text}` : this.url, { signal });
  }

  /** A page of a list by its address, as `next` and `previous` of another one name it. */
  async page(url, { signal } = {}) {
    const response = await this.#ask(url, { signal });
    const jobs = await this.#read(response, parseJobs);
    const links = linksOf(response.headers.get("Link"), response.url || url);
    return Object.assign(jobs, { next: links.next ?? null, previous: links.prev ?? null });
  }

  // -- one job

  async create(parameters = {}, { run = false, files = null, key, signal, onProgress } = {}) {
    const form = serialiseParameters(parameters);
    if (run) form.append("PHASE", "RUN");
    const sent = files ? multipart(form, files) : form;
    const headers = key ? { "Idempotency-Key": key } : {};
    const response = await this.#ask(this.url, { method: "POST", body: sent, headers, signal, onProgress });
    const job = await this.#read(response, parseJob);
    // A service of UWS 1.0 may have taken PHASE for a parameter of its own.
    return run && job.phase === "PENDING" ? this.run(job.jobId, { signal }) : job;
  }

  async job(id, { wait, phase, signal } = {}) {
    const query = serialiseParameters({ WAIT: wait, PHASE: phase }).toString();
    const response = await this.#ask(this.#at(id) + (query && `?${query}`), { signal });
    return this.#read(response, parseJob);
  }

  async phase(id, { signal } = {}) {
    return (await this.#text(id, "phase", signal)).trim();
  }

  run(id, { signal } = {}) {
    return this.#change(id, "phase", { PHASE: "RUN" }, signal);
  }

  abort(id, { signal } = {}) {
    return this.#change(id, "phase", { PHASE: "ABORT" }, signal);
  }

  setParameters(id, parameters, { signal } = {}) {
    return this.#change(id, "parameters", parameters, signal);
  }

  setRunId(id, runId, { signal } = {}) {
    return this.#change(id, "", { RUNID: runId }, signal);
  }

  setDestruction(id, instant, { signal } = {}) {
    return this.#change(id, "destruction", { DESTRUCTION: instant }, signal);
  }

  setExecutionDuration(id, seconds, { signal } = {}) {
    return this.#change(id, "executionduration", { EXECUTIONDURATION: seconds }, signal);
  }

  async delete(id, { viaPost = false, signal } = {}) {
    const request = viaPost
      ? { method: "POST", body: serialiseParameters({ ACTION: "DELETE" }) }
      : { method: "DELETE" };
    try {
      // It leads to the list, which may be long, and is not what was asked for.
      await this.#ask(this.#at(id), { ...request, redirect: "manual", signal });
    } catch (error) {
      // Both ways are the standard's, and some services have only the other one.
      if (viaPost || !NO_METHOD.includes(error.status)) throw error;
      await this.delete(id, { viaPost: true, signal });
    }
  }

  async error(id, { signal } = {}) {
    return this.#text(id, "error", signal);
  }

  async quote(id, { signal } = {}) {
    return parseTime(await this.#text(id, "quote", signal));
  }

  async owner(id, { signal } = {}) {
    return (await this.#text(id, "owner", signal)).trim() || null;
  }

  // -- results

  async results(id, { signal } = {}) {
    const response = await this.#ask(this.#at(id, "results"), { accept: XML, signal });
    return this.#read(response, (text, base) => readResults(rootOf(text, "results"), base));
  }

  async result(id, name, { as = "blob", range, signal } = {}) {
    const found = (await this.results(id, { signal })).find((one) => one.id === name);
    if (!found) {
      throw new UwsError(`job ${id} has no result ${name}`, { status: 404, url: this.#at(id) });
    }
    return this.file(found.href, { as, range, signal });
  }

  /** What is at an address that a document of the service names. */
  async file(url, { as = "blob", range, signal } = {}) {
    const headers = range ? { Range: `bytes=${range[0]}-${range[1] ?? ""}` } : {};
    const found = await this.#ask(url, { accept: "*/*", headers, signal });
    // A server need not heed a range, and sends all of it then.
    const response = range && found.status !== 206 ? cut(found, ...range) : found;
    if (as === "stream") return response.body;
    return as === "text" ? decodeBody(response) : response.blob();
  }

  /** An address of a result that is good without signing in, for some minutes, of an OPUS. */
  async ticket(id, name, { signal } = {}) {
    const url = this.#at(id, "results", name, "ticket");
    const response = await this.#ask(url, { method: "POST", accept: "application/json", signal });
    const { url: address, expires } = await response.json();
    return { url: address, expires: parseTime(expires) };
  }

  // -- time

  /** The job now, and again whenever its phase has changed, until it is over. */
  async *watch(id, { signal } = {}) {
    let job = await this.#insist(() => this.job(id, { signal }), signal);
    yield job;
    for (let pause = LEAST_PAUSE; !FINAL.includes(job.phase); ) {
      const waits = this.maxWait > 0 && isRecent(job.version) && BLOCKING.includes(job.phase);
      const options = waits ? { wait: this.maxWait, phase: job.phase, signal } : { signal };
      const asked = Date.now();
      const now = await this.#insist(() => this.job(id, options), signal);
      const changed = now.phase !== job.phase;
      job = now;
      if (changed) {
        pause = LEAST_PAUSE;
        yield job;
      } else if (!waits || Date.now() - asked < 1000 * LEAST_PAUSE) {
        // It has answered at once: a phase that nobody waits in, or a server without time for that.
        await sleep(pause, signal);
        pause = Math.min(pause * 1.5, LONGEST_PAUSE);
      }
    }
  }

  /** The job as soon as it is in one of these phases, or over. */
  async wait(id, { until = FINAL, signal } = {}) {
    for await (const job of this.watch(id, { signal })) {
      if (until.includes(job.phase) || FINAL.includes(job.phase)) return job;
    }
    throw new UwsError(`job ${id} came to no end`, { url: this.#at(id) });
  }

  /**
   * What a job says on `stdout` or `stderr`, piece by piece, of an OPUS. `tail`: no more than so
   * many bytes of what is there already. `follow`: go on until the job is over, asking again after
   * `every` seconds, or when the promise of such a function is kept.
   */
  async *log(id, name = "stdout", { follow = false, tail = TAIL, every = 1.5, signal } = {}) {
    const url = this.#at(id, name);
    const decoder = new TextDecoder();
    let at = 0; // bytes that were read
    let first = tail !== null;
    for (;;) {
      // Asked before the log: what is written until the end is in a log that is read after it.
      const over = !follow || FINAL.includes(await this.#insist(() => this.phase(id, { signal }), signal));
      // From the last byte that is known on: no server has to refuse what is there.
      const range = first ? `bytes=-${tail}` : `bytes=${Math.max(0, at - 1)}-`;
      const piece = await this.#insist(() => this.#piece(url, range, at, { first, follow, signal }), signal);
      first &&= piece.bytes.length === 0;
      at = piece.end;
      const text = decoder.decode(piece.bytes, { stream: true });
      if (text) yield text;
      if (over) return;
      await (typeof every === "function" ? every() : sleep(every, signal));
      signal?.throwIfAborted();
    }
  }

  /** The version of UWS that the service's lists say they are of. */
  async capabilities({ signal } = {}) {
    const { version } = await this.list({ last: 1, signal });
    return { version, waits: isRecent(version), maxWait: isRecent(version) ? this.maxWait : 0 };
  }

  /** Run a job and have its result in the answer, where the service has such an address (DALI). */
  async sync(parameters = {}, { files = null, signal } = {}) {
    const form = serialiseParameters(parameters);
    const body = files ? multipart(form, files) : form;
    return this.#ask(`${this.url}/sync`, { method: "POST", body, accept: "*/*", signal });
  }

  // -- what all of these do

  #at(id, ...steps) {
    return [this.url, ...[id, ...steps].map(encodeURIComponent)].join("/");
  }

  async #change(id, step, parameters, signal) {
    const url = step ? this.#at(id, step) : this.#at(id);
    const body = serialiseParameters(parameters);
    // Where that leads to is known; a proxy in between often tells it wrongly.
    const response = await this.#ask(url, { method: "POST", body, redirect: "manual", signal });
    return isRedirect(response) ? this.job(id, { signal }) : this.#read(response, parseJob);
  }

  async #text(id, step, signal) {
    const response = await this.#ask(this.#at(id, step), { accept: "text/plain, */*;q=0.5", signal });
    return decodeBody(response);
  }

  async #read(response, parse) {
    const text = await decodeBody(response);
    try {
      return parse(text, response.url || this.url);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      const { status, url } = response;
      throw new UwsError(`this is no answer of a UWS: ${cause.message}`, {
        status,
        url,
        body: text,
        cause,
      });
    }
  }

  /** Bytes of a file from `at` on, by whatever the server makes of a range. */
  async #piece(url, range, at, { first, follow, signal }) {
    const nothing = { bytes: new Uint8Array(), end: at };
    let response;
    try {
      response = await this.#ask(url, { accept: "*/*", headers: { Range: range }, signal });
    } catch (error) {
      // Nothing new; or nothing yet, or ever, of a job that is there.
      const none = error instanceof UwsError && (error.status === 416 || (follow && error.status === 404));
      if (none) return nothing;
      throw error;
    }
    if (response.status === 204) return nothing;
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (response.status === 206) {
      const begin = Number(/bytes (\d+)-/.exec(response.headers.get("Content-Range") ?? "")?.[1]);
      const from = Number.isNaN(begin) ? at : begin;
      const known = first ? 0 : Math.max(0, at - from);
      return { bytes: bytes.subarray(known), end: from + bytes.length };
    }
    // The whole of it: what was read already is left out; all that is shorter is another file.
    const from = first || bytes.length < at ? 0 : at;
    return { bytes: bytes.subarray(from), end: bytes.length };
  }

  /** Ask again, more and more rarely, as long as nobody answers who could. */
  async #insist(question, signal) {
    for (let pause = LEAST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_RETRY)) {
      try {
        return await question();
      } catch (error) {
        if (signal?.aborted || !isPassing(error)) throw error;
        // Not all at once, when a server that many wait for comes back.
        await sleep(Math.max(error.retryAfter ?? 0, pause * (0.75 + Math.random() / 2)), signal);
      }
    }
  }

  async #headersFor(url) {
    // Credentials are for the service, not for where a link of a document leads.
    if (new URL(url).origin !== new URL(this.url).origin) return {};
    const auth = this.#auth;
    const own = typeof this.#headers === "function" ? await this.#headers() : this.#headers;
    if (typeof auth === "function") return { ...own, ...(await auth(url)) };
    if (auth?.basic) return { ...own, Authorization: `Basic ${base64(auth.basic.join(":"))}` };
    if (auth?.bearer) return { ...own, Authorization: `Bearer ${auth.bearer}` };
    return { ...own };
  }

  /** An address, and headers for it, as they are sent: to the service itself, or to a proxy. */
  #way(url, { Authorization, ...headers }) {
    const known = Authorization ? { Authorization } : {};
    if (!this.#proxy || new URL(url).origin !== new URL(this.url).origin) return [url, { ...headers, ...known }];
    // `Authorization` itself would be taken by the proxy, for somebody who is known to it.
    const carried = Authorization ? { "X-UWS-Authorization": Authorization } : {};
    return [`${this.#proxy}?URL=${encodeURIComponent(url)}`, { ...headers, ...carried }];
  }

  async #ask(url, { method = "GET", body, accept, headers, redirect, signal, onProgress } = {}) {
    const [address, all] = this.#way(url, {
      Accept: accept ?? this.#documents,
      ...(await this.#headersFor(url)),
      ...headers,
    });
    const request = { method, body, headers: all, redirect, signal };
    let response;
    try {
      response =
        onProgress && globalThis.XMLHttpRequest
          ? await upload(address, { ...request, onProgress, credentials: this.#credentials })
          : // Equal addresses wait for each other in the caches of browsers.
            await this.#fetch(address, { ...request, credentials: this.#credentials, cache: "no-store" });
      if (address !== url && response.url) {
        const behind = new URL(response.url).searchParams.get("URL"); // where redirects have led to
        Object.defineProperty(response, "url", { value: behind ?? url });
      }
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw new UwsError(`${new URL(url).host} could not be reached`, { url, cause });
    }
    if (response.ok || (redirect === "manual" && isRedirect(response))) return response;
    const text = await decodeBody(response);
    throw new UwsError(sentenceOf(response.status, response.headers.get("Content-Type"), text), {
      status: response.status,
      url: response.url || url,
      body: text,
      retryAfter: retryAfterOf(response.headers),
    });
  }
}

function multipart(form, files) {
  const body = new FormData();
  for (const [name, value] of form) body.append(name, value);
  for (const [name, given] of Object.entries(files)) {
    for (const file of Array.isArray(given) ? given : [given]) body.append(name, file, file.name ?? name);
  }
  return body;
}

/** The bytes of an answer from `first` to `last`, no more of which are read. */
function cut({ body, headers }, first, last = Infinity) {
  let at = 0;
  const piece = new TransformStream({
    transform(bytes, controller) {
      const part = bytes.subarray(Math.max(0, first - at), Math.max(0, last + 1 - at));
      at += bytes.length;
      if (part.length) controller.enqueue(part);
      if (at > last) controller.terminate();
    },
  });
  return new Response(body.pipeThrough(piece), { headers });
}

/** What a form holds [byte], without what keeps its parts apart. */
function sizeOf(body) {
  const sizes = Array.from(body ?? [], ([, value]) => value.size ?? new Blob([value]).size);
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** As `fetch` does it, but telling how far it is: that only the older way of browsers can. */
function upload(url, { method, body, headers, signal, onProgress, credentials }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = "arraybuffer";
    request.withCredentials = credentials === "include";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    let told = { loaded: 0, total: null };
    const tell = (progress) => onProgress((told = progress));
    request.upload.onprogress = ({ loaded, total, lengthComputable }) =>
      tell({ loaded, total: lengthComputable ? total : null });
    request.onload = () => {
      // Browsers do not tell the last of it, or nothing where it is little, if they are redirected.
      const all = told.total ?? sizeOf(body);
      if (told.loaded < all) tell({ loaded: all, total: all });
      const lines = request.getAllResponseHeaders().trim().split(/[\r\n]+/);
      const pairs = lines.filter(Boolean).map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      });
      const empty = [204, 205, 304].includes(request.status);
      const options = { status: request.status, headers: pairs };
      const response = new Response(empty ? null : request.response, options);
      Object.defineProperty(response, "url", { value: request.responseURL, configurable: true });
      resolve(response);
    };
    request.onerror = () => reject(new TypeError("the connection was lost"));
    request.onabort = () => reject(signal?.reason);
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

// --- as pages of the original OPUS call it -----------------------------------------------------

/** Answers by callbacks, with jobs as the original's library had them. */
class CallbackClient {
  #client;

  constructor(serviceUrl) {
    this.serviceUrl = serviceUrl;
    this.jobName = serviceUrl.split("/").pop();
    this.#client = new UwsClient(serviceUrl);
  }

  getJobs(success, error) {
    this.#answer(this.#client.list(), (jobs) => success(jobs.map(this.#oldReference)), error);
  }

  getJobList(success, error) {
    this.getJobs(success, error);
  }

  getJobListInfos(success, error) {
    const all = async () => {
      const jobs = [];
      for (const { jobId } of await this.#client.list()) jobs.push(await this.#client.job(jobId));
      return jobs;
    };
    this.#answer(all(), (jobs) => success(jobs.map(this.#oldJob)), error);
  }

  /** `parameters`: a FormData, as then, or names and values. */
  createJob(parameters, success, error) {
    const fields = [];
    const files = {};
    const given = parameters instanceof FormData ? parameters : Object.entries(parameters);
    for (const [name, value] of given) {
      if (typeof value === "object" && value !== null) (files[name] ??= []).push(value);
      else fields.push([name, value]);
    }
    const some = Object.keys(files).length > 0;
    const job = this.#client.create(fields, { files: some ? files : null });
    this.#answer(job, (created) => success(this.#oldJob(created)), error);
  }

  startJob(id, success, error) {
    this.#answer(this.#client.run(id), () => success(id), error, id);
  }

  abortJob(id, success, error) {
    this.#answer(this.#client.abort(id), () => success(id), error, id);
  }

  destroyJob(id, success, error) {
    const left = this.#client.delete(id).then(() => this.#client.list({ last: 100 }));
    this.#answer(left, (jobs) => success(id, jobs.map(this.#oldReference)), error, id);
  }

  getJobInfos(id, success, error) {
    this.#answer(this.#client.job(id), (job) => success(this.#oldJob(job)), error, id);
  }

  getJobResults(id, success, error) {
    this.#answer(this.#client.results(id), (all) => success(id, oldResults(all)), error, id);
  }

  getJobPhase(id, success, error) {
    this.#answer(this.#client.phase(id), (phase) => success(id, phase), error, id);
  }

  #answer(promise, success, error, ...id) {
    promise.then(success, (fault) => {
      const request = { status: fault.status ?? 0, responseText: fault.body ?? fault.message };
      error?.(...id, request, "error", fault.message);
    });
  }

  #oldReference = ({ jobId, phase, runId, ownerId, creationTime }) => ({
    jobName: this.jobName,
    jobId,
    phase,
    runId: runId ?? "",
    ownerId: ownerId ?? "",
    creationTime: oldTime(creationTime),
  });

  #oldJob = (job) => ({
    ...this.#oldReference(job),
    startTime: oldTime(job.startTime),
    endTime: oldTime(job.endTime),
    destruction: oldTime(job.destruction),
    executionDuration: String(job.executionDuration),
    quote: oldTime(job.quote),
    errorSummary: job.errorSummary?.message ?? "",
    parameters: Object.fromEntries(
      job.parameters.map(({ id, value, byReference }) => [id, { value: value ?? "", byref: byReference }]),
    ),
    results: oldResults(job.results),
  });
}

const oldTime = (instant) => instant?.toISOString() ?? "";

const oldResults = (results) =>
  Object.fromEntries(results.map(({ id, href, mimeType }) => [id, { href, mimetype: mimeType ?? undefined }]));

export const uwsLib = Object.freeze({ uwsClient: CallbackClient });
