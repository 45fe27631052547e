/**
 * Values into elements. Pages and their templates say by attributes what goes where:
 *
 *     data-text="runId"           the value as text; what could deceive a reader is made visible
 *     data-time="created"         a Date, in the reader's zone; in UTC where one points at it
 *     data-utc="created"          the same in UTC
 *     data-span="ran"             seconds, for people
 *     data-bytes="size"           the same for a size
 *     data-href="page"            an address of the web, and no other
 *     data-src="image"            the same, or something that the page has loaded
 *     data-keyed="id"             into data-name, for whoever wants to know what this is about
 *     data-download="file"        the name under which a link is saved
 *     data-value="percent"        the value of an input or a progress bar
 *     data-named="title"          completes the label of a control: "Select" becomes "Select sim-42"
 *     data-phase="phase"          a badge
 *     data-shown="runId"          shown only with a value; with `!runId`, only without
 *     data-when="phase=HELD,..."  shown only with one of these values
 *
 * HTML is never made of strings here.
 */

const PICTURES = 0x2400; // where Unicode has the pictures of control characters
const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];
const SIZES = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Control characters by their pictures; what turns round the text behind it, by a sign. */
export function visible(text) {
  return String(text)
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (one) => String.fromCharCode(PICTURES + one.charCodeAt(0)))
    .replace(/\u007f/g, "\u2421")
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

const two = (number) => String(number).padStart(2, "0");

/** The day and the time of day where the reader is. */
export function localTime(date) {
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

/** The same in UTC, which it says. */
export const utcTime = (date) => `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** The reader's day, as an input of dates has it. */
export const localDay = (date) => localTime(date).slice(0, 10);

/** A length of time in its two largest units. */
export function span(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  let left = Math.floor(seconds);
  const parts = [];
  for (const [length, unit] of UNITS) {
    const number = Math.floor(left / length);
    left -= number * length;
    if (number || parts.length) parts.push(`${number} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** A size in the unit that leaves at most three digits before the point. */
export function bytes(size) {
  // 999.5 of a unit would be shown as 1000 of it.
  const power = size < 1000 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log10(size * 1.00051) / 3));
  return `${Number((size / 1000 ** power).toPrecision(3))} ${SIZES[power]}`;
}

/** Whether a link may lead there. */
export function isWeb(address) {
  try {
    return ["http:", "https:"].includes(new URL(address, document.baseURI).protocol);
  } catch {
    return false;
  }
}

const isThere = (value) => value !== null && value !== undefined && value !== "" && value !== false;

function attribute(element, name, value) {
  if (isThere(value)) element.setAttribute(name, value);
  else element.removeAttribute(name);
}

const WAYS = {
  text(element, value) {
    const text = isThere(value) ? visible(value) : "";
    // Untouched where nothing has changed: somebody may be marking it.
    if (element.textContent !== text) element.textContent = text;
  },
  time(element, value) {
    attribute(element, "datetime", value?.toISOString());
    attribute(element, "title", value && utcTime(value));
    element.textContent = value ? localTime(value) : "";
  },
  utc(element, value) {
    element.textContent = value ? utcTime(value) : "";
  },
  span(element, value) {
    element.textContent = isThere(value) ? span(value) : "";
  },
  bytes(element, value) {
    element.textContent = isThere(value) ? bytes(value) : "";
  },
  href(element, value) {
    attribute(element, "href", isThere(value) && isWeb(value) ? value : null);
  },
  src(element, value) {
    attribute(element, "src", isThere(value) && (isWeb(value) || value.startsWith("blob:")) ? value : null);
  },
  keyed(element, value) {
    element.dataset.name = value;
  },
  download(element, value) {
    attribute(element, "download", value);
  },
  value(element, value) {
    if (isThere(value)) element.value = value;
  },
  named(element, value) {
    element.dataset.label ??= element.getAttribute("aria-label");
    element.setAttribute("aria-label", `${element.dataset.label} ${visible(value)}`);
  },
  phase(element, value) {
    element.className = `phase phase-${String(value).toLowerCase().replace(/[^a-z]/g, "")}`;
    if (element.textContent !== value) element.textContent = value;
  },
};
const BOUND = [...Object.keys(WAYS), "shown", "when"].map((way) => `[data-${way}]`).join();

/** Fill an element, and all within it, with these values. */
export function fill(root, values) {
  const inside = root.querySelectorAll(BOUND);
  for (const element of root.matches?.(BOUND) ? [root, ...inside] : inside) {
    const { dataset } = element;
    for (const [way, put] of Object.entries(WAYS)) {
      if (way in dataset && dataset[way] in values) put(element, values[dataset[way]]);
    }
    if ("shown" in dataset) {
      const [, not, key] = /^(!?)(.*)$/.exec(dataset.shown);
      if (key in values) element.hidden = isThere(values[key]) === Boolean(not);
    }
    if ("when" in dataset) {
      const [key, words] = dataset.when.split("=");
      if (key in values) element.hidden = !words.split(",").includes(String(values[key]));
    }
  }
  return root;
}

/** Say what did not work; nothing, without an error. */
export const fillFault = (element, error) =>
  fill(element, { fault: error?.message ?? null, signIn: error?.status === 401 });

/** What a template has in it, filled. */
export function made(template, values) {
  return fill(template.content.firstElementChild.cloneNode(true), values);
}
