// Reprocessing: hours of the past are rolled up again, after what was wrong in the rollup has been put right; or, where
// the transform was wrong, the records they came from go through the stream again first. A job is a cursor in the
// registry, moved on a little at a time: it survives any crash, and never has more than a bounded part under way.
// before: POST /v1/rollups (lambdas/admin.ts); next: the stream and core/rollup.ts
import { asReplay } from './collect.ts';
import { hourOfRecord } from './deliver.ts';
import { hourAfter, hourOf, hoursBetween, partitionOf, type Hour } from './hour.ts';
import type { Clock, Lake, Parked, Store, Stream, Tasks } from './ports.ts';
import { readCommits } from './rollup.ts';

export interface ReprocessPorts {
  lake: Lake;
  registry: Store;
  stream: Stream;
  tasks: Tasks;
  clock: Clock;
  /** Everything put into the stream before this moment (epoch ms) is in the lake. */
  deliveredThrough: () => number;
}

/** Hours under way at once. */
const AHEAD = 100;
/** Records put into the stream before the ones before have been delivered: live events wait behind no more. */
const REPLAY_AT_ONCE = 20_000;
const PUT_AT_ONCE = 500;

/** Hours to be rolled up again, both included; with `replay` from their records as they came. */
export interface Reprocess { from: Hour; to: Hour; replay: boolean }

/** What a job would do: hours that have rows or numbers, bytes that their queries read, and bytes of records to replay. */
export interface Estimate { hours: number; bytes: number; raw_bytes: number }

/** A job. Registry: `reprocess` / id. */
export interface Job extends Reprocess {
  /** Begins with the time, so that ids sort by it. */
  id: string;
  state: 'replaying' | 'rolling' | 'done';
  created_at: string;
  finished_at: string | null;
  /** Hours that have rows or numbers, as far as they were known at the beginning. */
  hours: number;
  hours_done: number;
  /** Hours whose task failed too often; it is parked. */
  hours_failed: Hour[];
  /** Records sent again, and those that are no envelopes and stay in `failed/`. */
  records_replayed: number;
  records_skipped: number;
  /** The hour of arrival, and the file in it, up to which records have been sent again; when that was, epoch ms. */
  arrived: Hour;
  part: string;
  sent_at: number;
  /** The next hour to be rolled up; newest first. */
  next: Hour;
  /** Hours whose tasks have been sent, and when, epoch ms. */
  running: { hour: Hour; at: number }[];
}

/** What would be done. */
export async function estimate(range: Reprocess, { lake, registry, clock }: Pick<ReprocessPorts, 'lake' | 'registry' | 'clock'>): Promise<Estimate> {
  const commits = await readCommits(registry, range.from, range.to);
  const sum: Estimate = { hours: 0, bytes: 0, raw_bytes: 0 };
  // Each hour is read with the one before it.
  let before = await lake.sizeOf(partitionOf(hourAfter(range.from, -1)));
  for (const hour of hoursBetween(range.from, range.to)) {
    const size = await lake.sizeOf(partitionOf(hour));
    if (size > 0 || commits.has(hour)) {
      sum.hours++;
      sum.bytes += before + size;
    }
    before = size;
  }
  if (range.replay) {
    for (const hour of hoursBetween(firstArrival(range), hourOf(clock()))) {
      for (const { bytes } of await lake.rawParts(hour)) sum.raw_bytes += bytes;
    }
  }
  return sum;
}

/** Events are taken up to ten minutes ahead of their time, so that records of an hour may have arrived before it. */
function firstArrival({ from }: Reprocess): Hour {
  return hourAfter(from, -1);
}

/** Notes a job; one that is the same and not done yet is that job. */
export async function beginReprocess(range: Reprocess, ports: Pick<ReprocessPorts, 'lake' | 'registry' | 'clock'>): Promise<Job> {
  const { registry, clock } = ports;
  const same = (await listJobs(registry)).find((job) => job.state !== 'done' && job.from === range.from && job.to === range.to && job.replay === range.replay);
  if (same) return same;
  const created_at = new Date(clock()).toISOString();
  const { hours } = await estimate({ ...range, replay: false }, ports);
  const job: Job = {
    ...range,
    id: `${created_at.replaceAll(/[-:.]/g, '')}-${range.from}-${range.to}`,
    state: range.replay ? 'replaying' : 'rolling',
    created_at, finished_at: null, hours, hours_done: 0, hours_failed: [], records_replayed: 0, records_skipped: 0,
    arrived: firstArrival(range), part: '', sent_at: 0, next: range.to, running: [],
  };
  await writeJob(registry, job);
  return job;
}

