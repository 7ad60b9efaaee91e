// Sends a web server's access log through the server door: `npm run import -- access.log --site shop`.
// before: local/access-log.ts reads each line; next: POST /v1/events
import { open } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { addAbortSignal, pipeline, Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import pRetry from 'p-retry';
import { cleanText, LIMITS, quote } from '../core/event.ts';
import { isKey } from '../core/keys.ts';
import { isSiteId } from '../core/sites.ts';
import { localDayAt } from '../core/zone.ts';
import { lineIds, Malformed, NotPageView, pageView, parseLine, type PageView } from './access-log.ts';

/** What stops an import that whoever started it can mend; the message is for them, and never holds a key. */
export class ImportError extends Error {
  override name = 'ImportError';
}

export interface ImportOptions {
  /** The log's bytes, plain or gzip. Read to its end, or destroyed where the import fails. */
  input: Readable;
  site: string;
  /** A write key of the site; or an admin key, which creates the site if need be and makes a write key for this import. */
  key: string;
  /** Where Footfall answers, such as `http://localhost:8787`. */
  url: string;
  /** Absolute http(s) URL the log's paths belong to; default `https://<site>.example`. */
  baseUrl?: string;
  /** Takes one line for the person who waits: what was created, the first malformed and rejected lines. */
  report: (line: string) => void;
  /** Called as the input is read. */
  progress?: (summary: ImportSummary) => void;
  /** Stops the import; a write key made for it is revoked before the promise is rejected. */
  signal?: AbortSignal;
  /** Milliseconds before the first of the re-sendings of a request, doubled each time. */
  retryMs?: number;
  /** Waits as long as the server asks for in Retry-After; milliseconds. */
  pause?: (ms: number, signal?: AbortSignal) => Promise<unknown>;
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

/**
 * Imports one access log. Memory is bounded whatever the input's size; sending the same log again changes nothing.
 * @throws {ImportError} where the input holds no log line or cannot be read, the site or key is refused, or the server stays
 * away for about ten tries
 */
export async function importLog(options: ImportOptions): Promise<ImportSummary> {
  const { input, site, report, signal } = options;
  const base = checkedBaseUrl(options);
  const stop = new AbortController();
  const server = serverOf(options, stop.signal);
  const summary = emptySummary(site, server.url);

  let failure: Error | undefined;
  const fail = (error: unknown) => {
    failure ??= error instanceof Error ? error : new Error(String(error));
    stop.abort();
  };
  const interrupt = () => { fail(new ImportError(`interrupted: ${AGAIN}`)); };
  signal?.addEventListener('abort', interrupt);
  // Reading may be waiting for a slow pipe when the sending fails.
  addAbortSignal(stop.signal, input);

  let door: Door | undefined;
  const inFlight = new Set<Promise<void>>();
  const examples = { rejected: 0 };
  try {
    if (signal?.aborted) interrupt();
    for await (const batch of batchesOf(linesOf(unzipped(counted(options, summary))), base, summary, report)) {
      // Only now, so that a file that is no log leaves no site and no key behind.
      door ??= await openDoor(server, site, summary, report);
      const sending = postBatch(server, door, batch)
        .then((answer) => { countAnswer(answer, batch, summary, examples, report); })
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
  if (failure !== undefined) throw failure;
  return summary;
}

const AGAIN = 'run the same command again, what is already in is not counted twice';

function emptySummary(site: string, url: string): ImportSummary {
  return { site, url, timeZone: 'UTC', bytes: 0, lines: 0, malformed: 0, notPageViews: new Map(), sent: 0, accepted: 0, rejected: new Map() };
}

function count(counts: Map<string, number>, reason: string): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1);
}

// ---- What is asked for

function checkedBaseUrl({ site, key, baseUrl, report }: ImportOptions): string {
  if (!isSiteId(site)) throw new ImportError(`--site ${quote(site)}: accepts a-z, 0-9 and -, at most 63 characters, not starting with -`);
  // The value stays out of the sentence: terminals are recorded and shared.
  if (!isKey(key, 'write') && !isKey(key, 'admin')) {
    throw new ImportError('the key (--key, else FOOTFALL_KEY, else FOOTFALL_ADMIN_KEY) is not a write key (ff_write_…) or admin key (ff_admin_…), each with 43 characters behind');
  }
  if (baseUrl !== undefined) return httpBase('--base-url', baseUrl);
  const base = `https://${site}.example`;
  report(`No --base-url given: the log's paths are taken to be of ${base}`);
  return base;
}

function httpBase(option: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new ImportError(`${option} ${quote(text)}: accepts an absolute http(s) URL without user, query and fragment, such as https://shop.example`);
  }
  return url.origin + url.pathname.replace(/\/$/, '');
}

// ---- From bytes to batches

interface Line { number: number; /** Absent where the line is longer than we hold. */ text?: string }

interface Batch { /** Line number of each event. */ lines: number[]; events: string[]; bytes: number }

async function* counted({ input, progress }: ImportOptions, summary: ImportSummary): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      summary.bytes += chunk.length;
      progress?.(summary);
      yield chunk;
    }
  } catch (error) {
    throw new ImportError(`the log cannot be read: ${messageOf(error)}`, { cause: error });
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
  // An error on either side ends the loop below with that error; there is nothing left for the callback to do.
  const gunzip = pipeline(Readable.from(whole()), createGunzip(), () => undefined);
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    throw error instanceof ImportError ? error : new ImportError(`the log cannot be unzipped: ${messageOf(error)}`, { cause: error });
  }
}

