/** Types of uwsLib.js, and what each member does. Times are UTC; durations are seconds. */

export type Phase =
  | "PENDING"
  | "QUEUED"
  | "EXECUTING"
  | "COMPLETED"
  | "ERROR"
  | "ABORTED"
  | "UNKNOWN"
  | "HELD"
  | "SUSPENDED"
  | "ARCHIVED";

/** All phases of UWS 1.1 (section 2.1.3). */
export const PHASES: readonly Phase[];
/** Those in which a job is over. */
export const FINAL: readonly Phase[];
/** Those between RUN and the end. */
export const ACTIVE: readonly Phase[];

export interface Parameter {
  id: string;
  /** The value, or where it is if `byReference`; null if the document says nil. */
  value: string | null;
  byReference: boolean;
  isPost: boolean;
  /** Of an OPUS whose JSON was read; of a file that was uploaded or fetched. */
  href?: string;
  file?: string | null;
  size?: number | null;
  mimeType?: string | null;
  sha256?: string;
}

export interface Result {
  id: string;
  /** The whole address, as far as the document's own address is known. */
  href: string;
  /** [byte] */
  size: number | null;
  mimeType: string | null;
  /** Of an OPUS whose JSON was read: the name of the file, and what it holds. */
  file?: string;
  sha256?: string;
}

export interface ErrorSummary {
  type: "transient" | "fatal" | string;
  hasDetail: boolean;
  message: string;
}

/** What a list says of a job. */
export interface JobRef {
  jobId: string;
  href: string;
  phase: Phase;
  runId: string | null;
  ownerId: string | null;
  /** Null from services of UWS 1.0, whose lists have no times. */
  creationTime: Date | null;
  /** Of an OPUS whose JSON was read. */
  startTime?: Date | null;
  endTime?: Date | null;
  destruction?: Date | null;
  definition?: { name: string; number: number };
}

export interface JobList extends Array<JobRef> {
  /** Of UWS, as the service says; "1.0" if it says nothing. */
  version: string;
  /** The addresses of the pages after and before this one, for `UwsClient.page`. */
  next: string | null;
  previous: string | null;
}

export interface Job {
  version: string;
  jobId: string;
  runId: string | null;
  ownerId: string | null;
  phase: Phase;
  quote: Date | null;
  creationTime: Date | null;
  startTime: Date | null;
  endTime: Date | null;
  /** [s]; 0 for no limit. */
  executionDuration: number;
  destruction: Date | null;
  parameters: Parameter[];
  results: Result[];
  errorSummary: ErrorSummary | null;
  /** What an OPUS says beyond the standard, by key. */
  jobInfo: Record<string, string>;
  /** Of an OPUS whose JSON was read. */
  definition?: { name: string; number: number };
}

export interface XmlElement {
  name: string;
  namespace: string;
  /** By name, or `{namespace}name` for those that have one. */
  attributes: Record<string, string>;
  children: XmlElement[];
  /** Its own text, without that of its children. */
  text: string;
}

type Value = string | number | boolean | Date | null | undefined;
/** A list gives its name several times; null and undefined give none. */
export type Parameters = Record<string, Value | Value[]> | Iterable<[string, Value | Value[]]>;

/**
 * Anything a request may end in. `message` is the server's own sentence where it has one;
 * `status` is 0 if nobody answered, and `cause` then says why.
 */
export class UwsError extends Error {
  status: number;
  url: string;
  body: string;
  /** [s] after which the server wants to be asked again. */
  retryAfter: number | null;
  /** Of an OPUS whose JSON is read: a sentence for each input that is wrong, by its name. */
  faults: Record<string, string>;
}

export interface Options {
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** Sent with every request to the service's own origin, and to no other. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  /** The same; a function answers headers for an address. */
  auth?:
    | { basic: [user: string, password: string] }
    | { bearer: string }
    | ((url: string) => Record<string, string> | Promise<Record<string, string>>)
    | null;
  credentials?: RequestCredentials;
  /** [s] that one question to a server of UWS 1.1 may wait for a change; 0: never. */
  maxWait?: number;
  /** Read the JSON of an OPUS, which says more than the XML of the standard. */
  json?: boolean;
  /**
   * The address of a proxy that asks the service instead, for pages that the service does not let
   * ask (CORS): of an OPUS, `/services/proxy`. It is given the address in the parameter `URL`, and
   * credentials in the header `X-UWS-Authorization`.
   */
  proxy?: string;
}

interface Abortable {
  signal?: AbortSignal;
}

export interface ListOptions extends Abortable {
  phase?: Phase | Phase[];
  /** The newest so many. */
  last?: number;
  /** Those created after that. */
  after?: Date | string;
  /** Filters of an OPUS: `limit`, `before`, `text`, `sort`, `owner`, `cursor`. */
  [filter: string]: unknown;
}

export interface CreateOptions extends Abortable {
  /** Start it at once. */
  run?: boolean;
  /** By the names of the parameters; sent as multipart/form-data. */
  files?: Record<string, Blob | Blob[]> | null;
  /** An OPUS makes one job of all requests with the same key and content (`Idempotency-Key`). */
  key?: string;
  /** Told while a browser sends; elsewhere nobody can know. `total` is null if it is not known. */
  onProgress?: (progress: { loaded: number; total: number | null }) => void;
}

/**
 * The jobs of one job list. Every method may throw a `UwsError`, or the reason of its `signal`.
 * Where a method follows a job (`watch`, `wait`, `log`), it asks again as long as nobody answers
 * who could, or the server has no time, more and more rarely.
 */
