/** The first table of a VOTable (VOTable 1.5), as far as a file, or its beginning, has it. */

import { readXml } from "./uwsLib.js";
import { fromBase64, readBinary } from "./votable_binary.js";

const NAMESPACE = "http://www.ivoa.net/xml/VOTable/";

const is = (element, name) =>
  element.name === name && (element.namespace === "" || element.namespace.startsWith(NAMESPACE));

function* all(element, name) {
  for (const one of element.children) {
    if (is(one, name)) yield one;
    yield* all(one, name);
  }
}

/**
 * `{ name, description, fields, rows, coded }`: `fields` with name, unit, ucd and description;
 * `rows` are texts, `most` of them; `coded` names how the rows are written where they cannot be
 * read here, and then there are none. `partial`: the text ends before the document does.
 * Throws a SyntaxError for what is no VOTable.
 */
export function readVotable(text, { partial = false, most = Infinity } = {}) {
  const root = readXml(partial ? text.slice(0, text.lastIndexOf(">") + 1) : text, { partial });
  if (!is(root, "VOTABLE")) throw new SyntaxError(`this is no VOTable but <${root.name}>`);
  const table = all(root, "TABLE").next().value;
  if (!table) throw new SyntaxError("a VOTable without a table");
  const words = (element) => element.children.find((one) => is(one, "DESCRIPTION"))?.text.trim() ?? "";
  const fields = table.children
    .filter((one) => is(one, "FIELD"))
    .map((one) => ({
      name: one.attributes.name ?? one.attributes.ID ?? "",
      datatype: one.attributes.datatype ?? "",
      arraysize: one.attributes.arraysize ?? "",
      unit: one.attributes.unit ?? "",
      ucd: one.attributes.ucd ?? "",
      description: words(one),
    }));
  const data = table.children.find((one) => is(one, "DATA"));
  const coded = data?.children.find((one) => ["BINARY", "BINARY2", "FITS"].some((name) => is(one, name)));
  const stream = coded?.children.find((one) => is(one, "STREAM"));
  const isHere = stream?.attributes.encoding === "base64" && !stream.attributes.href;
  const isRead = isHere && coded.name !== "FITS";
  const rows = isRead
    ? readBinary(fromBase64(stream.text), fields, { masked: coded.name === "BINARY2", most })
    : [...all(table, "TR")].map((row) =>
        row.children.filter((one) => is(one, "TD")).map((cell) => cell.text.trim()),
      );
  // The last row of a beginning may lack its end.
  if (partial && rows.at(-1)?.length < fields.length) rows.pop();
  const name = table.attributes.name ?? "";
  return { name, description: words(table), fields, rows, coded: isRead ? "" : (coded?.name ?? "") };
}
