/** The headers of a FITS file (FITS standard 4.0, sections 3 and 4). */

const BLOCK = 2880; // [byte]
const CARD = 80; // [byte]
const MOST = 50; // header and data units
const LONGEST = 100 * BLOCK; // [byte] of a header

/**
 * All headers: `{ cards, type, shape }` each, `cards` being `{ keyword, value, comment }`.
 * `read(first, last)` answers the bytes between, the last one included; `size` is that of the file.
 * Throws a SyntaxError for what is no FITS.
 */
export async function readFitsHeaders(read, size) {
  const headers = [];
  for (let at = 0; at < size && headers.length < MOST; ) {
    const { cards, length } = await readHeader(read, at, size);
    const unit = describe(cards);
    headers.push(unit);
    at += length + Math.ceil(unit.bytes / BLOCK) * BLOCK;
  }
  return headers;
}

async function readHeader(read, start, size) {
  const cards = [];
  for (let at = start; at < Math.min(size, start + LONGEST); at += BLOCK) {
    const block = new TextDecoder("latin1").decode(await read(at, at + BLOCK - 1));
    for (let card = 0; card + CARD <= block.length; card += CARD) {
      const line = block.slice(card, card + CARD);
      if (at === 0 && card === 0 && !line.startsWith("SIMPLE  =")) throw new SyntaxError("this is no FITS");
      if (line.trimEnd() === "END") return { cards, length: at + BLOCK - start };
      const read = readCard(line);
      if (read.keyword === "CONTINUE") continueText(cards, read);
      else if (line.trim()) cards.push(read);
    }
  }
  throw new SyntaxError("a header without END");
}

/** Keyword, value and comment; a value in quotes has them doubled inside. */
function readCard(line) {
  const keyword = line.slice(0, 8).trimEnd();
  const isValue = line.slice(8, 10) === "= " || keyword === "CONTINUE";
  if (!isValue) return { keyword, value: null, comment: line.slice(8).trim() };
  const field = line.slice(10);
  const text = /^\s*'((?:[^']|'')*)'\s*(?:\/\s*(.*?)\s*)?$/.exec(field);
  if (text) return { keyword, value: text[1].replaceAll("''", "'").trimEnd(), comment: text[2] ?? "" };
  const slash = field.indexOf("/");
  const [value, comment] = slash < 0 ? [field, ""] : [field.slice(0, slash), field.slice(slash + 1)];
  return { keyword, value: value.trim(), comment: comment.trim() };
}

/** A text that is too long for one card ends in an ampersand (section 4.2.1.2). */
function continueText(cards, { value, comment }) {
  const last = cards.at(-1);
  if (!last?.value?.endsWith("&")) return;
  last.value = last.value.slice(0, -1) + (value ?? "");
  last.comment = `${last.comment} ${comment}`.trim();
}

function describe(cards) {
  const of = (keyword) => cards.find((one) => one.keyword === keyword)?.value ?? "";
  const number = (keyword) => Number(of(keyword)) || 0;
  const axes = Math.min(999, Math.max(0, number("NAXIS")));
  const shape = Array.from({ length: axes }, (_, axis) => number(`NAXIS${axis + 1}`));
  const isGroups = shape[0] === 0 && of("GROUPS") === "T"; // section 6.1
  const elements = axes ? shape.slice(isGroups ? 1 : 0).reduce((product, one) => product * one, 1) : 0;
  const groups = of("GCOUNT") ? number("GCOUNT") : 1;
  const bytes = (Math.abs(number("BITPIX")) / 8) * groups * (number("PCOUNT") + elements);
  const type = of("XTENSION") || "PRIMARY";
  return { cards, type, name: of("EXTNAME"), shape: shape.join(" × "), bytes: axes ? bytes : 0 };
}
