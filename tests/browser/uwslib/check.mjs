/** What the tests need to say what is so; the same in Node and in a browser. */

export function equal(found, wanted, about = "") {
  const [left, right] = [found, wanted].map((one) => JSON.stringify(plain(one), null, 1));
  if (left !== right) throw new Error(`${about || "it"} is ${left} and not ${right}`);
}

export function ok(value, about) {
  if (!value) throw new Error(`not so: ${about}`);
}

/** The error that something ends in, or an error if it ends well. */
export async function failure(promise, kind = Error) {
  let value;
  try {
    value = await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`it ended well, with ${JSON.stringify(plain(value))}`);
}

/** undefined told from nothing, instants as they are written, keys in one order. */
function plain(value) {
  if (value === undefined) return "undefined";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, plain(value[key])]));
}
