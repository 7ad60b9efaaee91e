// The command `npm run reprocess -- --from 2026-07-01 --to 2026-07-31`: begins a job of reprocessing, and watches it.
// The job is the server's: it goes on without this command, and after a restart of the server.
// next: POST /v1/rollups (lambdas/admin.ts), core/reprocess.ts
import { setTimeout as wait } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { quote } from '../core/event.ts';
import { EARLIEST_HOUR, hourOf, isDay, isHour, type Hour } from '../core/hour.ts';
import { isKey } from '../core/keys.ts';
import { isOver, type Reprocess, type ShownJob } from '../core/reprocess.ts';
import { Client, ClientError, Unavailable, givenKey, httpBase, type ClientOptions, type ShownEstimate } from './client.ts';
import { numberText } from './import-log.ts';
import { isMain } from './main.ts';

const POLL_MS = 1000;
const PROGRESS_LINE_MS = 3000;
const SHOWN_NAMES = 50;

/** What ends the command that whoever started it can mend; the message is for them, and never holds a key. */
export class ReprocessError extends Error {
  override name = 'ReprocessError';
}

export interface WatchOptions extends ClientOptions, Reprocess {
  /** Called with every answer: the job, and how many others go before it. */
  progress: (job: ShownJob, before: number) => void;
  /** Ends the watching; the job goes on. */
  signal?: AbortSignal;
  /** Milliseconds between two looks at the job. */
  pollMs?: number;
}

/**
 * Begins the job, or finds the same one that is not over yet, and watches it until it is over.
 * @throws {ReprocessError} where it cannot be watched any more, though it goes on
 * @throws {ClientError} where it cannot be begun
 */
export async function watchReprocess(options: WatchOptions): Promise<ShownJob> {
  const { from, to, replay, progress, signal, pollMs = POLL_MS } = options;
  const client = new Client(options);
  let begun: ShownJob | undefined;
  try {
    let job = begun = await client.beginReprocess({ from, to, replay });
    progress(job, 0);
    while (!isOver(job)) {
      await wait(pollMs, undefined, { signal });
      const jobs = await client.reprocessJobs();
      const place = jobs.findIndex(({ id }) => id === begun?.id);
      job = jobs[place] ?? notShown(job, options);
      progress(job, jobs.slice(place + 1).filter((one) => !isOver(one)).length);
    }
    return job;
  } catch (error) {
    throw signal?.aborted || error instanceof ClientError ? endOfWatching(error, begun, options) : error;
  }
}

function notShown({ id }: ShownJob, { url }: WatchOptions): never {
  throw new ReprocessError(`${url} does not show the job ${id} among its newest jobs any more: see GET ${url}/v1/rollups`);
}

/** Why the watching ends, and what becomes of the job. */
function endOfWatching(error: unknown, begun: ShownJob | undefined, options: WatchOptions): unknown {
  const again = `to watch it again: ${commandOf(options)}`;
  if (options.signal?.aborted) return new ReprocessError(`interrupted: ${begun ? 'the job goes on' : 'the job may have begun'}; ${again}`, { cause: error });
  if (!begun) return error;
  const goesOn = error instanceof Unavailable ? 'the job goes on by itself when the server is back' : 'the job goes on';
  return new ReprocessError(`${(error as ClientError).message}: ${goesOn}; ${again}`, { cause: error });
}

/** With hours in place of dates: `--to` today is another hour by and by, and so another job. */
function commandOf({ from, to, replay, url }: Pick<WatchOptions, 'from' | 'to' | 'replay' | 'url'>): string {
  return `npm run reprocess -- --from ${from} --to ${to}${replay ? ' --replay' : ''}${url === DEFAULT_URL ? '' : ` --url ${url}`}`;
}

// ---- What is asked for

const DEFAULT_URL = 'http://localhost:8787';
const TIME_ACCEPTS = 'an hour of UTC, YYYY-MM-DDTHH, or a date, YYYY-MM-DD, from 2010 on and not in the future';

