/**
 * What a result looks like, as far as a page can show it. Nothing of it is ever made HTML: images
 * are shown by `<img>`, in which no script of an SVG runs, and all else is text in cells.
 */

import { made, visible } from "./fill.js";
import { readCsv } from "./csv.js";
import { readFitsHeaders } from "./fits.js";
import { readVotable } from "./votable.js";

const ROWS = 100;
const TEXT = 262_144; // [byte] of a text that are read
const TABLE = 2_097_152; // [byte] of a VOTable that are read
const IMAGE = 20_000_000; // [byte] of an image that is loaded

const KINDS = [
  ["image", /^image\/(png|jpeg|gif|webp|avif|svg\+xml)$/, /\.(png|jpe?g|gif|webp|avif|svg)$/],
  ["votable", /votable/, /\.(vot|votable)$/],
  ["fits", /^(image|application)\/fits$/, /\.(fits?|fts)$/],
  ["table", /^text\/(csv|tab-separated-values|tsv)\b/, /\.(csv|tsv)$/],
  ["text", /^text\/|[/+](json|xml|yaml|toml)$/, /\.(txt|log|md|json|xml|ya?ml|toml|dat|py|sh)$/],
];
// Types that say nothing: the name of the file may say more.
const VAGUE = new Set([null, "", "application/octet-stream", "text/plain", "application/xml", "text/xml"]);

/** `image`, `votable`, `fits`, `table` or `text`; null for what cannot be shown. */
export function kindOf({ mimeType, file = "" }) {
  const type = (mimeType ?? "").toLowerCase().split(";")[0];
  const byType = KINDS.find(([, types]) => types.test(type))?.[0] ?? null;
  const byName = KINDS.find(([, , names]) => names.test(file.toLowerCase()))?.[0] ?? null;
  return VAGUE.has(type) ? (byName ?? byType) : byType;
}

/**
 * Put a preview of `result` into `place`. `templates`: where the page keeps what previews are made
 * of; `read(first, last)`: a Blob of the bytes between, the last one included. An image is shown from
 * its `href`; where the browser by itself would not get at it, from what `load(last)` answers.
 */
export async function showPreview(place, templates, told, read) {
  const template = (name) => templates.querySelector(`template[data-preview="${name}"]`);
  const show = (name, values) => {
    const element = made(template(name), values);
    place.replaceChildren(element);
    return element;
  };
  const say = (why, error = null) => show("none", { why, message: error?.message });
  if (told.size === 0) return say("empty");
  try {
    // Nothing was told of its type: its server tells when it is asked for the file.
    const isTold = kindOf(told) !== null;
    const result = isTold ? told : { ...told, mimeType: (await read(0, 0)).type };
    const kind = kindOf(result);
    if (!kind) return say("unknown");
    if (kind === "image" && result.size > IMAGE) return say("large");
    if (kind === "image") return await showImage(show, say, result);
    if (kind === "fits") return await showFits(show, template, result, read);
    const most = kind === "votable" ? TABLE : TEXT;
    const piece = await read(0, most - 1);
    const text = await piece.text();
    const cut = result.size === null ? piece.size === most : result.size > most;
    if (kind === "text") return show("text", { title: result.title, content: text.replace(/\ufffd$/, ""), cut });
    return showTable(show, kind, result, text, cut);
  } catch (error) {
    return say("broken", error);
  }
}

async function showImage(show, say, { href, load, description, title }) {
  const loaded = load && (await load(IMAGE));
  if (loaded?.size > IMAGE) return say("large");
  const src = loaded ? URL.createObjectURL(loaded) : href;
  const element = show("image", { src });
  const image = element.matches("img") ? element : element.querySelector("img");
  image.alt = description || title;
  image.addEventListener("error", () => say("broken"), { once: true });
  if (loaded) image.addEventListener("load", () => URL.revokeObjectURL(src), { once: true });
  return element;
}

function showTable(show, kind, result, text, cut) {
  const table = kind === "votable" ? readVotable(text, { partial: cut, most: ROWS + 1 }) : fromCsv(text, result, cut);
  const element = show("table", {
    title: result.title,
    description: table.description,
    coded: table.coded,
    cut: cut || table.rows.length > ROWS,
  });
  const cell = (name, text) => {
    const one = document.createElement(name);
    one.textContent = visible(text);
    return one;
  };
  const head = table.fields.map(({ name, unit, description, ucd }) => {
    const one = cell("th", unit ? `${name} [${unit}]` : name);
    one.scope = "col";
    one.title = [description, ucd].filter(Boolean).join(" — ");
    return one;
  });
  element.querySelector("thead tr").replaceChildren(...head);
  if (!table.rows.length) {
    const none = cell("td", "no rows here");
    none.colSpan = Math.max(1, head.length);
    element.querySelector("tbody").append(document.createElement("tr"));
    element.querySelector("tbody tr").append(none);
    return element;
  }
  const rows = table.rows.slice(0, ROWS).map((cells) => {
    const row = document.createElement("tr");
    row.replaceChildren(...cells.map((one) => cell("td", one)));
    return row;
  });
  element.querySelector("tbody").replaceChildren(...rows);
  return element;
}

function fromCsv(text, { mimeType, file = "" }, cut) {
  const tabs = /tab-separated|tsv/.test(mimeType ?? "") || file.toLowerCase().endsWith(".tsv");
  // Lines that begin with # stand before many tables, and are none of it.
  const lines = text.replace(/^(#.*\n)+/, "");
  const [head = [], ...rows] = readCsv(lines, { separator: tabs ? "\t" : undefined, whole: !cut });
  return { fields: head.map((name) => ({ name })), rows, description: "", coded: "" };
}

async function showFits(show, template, result, read) {
  const bytes = async (first, last) => new Uint8Array(await (await read(first, last)).arrayBuffer());
  const headers = await readFitsHeaders(bytes, result.size);
  const element = show("fits", {});
  const units = headers.map(({ cards, type, name, shape }, at) => {
    const unit = made(template("fits-unit"), { title: `${result.title}, HDU ${at}`, number: String(at), type, name, shape });
    const rows = cards.map((card) => made(template("fits-card"), card));
    unit.querySelector("tbody").replaceChildren(...rows);
    return unit;
  });
  element.replaceChildren(...units);
  return element;
}
