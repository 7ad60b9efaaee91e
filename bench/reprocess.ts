// Reprocessing: how fast hours of the past are rolled up again, from their rows and from their records, and how fresh
// live events stay meanwhile. The whole pipeline in this process, fed with a real log through the server door.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { hourAfter, hourOf, hoursBetween, partitionOf, type Hour } from '../core/hour.ts';
import { newKey } from '../core/keys.ts';
import type { ShownJob } from '../core/reprocess.ts';
import { Client } from '../local/client.ts';
import { filesIn } from '../local/files.ts';
import { importLog } from '../local/import-log.ts';
import { start, type StartOptions } from '../local/start.ts';
import { connected, sqlFiles } from './engine.ts';
import { probe } from './probe.ts';
import { count, median, percentile, secondsSince, type BenchOptions, type Measurement } from './report.ts';

const LOG = join(import.meta.dirname, '..', 'test', 'fixtures', 'access.log');
const SITE = 'semicomplete';
const ANSWER_MS = 30_000;
/** More than any job takes; what takes longer has failed. */
const PATIENCE_MS = 300_000;
const ASK_EVERY_MS = 100;
const TOLD_LINES = 10;
/** So that what is measured is the work, not the pauses. */
const HURRIED = { deliverEveryMs: 100, rollupEveryMs: 100, rollupShare: 1 };

interface Pipeline {
  url: string;
  key: string;
  client: Client;
  ask: <T>(path: string, init?: RequestInit) => Promise<T>;
}

/** Runs the pipeline on the data folder as long as `work` takes; what it reported is told where something fails. */
async function withPipeline<T>(dataFolder: string, settings: Partial<StartOptions>, work: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const reported: string[] = [];
  const report = (line: string) => { reported.push(line); };
  const key = newKey('admin');
  const running = await start({ ...settings, dataFolder, port: 0, host: '127.0.0.1', adminKey: key, report });
  try {
    // fetch may take localhost for ::1, where nothing listens.
    const url = running.url.replace('localhost', '127.0.0.1');
    const ask: Pipeline['ask'] = async <A>(path: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
      const answer = await fetch(url + path, { ...init, headers, signal: AbortSignal.timeout(ANSWER_MS) });
      if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
      return await answer.json() as A;
    };
    return await work({ url, key, client: new Client({ url, key, report }), ask });
  } catch (error) {
    throw new Error(`${(error as Error).message}; the last that the pipeline had reported:\n${reported.slice(-TOLD_LINES).join('\n')}`, { cause: error });
  } finally {
    await running.stop();
  }
}

/** Asks until there is an answer. */
async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const began = performance.now();
  while (performance.now() - began < PATIENCE_MS) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await pause(ASK_EVERY_MS);
  }
  throw new Error(`waited ${PATIENCE_MS / 1000} s for ${what}`);
}

/** Resolves when everything sent before now is counted, and no task waits. */
async function allDone({ ask }: Pipeline): Promise<void> {
  const now = Date.now();
  await until('all tasks', async () => {
    const { complete_through, waiting_tasks } = await ask<{ complete_through: string | null; waiting_tasks: number }>('/v1/health');
    return complete_through !== null && Date.parse(complete_through) > now && waiting_tasks === 0 ? true : undefined;
  });
}

/** How much of the log, how many jobs of each kind, how many live events and how often, and the settings of the process that takes them. */
interface Size { bytes: number; jobs: number; events: number; everyMs: number; settings: Partial<StartOptions> }
const FULL: Size = { bytes: Infinity, jobs: 3, events: 120, everyMs: 1_000, settings: {} };
/** Rounds come sooner, since there is no time to wait for those of every day. */
const QUICK: Size = { bytes: 150_000, jobs: 1, events: 6, everyMs: 400, settings: { deliverEveryMs: 500, rollupEveryMs: 500, rollupShare: 0.5 } };

/** The log in the lake and in the numbers. */
interface Imported { from: Hour; to: Hour; views: number; lines: number; /** Until all is counted. */ seconds: number }