/** The hours that `--from` and `--to` name, both included. Throws ReprocessError where they name none. */
export function readRange(from: string, to: string, now: number): { from: Hour; to: Hour } {
  const latest = hourOf(now);
  const hour = (option: string, value: string, ofDay: (day: string) => Hour): Hour => {
    const read = isDay(value) ? ofDay(value) : value;
    if (!isHour(read) || read < EARLIEST_HOUR || read > latest) throw new ReprocessError(`${option} ${quote(value)}: accepts ${TIME_ACCEPTS}`);
    return read;
  };
  const range = {
    from: hour('--from', from, (day) => `${day}T00`),
    to: hour('--to', to, (day) => (latest.startsWith(day) ? latest : `${day}T23`)),
  };
  if (range.from > range.to) throw new ReprocessError(`--from ${quote(from)}: accepts a time that is not after --to ${quote(to)}`);
  return range;
}

/** The key, which has the form of one. Its value stays out of the sentence: terminals are recorded and shared. */
function readKey(given: string | undefined): string {
  const key = givenKey(given);
  if (!key) throw new ReprocessError('no key: pass --key, or set FOOTFALL_KEY or FOOTFALL_ADMIN_KEY');
  if (!isKey(key)) throw new ReprocessError('the key (--key, else FOOTFALL_KEY, else FOOTFALL_ADMIN_KEY) is not a key: accepts ff_admin_ and 43 letters and digits');
  return key;
}

function readUrl(text: string): string {
  const base = httpBase(text);
  if (base === undefined) throw new ReprocessError(`--url ${quote(text)}: accepts an absolute http(s) URL without user, query and fragment, such as ${DEFAULT_URL}`);
  return base;
}

// ---- What is told

/** What the job would do, as lines of text. */
export function estimateLines({ hours, bytes, raw_bytes, cost_usd }: ShownEstimate, replay: boolean): string[] {
  return [
    `hours: ${numberText(hours)}`,
    `bytes to read: ${bytesText(bytes)}`,
    ...(replay ? [`raw bytes to read: ${bytesText(raw_bytes)}`] : []),
    `cost: ${cost_usd.toFixed(2)} USD`,
    'Nothing was done: this was a dry run.',
  ];
}

/** Decimal units, as engines charge for them. */
function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}

/** `rolling: 12 of 48 hours done, 1 failed, 3,000 records replayed`. */
export function progressLine(job: ShownJob, before: number): string {
  const { replay, hours, hours_done, hours_failed, records_replayed } = job;
  return [
    `${stateText(job, before)}: ${numberText(hours_done)} of ${numberText(hours)} hours done`,
    ...(hours_failed.length > 0 ? [`${numberText(hours_failed.length)} failed`] : []),
    ...(replay ? [`${numberText(records_replayed)} records replayed`] : []),
  ].join(', ');
}

/** Jobs are done one after the other. */
function stateText({ state }: ShownJob, before: number): string {
  if (before > 0) return `waiting for ${before} other ${before === 1 ? 'job' : 'jobs'}`;
  return state;
}

/** What a job that is over has done, as lines of text, ending with where to look for what failed. */
export function summaryLines(job: ShownJob, url: string): string[] {
  const { state, replay, created_at, finished_at, hours_done, hours_failed, days_failed, records_replayed, records_skipped, files_failed } = job;
  const seconds = (Date.parse(finished_at ?? created_at) - Date.parse(created_at)) / 1000;
  return [
    ...(state === 'cancelled' ? ['The job was cancelled.'] : []),
    ...(replay ? [
      `records replayed: ${numberText(records_replayed)}`,
      `records that are no envelopes: ${numberText(records_skipped)}`,
      countedText('files of records that cannot be read', files_failed),
    ] : []),
    `hours done: ${numberText(hours_done)}`,
    countedText('hours failed', hours_failed),
    countedText('days failed', days_failed),
    `seconds: ${seconds.toFixed(1)}`,
    ...(seconds > 0 ? [`hours per minute: ${numberText(Math.round((hours_done / seconds) * 60))}`] : []),
    ...(hours_failed.length + days_failed.length === 0 ? [] : [
      'Why they failed is under "parked", with an admin key in FOOTFALL_KEY:',
      `  curl -H "Authorization: Bearer $FOOTFALL_KEY" "${url}/v1/rollups"`,
    ]),
  ];
}

/** `hours failed: 2 (2026-07-01T09, 2026-07-02T01)`. */
function countedText(what: string, names: readonly string[]): string {
  if (names.length === 0) return `${what}: 0`;
  const rest = names.length - SHOWN_NAMES;
  return `${what}: ${numberText(names.length)} (${[...names].sort().slice(0, SHOWN_NAMES).join(', ')}${rest > 0 ? ` and ${numberText(rest)} more` : ''})`;
}