const NEWLINE = 10;
/** Far longer than any server writes; what exceeds it is not held in memory, so a file without newlines does no harm. */
const LONGEST_LINE = 2 * 1024 * 1024;

async function* linesOf(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Line> {
  let number = 0;
  let held: Buffer[] = [];
  let length = 0;
  const hold = (part: Buffer) => {
    length += part.length;
    if (length <= LONGEST_LINE) held.push(part);
  };
  const release = (): Line => {
    number += 1;
    const line: Line = length <= LONGEST_LINE ? { number, text: Buffer.concat(held).toString('utf8').replace(/\r$/, '') } : { number };
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

async function* batchesOf(lines: AsyncGenerator<Line>, baseUrl: string, summary: ImportSummary, report: (line: string) => void): AsyncGenerator<Batch> {
  const identify = lineIds();
  let batch: Batch = { lines: [], events: [], bytes: 0 };
  for await (const { number, text } of lines) {
    const event = eventOf(number, text, { baseUrl, identify }, summary, report);
    if (event === undefined) continue;
    const json = JSON.stringify(event);
    const bytes = Buffer.byteLength(json) + 1;
    if (batch.events.length === LIMITS.api.events || batch.bytes + bytes > BATCH_BYTES - '{"events":[]}'.length) {
      yield batch;
      batch = { lines: [], events: [], bytes: 0 };
    }
    batch.lines.push(number);
    batch.events.push(json);
    batch.bytes += bytes;
  }
  if (summary.lines === summary.malformed) {
    const found = summary.lines === 0 ? 'it is empty' : `all of its ${numberText(summary.lines)} lines are malformed`;
    throw new ImportError(`the log holds no line in the common or combined log format: ${found}`);
  }
  if (batch.events.length > 0) yield batch;
}

/** The event of a line, or nothing after the line was counted as something else. */
function eventOf(
  number: number,
  text: string | undefined,
  options: { baseUrl: string; identify: (line: string) => string },
  summary: ImportSummary,
  report: (line: string) => void,
): PageView | undefined {
  if (text === '') return undefined;
  summary.lines += 1;
  const entry = text === undefined ? new Malformed(`it is longer than ${numberText(LONGEST_LINE)} bytes`) : parseLine(text);
  if (entry instanceof Malformed) {
    summary.malformed += 1;
    if (summary.malformed <= EXAMPLES) report(`Line ${number} is malformed: ${entry.message}`);
    return undefined;
  }
  const event = pageView(entry, options);
  if (event instanceof NotPageView) {
    count(summary.notPageViews, event.reason);
    return undefined;
  }
  const time = Date.parse(event.time);
  summary.earliest = Math.min(time, summary.earliest ?? time);
  summary.latest = Math.max(time, summary.latest ?? time);
  return event;
}

// ---- The server

interface Server {
  url: string;
  key: string;
  report: (line: string) => void;
  signal: AbortSignal;
  retryMs: number;
  pause: (ms: number, signal?: AbortSignal) => Promise<unknown>;
}

interface Request {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  path: string;
  body?: string;
  key: string;
  /** Ends the re-sending. */
  signal?: AbortSignal;
  retries?: number;
  /** Does more when it is sent twice: not to be sent again once it may have arrived. */
  once?: boolean;
}

interface Answer { status: number; text: string }

function serverOf({ url, key, report, retryMs = 500, pause = waitFor }: ImportOptions, signal: AbortSignal): Server {
  return { url: httpBase('--url', url), key, report, signal, retryMs, pause };
}

const waitFor = (ms: number, signal?: AbortSignal) => wait(ms, undefined, signal === undefined ? {} : { signal });

const RETRIES = 10;
const LONGEST_BACK_OFF_MS = 30_000;
const LONGEST_PAUSE_MS = 120_000;
const TIMEOUT_MS = 60_000;

/** The server is away or busy: worth trying again. */
class Unavailable extends Error {
  constructor(message: string, readonly answered: boolean, readonly retryAfterMs = 0) {
    super(message);
  }
}

/** One request, sent again while the server is away or busy; any other answer is the caller's to judge. */
async function ask(server: Server, request: Request): Promise<Answer> {
  const { signal, retries = RETRIES, once = false } = request;
  let tries = 0;
  try {
    return await pRetry(() => attempt(server, request), {
      retries,
      minTimeout: server.retryMs,
      maxTimeout: LONGEST_BACK_OFF_MS,
      randomize: true,
      ...(signal !== undefined && { signal }),
      shouldRetry: ({ error }) => error instanceof Unavailable && (error.answered || !once),
      onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
        tries = attemptNumber;
        if (!(error instanceof Unavailable) || retriesLeft === 0) return;
        // Said once a request, and not for a first hiccup: the waiting is what wants an explanation.
        if (attemptNumber === 2) server.report(`${server.url} ${error.message}: trying again`);
        if (error.retryAfterMs > 0) await server.pause(error.retryAfterMs, signal);
      },
    });
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    throw new ImportError(`${server.url} ${error.message}${tries > 1 ? `, ${tries} times in a row` : ''}: ${AGAIN}`, { cause: error });
  }
}

async function attempt(server: Server, { method, path, body, key }: Request): Promise<Answer> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(server.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body }),
      // Followed, a POST may become a GET, and the key may go to another host.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    throw new Unavailable(`cannot be reached (${messageOf(error)})`, false);
  }
  const { status, headers } = response;
  if (status === 429 || status === 503) throw new Unavailable(`answers ${status}`, true, retryAfterMs(headers.get('retry-after')));
  return { status, text };
}