export class UwsClient {
  /** `url`: of the job list, as `https://opus.example.org/rest/NAME`. */
  constructor(url: string, options?: Options);
  readonly url: string;
  maxWait: number;

  list(options?: ListOptions): Promise<JobList>;
  page(url: string, options?: Abortable): Promise<JobList>;

  create(parameters?: Parameters, options?: CreateOptions): Promise<Job>;
  /** `wait` [s]: hold the answer back while the job is in `phase`, if the server is of UWS 1.1. */
  job(id: string, options?: Abortable & { wait?: number; phase?: Phase }): Promise<Job>;
  phase(id: string, options?: Abortable): Promise<Phase>;
  run(id: string, options?: Abortable): Promise<Job>;
  abort(id: string, options?: Abortable): Promise<Job>;
  setParameters(id: string, parameters: Parameters, options?: Abortable): Promise<Job>;
  setRunId(id: string, runId: string, options?: Abortable): Promise<Job>;
  /** The job as it is then: a server may have given less than was asked for. */
  setDestruction(id: string, instant: Date | string, options?: Abortable): Promise<Job>;
  setExecutionDuration(id: string, seconds: number, options?: Abortable): Promise<Job>;
  /** `viaPost`: for servers and proxies that do not know DELETE. */
  delete(id: string, options?: Abortable & { viaPost?: boolean }): Promise<void>;
  error(id: string, options?: Abortable): Promise<string>;
  quote(id: string, options?: Abortable): Promise<Date | null>;
  owner(id: string, options?: Abortable): Promise<string | null>;

  results(id: string, options?: Abortable): Promise<Result[]>;
  /** `range`: of bytes, the last one included; without a last one, to the end. */
  result(
    id: string,
    name: string,
    options?: Abortable & { as?: "blob"; range?: [number, number?] },
  ): Promise<Blob>;
  result(
    id: string,
    name: string,
    options: Abortable & { as: "text"; range?: [number, number?] },
  ): Promise<string>;
  result(
    id: string,
    name: string,
    options: Abortable & { as: "stream"; range?: [number, number?] },
  ): Promise<ReadableStream<Uint8Array>>;

  /** What is at an address that a document of the service names, such as the `href` of a result. */
  file(url: string, options?: Abortable & { as?: "blob"; range?: [number, number?] }): Promise<Blob>;
  file(url: string, options: Abortable & { as: "text"; range?: [number, number?] }): Promise<string>;
  file(
    url: string,
    options: Abortable & { as: "stream"; range?: [number, number?] },
  ): Promise<ReadableStream<Uint8Array>>;

  /**
   * An address of a result that is good without signing in until it expires, for a program of the
   * user's; of an OPUS.
   */
  ticket(id: string, name: string, options?: Abortable): Promise<{ url: string; expires: Date }>;

  /** The job now, and again whenever its phase has changed, until it is over. */
  watch(id: string, options?: Abortable): AsyncGenerator<Job, void, void>;
  /** The job as soon as it is in one of these phases, or over. */
  wait(id: string, options?: Abortable & { until?: readonly Phase[] }): Promise<Job>;
  /**
   * What a job of an OPUS says, piece by piece. `tail` [byte]: no more of what is there already;
   * null: all. `follow`: until the job is over, asking `every` so many seconds, or whenever the
   * promise of such a function is kept.
   */
  log(
    id: string,
    name?: "stdout" | "stderr",
    options?: Abortable & { follow?: boolean; tail?: number | null; every?: number | (() => Promise<void>) },
  ): AsyncGenerator<string, void, void>;

  capabilities(options?: Abortable): Promise<{ version: string; waits: boolean; maxWait: number }>;
  /** Run a job and have its result in the answer, where the service has `/sync` (DALI 1.1). */
  sync(
    parameters?: Parameters,
    options?: Abortable & { files?: Record<string, Blob | Blob[]> | null },
  ): Promise<Response>;
}

/** Throw a SyntaxError if it is no document of its kind. `base`: what references are relative to. */
export function parseJob(source: string, base?: string): Job;
export function parseJobs(source: string, base?: string): JobList;
export function parseTime(text: string | null | undefined): Date | null;
export function serialiseParameters(parameters: Parameters): URLSearchParams;
/** `partial`: the document may end before its elements do. */
export function readXml(source: string, options?: { partial?: boolean }): XmlElement;

/** For pages of the original OPUS: `new uwsLib.uwsClient(url)`, with callbacks. */
export const uwsLib: {
  readonly uwsClient: new (serviceUrl: string) => {
    readonly serviceUrl: string;
    readonly jobName: string;
    getJobs(success: (jobs: object[]) => void, error?: Failure): void;
    getJobList(success: (jobs: object[]) => void, error?: Failure): void;
    getJobListInfos(success: (jobs: object[]) => void, error?: Failure): void;
    createJob(parameters: FormData | object, success: (job: object) => void, error?: Failure): void;
    startJob(id: string, success: (id: string) => void, error?: FailureOf): void;
    abortJob(id: string, success: (id: string) => void, error?: FailureOf): void;
    destroyJob(id: string, success: (id: string, jobs: object[]) => void, error?: FailureOf): void;
    getJobInfos(id: string, success: (job: object) => void, error?: FailureOf): void;
    getJobResults(id: string, success: (id: string, results: object) => void, error?: FailureOf): void;
    getJobPhase(id: string, success: (id: string, phase: string) => void, error?: FailureOf): void;
  };
};
type Failed = { status: number; responseText: string };
type Failure = (request: Failed, status: string, message: string) => void;
type FailureOf = (id: string, request: Failed, status: string, message: string) => void;