async function importAll(pipeline: Pipeline, bytes: number): Promise<Imported> {
  const log = await readFile(LOG, 'latin1');
  const whole = log.slice(0, log.lastIndexOf('\n', bytes) + 1);
  const began = performance.now();
  const { url, key } = pipeline;
  const summary = await importLog({ input: Readable.from([Buffer.from(whole, 'latin1')]), site: SITE, baseUrl: 'http://www.semicomplete.com', url, key, report: () => undefined });
  const { accepted, sent, lines, earliest, latest } = summary;
  if (accepted !== sent || earliest === undefined || latest === undefined) throw new Error(`of ${sent} page views ${accepted} were accepted`);
  await allDone(pipeline);
  return { from: hourOf(earliest), to: hourOf(latest), views: accepted, lines, seconds: secondsSince(began) };
}

interface Done extends ShownJob {
  seconds: number;
  /** Until all records had been sent again and delivered; of a job without replay 0. */
  replaySeconds: number;
}

/** Begins a job over all hours, and sees it done. */
async function runJob({ client }: Pipeline, { from, to }: Imported, replay: boolean): Promise<Done> {
  const began = performance.now();
  const { id } = await client.beginReprocess({ from, to, replay });
  let replaySeconds = 0;
  const job = await until('the job', async () => {
    const shown = (await client.reprocessJobs()).find((one) => one.id === id);
    if (shown?.state === 'replaying') replaySeconds = secondsSince(began);
    return shown?.state === 'done' ? shown : undefined;
  });
  if (job.hours_failed.length > 0 || job.records_skipped > 0) throw new Error(`the job failed for ${job.hours_failed.length} hours, and skipped ${job.records_skipped} records`);
  return { ...job, seconds: secondsSince(began), replaySeconds };
}

/** Some jobs, one after the other, each on a pipeline at rest. */
async function runJobs(pipeline: Pipeline, imported: Imported, replay: boolean, count: number): Promise<Done[]> {
  const jobs: Done[] = [];
  for (let i = 0; i < count; i++) {
    jobs.push(await runJob(pipeline, imported, replay));
    await allDone(pipeline);
  }
  return jobs;
}

/** The limit: hours a minute of reading all columns of each hour and of the hour before it, with nothing done to them. */
async function scan(dataFolder: string, { from, to }: Imported): Promise<number> {
  const filesOf = (hour: Hour) => {
    const { dt, hr } = partitionOf(hour);
    return filesIn(join(dataFolder, 'lake', 'events', `dt=${dt}`, `hr=${hr}`), '.parquet');
  };
  const queries: string[] = [];
  for (const hour of hoursBetween(from, to)) {
    const files = [...await filesOf(hour), ...await filesOf(hourAfter(hour, -1))];
    if (files.length > 0) queries.push(`select max(columns(*)) from ${sqlFiles(files)}`);
  }
  return connected(async (connection) => {
    await connection.run(queries[0]!); // To warm up.
    const began = performance.now();
    for (const query of queries) await connection.run(query);
    return (60 * queries.length) / secondsSince(began);
  });
}

/** Seconds of live events, and the jobs that were done meanwhile. */
interface Freshness { alone: number[]; meanwhile: number[]; jobs: Done[] }

/** How fresh live events are without a job and with one, which is begun again as soon as it is done. */
async function measureFreshness(pipeline: Pipeline, imported: Imported, { events, everyMs }: Size): Promise<Freshness> {
  await allDone(pipeline);
  const live = (site: string) => probe(pipeline, { site, everyMs, signal: AbortSignal.timeout((events - 0.5) * everyMs) });
  const alone = await live('live-alone');
  const jobs: Done[] = [];
  let over = false;
  const work = async () => {
    while (!over) jobs.push(await runJob(pipeline, imported, false));
  };
  const [meanwhile] = await Promise.all([live('live-meanwhile').finally(() => { over = true; }), work()]);
  return { alone, meanwhile, jobs };
}