/** All jobs, oldest first. */
export async function listJobs(registry: Store): Promise<Job[]> {
  return (await registry.range('reprocess', '', '~')).map((item) => item.job as unknown as Job);
}

async function writeJob(registry: Store, job: Job): Promise<void> {
  await registry.put([{ pk: 'reprocess', sk: job.id, job: { ...job } }]);
}

/** Moves the oldest job that is not done yet on a little; whatever dies on the way is done again by the next call. */
export async function advanceReprocess(ports: ReprocessPorts): Promise<void> {
  const job = (await listJobs(ports.registry)).find(({ state }) => state !== 'done');
  if (!job) return;
  if (job.state === 'replaying') await replay(job, ports);
  else await roll(job, ports);
}

/** Puts some of the job's records into the stream again, as soon as those before have been delivered. */
async function replay(job: Job, { lake, registry, stream, clock, deliveredThrough }: ReprocessPorts): Promise<void> {
  if (deliveredThrough() < job.sent_at) return;
  // What arrives after the job was made has been through the transform that it is made for.
  const last = hourOf(Date.parse(job.created_at));
  let sent = 0;
  let { arrived, part } = job;
  while (sent < REPLAY_AT_ONCE && arrived <= last) {
    const next = (await lake.rawParts(arrived)).find(({ name }) => name > part);
    if (!next) {
      arrived = hourAfter(arrived);
      continue;
    }
    let records: string[] = [];
    for await (const record of lake.records(next.name)) {
      const hour = hourOfRecord(record);
      if (hour === undefined) job.records_skipped++;
      else if (hour >= job.from && hour <= job.to) records.push(asReplay(record));
      if (records.length < PUT_AT_ONCE) continue;
      await stream.put(records);
      sent += records.length;
      records = [];
    }
    await stream.put(records);
    sent += records.length;
    part = next.name;
  }
  const ended = arrived > last && sent === 0;
  await writeJob(registry, {
    ...job, arrived, part,
    state: ended ? 'rolling' : 'replaying',
    records_replayed: job.records_replayed + sent,
    sent_at: clock(),
  });
}

/** Sees which hours are done, and sends tasks for as many more. */
async function roll(job: Job, { lake, registry, tasks, clock }: ReprocessPorts): Promise<void> {
  const { running, done, failed } = await progress(job, registry, await tasks.parked());
  const at = clock();
  let { next } = job;
  while (running.length < AHEAD && next >= job.from) {
    const known = (await readCommits(registry, next, next)).size > 0 || (await lake.sizeOf(partitionOf(next))) > 0;
    if (known) running.push({ hour: next, at });
    next = hourAfter(next, -1);
  }
  const begun = running.filter((one) => one.at === at);
  await tasks.send(begun.map(({ hour }) => ({ kind: 'hour', hour, recompute: true })));
  const over = running.length === 0 && next < job.from;
  await writeJob(registry, {
    ...job, next, running,
    hours_done: job.hours_done + done,
    hours_failed: [...job.hours_failed, ...failed],
    ...(over && { state: 'done', finished_at: new Date(at).toISOString() }),
  });
}

/** Which of the hours under way still are; how many are done, and which failed. */
async function progress({ running }: Job, registry: Store, parked: readonly Parked[]): Promise<{ running: Job['running']; done: number; failed: Hour[] }> {
  const hours = running.map(({ hour }) => hour).sort();
  const commits = hours.length === 0 ? new Map() as Awaited<ReturnType<typeof readCommits>> : await readCommits(registry, hours[0]!, hours.at(-1)!);
  const given = new Set(parked.flatMap(({ task }) => (task.kind === 'hour' ? [task.hour] : [])));
  const isDone = ({ hour, at }: Job['running'][number]) => (commits.get(hour)?.checkedAt ?? 0) > at;
  const failed = running.filter((one) => !isDone(one) && given.has(one.hour)).map(({ hour }) => hour);
  return {
    running: running.filter((one) => !isDone(one) && !given.has(one.hour)),
    done: running.filter(isDone).length,
    failed,
  };
}
