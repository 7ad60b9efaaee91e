// Imports an access log: bytes → lines → page views → batches → the server door.
// before: local/access-log.ts reads each line; next: POST /v1/events
import { addAbortSignal, pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Receipt } from '../core/collect.ts';
import { cleanText, LIMITS, quote } from '../core/event.ts';
import { isKey } from '../core/keys.ts';
import { isSiteId } from '../core/sites.ts';
import { lineIds, Malformed, NotPageView, pageView, parseLine } from './access-log.ts';
import { Client, ClientError, Unavailable, httpBase, type ClientOptions } from './client.ts';

/** What stops an import that whoever started it can mend; the message is for them, and never holds a key. */
export class ImportError extends Error {
  override name = 'ImportError';
}

export interface ImportOptions extends ClientOptions {
  /** The log's bytes, plain or gzip. Read to its end, or destroyed where the import fails. */
  input: Readable;
  site: string;
  /** A write key of the site; or an admin key, which creates the site if need be and makes a write key for this import. */
  key: string;
  /** Absolute http(s) URL the log's paths belong to; default `https://<site>.example`. */
  baseUrl?: string;
  /** Takes one line for the person who waits: what was created, the first malformed and rejected lines. */
  report: (line: string) => void;
  /** Called as the input is read, and at the end. */
  progress?: (summary: ImportSummary) => void;
  /** Stops the import; a write key made for it is revoked before the promise is rejected. */
  signal?: AbortSignal;
}

/** What an import did. `lines` = `malformed` + `sent` + all of `notPageViews`; `sent` = `accepted` + all of `rejected`. */
export interface ImportSummary {
  site: string;
  url: string;
  /** Time zone of the site where the key lets us know it, else UTC: `from` and `to` are its dates. */
  timeZone: string;
  /** Bytes of input read (compressed, where it is). */
  bytes: number;
  /** Lines that are not blank. */
  lines: number;
  malformed: number;
  notPageViews: Map<string, number>;
  /** Events the server has answered for. */
  sent: number;
  accepted: number;
  rejected: Map<string, number>;
  /** Epoch ms of the earliest and the latest page view; absent where there is none. */
  earliest?: number;
  latest?: number;
}

const EXAMPLES = 5;
const IN_FLIGHT = 4;
// 1 MB may be read as 1,000,000 or 1,048,576 bytes; this is below both.
const BATCH_BYTES = 1_000_000;
const EMPTY_BATCH_BYTES = '{"events":[]}'.length;
const AGAIN = 'run the same command again, what is already in is not counted twice';

/**
 * Imports one access log. Memory is bounded whatever the input's size; sending the same log again changes nothing.
 * @throws {ImportError} where the input holds no log line or cannot be read, the site or key is refused, or the server stays
 * away for about ten tries
 */
