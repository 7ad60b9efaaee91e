// A client of the HTTP API, for the commands of this folder: asks again while the server is away or busy.
import { setTimeout as wait } from 'node:timers/promises';
import pRetry from 'p-retry';
import type { Receipt } from '../core/collect.ts';
import { cleanText } from '../core/event.ts';
import type { Scope } from '../core/keys.ts';
import type { Estimate, Reprocess, ShownJob } from '../core/reprocess.ts';
import type { Site } from '../core/sites.ts';

/** A request that came to nothing. The message is one sentence for whoever waits, and never holds a key. */
export class ClientError extends Error {
  override name = 'ClientError';
}

/** The server is away or busy: the same request may be taken later. */
export class Unavailable extends ClientError {
  constructor(message: string, readonly answered: boolean, readonly retryAfterMs = 0) {
    super(message);
  }
}

/** What a job of reprocessing would do, as the API shows it. */
export type ShownEstimate = Estimate & { cost_usd: number };

export interface ClientOptions {
  /** Where Footfall answers, such as `http://localhost:8787`. */
  url: string;
  /** Makes the requests, but for those that are given a key of their own. */
  key: string;
  /** Takes one line for the person who waits. */
  report: (line: string) => void;
  /** Ends the asking, but for the revoking of keys. */
  signal?: AbortSignal;
  /** Milliseconds before the first of the re-sendings of a request, doubled each time. */
  retryMs?: number;
  /** Waits as long as the server asks for in Retry-After; milliseconds. */
  pause?: (ms: number, signal?: AbortSignal) => Promise<unknown>;
}

interface Request {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  path: string;
  body?: string;
  key?: string;
  /** What a refusal refuses, such as `to create the site shop`, and the statuses that are none. */
  doing: string;
  accepts: number[];
  /** Does more when it is sent twice: not to be sent again once it may have arrived. */
  once?: true;
  /** Clears up, after failures and interruptions too: does not heed the signal, and soon gives up. */
  closing?: true;
}

const RETRIES = 10;
const CLOSING_RETRIES = 2;
const LONGEST_BACK_OFF_MS = 30_000;
const LONGEST_PAUSE_MS = 120_000;
const TIMEOUT_MS = 60_000;

/** Each method throws {@link Unavailable} after about ten tries, and {@link ClientError} where the server refuses. */
export class Client {
  constructor(private readonly options: ClientOptions) {}

  /** Creates the site, unless it is there: then it stays as it is, and these are its settings. */
  async createSite(id: string, settings: Pick<Site, 'name' | 'timezone' | 'currency'>): Promise<Partial<Site> | undefined> {
    const path = `/v1/sites/${id}`;
    const found = await this.#ask({ method: 'GET', path, doing: `to show the site ${id}`, accepts: [200, 404] });
    if (found.status === 200) return found.json ?? {};
    await this.#ask({ method: 'PUT', path, body: JSON.stringify(settings), doing: `to create the site ${id}`, accepts: [200, 201] });
    return undefined;
  }

  async makeKey(site: string, scope: Scope, label: string): Promise<{ id: string; key: string }> {
    const body = JSON.stringify({ scope, label });
    const doing = `to make a ${scope} key for the site ${site}`;
    // After a broken connection a second try could leave the first key behind, valid and unknown to us.
    const { json } = await this.#ask({ method: 'POST', path: `/v1/sites/${site}/keys`, body, doing, accepts: [201], once: true });
    const { id, key } = (json ?? {}) as { id?: string; key?: string };
    if (id === undefined || key === undefined) throw new ClientError(`${this.options.url} made a ${scope} key without showing it: is this a Footfall server?`);
    return { id, key };
  }

  async revokeKey(site: string, id: string): Promise<void> {
    // 404: a first try got through although its answer did not.
    await this.#ask({ method: 'DELETE', path: `/v1/sites/${site}/keys/${id}`, doing: `to revoke the key ${id}`, accepts: [200, 204, 404], closing: true });
  }

  /**
   * Sends a batch through the server door. It may arrive more than once, so each event needs an id.
   * @param key a write key
   * @param events each as JSON
   */
  async sendEvents(key: string, events: string[]): Promise<Receipt> {
    const { json } = await this.#ask({ method: 'POST', path: '/v1/events', key, body: `{"events":[${events.join(',')}]}`, doing: 'the events', accepts: [202] });
    const { accepted, rejected } = (json ?? {}) as Partial<Receipt>;
    if (typeof accepted !== 'number' || !Array.isArray(rejected)) {
      throw new ClientError(`${this.options.url} took the events without saying how many: is this a Footfall server?`);
    }
    return { accepted, rejected };
  }

