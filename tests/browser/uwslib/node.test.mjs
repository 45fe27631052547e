/** Run by `node --test`, with the servers that SERVERS (JSON) names. */

import { test } from "node:test";
import { tests } from "./suite.mjs";

const { library, ...servers } = JSON.parse(process.env.SERVERS);
for (const [name, run] of tests({ library: await import(library), ...servers })) test(name, run);
