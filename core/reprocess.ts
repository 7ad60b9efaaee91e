// Reprocessing: hours of the past are rolled up again, after what was wrong in the rollup has been put right; or, where
// the transform was wrong, the records they came from go through the stream again first. A job is a cursor in the
// registry, moved on a little at a time: it survives any crash, and never has more than a bounded part under way.
// before: POST /v1/rollups (lambdas/admin.ts); next: the stream and core/rollup.ts
import { asReplay } from './collect.ts';
import { timesOf } from './deliver.ts';
import { hourAfter, hourOf, hoursBetween, partitionOf, type Hour } from './hour.ts';
import type { Clock, Lake, Store, StoreItem, Stream, Tasks } from './ports.ts';
import { readCommits, readOwed, timeOf, type Owed } from './rollup.ts';
import type { LocalDay } from './zone.ts';

export interface ReprocessPorts {
  lake: Pick<Lake, 'sizeOf' | 'rawParts' | 'records'>;
  registry: Store;
  stream: Stream;
  tasks: Tasks;
  clock: Clock;
  /** Everything put into the stream before this moment (epoch ms) is in the lake. */
  deliveredThrough: () => number | Promise<number>;
  pace: Pace;
  /** How long records are kept as they came, ms. */
  rawKeptMs: number;
}

/** How much a job has under way. */
export interface Pace {
  /** Hours at once. */
  hours: number;
  /** Records put into the stream by one step, and records looked at for them. */
  records: number;
  recordsRead: number;
  /** Whether a step waits until what was sent before has been delivered: where live events wait behind it. */
  waits: boolean;
}

/** Hours looked at for more of them in one step. */
const LOOK_AT = 1000;
const PUT_AT_ONCE = 500;

/** Hours to be rolled up again, both included; with `replay` from their records as they came. */
export interface Reprocess { from: Hour; to: Hour; replay: boolean }

/** What a job would do: hours that have rows or numbers, bytes that their queries read, and bytes of records to replay. */
export interface Estimate { hours: number; bytes: number; raw_bytes: number }

/** A job. Registry: `reprocess` / id. */
export interface Job extends Reprocess {
  /** Of the same hours there is one job, which can be begun again when it is over. */
  id: string;
  state: 'replaying' | 'rolling' | 'done' | 'cancelled';
  created_at: string;
  finished_at: string | null;
  /** Hours that have rows or numbers, as far as they were known at the beginning. */
  hours: number;
  hours_done: number;
  /** Hours and local days whose tasks failed too often; they are parked. */
  hours_failed: Hour[];
  days_failed: LocalDay[];
  /** Records sent again, and those that are no envelopes and stay in `failed/`. */
  records_replayed: number;
  records_skipped: number;
  /** Files of records that could not be read. */
  files_failed: string[];
  /** The hour of arrival, and the file in it, up to which records have been sent again; when that was, epoch ms. */
  arrived: Hour;
  part: string;
  sent_at: number;
  /** The next hour to be rolled up; newest first. */
  next: Hour;
  /** Hours whose tasks have been sent. */
  running: Hour[];
  /** What days had not taken up when the last hour was seen done; null before. */
  owed: Owed[] | null;
}

/** A job as it is shown: without what only its next step needs. */
export type ShownJob = Omit<Job, 'arrived' | 'part' | 'sent_at' | 'next' | 'running' | 'owed'>;

export function shownJob({
  id, from, to, replay, state, created_at, finished_at, hours, hours_done, hours_failed, days_failed, records_replayed, records_skipped, files_failed,
}: Job): ShownJob {
  return { id, from, to, replay, state, created_at, finished_at, hours, hours_done, hours_failed, days_failed, records_replayed, records_skipped, files_failed };
}

type JobPorts = Pick<ReprocessPorts, 'registry' | 'clock' | 'rawKeptMs'> & { lake: Pick<Lake, 'sizeOf' | 'rawParts'> };

/** What would be done. */
export async function estimate(range: Reprocess, ports: JobPorts): Promise<Estimate> {
  const { lake, registry, clock } = ports;
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
    for (const hour of hoursBetween(firstArrival(range, ports), hourOf(clock()))) {
      for (const { bytes } of await lake.rawParts(hour)) sum.raw_bytes += bytes;
    }
  }
  return sum;
}