  /** Begins a job of reprocessing; one that is the same and not done yet is that job. */
  async beginReprocess(range: Reprocess): Promise<ShownJob> {
    const { json } = await this.#askRollups({ ...range }, [202]);
    if ((json as Partial<ShownJob> | undefined)?.id === undefined) throw new ClientError(`${this.options.url} took the job without showing it: is this a Footfall server?`);
    return json as ShownJob;
  }

  /** What the job would do; nothing is begun. */
  async estimateReprocess(range: Reprocess): Promise<ShownEstimate> {
    const { json } = await this.#askRollups({ ...range, dry_run: true }, [200]);
    if (typeof (json as Partial<ShownEstimate> | undefined)?.hours !== 'number') throw new ClientError(`${this.options.url} told nothing of the job: is this a Footfall server?`);
    return json as ShownEstimate;
  }

  #askRollups(body: Reprocess & { dry_run?: true }, accepts: number[]): Promise<{ json: unknown }> {
    const doing = `to reprocess ${body.from} to ${body.to}`;
    return this.#ask({ method: 'POST', path: '/v1/rollups', body: JSON.stringify(body), doing, accepts });
  }

  /** The newest jobs of reprocessing, newest first. */
  async reprocessJobs(): Promise<ShownJob[]> {
    const { json } = await this.#ask({ method: 'GET', path: '/v1/rollups', doing: 'to show its jobs', accepts: [200] });
    const { jobs } = (json ?? {}) as { jobs?: ShownJob[] };
    if (!Array.isArray(jobs)) throw new ClientError(`${this.options.url} showed no jobs: is this a Footfall server?`);
    return jobs;
  }

  async #ask(request: Request): Promise<{ status: number; json: unknown }> {
    const { url, report, retryMs = 500, pause = waitFor } = this.options;
    const signal = request.closing ? undefined : this.options.signal;
    const { status, text } = await pRetry(() => this.#attempt(request), {
      retries: request.closing ? CLOSING_RETRIES : RETRIES,
      minTimeout: retryMs,
      maxTimeout: LONGEST_BACK_OFF_MS,
      randomize: true,
      signal,
      // What is thrown here ends the trying.
      onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
        if (!(error instanceof Unavailable)) throw error;
        const { message, answered, retryAfterMs } = error;
        if (retriesLeft === 0 || (request.once && !answered)) {
          throw attemptNumber === 1 ? error : new Unavailable(`${message}, ${attemptNumber} times in a row`, answered);
        }
        // Said once a request, and not for a first hiccup: the waiting is what wants an explanation.
        if (attemptNumber === 2) report(`${message}: trying again`);
        if (retryAfterMs > 0) await pause(retryAfterMs, signal);
      },
    });
    const json = jsonOf(text);
    if (!request.accepts.includes(status)) throw new ClientError(`${url} refused ${request.doing} with status ${status}${problemText(json)}`);
    return { status, json };
  }

  async #attempt({ method, path, body, key = this.options.key }: Request): Promise<{ status: number; text: string }> {
    const { url } = this.options;
    let response: Response;
    let text: string;
    try {
      response = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body }),
        // Followed, a POST may become a GET, and the key may go to another host.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      text = await response.text();
    } catch (error) {
      throw new Unavailable(`${url} cannot be reached (${reasonOf(error)})`, false);
    }
    const { status, headers } = response;
    if (status === 429 || status === 503) throw new Unavailable(`${url} answers ${status}`, true, readRetryAfter(headers.get('retry-after')));
    return { status, text };
  }
}

/** The key a command was given, else that of the environment. */
export function givenKey(option: string | undefined): string | undefined {
  // `||`: an empty variable is as good as none.
  return option || process.env.FOOTFALL_KEY || process.env.FOOTFALL_ADMIN_KEY;
}

/** What an absolute http(s) URL without user, query and fragment begins requests with; undefined of any other text. */
export function httpBase(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return undefined;
  return url.origin + url.pathname.replace(/\/$/, '');
}

const waitFor = (ms: number, signal?: AbortSignal) => wait(ms, undefined, { signal });

/** Retry-After, which is seconds or a date, in milliseconds. */
function readRetryAfter(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), LONGEST_PAUSE_MS);
}

/** Why a fetch failed: its own message says only that it did. */
export function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Whatever answers there is not Footfall; the status says the rest.
  }
}

/** What the server's problem details say, as the end of a sentence. */
function problemText(json: unknown): string {
  const { title, detail } = (json ?? {}) as { title?: unknown; detail?: unknown };
  const said = [title, detail].filter((part) => typeof part === 'string').join(', ');
  // A server may quote the header it was sent.
  const shown = cleanText(said).slice(0, 500).replaceAll(/ff_(read|write|admin)_\w+/g, 'ff_$1_…');
  return shown === '' ? '' : `: ${shown}`;
}