export async function importLog(options: ImportOptions): Promise<ImportSummary> {
  const { input, site, report, progress, signal } = options;
  const { url, baseUrl } = checked(options);
  const stop = new AbortController();
  const client = new Client({ ...options, url, signal: stop.signal });
  const summary: ImportSummary = {
    site, url, timeZone: 'UTC', bytes: 0, lines: 0, malformed: 0, notPageViews: new Map(), sent: 0, accepted: 0, rejected: new Map(),
  };

  // Only the first failure becomes the reason: those after it come of the stop.
  const fail = (error: unknown) => {
    const advice = error instanceof Unavailable ? `: ${AGAIN}` : '';
    stop.abort(error instanceof ClientError ? new ImportError(error.message + advice, { cause: error }) : error);
  };
  const interrupt = () => { fail(new ImportError(`interrupted: ${AGAIN}`)); };
  signal?.addEventListener('abort', interrupt);
  // Reading may be waiting for a slow pipe when the sending fails.
  addAbortSignal(stop.signal, input);

  let door: Door | undefined;
  const inFlight = new Set<Promise<void>>();
  try {
    if (signal?.aborted) interrupt();
    for await (const batch of batchesOf(viewsOf(linesOf(unzipped(counted(options, summary))), baseUrl, summary, report))) {
      // Only now, so that a file that is no log leaves no site and no key behind.
      door ??= await openDoor(client, options, summary);
      const sending = client.sendEvents(door.key, batch.map(({ json }) => json))
        .then((receipt) => { countReceipt(receipt, batch, summary, report); })
        .catch(fail)
        .finally(() => inFlight.delete(sending));
      inFlight.add(sending);
      if (inFlight.size >= IN_FLIGHT) await Promise.race(inFlight);
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(inFlight);
  signal?.removeEventListener('abort', interrupt);
  await door?.close();
  stop.signal.throwIfAborted();
  progress?.(summary);
  return summary;
}

// ---- What is asked for

/** The two addresses, without a slash at their end. Throws ImportError where anything asked for is unusable. */
function checked({ site, key, url, baseUrl, report }: ImportOptions): { url: string; baseUrl: string } {
  if (!isSiteId(site)) throw new ImportError(`--site ${quote(site)}: accepts a-z, 0-9 and -, at most 63 characters, not starting with -`);
  // The value stays out of the sentence: terminals are recorded and shared.
  if (!isKey(key, 'write') && !isKey(key, 'admin')) {
    throw new ImportError('the key (--key, else FOOTFALL_KEY, else FOOTFALL_ADMIN_KEY) is not a write key (ff_write_…) or admin key (ff_admin_…), each with 43 characters behind');
  }
  const base = `https://${site}.example`;
  if (baseUrl === undefined) report(`No --base-url given: the log's paths are taken to be of ${base}`);
  return { baseUrl: readUrl('--base-url', baseUrl ?? base), url: readUrl('--url', url) };
}

function readUrl(option: string, text: string): string {
  const base = httpBase(text);
  if (base === undefined) throw new ImportError(`${option} ${quote(text)}: accepts an absolute http(s) URL without user, query and fragment, such as https://shop.example`);
  return base;
}

// ---- From bytes to batches

async function* counted({ input, progress }: ImportOptions, summary: ImportSummary): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      summary.bytes += chunk.length;
      progress?.(summary);
      yield chunk;
    }
  } catch (error) {
    throw new ImportError(`the log cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** The bytes themselves, or what they unzip to: gzip tells itself by its first two bytes. */
async function* unzipped(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < 2) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const whole = async function* (): AsyncGenerator<Buffer> {
    yield head;
    yield* chunks;
  };
  if (head[0] !== 0x1f || head[1] !== 0x8b) {
    yield* whole();
    return;
  }
  try {
    // An error on either side ends the loop with that error; there is nothing left for the callback to do.
    yield* pipeline(Readable.from(whole()), createGunzip(), () => undefined) as AsyncIterable<Buffer>;
  } catch (error) {
    throw error instanceof ImportError ? error : new ImportError(`the log cannot be unzipped: ${(error as Error).message}`, { cause: error });
  }
}

const NEWLINE = 10;
/** Far longer than any server writes; what exceeds it is not held in memory, so a file without newlines does no harm. */
const LONGEST_LINE = 2 * 1024 * 1024;

/** The text of each line; undefined for one that is longer than we hold. */
async function* linesOf(chunks: AsyncGenerator<Buffer>): AsyncGenerator<string | undefined> {
  let held: Buffer[] = [];
  let length = 0;
  const hold = (part: Buffer) => {
    length += part.length;
    if (length <= LONGEST_LINE) held.push(part);
  };
  const release = () => {
    const line = length <= LONGEST_LINE ? Buffer.concat(held).toString('utf8').replace(/\r$/, '') : undefined;
    held = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      hold(chunk.subarray(from, at));
      from = at + 1;
      yield release();
    }
    hold(chunk.subarray(from));
  }
  if (length > 0) yield release();
}

interface View { /** Its number, from 1. */ line: number; /** The event. */ json: string }

/** The page views; each other line is counted as what it is. */
async function* viewsOf(lines: AsyncGenerator<string | undefined>, baseUrl: string, summary: ImportSummary, report: (line: string) => void): AsyncGenerator<View> {
  const identify = lineIds();
  let line = 0;
  for await (const text of lines) {
    line += 1;
    if (text === '') continue;
    summary.lines += 1;
    const entry = text === undefined ? new Malformed(`it is longer than ${numberText(LONGEST_LINE)} bytes`) : parseLine(text);
    if (entry instanceof Malformed) {
      summary.malformed += 1;
      if (summary.malformed <= EXAMPLES) report(`Line ${line} is malformed: ${entry.message}`);
      continue;
    }
    const event = pageView(entry, { baseUrl, identify });
    if (event instanceof NotPageView) {
      count(summary.notPageViews, event.reason);
      continue;
    }
    const time = Date.parse(event.time);
    summary.earliest = Math.min(time, summary.earliest ?? time);
    summary.latest = Math.max(time, summary.latest ?? time);
    yield { line, json: JSON.stringify(event) };
  }
  if (summary.lines === summary.malformed) {
    const found = summary.lines === 0 ? 'it is empty' : `all of its ${numberText(summary.lines)} lines are malformed`;
    throw new ImportError(`the log holds no line in the common or combined log format: ${found}`);
  }
}

async function* batchesOf(views: AsyncGenerator<View>): AsyncGenerator<View[]> {
  let batch: View[] = [];
  let bytes = EMPTY_BATCH_BYTES;
  for await (const view of views) {
    const more = Buffer.byteLength(view.json) + 1;
    if (batch.length === LIMITS.api.events || bytes + more > BATCH_BYTES) {
      yield batch;
      batch = [];
      bytes = EMPTY_BATCH_BYTES;
    }
    batch.push(view);
    bytes += more;
  }
  if (batch.length > 0) yield batch;
}

// ---- Through the door

/** The right to send: a write key, and what to do with it when all is sent. */
interface Door { key: string; close: () => Promise<void> }

async function openDoor(client: Client, { site, key, report }: ImportOptions, summary: ImportSummary): Promise<Door> {
  if (isKey(key, 'write')) return { key, close: async () => undefined };

  const settings = await client.createSite(site, { name: site, timezone: 'UTC', currency: 'USD' });
  if (settings === undefined) report(`Created the site ${site}, in UTC and USD`);
  else summary.timeZone = settings.timezone ?? summary.timeZone;

  const made = await client.makeKey(site, 'write', 'import');
  const close = () => client.revokeKey(site, made.id).catch((error: unknown) => {
    report(`The write key of this import is still valid: ${(error as Error).message}. Revoke it with DELETE ${summary.url}/v1/sites/${site}/keys/${made.id}`);
  });
  return { key: made.key, close };
}

function countReceipt({ accepted, rejected }: Receipt, batch: View[], summary: ImportSummary, report: (line: string) => void): void {
  summary.sent += batch.length;
  summary.accepted += accepted;
  for (const { index, reason, message } of rejected) {
    count(summary.rejected, cleanText(reason));
    if (total(summary.rejected) <= EXAMPLES) report(`Line ${batch[index]?.line ?? '?'} was rejected (${cleanText(reason)}): ${cleanText(message)}`);
  }
}

function count(counts: Map<string, number>, reason: string): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1);
}

/** The sum of all counts. */
export function total(counts: Iterable<[string, number]>): number {
  return [...counts].reduce((sum, [, n]) => sum + n, 0);
}

export const numberText = (n: number) => n.toLocaleString('en-US');
