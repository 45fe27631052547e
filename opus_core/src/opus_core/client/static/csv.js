/** Tables in lines of text: commas, semicolons or tabs, with quotes as in RFC 4180. */

const SEPARATORS = [",", ";", "\t"];

/**
 * Rows of cells, of a text that may be cut off: its last line counts only with its end.
 * `separator`: if it is known; else the one that the first line has most of.
 */
export function readCsv(text, { separator, whole = true } = {}) {
  const source = text.replace(/^\ufeff/, "");
  const first = source.split(/\r?\n/, 1)[0];
  const count = (one) => first.split(one).length;
  const between = separator ?? SEPARATORS.reduce((most, one) => (count(one) > count(most) ? one : most));
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const endCell = () => {
    row.push(cell);
    cell = "";
  };
  const endRow = () => {
    endCell();
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  for (let at = 0; at < source.length; at += 1) {
    const one = source[at];
    if (quoted) {
      if (one !== '"') cell += one;
      else if (source[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (one === '"' && cell === "") quoted = true;
    else if (one === between) endCell();
    else if (one === "\n") endRow();
    else if (one !== "\r" || source[at + 1] !== "\n") cell += one;
  }
  if (whole && (cell || row.length)) endRow();
  return rows;
}