/** Measures jobs over all hours of a real log, and the freshness of live events beside them. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const size = quick ? QUICK : FULL;
  const { bytes, jobs, settings } = size;
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-reprocess-'));
  try {
    const data = join(folder, 'data');
    const { imported, rolled } = await withPipeline(data, HURRIED, async (pipeline) => {
      const imported = await importAll(pipeline, bytes);
      return { imported, rolled: await runJobs(pipeline, imported, false, jobs) };
    });
    const limit = await scan(data, imported);
    const freshness = await withPipeline(data, settings, (pipeline) => measureFreshness(pipeline, imported, size));
    // Last, as it leaves the lake with more rows than there were.
    const replayed = await withPipeline(data, HURRIED, (pipeline) => runJobs(pipeline, imported, true, jobs));
    return [...speeds(imported, rolled, replayed, limit), ...beside(freshness, size)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sum = (values: readonly number[]): number => values.reduce((one, other) => one + other, 0);
const perMinute = (jobs: readonly Done[]): number => (60 * sum(jobs.map(({ hours_done }) => hours_done))) / sum(jobs.map(({ seconds }) => seconds));
const describe = (jobs: readonly Done[]): string => `${jobs.length === 1 ? 'one job' : `${jobs.length} jobs`} of ${jobs.map(({ seconds }) => seconds.toFixed(1)).join(', ')} s`;

function speeds({ from, to, views, lines, seconds }: Imported, rolled: readonly Done[], replayed: readonly Done[], limit: number): Measurement[] {
  const { hours } = rolled[0]!;
  const { records_replayed } = replayed[0]!;
  return [
    {
      what: 'first import: from its first byte until all is counted', value: seconds, unit: 's',
      note: `test/fixtures/access.log, ${count(lines)} lines: ${count(views)} page views in ${hours} hours, ${from} to ${to}, of one site; ` +
        `pauses of ${HURRIED.deliverEveryMs} ms between rounds, rollups may take all the time`,
    },
    {
      what: 'rolled up again', value: perMinute(rolled), unit: 'hours/min', limit,
      note: `${describe(rolled)} over the ${hours} hours, from POST until it is shown as done, of which up to 2 s are the job's own pauses; no number changes`,
    },
    {
      what: 'replayed and rolled up again', value: perMinute(replayed), unit: 'hours/min',
      note: `${describe(replayed)}: the records go through log and transform once more, and each hour is rolled up with its rows there once more, all of them to be told for repeated; ` +
        'those that are rolled up on their delivery, before the job comes to them, are so twice',
    },
    {
      what: 'replayed', value: sum(replayed.map((job) => job.records_replayed)) / sum(replayed.map((job) => job.replaySeconds)), unit: 'records/s',
      note: `${count(records_replayed)} records, of ${(views / records_replayed).toFixed(0)} page views each, in ${replayed.map((job) => job.replaySeconds.toFixed(1)).join(', ')} s until the job goes on to its hours: ` +
        "hardly the records' own time, but the job's, which looks for them in each hour of arrival, and by the second whether they are delivered",
    },
  ];
}

function beside({ alone, meanwhile, jobs }: Freshness, size: Size): Measurement[] {
  const settings = size === QUICK ? 'delivery and rollups every half second, rollups half of the time at most' : 'settings of npm start: delivery every 5 s, rollups every 10 s and half of the time at most';
  return [
    {
      what: 'rolled up again beside live events', value: perMinute(jobs), unit: 'hours/min',
      note: `${settings}; ${describe(jobs)}`,
    },
    {
      what: 'live event to stats meanwhile: p50', value: median(meanwhile), unit: 's', limit: median(alone),
      note: `the same settings; ${meanwhile.length} events by the beacon, one each ${size.everyMs / 1000} s, while a job is going on, which begins again whenever it is done. limit: the same events without a job`,
    },
    { what: 'live event to stats meanwhile: longest', value: percentile(meanwhile, 1), unit: 's', limit: percentile(alone, 1), target: { atMost: 300 } },
  ];
}
