/** The tests of uwsLib.js: names and functions, to be run by Node and by a browser alike. */

import { equal, failure, ok } from "./check.mjs";
import * as documents from "./documents.mjs";

/**
 * `library`: the module; `opus`, `old`, `recent`, `locked`: job lists of servers that run; `proxy`: an
 * address that asks them all, where there is one for this origin.
 */
export function tests({ library, opus, old, recent, locked, token, proxy }) {
  const { UwsClient, UwsError, parseJob, parseJobs, parseTime, readXml, serialiseParameters } = library;
  const { FINAL, PHASES, uwsLib } = library;
  const jobs = (url = opus, options = {}) => new UwsClient(url, { maxWait: 5, ...options });
  const some = (parameters, options) => jobs().create({ text: "a", ...parameters }, options);
  const collect = async (iterator) => {
    const all = [];
    for await (const one of iterator) all.push(one);
    return all;
  };
  const phasesOf = async (iterator) => (await collect(iterator)).map(({ phase }) => phase);
  /** Each phase once, in an order that is possible. */
  const isCourse = (phases, end) => {
    const order = ["PENDING", "QUEUED", "EXECUTING", end];
    equal(phases.at(-1), end);
    equal(phases, order.filter((one) => phases.includes(one)));
  };

  return Object.entries({
    // -- documents

    "a job without prefixes"() {
      const job = parseJob(documents.UNPREFIXED);
      equal(job, {
        version: "1.1",
        jobId: "1763984530123A",
        runId: null,
        ownerId: null,
        phase: "COMPLETED",
        quote: null,
        creationTime: new Date("2025-11-24T11:42:10.123Z"),
        startTime: new Date("2025-11-24T11:42:10.200Z"),
        endTime: new Date("2025-11-24T11:42:11.500Z"),
        executionDuration: 0,
        destruction: null,
        parameters: [
          {
            id: "QUERY",
            value: "SELECT TOP 5 * FROM t WHERE a < 5 AND b LIKE '100%'",
            byReference: false,
            isPost: false,
          },
          { id: "lang", value: "ADQL", byReference: false, isPost: false },
        ],
        results: [
          {
            id: "result",
            href: "http://tap.example.org/async/1763984530123A/results/result?a=1&b=2",
            size: 3245,
            mimeType: "application/x-votable+xml",
          },
        ],
        errorSummary: null,
        jobInfo: {},
      });
    },

    "a job with prefixes of its own"() {
      const job = parseJob(documents.OTHER_PREFIX);
      equal([job.version, job.jobId, job.phase, job.quote], ["1.0", "zq8x1_p0", "ERROR", null]);
      equal(job.startTime, new Date("2025-11-24T11:42:10Z"), "a time without a zone");
      equal(job.creationTime, null);
      equal(job.parameters[0].byReference, true);
      equal(job.parameters.map(({ id }) => id), ["upload", "request", "band", "band"]);
      equal(job.errorSummary, {
        type: "fatal",
        hasDetail: true,
        message: 'Syntax error at "FORM"\n — expected FROM',
      });
    },

    "a job with relative results"() {
      const job = parseJob(documents.RELATIVE, "https://h.example/async/ab12?WAIT=1");
      equal(job.results[0], {
        id: "log",
        href: "https://h.example/async/ab12/results/log",
        size: null,
        mimeType: null,
      });
      equal(parseJob(documents.RELATIVE).results[0].href, "ab12/results/log");
      equal(job.creationTime, new Date("2025-11-24T11:42:10.123Z"));
      equal([job.runId, job.ownerId, job.jobInfo], ["", "ann", {}]);
    },

    "the least that a job can be"() {
      const job = parseJob(documents.LEAST);
      equal([job.jobId, job.phase, job.quote], ["1", "PENDING", null]);
      equal([job.parameters, job.results, job.executionDuration], [[], [], 0]);
    },

    "lists of both versions"() {
      const first = parseJobs(documents.OLD_LIST, "http://h/x/async");
      equal(first.version, "1.0");
      equal(first.map(({ jobId, phase }) => [jobId, phase]), [["1", "PENDING"], ["b & c", "HELD"]]);
      equal(first.map(({ href }) => href), ["http://h/async/1", ""]);
      const second = parseJobs(documents.NEW_LIST);
      equal(second.version, "1.1");
      equal([...second], [
        {
          jobId: "7",
          href: "http://h/async/7",
          phase: "ABORTED",
          runId: "r 1",
          ownerId: "bob",
          creationTime: new Date("2025-11-24T12:42:10Z"),
        },
      ]);
    },

    async "the JSON of an OPUS says the same and more"() {
      const { jobId } = await some({ text: "é" }, { run: true });
      await jobs().wait(jobId);
      const [plain, rich] = [await jobs().job(jobId), await jobs(opus, { json: true }).job(jobId)];
      const { definition, parameters, results, href, ...more } = rich;
      equal(Object.keys(more).sort(), Object.keys(plain).filter((key) => key in more).sort());
      for (const key of Object.keys(more)) equal(rich[key], plain[key], key);
      equal([definition, href], [{ name: "say", number: 1 }, `${opus}/${jobId}`]);
      equal(parameters.map(({ id, value }) => [id, value]), plain.parameters.map(({ id, value }) => [id, value]));
      equal(results[0].file, "output");
      equal([results[0].href, results[0].size, results[0].mimeType], Object.values(plain.results[0]).slice(1));
      const [row] = await jobs(opus, { json: true }).list({ sort: "-created", limit: 1 });
      equal([row.endTime, row.definition.name], [rich.endTime, "say"]);
      const { status, message } = await failure(() => jobs(opus, { json: true }).job("0"), UwsError);
      equal(status, 404);
      ok(message.includes("no job"), message);
    },

    "JSON that is nothing of an OPUS"() {
      for (const text of ["{}", '{"jobId": 1}', '{"jobs": {}}', "{"]) {
        for (const parse of [parseJob, parseJobs]) {
          let thrown = null;
          try {
            parse(text);
          } catch (error) {
            thrown = error;
          }
          ok(thrown instanceof SyntaxError, text);
        }
      }
    },

    async "what is no document is told, with its line"() {
      for (const [text, words] of Object.entries(documents.BROKEN)) {
        const { message } = await failure(() => readXml(text), SyntaxError);
        ok(message.includes(words), `${JSON.stringify(text)}: ${message}`);
      }
      const { message } = await failure(() => readXml("<a>\n\n<b c='1'\nd/></a>"), SyntaxError);
      ok(message.includes("line 3"), message);
      ok((await failure(() => parseJob(documents.OLD_LIST))).message.includes("<jobs>"), "which one");
      ok((await failure(() => parseJobs("<html/>"))).message.includes("<html>"), "which one");
    },

    "what XML may have besides"() {
      const root = readXml(
        "\ufeff<?xml version='1.1'?><!DOCTYPE a [<!ENTITY b ']>'> <!-- ' --> ] >\r\n" +
          "<a xmlns='urn:1' b = 'x\ty &#9;' c=\"&lt;'\" ><!-- <x> -->1<?p <y>?>2<![CDATA[<&]]>" +
          "<p:b xmlns:p='urn:2' p:d='' xml:lang='fr'><c xmlns=''/></p:b>\r3</a>\n<!-- end -->",
      );
      equal([root.name, root.namespace, root.text], ["a", "urn:1", "12<&\n3"]);
      equal(root.attributes, { b: "x y \t", c: "<'" });
      const [inner] = root.children;
      equal([inner.name, inner.namespace], ["b", "urn:2"]);
      const xml = "{http://www.w3.org/XML/1998/namespace}lang";
      equal(inner.attributes, { "{urn:2}d": "", [xml]: "fr" });
      equal(inner.children[0].namespace, "");
    },

    "a name is nothing but a name"() {
      const root = readXml("<a __proto__='1' constructor='2'><toString hasOwnProperty='3'/></a>");
      equal(Object.keys(root.attributes).length, 1 + 1);
      equal(root.children[0].name, "toString");
    },

    "a document may be as deep and as long as it likes"() {
      const deep = 20000;
      let element = readXml("<a>".repeat(deep) + "</a>".repeat(deep));
      let count = 1;
      for (; element.children.length; element = element.children[0]) count += 1;
      equal(count, deep);
      const row = "<jobref id='1'><phase>PENDING</phase></jobref>";
      const many = `<jobs xmlns="http://www.ivoa.net/xml/UWS/v1.0">${row.repeat(20000)}</jobs>`;
      equal(parseJobs(many).length, 20000);
    },

    "times"() {
      for (const [text, wanted] of [
        ["2025-01-02T03:04:05Z", "2025-01-02T03:04:05.000Z"],
        [" 2025-01-02T03:04:05.123456 ", "2025-01-02T03:04:05.123Z"],
        ["2025-01-02T03:04:05.1+02:30", "2025-01-02T00:34:05.100Z"],
        ["2025-01-02T03:04:05-0100", "2025-01-02T04:04:05.000Z"],
        ["2025-01-02T03:04", "2025-01-02T03:04:00.000Z"],
        ["2025-01-02", "2025-01-02T00:00:00.000Z"],
      ]) {
        equal(parseTime(text)?.toISOString(), wanted, text);
      }
      for (const text of ["", "-1", "soon", "2025-13-01T00:00:00Z", "2025", null, undefined]) {
        equal(parseTime(text), null, String(text));
      }
    },

    "parameters become a form"() {
      const form = { a: "1 %+&", b: ["x", 2], c: null, d: undefined, e: true, f: new Date(0) };
      const text = "a=1+%25%2B%26&b=x&b=2&e=true&f=1970-01-01T00%3A00%3A00.000Z";
      equal(serialiseParameters(form).toString(), text);
      equal(serialiseParameters([["a", 1], ["a", 2]]).toString(), "a=1&a=2");
      equal(serialiseParameters(new Map([["a", [1, 2]]])).toString(), "a=1&a=2");
      equal(serialiseParameters({}).toString(), "");
    },

    // -- a job of an OPUS

    async "create, run, watch, results"() {
      const created = await some({ text: "naïve 100% + & <b> 'q' \"d\"" });
      equal([created.phase, created.startTime], ["PENDING", null]);
      ok(created.creationTime <= new Date(Date.now() + 5000), "created now");
      await jobs().run(created.jobId);
      isCourse(await phasesOf(jobs().watch(created.jobId)), "COMPLETED");
      const [result] = await jobs().results(created.jobId);
      equal([result.id, result.mimeType], ["output", "text/plain"]);
      const blob = await jobs().result(created.jobId, "output");
      equal(await blob.text(), "naïve 100% + & <b> 'q' \"d\"");
      equal(await jobs().result(created.jobId, "output", { as: "text", range: [0, 2] }), "naï".slice(0, 2) + "\ufffd");
      const stream = await jobs().result(created.jobId, "output", { as: "stream" });
      ok(stream instanceof ReadableStream, "a stream");
      await stream.cancel();
      equal((await failure(jobs().result(created.jobId, "nothing"), UwsError)).status, 404);
    },

    async "run at once, with lists of values, and wait for the end"() {
      const job = await some({ text: "b" }, { run: true });
      ok(job.phase !== "PENDING", job.phase);
      const done = await jobs().wait(job.jobId);
      equal(done.phase, "COMPLETED");
      equal(done.parameters.find(({ id }) => id === "text").value, "b");
    },

    async "wait for the beginning alone"() {
      const job = await some({ seconds: 30 }, { run: true });
      equal((await jobs().wait(job.jobId, { until: ["EXECUTING"] })).phase, "EXECUTING");
      equal((await jobs().abort(job.jobId)).jobId, job.jobId);
      equal((await jobs().wait(job.jobId)).phase, "ABORTED");
    },

    async "an error is told in the server's own words"() {
      const job = await some({ code: 3 }, { run: true });
      const done = await jobs().wait(job.jobId);
      equal([done.phase, done.errorSummary.hasDetail], ["ERROR", true]);
      ok(done.errorSummary.message.includes("3"), done.errorSummary.message);
      ok((await jobs().error(job.jobId)).includes("3"), "its details");
      const refused = await failure(jobs().create({ nonsense: 1 }), UwsError);
      equal(refused.status, 400);
      ok(refused.message.includes("nonsense"), refused.message);
      ok(refused.body.startsWith(refused.message), "the body has it");
      equal(refused.url, opus);
    },

    async "a job that is not there"() {
      const id = "0".repeat(32);
      for (const ask of [
        () => jobs().job(id),
        () => jobs().phase(id),
        () => jobs().run(id),
        () => jobs().delete(id),
        () => jobs().results(id),
        () => collect(jobs().watch(id)),
        () => collect(jobs().log(id)),
      ]) {
        equal((await failure(ask, UwsError)).status, 404, String(ask));
      }
      equal((await failure(jobs().job("../x/?&%"), UwsError)).status, 404);
    },

    async "what a job may be given while it is PENDING"() {
      const { jobId, destruction } = await some({}, {});
      const client = jobs();
      equal((await client.setExecutionDuration(jobId, 7)).executionDuration, 7);
      const earlier = new Date(Math.floor((destruction - 3600_000) / 1000) * 1000);
      equal((await client.setDestruction(jobId, earlier)).destruction, earlier);
      const changed = await client.setParameters(jobId, { text: "c" });
      equal(changed.parameters.find(({ id }) => id === "text").value, "c");
      equal(await client.owner(jobId), null);
      equal(await client.quote(jobId), (await client.job(jobId)).quote);
      const log = await failure(collect(client.log(jobId)), UwsError);
      ok(log.message.includes("it is PENDING"), log.message);
      equal(await client.phase(jobId), "PENDING");
      equal((await client.create({ text: "r", RUNID: "mine" })).runId, "mine");
    },

    async "deleted by either method"() {
      for (const viaPost of [false, true]) {
        const { jobId } = await some();
        await jobs().delete(jobId, { viaPost });
        equal((await failure(jobs().job(jobId), UwsError)).status, 404);
      }
    },

    async "lists by phase, number and time, and their pages"() {
      const before = new Date();
      const run = `list ${Math.random()}`;
      for (let count = 0; count < 5; count += 1) await some({ RUNID: run });
      const all = await jobs().list({ text: run });
      equal(all.length, 5);
      equal(all.version, "1.1");
      equal(new Set(all.map(({ phase }) => phase)).size, 1);
      equal((await jobs().list({ phase: ["PENDING", "ABORTED"], text: run })).length, 5);
      equal((await jobs().list({ phase: "ABORTED", text: run })).length, 0);
      equal((await jobs().list({ last: 2, text: run })).length, 2);
      equal((await jobs().list({ after: new Date(+before - 1000), text: run })).length, 5);
      equal((await jobs().list({ after: new Date(Date.now() + 1000), text: run })).length, 0);
      const first = await jobs().list({ limit: 3, text: run });
      equal([first.length, first.previous], [3, null]);
      const second = await jobs().page(first.next);
      equal([second.length, second.next], [2, null]);
      const seen = [...first, ...second].map(({ jobId }) => jobId);
      equal(seen.sort(), all.map(({ jobId }) => jobId).sort());
      const back = await jobs().page(second.previous);
      equal(back.map(({ jobId }) => jobId), first.map(({ jobId }) => jobId));
    },

    async "what a job says, followed to its end"() {
      const job = await some({ seconds: 1, lines: 30 }, { run: true });
      const pieces = await collect(jobs().log(job.jobId, "stdout", { follow: true, every: 0.1 }));
      const lines = pieces.join("").trim().split("\n");
      equal(lines.length, 31);
      equal([lines[0], lines.at(-1)], ["line 1 é", "end"]);
      ok(pieces.length > 1, "it came while the job was running");
      equal((await collect(jobs().log(job.jobId, "stdout", { tail: 4 }))).join(""), "end\n");
      const whole = (await collect(jobs().log(job.jobId, "stdout", { tail: null }))).join("");
      equal(whole, pieces.join(""));
      equal(await collect(jobs().log(job.jobId, "stderr")), []);
    },

    async "a file is sent, and how far it is"() {
      const told = [];
      const text = "x".repeat(8_000_000);
      const file = new Blob([text], { type: "text/plain" });
      const client = jobs(opus.replace(/[^/]*$/, "copy"));
      const onProgress = (progress) => told.push(progress);
      const job = await client.create({ note: "é" }, { files: { table: file }, run: true, onProgress });
      equal((await client.wait(job.jobId)).phase, "COMPLETED");
      equal((await client.result(job.jobId, "output", { as: "text" })).length, text.length);
      if (globalThis.XMLHttpRequest) {
        ok(told.length > 0, "a browser tells");
        ok(told.at(-1).loaded === told.at(-1).total && told.at(-1).total >= text.length, "all of it");
        ok(told.every(({ loaded }, at) => at === 0 || loaded >= told[at - 1].loaded), "growing");
        const refused = await failure(client.create({ wrong: 1 }, { files: { table: file }, onProgress }));
        equal([refused.name, refused.status], ["UwsError", 400]);
      }
    },

    async "the whole of it in one request"() {
      const response = await jobs().sync({ text: "at once" });
      equal(await response.text(), "at once");
    },

    async "a question is called off"() {
      const { jobId } = await some({ seconds: 30 }, { run: true });
      const client = jobs();
      await client.wait(jobId, { until: ["EXECUTING"] });
      for (const ask of [
        (signal) => client.job(jobId, { wait: 5, phase: "EXECUTING", signal }),
        (signal) => collect(client.watch(jobId, { signal })),
        (signal) => client.wait(jobId, { signal }),
        (signal) => collect(client.log(jobId, "stdout", { follow: true, signal })),
      ]) {
        const control = new AbortController();
        const reason = new Error("enough");
        setTimeout(() => control.abort(reason), 150);
        const began = Date.now();
        equal(await failure(ask(control.signal)), reason);
        ok(Date.now() - began < 2500, "at once");
        equal(await failure(ask(AbortSignal.abort(reason))), reason, "also before it was asked");
      }
      await client.abort(jobId);
    },

    async "what the service can do"() {
      equal(await jobs().capabilities(), { version: "1.1", waits: true, maxWait: 5 });
    },

    // -- who is asking

    async "credentials, and none"() {
      equal((await failure(jobs(locked).list(), UwsError)).status, 401);
      const bearer = jobs(locked, { auth: { bearer: token } });
      const job = await bearer.create({ text: "a" });
      equal(job.ownerId, "ann");
      for (const auth of [
        { basic: ["ann", token] },
        () => ({ Authorization: `Bearer ${token}` }),
        async () => ({ Authorization: `Bearer ${token}` }),
      ]) {
        equal((await jobs(locked, { auth }).job(job.jobId)).jobId, job.jobId);
      }
      const wrong = jobs(locked, { auth: { bearer: `${token}x` } });
      equal((await failure(wrong.job(job.jobId), UwsError)).status, 401);
    },

    async "credentials go to the service and to nobody else"() {
      const asked = [];
      const page = (body, type = "application/xml") =>
        new Response(body, { headers: { "Content-Type": type } });
      const fetch = async (url, { headers }) => {
        asked.push([new URL(url).host, headers.Authorization, headers["X-Mine"]]);
        const base = "<results xmlns='http://www.ivoa.net/xml/UWS/v1.0' xmlns:l='http://www.w3.org/1999/xlink'>";
        const there = "<result id='r' l:href='http://elsewhere.example/r'/></results>";
        return url.endsWith("/results") ? page(base + there) : page("here", "text/plain");
      };
      const options = { fetch, auth: { basic: ["ä:b", "c"] }, headers: { "X-Mine": "1" } };
      const client = new UwsClient("http://service.example/async/", options);
      equal(await client.result("1", "r", { as: "text" }), "here");
      equal(asked, [
        ["service.example", `Basic ${btoa("\xc3\xa4:b:c")}`, "1"],
        ["elsewhere.example", undefined, undefined],
      ]);
    },

    // -- other services

    async "a service of UWS 1.0"() {
      const client = jobs(old);
      const job = await client.create({ a: "é" }, { run: true });
      equal(job.version, "1.0");
      ok(job.phase !== "PENDING", "it took PHASE for a parameter, and was run all the same");
      isCourse(await phasesOf(client.watch(job.jobId)), "COMPLETED");
      const done = await client.job(job.jobId);
      equal(done.parameters.find(({ id }) => id === "a").value, "é", "in ISO 8859-1");
      equal(await client.result(job.jobId, "answer", { as: "text" }), "42");
      const list = await client.list();
      const last = list.find(({ jobId }) => jobId === job.jobId);
      equal([list.version, last.phase, last.creationTime], ["1.0", "COMPLETED", null]);
      equal(await client.capabilities(), { version: "1.0", waits: false, maxWait: 0 });
      await client.delete(job.jobId);
      const gone = await failure(client.job(job.jobId), UwsError);
      equal(gone.message, "the server answered 404", "it has the other method alone");
    },

    async "a service that heeds no range"() {
      const client = jobs(old);
      const { jobId } = await client.create({ seconds: 0 }, { run: true });
      await client.wait(jobId);
      const part = (range, as = "text") => client.result(jobId, "answer", { as, range });
      equal([await part([0, 0]), await part([1]), await part([1, 9]), await part([2, 9])], ["4", "2", "2", ""]);
      equal((await part([0, 0], "blob")).type, "text/plain");
    },

    async "all of it through a proxy"() {
      if (!proxy) return; // it is for pages of its own origin
      for (const url of [opus, old, recent]) {
        const client = jobs(url, { proxy });
        const { jobId } = await client.create({ seconds: 0, text: "é" }, { run: true });
        const done = await client.wait(jobId);
        equal(done.phase, "COMPLETED");
        const [result] = await client.results(jobId);
        ok(result.href.startsWith(`${url}/${jobId}/results/`), `as the service says it: ${result.href}`);
        equal((await client.file(result.href)).size > 0, true);
        ok((await client.list()).some((one) => one.jobId === jobId && one.href.startsWith(url)), "where it is");
        await client.delete(jobId);
        equal((await failure(client.job(jobId), UwsError)).status, 404);
      }
      const table = new Blob(["x".repeat(100_000)]);
      const { jobId } = await jobs(recent, { proxy }).create({}, { files: { table } });
      const { parameters } = await jobs(recent).job(jobId);
      equal(parameters[0].value, "table, 100000 bytes");
      const text = await collect(jobs(opus, { proxy }).log((await some({ lines: 20 }, { run: true })).jobId, "stdout", { follow: true }));
      ok(text.join("").endsWith("line 20 é\nend\n"), text.join(""));
    },

    async "credentials through a proxy are for the service"() {
      if (!proxy) return;
      const { status } = await failure(jobs(locked, { proxy }).list(), UwsError);
      equal(status, 401);
      const known = jobs(locked, { proxy, auth: { bearer: token } });
      const { jobId, ownerId } = await known.create({ text: "mine" });
      equal(ownerId, "ann");
      equal((await known.setParameters(jobId, { text: "yours" })).parameters.find(({ id }) => id === "text").value, "yours");
    },

    async "a service of UWS 1.1 that never waits is not stormed"() {
      const client = jobs(recent);
      const { jobId } = await client.create({ seconds: 3 }, { run: true });
      isCourse(await phasesOf(client.watch(jobId)), "COMPLETED");
      const { parameters } = await client.job(jobId);
      const asked = Number(parameters.find(({ id }) => id === "asked").value);
      ok(asked <= 8, `${asked} questions in 3 s`);
    },

    async "a server that has no time is asked again, when it said"() {
      const client = jobs(recent);
      const { jobId } = await client.create({ busy: 2 }, { run: true });
      const began = Date.now();
      equal((await client.wait(jobId)).phase, "COMPLETED");
      ok(Date.now() - began >= 1900, "after the second that it asked for, each time");
      const refused = await client.create({ busy: 1 });
      const error = await failure(client.job(refused.jobId), UwsError);
      equal([error.status, error.retryAfter], [503, 1]);
    },

    async "what is no UWS is told"() {
      const page = async () => new Response("<html><body>Hello</body></html>");
      const client = new UwsClient("http://h.example/x", { fetch: page });
      const error = await failure(client.list(), UwsError);
      ok(error.message.startsWith("this is no answer of a UWS"), error.message);
      ok(error.body.includes("Hello"), "what it was");
    },

    async "nobody there"() {
      const client = new UwsClient("http://127.0.0.1:9/rest/x");
      const error = await failure(client.list(), UwsError);
      equal([error.status, error.message], [0, "127.0.0.1:9 could not be reached"]);
      ok(error.cause instanceof Error, "why");
    },

    // -- as pages of the original call it

    async "the original's names, with callbacks"() {
      const client = new uwsLib.uwsClient(opus);
      const call = (method, ...given) =>
        new Promise((resolve, reject) =>
          client[method](...given, (...answer) => resolve(answer), (...fault) => reject(fault)),
        );
      equal(client.jobName, opus.split("/").pop());
      const form = new FormData();
      form.append("text", "old");
      const [job] = await call("createJob", form);
      equal([job.phase, job.parameters.text.value, job.startTime], ["PENDING", "old", ""]);
      equal(await call("startJob", job.jobId), [job.jobId]);
      await jobs().wait(job.jobId);
      equal(await call("getJobPhase", job.jobId), [job.jobId, "COMPLETED"]);
      const [, results] = await call("getJobResults", job.jobId);
      equal(results.output.mimetype, "text/plain");
      equal((await call("getJobInfos", job.jobId))[0].results.output.href, results.output.href);
      ok((await call("getJobs"))[0].some(({ jobId }) => jobId === job.jobId), "it is listed");
      const [id, left] = await call("destroyJob", job.jobId);
      equal(id, job.jobId);
      ok(!left.some(({ jobId }) => jobId === id), "it is gone");
      const [which, request, status] = await failureOf(call("getJobInfos", job.jobId));
      equal([which, request.status, status], [job.jobId, 404, "error"]);
    },

    "the phases are those of the standard"() {
      equal(PHASES.length, 10);
      ok(FINAL.every((one) => PHASES.includes(one)), "all of them");
    },
  });
}

/** What a promise was rejected with, which need not be an error. */
const failureOf = (promise) =>
  promise.then(
    () => Promise.reject(new Error("it ended well")),
    (fault) => fault,
  );