/**
 * The hour in which the first records arrived that can still be there. Events are taken up to ten minutes ahead of their
 * time, so that records of an hour may have arrived before it.
 */
function firstArrival({ from }: Reprocess, { clock, rawKeptMs }: JobPorts): Hour {
  const kept = `${hourOf(clock() - rawKeptMs).slice(0, 10)}T00`;
  const first = hourAfter(from, -1);
  return first > kept ? first : kept;
}

/** Notes a job; one of the same hours that is not over yet is that job. */
export async function beginReprocess(range: Reprocess, ports: JobPorts): Promise<Job> {
  const { registry, clock } = ports;
  const id = `${range.from}_${range.to}${range.replay ? '_replay' : ''}`;
  const before = await readJob(registry, id);
  if (before && !isOver(before)) return before;
  const { hours } = await estimate({ ...range, replay: false }, ports);
  const created_at = new Date(clock()).toISOString();
  const job: Job = {
    ...range,
    id,
    state: range.replay ? 'replaying' : 'rolling',
    created_at, finished_at: null, hours, hours_done: 0, hours_failed: [], days_failed: [],
    records_replayed: 0, records_skipped: 0, files_failed: [],
    arrived: firstArrival(range, ports), part: '', sent_at: 0, next: range.to, running: [], owed: null,
  };
  // Of several that begin it at once, one does.
  if (!before && !(await registry.create(itemOf(job)))) return (await readJob(registry, id)) ?? job;
  if (before) await registry.put([itemOf(job)]);
  return job;
}

export function isOver({ state }: Pick<Job, 'state'>): boolean {
  return state === 'done' || state === 'cancelled';
}

async function readJob(registry: Store, id: string): Promise<Job | undefined> {
  return (await registry.get('reprocess', id))?.job as unknown as Job | undefined;
}

function itemOf(job: Job): StoreItem {
  return { pk: 'reprocess', sk: job.id, job: { ...job } } as unknown as StoreItem;
}

/** As `beginReprocess` names them: two hours. */
const JOB_ID = /^[\dT-]{13}_[\dT-]{13}(_replay)?$/;

/**
 * Asks a job to do no more; what it has sent on its way is still done.
 * @returns the job; undefined where there is none that is not over
 */
export async function cancelReprocess(id: string, registry: Store): Promise<Job | undefined> {
  const job = JOB_ID.test(id) ? await readJob(registry, id) : undefined;
  if (!job || isOver(job)) return undefined;
  // Beside the job, which its next step writes without looking.
  await registry.put([{ pk: 'cancel', sk: id }]);
  return job;
}

/** All jobs, oldest first. */
export async function listJobs(registry: Store): Promise<Job[]> {
  const jobs = (await registry.range('reprocess', '', '~')).map((item) => item.job as unknown as Job);
  return jobs.sort((a, b) => (a.created_at < b.created_at ? -1 : 1));
}

/**
 * Moves the oldest job that is not done yet on a little; whatever dies on the way is done again by the next call.
 * @returns the job as it was before; undefined where all are over
 */
export async function advanceReprocess(ports: ReprocessPorts): Promise<Job | undefined> {
  const { registry, clock } = ports;
  const job = (await listJobs(registry)).find((one) => !isOver(one));
  if (!job) return undefined;
  if (await registry.get('cancel', job.id)) {
    await registry.put([itemOf({ ...job, state: 'cancelled', finished_at: new Date(clock()).toISOString() })]);
    await registry.remove([{ pk: 'cancel', sk: job.id }]);
  } else if (job.state === 'replaying') await replay(job, ports);
  else await roll(job, ports);
  return job;
}

