/** Rows of a VOTable that are written in BINARY or BINARY2 (VOTable 1.5, sections 6.3 and 6.4). */

const single = (view, at) => {
  const value = view.getFloat32(at);
  // The digits that four bytes hold, and not those that eight make of them.
  return Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)));
};
const double = (view, at) => {
  const value = view.getFloat64(at);
  return Number.isNaN(value) ? "" : String(value);
};
const BOOLEANS = { T: "true", t: "true", 1: "true", F: "false", f: "false", 0: "false" };

/** By datatype: how many bytes one has, and what it is as a text. Numbers are big-endian. */
const KINDS = {
  boolean: [1, (view, at) => BOOLEANS[String.fromCharCode(view.getUint8(at))] ?? ""],
  unsignedByte: [1, (view, at) => String(view.getUint8(at))],
  short: [2, (view, at) => String(view.getInt16(at))],
  int: [4, (view, at) => String(view.getInt32(at))],
  long: [8, (view, at) => String(view.getBigInt64(at))],
  float: [4, single],
  double: [8, double],
  floatComplex: [8, (view, at) => `${single(view, at)} ${single(view, at + 4)}`],
  doubleComplex: [16, (view, at) => `${double(view, at)} ${double(view, at + 8)}`],
};

/** `{ count, isText }` of a field; a count of null is written before the value. */
function shape({ datatype, arraysize }) {
  const text = datatype === "char" || datatype === "unicodeChar";
  if (!arraysize) return { count: 1, text };
  if (arraysize.endsWith("*")) return { count: null, text };
  return { count: arraysize.split("x").reduce((product, one) => product * Number(one), 1), text };
}

/**
 * At most `most` rows, as texts; of data that is cut off those that are whole. `masked`: each row
 * begins by saying which of its values are null, as in BINARY2. Throws a SyntaxError for a datatype
 * that there is not.
 */
export function readBinary(bytes, fields, { masked, most }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mask = masked ? Math.ceil(fields.length / 8) : 0;
  const rows = [];
  let at = 0;
  const isNull = (start, number) => masked && (view.getUint8(start + (number >> 3)) & (0x80 >> (number & 7))) > 0;
  const read = (field) => {
    const { count, text } = shape(field);
    let number = count;
    if (number === null) {
      number = view.getUint32(at);
      at += 4;
    }
    if (text) return readText(field.datatype, number);
    if (field.datatype === "bit") return readBits(number);
    if (!Object.hasOwn(KINDS, field.datatype)) throw new SyntaxError(`no datatype is ${field.datatype}`);
    const [size, put] = KINDS[field.datatype];
    const first = take(number * size);
    return Array.from({ length: number }, (_, one) => put(view, first + one * size)).join(" ");
  };
  /** Where the next so many bytes begin; a RangeError, as a DataView has it, if they are not there. */
  const take = (length) => {
    const first = at;
    if (!(length >= 0) || first + length > view.byteLength) throw new RangeError("the data ends");
    at += length;
    return first;
  };
  const readText = (datatype, number) => {
    const size = datatype === "char" ? 1 : 2;
    const first = take(number * size);
    const decoder = new TextDecoder(size === 1 ? "utf-8" : "utf-16be");
    return decoder.decode(bytes.subarray(first, first + number * size)).replace(/\0[^]*$/, "").trimEnd();
  };
  const readBits = (number) => {
    const first = take(Math.ceil(number / 8));
    const bit = (_, one) => (view.getUint8(first + (one >> 3)) >> (7 - (one & 7))) & 1;
    return Array.from({ length: number }, bit).join("");
  };
  while (rows.length < most && at < view.byteLength) {
    const start = at;
    try {
      take(mask);
      rows.push(fields.map((field, number) => {
        const value = read(field);
        return isNull(start, number) ? "" : value;
      }));
    } catch (error) {
      if (error instanceof RangeError) break; // the beginning of a file ends within a row
      throw error;
    }
  }
  return rows;
}

/** What a text in base64 says, as far as it goes. */
export function fromBase64(text) {
  const packed = text.replace(/\s+/g, "");
  const whole = packed.slice(0, packed.length - (packed.length % 4));
  return Uint8Array.from(atob(whole), (one) => one.charCodeAt(0));
}
