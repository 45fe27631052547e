/**
 * Tell programs on this machine, such as Aladin and TOPCAT, what to load: the Simple Application
 * Messaging Protocol of the IVOA (SAMP 1.3), by its Web Profile (section 5).
 *
 *     const hub = await Hub.join({ name: "OPUS" });
 *     for (const { id, name, type } of await hub.programs(["table.load.votable"])) { ... }
 *     await hub.send(id, type, { url, name });
 *     hub.leave();
 *
 * A hub that TOPCAT or Aladin brings listens on the loopback, is asked by XML-RPC, and asks its user
 * whether a page may take part.
 */

import { readXml } from "./uwsLib.js";

export const ADDRESS = "http://localhost:21012/"; // that of every Web Profile

/** What a hub says that it will not do; `isSilent`: there is none. */
export class HubError extends Error {
  constructor(message, { isSilent = false, cause } = {}) {
    super(message, { cause });
    this.name = "HubError";
    this.isSilent = isSilent;
  }
}

export class Hub {
  #key;

  constructor(key) {
    this.#key = key;
  }

  /** Take part; the hub's user has to allow it. */
  static async join({ name, description = "" }) {
    const said = await call("register", [{ "samp.name": name }]);
    const hub = new Hub(said["samp.private-key"]);
    await hub.#ask("declareMetadata", { "samp.name": name, "samp.description.text": description });
    return hub;
  }

  /** Those that take messages of one of these types: `{ id, name, type }`, by their names. */
  async programs(types) {
    const found = [];
    for (const type of types) {
      const subscribed = await this.#ask("getSubscribedClients", type);
      for (const id of Object.keys(subscribed)) {
        const said = await this.#ask("getMetadata", id);
        found.push({ id, type, name: said["samp.name"] || id });
      }
    }
    return found.sort((a, b) => a.name.localeCompare(b.name));
  }

  async send(id, type, parameters) {
    await this.#ask("notify", id, { "samp.mtype": type, "samp.params": parameters });
  }

  /** Also while the page goes away. */
  leave() {
    return call("unregister", [this.#key], { keepalive: true });
  }

  #ask(method, ...values) {
    return call(method, [this.#key, ...values]);
  }
}

async function call(method, values, options = {}) {
  const name = `samp.webhub.${method}`;
  const params = values.map((value) => `<param><value>${written(value)}</value></param>`).join("");
  const body = `<?xml version="1.0"?><methodCall><methodName>${name}</methodName><params>${params}</params></methodCall>`;
  let response;
  try {
    response = await fetch(ADDRESS, { method: "POST", body, headers: { "Content-Type": "text/xml" }, ...options });
  } catch (cause) {
    throw new HubError("no hub answers", { isSilent: true, cause });
  }
  if (!response.ok) throw new HubError(`the hub answered ${response.status}`);
  return answered(await response.text());
}

// -- XML-RPC, of which SAMP has texts, lists and maps (section 3.3)

const ESCAPES = { "<": "&lt;", ">": "&gt;", "&": "&amp;" };

const escaped = (text) => text.replace(/[<>&]/g, (one) => ESCAPES[one]);

function written(value) {
  if (typeof value === "string") return `<string>${escaped(value)}</string>`;
  const members = Object.entries(value).map(
    ([name, one]) => `<member><name>${escaped(name)}</name><value>${written(one)}</value></member>`,
  );
  return `<struct>${members.join("")}</struct>`;
}

function answered(text) {
  let root;
  try {
    root = readXml(text);
  } catch (cause) {
    throw new HubError("the hub's answer is no XML", { cause });
  }
  const fault = child(root, "fault");
  if (fault) throw new HubError(read(child(fault, "value")).faultString || "the hub will not do it");
  const param = child(child(root, "params"), "param");
  return read(child(param, "value"));
}

const child = (element, name) => element?.children.find((one) => one.name === name);

function read(value) {
  const [inner] = value?.children ?? [];
  if (!inner) return value?.text ?? "";
  if (inner.name === "array") return (child(inner, "data")?.children ?? []).map(read);
  if (inner.name !== "struct") return inner.text;
  const members = inner.children.map((one) => [child(one, "name")?.text ?? "", read(child(one, "value"))]);
  return Object.fromEntries(members);
}