/** Retry-After is seconds or a date. */
function retryAfterMs(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), LONGEST_PAUSE_MS);
}

function messageOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? (error as Error).message;
}

/** The answer as JSON where the status is the expected one; else throws what the server's problem details say. */
function expectStatus(server: Server, { status, text }: Answer, expected: number, doing: string): unknown {
  const json = jsonOf(text);
  if (status === expected) return json;
  const { title, detail } = (json ?? {}) as { title?: unknown; detail?: unknown };
  const said = [title, detail].filter((part) => typeof part === 'string').join(', ');
  // A server may quote the header it was sent.
  const shown = cleanText(said).slice(0, 500).replaceAll(/ff_(read|write|admin)_\w+/g, 'ff_$1_…');
  throw new ImportError(`${server.url} refused ${doing} with status ${status}${shown === '' ? '' : `: ${shown}`}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Whatever answers there is not Footfall; the status says the rest.
  }
}

// ---- Through the door

/** The right to send: a write key, and what to do with it when all is sent. */
interface Door { key: string; close: () => Promise<void> }

async function openDoor(server: Server, site: string, summary: ImportSummary, report: (line: string) => void): Promise<Door> {
  const { key, signal } = server;
  if (isKey(key, 'write')) return { key, close: async () => undefined };

  const path = `/v1/sites/${site}`;
  const found = await ask(server, { method: 'GET', path, key, signal });
  if (found.status === 404) {
    const body = JSON.stringify({ name: site, timezone: 'UTC', currency: 'USD' });
    const made = await ask(server, { method: 'PUT', path, key, signal, body });
    expectStatus(server, made, made.status === 201 ? 201 : 200, `to create the site ${site}`);
    report(`Created the site ${site}, in UTC and USD`);
  } else {
    const settings = expectStatus(server, found, 200, `to show the site ${site}`) as { timezone?: string } | undefined;
    summary.timeZone = settings?.timezone ?? summary.timeZone;
  }

  // After a broken connection a second try could leave the first key behind, valid and unknown to us.
  const body = JSON.stringify({ scope: 'write', label: 'import' });
  const answer = await ask(server, { method: 'POST', path: `${path}/keys`, key, signal, body, once: true });
  const made = expectStatus(server, answer, 201, `to make a write key for the site ${site}`) as { id?: string; key?: string } | undefined;
  if (made?.id === undefined || made.key === undefined) throw new ImportError(`${server.url} made a write key without showing it: is this a Footfall server?`);
  return { key: made.key, close: () => revoke(server, `${path}/keys/${made.id}`, report) };
}

/** Revokes the write key made for this import; runs after failures and interruptions too, so it does not heed the signal. */
async function revoke(server: Server, path: string, report: (line: string) => void): Promise<void> {
  try {
    const answer = await ask(server, { method: 'DELETE', path, key: server.key, retries: 2 });
    // 404: a first try got through although its answer did not.
    if (answer.status !== 200 && answer.status !== 404) expectStatus(server, answer, 204, 'to revoke the write key of this import');
  } catch (error) {
    report(`The write key of this import is still valid: ${messageOf(error)}. Revoke it with DELETE ${server.url}${path}`);
  }
}

interface BatchAnswer { accepted: number; rejected: { index: number; reason: string; message: string }[] }

async function postBatch(server: Server, door: Door, batch: Batch): Promise<BatchAnswer> {
  const body = `{"events":[${batch.events.join(',')}]}`;
  const answer = await ask(server, { method: 'POST', path: '/v1/events', key: door.key, signal: server.signal, body });
  const counts = expectStatus(server, answer, 202, 'the events') as BatchAnswer | undefined;
  if (typeof counts?.accepted !== 'number' || !Array.isArray(counts.rejected)) {
    throw new ImportError(`${server.url} took the events without saying how many: is this a Footfall server?`);
  }
  return counts;
}

function countAnswer(answer: BatchAnswer, batch: Batch, summary: ImportSummary, examples: { rejected: number }, report: (line: string) => void): void {
  summary.sent += batch.events.length;
  summary.accepted += answer.accepted;
  for (const { index, reason, message } of answer.rejected) {
    count(summary.rejected, cleanText(reason));
    examples.rejected += 1;
    if (examples.rejected <= EXAMPLES) report(`Line ${batch.lines[index] ?? '?'} was rejected (${cleanText(reason)}): ${cleanText(message)}`);
  }
}

// ---- The command

const numberText = (n: number) => n.toLocaleString('en-US');
const SHOWN_REASONS = 8;

/** `3,412 (other file 3,000 · status 404 213)`: the sum, then the most frequent reasons. */
function countsText(counts: Map<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const sum = (entries: [string, number][]) => entries.reduce((total, [, n]) => total + n, 0);
  const shown = sorted.slice(0, SHOWN_REASONS).map(([reason, n]) => `${reason} ${numberText(n)}`);
  const rest = sorted.slice(SHOWN_REASONS);
  if (rest.length > 0) shown.push(`${rest.length} other reasons ${numberText(sum(rest))}`);
  return shown.length === 0 ? '0' : `${numberText(sum(sorted))} (${shown.join(' · ')})`;
}

/**
 * The summary as lines of text, ending with the command that shows the imported numbers.
 * @param seconds how long the import took
 */
export function summaryLines(summary: ImportSummary, seconds: number): string[] {
  const { site, url, timeZone, earliest, latest } = summary;
  const lines = [
    `lines: ${numberText(summary.lines)}`,
    `page views sent: ${numberText(summary.sent)}`,
    `accepted: ${numberText(summary.accepted)}`,
    `rejected: ${countsText(summary.rejected)}`,
    `not a page view: ${countsText(summary.notPageViews)}`,
    `malformed: ${numberText(summary.malformed)}`,
    `seconds: ${seconds.toFixed(1)}`,
  ];
  if (earliest === undefined || latest === undefined) return lines;
  const range = `from=${localDayAt(timeZone, earliest)}&to=${localDayAt(timeZone, latest)}`;
  return [
    ...lines,
    'The numbers, in about a minute, with a read or admin key in FOOTFALL_KEY:',
    `  curl -H "Authorization: Bearer $FOOTFALL_KEY" "${url}/v1/sites/${site}/stats?${range}"`,
  ];
}

const PROGRESS_LINE_MS = 3000;

interface Progress { report: (line: string) => void; update: (summary: ImportSummary) => void; end: () => void }

/** A bar where stderr is a terminal and the size is known, else a plain line every few seconds. */
function progressOf(total: number | undefined): Progress {
  const write = (line: string) => { process.stderr.write(`${line}\n`); };
  if (!process.stderr.isTTY || total === undefined) {
    let last = Date.now();
    return {
      report: write,
      update: ({ bytes, lines, accepted }) => {
        if (Date.now() - last < PROGRESS_LINE_MS) return;
        last = Date.now();
        const read = total === undefined ? `${numberText(bytes)} bytes` : `${Math.floor((bytes / total) * 100)} %`;
        write(`${read} read, ${numberText(lines)} lines, ${numberText(accepted)} page views accepted`);
      },
      end: () => undefined,
    };
  }
  const format = '{bar} {percentage} % | {lines} lines | {accepted} page views accepted | {eta_formatted} left';
  const bar = new SingleBar({ format, forceRedraw: true, gracefulExit: false, hideCursor: true });
  bar.start(total, 0, { lines: '0', accepted: '0' });
  return {
    // The bar stands on the last line: clear it, write, and let the bar draw itself below.
    report: (line) => { write(`\r\u001b[K${line}`); },
    update: ({ bytes, lines, accepted }) => { bar.update(bytes, { lines: numberText(lines), accepted: numberText(accepted) }); },
    end: () => { bar.stop(); },
  };
}

/** The log to read, and its size in bytes where that is known. */
async function openInput(file: string): Promise<{ input: Readable; size?: number }> {
  if (file === '-') return { input: process.stdin };
  try {
    const handle = await open(file);
    const stat = await handle.stat();
    if (stat.isDirectory()) {
      await handle.close();
      throw new ImportError(`${quote(file)} is a folder: accepts a log file, or - for the standard input`);
    }
    return { input: handle.createReadStream(), ...(stat.isFile() && { size: stat.size }) };
  } catch (error) {
    throw error instanceof ImportError ? error : new ImportError(`${quote(file)} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function main(): Promise<void> {
  const command = new Command('import')
    .usage('-- <file> --site <id> [options]')
    .description('Sends the page views of an access log (common or combined format) to Footfall.')
    .argument('<file>', 'the log, plain or gzip; - for the standard input')
    .requiredOption('--site <id>', 'the site the page views belong to')
    .option('--key <key>', 'write or admin key (default: FOOTFALL_KEY, then FOOTFALL_ADMIN_KEY of the environment)')
    .option('--url <url>', 'where Footfall answers', 'http://localhost:8787')
    .option('--base-url <url>', "what the log's paths belong to (default: https://<site>.example)")
    .parse();
  const [file = ''] = command.args;
  const { site, key, url, baseUrl } = command.opts<{ site: string; key?: string; url: string; baseUrl?: string }>();

  const interruption = new AbortController();
  process.once('SIGINT', () => { interruption.abort(); });
  process.once('SIGTERM', () => { interruption.abort(); });
  const started = performance.now();
  let progress: Progress | undefined;
  try {
    // `||`: an empty variable is as good as none.
    const found = key || process.env.FOOTFALL_KEY || process.env.FOOTFALL_ADMIN_KEY;
    if (!found) throw new ImportError('no key: pass --key, or set FOOTFALL_KEY or FOOTFALL_ADMIN_KEY');
    const { input, size } = await openInput(file);
    const shown = progress = progressOf(size);
    const summary = await importLog({
      input, site, key: found, url, ...(baseUrl !== undefined && { baseUrl }),
      report: shown.report, progress: shown.update, signal: interruption.signal,
    });
    shown.update(summary);
    shown.end();
    process.stdout.write(`${summaryLines(summary, (performance.now() - started) / 1000).join('\n')}\n`);
  } catch (error) {
    progress?.end();
    if (!(error instanceof ImportError)) throw error;
    process.stderr.write(`import: ${error.message}\n`);
    process.exitCode = 1;
  }
}

if (process.argv[1] !== undefined && import.meta.filename === realpathSync(process.argv[1])) await main();
