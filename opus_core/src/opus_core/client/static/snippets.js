/** A job as code: what somebody types to have the same job made by a program. */

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
// JSON of a text is a literal of Python and of JavaScript alike, but for these two.
const literal = (text) => JSON.stringify(text).replace(/[\u2028\u2029]/g, (one) => `\\u${one.charCodeAt(0).toString(16)}`);

/**
 * `{ curl, python, javascript }`. `url`: of the job list; `library`: of uwsLib.js; `values` and
 * `files`: pairs of names and values, names and file names; `token`: one is needed.
 */
export function snippets({ url, library, values, files, token }) {
  return {
    curl: curl(url, values, files, token),
    python: python(url, values, files, token),
    javascript: javascript(url, library, values, files, token),
  };
}

function curl(url, values, files, token) {
  const lines = [`curl -sS -D - -o /dev/null ${shell(url)}`];
  if (token) lines.push('-H "Authorization: Bearer $OPUS_TOKEN"');
  const flag = files.length ? "--form-string" : "--data-urlencode";
  for (const [name, value] of [...values, ["PHASE", "RUN"]]) lines.push(`${flag} ${shell(`${name}=${value}`)}`);
  for (const [name, file] of files) lines.push(`-F ${shell(`${name}=@${file}`)}`);
  return lines.join(" \\\n  ");
}

function python(url, values, files, token) {
  const pairs = [...values, ["PHASE", "RUN"]].map(([name, value]) => `    (${literal(name)}, ${literal(value)}),`);
  const lines = ["import os", "", "import requests", ""].slice(token ? 0 : 2);
  lines.push("data = [", ...pairs, "]");
  if (files.length) {
    lines.push("files = {");
    for (const [name, file] of files) lines.push(`    ${literal(name)}: open(${literal(file)}, "rb"),`);
    lines.push("}");
  }
  const more = [files.length ? ", files=files" : "", token ? ", headers=headers" : ""].join("");
  if (token) lines.push('headers = {"Authorization": f"Bearer {os.environ[\'OPUS_TOKEN\']}"}');
  lines.push(`job = requests.post(${literal(url)}, data=data${more})`, "job.raise_for_status()", "print(job.url)");
  return lines.join("\n");
}

function javascript(url, library, values, files, token) {
  const pairs = values.map(([name, value]) => `  [${literal(name)}, ${literal(value)}],`);
  const lines = [`import { UwsClient } from ${literal(library)};`, ""];
  const auth = token ? ", { auth: { bearer: token } }" : "";
  lines.push(`const client = new UwsClient(${literal(url)}${auth});`);
  lines.push("const parameters = [", ...pairs, "];");
  const given = files.map(([name]) => `${literal(name)}: fileOf${name.replace(/\W/g, "_")}`).join(", ");
  lines.push(`const job = await client.create(parameters, { run: true${given && `, files: { ${given} }`} });`);
  lines.push("for await (const { phase } of client.watch(job.jobId)) console.log(phase);");
  return lines.join("\n");
}