/** Puts some of the job's records into the stream again. */
async function replay(job: Job, { lake, registry, stream, clock, deliveredThrough, pace }: ReprocessPorts): Promise<void> {
  const delivered = (await deliveredThrough()) >= job.sent_at;
  if (!delivered && pace.waits) return;
  const created = Date.parse(job.created_at);
  const files_failed = [...job.files_failed];
  let { arrived, part, records_skipped } = job;
  let read = 0;
  let sent = 0;
  for await (const next of partsAfter(job, lake)) {
    ({ arrived, part } = next);
    const records = await readAll(part, lake);
    if (!records) files_failed.push(part);
    const again: string[] = [];
    for (const record of records ?? []) {
      const times = timesOf(record);
      if (!times) records_skipped++;
      // What arrived after the job was made has been through the transform that it is made for.
      else if (times.hour >= job.from && times.hour <= job.to && times.at < created) again.push(asReplay(record));
    }
    for (let i = 0; i < again.length; i += PUT_AT_ONCE) await stream.put(again.slice(i, i + PUT_AT_ONCE));
    sent += again.length;
    read += records?.length ?? 0;
    if (sent >= pace.records || read >= pace.recordsRead) break;
  }
  // It ends with a step that finds no more, after what was sent last has been delivered.
  const ends = sent === 0 && read < pace.recordsRead;
  if (ends && !delivered) return;
  await registry.put([itemOf({
    ...job, arrived, part, records_skipped, files_failed,
    state: ends ? 'rolling' : 'replaying',
    records_replayed: job.records_replayed + sent,
    sent_at: sent > 0 ? clock() : job.sent_at,
  })]);
}

/** The files of records that a job has not read yet, to the hour in which it was made. */
async function* partsAfter({ arrived, part, created_at }: Job, lake: ReprocessPorts['lake']): AsyncIterable<{ arrived: Hour; part: string }> {
  for (const hour of hoursBetween(arrived, hourOf(Date.parse(created_at)))) {
    for (const { name } of await lake.rawParts(hour)) if (name > part) yield { arrived: hour, part: name };
  }
}

/** The records of a file, or undefined where it cannot be read: one damaged file must not keep the others. */
async function readAll(part: string, lake: ReprocessPorts['lake']): Promise<string[] | undefined> {
  const records: string[] = [];
  try {
    for await (const record of lake.records(part)) records.push(record);
    return records;
  } catch {
    return undefined; // The job names the file.
  }
}

/** Sees which hours are done, and sends tasks for as many more; at the end, waits for the days they changed. */
async function roll(job: Job, { lake, registry, tasks, clock, pace }: ReprocessPorts): Promise<void> {
  const parked = new Set((await tasks.parked()).map(({ task }) => timeOf(task)));
  const { running, done, failed } = await progress(job, registry, parked);
  const begun: Hour[] = [];
  let { next } = job;
  for (let looked = 0; looked < LOOK_AT && running.length + begun.length < pace.hours && next >= job.from; looked++, next = hourAfter(next, -1)) {
    const known = (await readCommits(registry, next, next)).size > 0 || (await lake.sizeOf(partitionOf(next))) > 0;
    if (known) begun.push(next);
  }
  await tasks.send(begun.map((hour) => ({ kind: 'hour', hour, recompute: true, whole: nameOf(job) })));

  const left = [...running, ...begun];
  const rolled = left.length === 0 && next < job.from;
  const owed = rolled ? await stillOwed(job, registry) : null;
  const over = owed?.every(({ day }) => parked.has(day));
  await registry.put([itemOf({
    ...job, next, owed,
    running: left,
    hours_done: job.hours_done + done,
    hours_failed: [...job.hours_failed, ...failed],
    ...(over && { state: 'done', finished_at: new Date(clock()).toISOString(), days_failed: [...new Set(owed!.map(({ day }) => day))].sort() }),
  })]);
}

/** What days have not taken up; not what was added since the last hour was done, by hours that go on changing. */
async function stillOwed(job: Job, registry: Store): Promise<Owed[]> {
  const owed = await readOwed(registry, job.from, job.to);
  const runs = new Set(job.owed?.map(({ run }) => run) ?? owed.map(({ run }) => run));
  return owed.filter(({ run }) => runs.has(run));
}

/** A job and the time it was begun: what its hours' commit records name when they are done. */
function nameOf({ id, created_at }: Job): string {
  return `${id} ${created_at}`;
}

/** Which of the hours under way still are; how many are done, and which failed. */
async function progress(job: Job, registry: Store, parked: ReadonlySet<Hour>): Promise<{ running: Hour[]; done: number; failed: Hour[] }> {
  const hours = job.running.toSorted();
  if (hours.length === 0) return { running: [], done: 0, failed: [] };
  const commits = await readCommits(registry, hours[0]!, hours.at(-1)!);
  const isDone = (hour: Hour) => commits.get(hour)?.whole === nameOf(job);
  return {
    running: hours.filter((hour) => !isDone(hour) && !parked.has(hour)),
    done: hours.filter(isDone).length,
    failed: hours.filter((hour) => !isDone(hour) && parked.has(hour)),
  };
}