function isClean({ state, hours_failed, days_failed, files_failed }: ShownJob): boolean {
  return state === 'done' && hours_failed.length + days_failed.length + files_failed.length === 0;
}

interface Progress { report: (line: string) => void; update: (job: ShownJob, before: number) => void; end: () => void }

/** A bar where stderr is a terminal, else a plain line every few seconds. */
function progressOf(): Progress {
  const write = (line: string) => { process.stderr.write(`${line}\n`); };
  if (!process.stderr.isTTY) {
    let last = Date.now();
    return {
      report: write,
      update: (job, before) => {
        if (Date.now() - last < PROGRESS_LINE_MS) return;
        last = Date.now();
        write(progressLine(job, before));
      },
      end: () => undefined,
    };
  }
  const bar = new SingleBar({ format: '{bar} {line}', barsize: 20, forceRedraw: true, gracefulExit: false, hideCursor: true });
  bar.start(1, 0, { line: 'beginning' });
  return {
    // The bar stands on the last line: clear it, write, and let the bar draw itself below.
    report: (line) => { write(`\r\u001b[K${line}`); },
    update: (job, before) => {
      const over = job.hours_done + job.hours_failed.length;
      // A replay may bring hours that had no rows when the job began.
      bar.setTotal(Math.max(job.hours, over, 1));
      bar.update(over, { line: progressLine(job, before) });
    },
    end: () => { bar.stop(); },
  };
}

async function main(): Promise<void> {
  const command = new Command('reprocess')
    .usage('-- --from <time> --to <time> [options]')
    .description('Rolls hours of the past up again. --from and --to are hours of UTC (2026-07-01T09) or dates (2026-07-01), both included.')
    .requiredOption('--from <time>', 'the first hour, or date from its first hour on')
    .requiredOption('--to <time>', 'the last hour, or date to its last hour; of today, to the current hour')
    .option('--replay', 'transform the raw records (of the last 30 days) again first', false)
    .option('--dry-run', 'only say what would be done', false)
    .option('--key <key>', 'admin key (default: FOOTFALL_KEY, then FOOTFALL_ADMIN_KEY of the environment)')
    .option('--url <url>', 'where Footfall answers', DEFAULT_URL)
    .parse();
  const { from, to, replay, dryRun, key, url } = command.opts<{ from: string; to: string; replay: boolean; dryRun: boolean; key?: string; url: string }>();

  const interruption = new AbortController();
  process.once('SIGINT', () => { interruption.abort(new ReprocessError('interrupted')); });
  process.once('SIGTERM', () => { interruption.abort(new ReprocessError('interrupted')); });
  try {
    const range = { ...readRange(from, to, Date.now()), replay };
    const server = { key: readKey(key), url: readUrl(url), signal: interruption.signal };
    const lines = dryRun ? await estimated(range, server) : await watched(range, server);
    process.stdout.write(`${lines.join('\n')}\n`);
  } catch (error) {
    if (!(error instanceof ReprocessError) && !(error instanceof ClientError)) throw error;
    process.stderr.write(`reprocess: ${error.message}\n`);
    process.exitCode = 1;
  }
}

type Server = Pick<WatchOptions, 'key' | 'url' | 'signal'>;

async function estimated(range: Reprocess, server: Server): Promise<string[]> {
  const client = new Client({ ...server, report: (line) => { process.stderr.write(`${line}\n`); } });
  return [`from ${range.from} to ${range.to}`, ...estimateLines(await client.estimateReprocess(range), range.replay)];
}

async function watched(range: Reprocess, server: Server): Promise<string[]> {
  const { report, update, end } = progressOf();
  let told = false;
  const progress = (job: ShownJob, before: number) => {
    if (!told) report(`Job ${job.id}, created ${job.created_at}; Ctrl-C ends the watching, not the job.`);
    told = true;
    update(job, before);
  };
  const job = await watchReprocess({ ...range, ...server, report, progress }).finally(end);
  if (!isClean(job)) process.exitCode = 1;
  return summaryLines(job, server.url);
}

if (isMain(import.meta.filename)) await main();
