/** Random documents, to be read by two readers. */

/** Numbers that only look random: the same for the same seed. */
export function dice(seed) {
  let state = seed >>> 0;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

const PREFIXES = ["", "a", "b", "xml-x"];
const SPACES = ["urn:1", "urn:2", "http://www.ivoa.net/xml/UWS/v1.0"];
const NAMES = ["job", "phase", "é", "a-b.c", "_1", "toString"];
const TEXTS = ["", " ", "x", "&lt;&amp;&#233;&#x1F52D;", "a\r\nb\rc", "<![CDATA[<&]]>", "<!-- - -->", "<?p q?>", "𝄞"];
const VALUES = ["", "1", "a\tb\nc", "&quot;&#10;", "'", "x>y", "é"];

/** A document that is well-formed, as far as its maker knows. */
export function document(roll, depth = 0, scope = { "": null }) {
  const own = { ...scope };
  const attributes = [];
  for (const prefix of PREFIXES) {
    if (roll(4)) continue;
    own[prefix] = SPACES[roll(SPACES.length)];
    attributes.push(`xmlns${prefix && ":"}${prefix}="${own[prefix]}"`);
  }
  const known = Object.keys(own).filter((prefix) => prefix !== "");
  const named = (any) => {
    const prefix = any.length && !roll(2) ? any[roll(any.length)] : "";
    return (prefix && `${prefix}:`) + NAMES[roll(NAMES.length)];
  };
  const used = new Set();
  for (let count = roll(3); count > 0; count -= 1) {
    const name = named(known);
    const [local, prefix = ""] = name.split(":").reverse();
    const full = `${prefix && own[prefix]} ${local}`;
    if (used.has(full)) continue;
    used.add(full);
    attributes.push(`${name}${" ".repeat(roll(2))}=${" ".repeat(roll(2))}"${VALUES[roll(VALUES.length)]}"`);
  }
  const name = named(known);
  const tag = [name, ...attributes].join(roll(5) ? " " : "\n\t");
  if (depth > 4 || !roll(4)) return `<${tag}${" ".repeat(roll(2))}/>`;
  let inside = "";
  for (let count = roll(5); count > 0; count -= 1) {
    inside += TEXTS[roll(TEXTS.length)];
    if (roll(2)) inside += document(roll, depth + 1, own);
  }
  return `<${tag}>${inside}</${name}>`;
}

/** The same with a few of its characters changed. */
export function damaged(text, roll) {
  const letters = [...text];
  for (let count = 1 + roll(3); count > 0; count -= 1) {
    const at = roll(letters.length);
    letters.splice(at, roll(3), ..."<>&\"'/= :x;![]-?".charAt(roll(17)));
  }
  return letters.join("");
}

/** What the browser's own reader makes of a text, in the words of ours; null if it refuses. */
export function native(text) {
  const found = new DOMParser().parseFromString(text, "application/xml");
  if (found.getElementsByTagName("parsererror").length) return null;
  const tree = (element) => ({
    name: element.localName,
    namespace: element.namespaceURI ?? "",
    attributes: Object.fromEntries(
      [...element.attributes]
        .filter(({ name }) => name !== "xmlns" && !name.startsWith("xmlns:"))
        .map(({ namespaceURI, localName, value }) => [
          namespaceURI ? `{${namespaceURI}}${localName}` : localName,
          value,
        ]),
    ),
    children: [...element.children].map(tree),
    text: [...element.childNodes]
      .filter(({ nodeType }) => nodeType === Node.TEXT_NODE || nodeType === Node.CDATA_SECTION_NODE)
      .map(({ data }) => data)
      .join(""),
  });
  return tree(found.documentElement);
}
