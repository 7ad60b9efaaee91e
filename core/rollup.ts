// The rollup: announced hours become tasks, tasks become serving items. An hour is rolled up again whenever its rows change;
// there is no other mechanism, so late events, re-deliveries and replays all end up right. It is counted whole, or by
// difference (core/difference.ts), which is only the cheaper way to the same run.
// before: the lake (core/deliver.ts); next: the metrics store (core/serve.ts)
import { randomBytes } from 'node:crypto';
import { addUpDay, countByDifference, growthSince, noteFiles, removeDifferences, removeWays, type Adds, type Pays } from './difference.ts';
import { DAY_MS, hourAfter, hourOf, hoursOfLocalDay, partitionOf, startOf, withHourBefore, type Hour } from './hour.ts';
import type { Loader } from './load.ts';
import { overlapping } from './overlap.ts';
import type { Clock, EventFile, HourTask, Lake, Query, Store, StoreItem, Task, Tasks } from './ports.ts';
import { EXACT } from './sketch.ts';
import type { LocalDay } from './zone.ts';

/** A visit ends when the visitor sends nothing for longer than this. */
export const VISIT_GAP_MS = 30 * 60_000;
/** Attempts at a task before it is parked, wherever it is carried out. */
export const MAX_ATTEMPTS = 5;
/** How long what a day adds to is kept: of a day that is over, hours seldom change. */
const DAY_VALUES_KEPT_MS = 3 * DAY_MS;
/** Values kept of a dimension for a local day; the rest is added up under `(other)`. */
export const TOP_VALUES = 100;

/** When an hour that is counted whole is counted in slices of its sites: what a query sorts at once then fits into memory. */
export interface Slicing {
  /** So many bytes the hour and the one before it have to be. */
  from: number;
  /** Rows of a slice, of both hours. It ends with the site that reaches them, so one of large sites has more. */
  rows: number;
}

export interface RollupPorts {
  lake: Lake;
  registry: Store;
  tasks: Tasks;
  load: Loader;
  /** Sites of one query of a day, which holds up to 2,000 values of each until it has them all. */
  sitesAtOnce: number;
  /** When an hour is counted by difference; absent: never. */
  difference?: Pays;
  /** When an hour is counted in slices, in a lake that tells its files apart; absent: never. */
  slicing?: Slicing;
  clock: Clock;
}

/** A rollup's name: it begins with its time, so that names sort by time. */
export type Run = string;

/** The commit record of an hour. Registry: `hours` / hour. */
export interface Commit {
  /** The run whose rows count; absent before the first commit. */
  run?: Run;
  /** When it was committed, and as of when the hour's rows were last looked at, with or without a difference; epoch ms. */
  committedAt?: number;
  checkedAt?: number;
  /** What the committed run holds, of all sites. */
  summary?: Summary;
  /** Who had the hour written whole last (`HourTask.whole`). */
  whole?: string;
  /** Runs that may have written items but did not get to their commit. */
  pending: Run[];
}

/** The columns of `sql/summary.sql`. */
export interface Summary { sites: number; events: number; bots: number; rejected: number; long_visit_events: number }

function commitOf({ run, committedAt, checkedAt, summary, whole, pending }: StoreItem): Commit {
  return {
    pending: pending as Run[],
    ...(whole !== undefined && { whole: whole as string }),
    ...(checkedAt !== undefined && { checkedAt: checkedAt as number }),
    ...(run !== undefined && { run: run as Run, committedAt: committedAt as number, summary: summary as unknown as Summary }),
  };
}

/** The commit records from one hour to another, both included; hours never rolled up have none. */
export async function readCommits(registry: Store, from: Hour, to: Hour): Promise<Map<Hour, Commit>> {
  return new Map((await registry.range('hours', from, to)).map((item) => [item.sk, commitOf(item)]));
}

async function readCommit(registry: Store, hour: Hour): Promise<Commit> {
  const item = await registry.get('hours', hour);
  return item ? commitOf(item) : { pending: [] };
}

async function writeCommit(registry: Store, hour: Hour, commit: Commit): Promise<void> {
  await registry.put([{ pk: 'hours', sk: hour, ...commit } as unknown as StoreItem]);
}

/** The hour or the local day of a task; the texts of the two are never equal. */
export function timeOf(task: Task): string {
  return task.kind === 'hour' ? task.hour : task.day;
}

/** A task's name, `hour#…` or `day#…`. */
export function taskName(task: Task): string {
  return `${task.kind}#${timeOf(task)}`;
}

/** An announced hour; `recompute` where its rows were only delivered once more. */
export interface Announced { hour: Hour; recompute: boolean }

/**
 * The tasks for announced hours. A changed hour is looked back on by the hour after it, which so becomes due as well
 * if it has been rolled up before.
 */
export async function tasksFor(announced: readonly Announced[], registry: Store): Promise<Task[]> {
  const due = new Map<Hour, boolean>();
  const add = (hour: Hour, recompute: boolean) => due.set(hour, recompute && due.get(hour) !== false);
  for (const { hour, recompute } of announced) add(hour, recompute);
  await Promise.all(announced.map(async ({ hour, recompute }) => {
    const next = hourAfter(hour);
    // Also where nothing of it counted: that may be because of the hour before.
    if ((await readCommit(registry, next)).checkedAt !== undefined) add(next, recompute);
  }));
  return [...due].sort(([a], [b]) => (a < b ? -1 : 1)).map(([hour, recompute]) => ({ kind: 'hour', hour, recompute }));
}

/**
 * Carries out a task; resolves to the number of items written, which is 0 where nothing differs.
 * Rejects when it could not; the task may then be tried again, as often as it takes.
 */
export function runTask(task: Task, ports: RollupPorts): Promise<number> {
  return task.kind === 'hour' ? rollUpHour(task, ports) : rollUpDay(task.day, ports);
}

async function rollUpHour(task: HourTask, ports: RollupPorts): Promise<number> {
  const { hour, recompute = false, whole } = task;
  const { lake, registry, load, clock } = ports;
  const checkedAt = clock();
  const before = await readCommit(registry, hour);
  const run = await newRun(ports, hour);
  // Before anything is counted: what is added meanwhile is left to the next time.
  const files = ports.difference === undefined && ports.slicing === undefined ? undefined : await lake.byFile?.files(withHourBefore(hour).partitions);
  const { changes, adds } = await count(task, run, before, files, ports);
  const days = new Set<LocalDay>();
  for (const part of changes) for await (const { local_day } of lake.rows(part)) days.add(String(local_day));

  if (days.size === 0) {
    // Nothing differs: what is committed stays, and what this run wrote is not needed.
    await removeRun(run, lake);
    if (files && before.run !== undefined) await noteFiles(before.run, files, countedBy(hour, lake), registry);
    await writeCommit(registry, hour, { ...before, checkedAt, ...(whole !== undefined && { whole }) });
    await sendOwedDays(hour, recompute, ports);
    return 0;
  }
  await writeCommit(registry, hour, { ...before, pending: [...before.pending, run] });
  const parts = await lake.unload({ statement: 'hour_items', reads: { hours: [run], changes: [run] }, parameters: { run } }, `items/run=${run}`);
  const items = await load(parts.map((part) => ({ part, run, of: { hour }, sparing: whole !== undefined })));
  await lake.remove(`items/run=${run}`);
  const summary = await summarize(run, ports);

  // Both before the commit: what is noted too early does no harm, what is noted too late may be lost.
  await registry.put([...days].map((day) => ({ pk: 'owed', sk: `${day}#${run}`, run, hour, whole: whole !== undefined, ...(adds && { adds }) })));
  await noteRemovable([...before.pending, ...committedOf(before)], hour, ports);
  if (files) await noteFiles(run, files, countedBy(hour, lake), registry);
  // What they changed this run has changed as well.
  await registry.remove(before.pending.flatMap((one) => [...days].map((day) => ({ pk: 'owed', sk: `${day}#${one}` }))));
  const by = whole ?? before.whole;
  await writeCommit(registry, hour, { run, committedAt: clock(), checkedAt, summary, pending: [], ...(by !== undefined && { whole: by }) });
  await sendOwedDays(hour, recompute, ports);
  return items;
}

/** Writes a run of an hour; resolves to the parts of what it changes, and to what of it days can add to what they have. */
async function count(
  task: HourTask, run: Run, before: Commit, files: readonly EventFile[] | undefined, ports: RollupPorts,
): Promise<{ changes: string[]; adds?: Adds }> {
  const { hour, recompute, whole } = task;
  const { lake, registry, difference, slicing } = ports;
  if (files && difference !== undefined && before.run !== undefined && !recompute && whole === undefined) {
    const growth = await growthSince(before.run, files, countedBy(hour, lake), difference, registry);
    const asked = { hour, run, committed: before.run, pending: before.pending, queries: (name: Run) => hourQueries(hour, name), visitGapMs: VISIT_GAP_MS };
    const changes = growth && await countByDifference({ ...asked, growth }, lake);
    if (growth) await removeWays(run, lake);
    if (changes) return { changes, adds: 'differences' };
  }
  const sliced = files && slicing && await slicesOfHour(hour, run, files, slicing, lake);
  for (const { reads, ...query } of hourQueries(hour, run)) {
    const only = files && { files: { before: files.map(({ name }) => name), added: [] } };
    await lake.unload({ ...query, ...sliced, reads: { ...reads, ...only } }, `${query.statement}/run=${run}`);
  }
  await lake.remove(`steps/run=${run}`);
  const committed = committedOf(before);
  const changes = await lake.unload({
    statement: 'changes',
    ...sliced,
    reads: { hours: [run, ...committed], changes: before.pending },
    parameters: { run, committed, pending: before.pending, whole: whole === undefined ? [] : [run, ...committed] },
  }, `changes/run=${run}`);
  return { changes, ...(before.run === undefined && { adds: 'hours' }) };
}

function committedOf({ run }: Commit): Run[] {
  return run === undefined ? [] : [run];
}

/** A name for the queries that count an hour: of a run that others have counted nothing is known. */
function countedBy(hour: Hour, { byFile }: Lake): string {
  return JSON.stringify([byFile?.statements, hourQueries(hour, '').map(({ parameters }) => parameters)]);
}

/**
 * The two queries that count an hour, one after the other, each of which writes its run of what it is called: the second
 * reads what the first wrote. One would need the first's rows ten times, and Athena would make them anew each time.
 */
export function hourQueries(hour: Hour, run: Run): Query[] {
  const { partitions: events, parameters } = withHourBefore(hour);
  return [
    { statement: 'steps', reads: { events }, parameters: { ...parameters, look_back_from: startOf(hourAfter(hour, -1)), visit_gap_ms: VISIT_GAP_MS } },
    { statement: 'hours', reads: { steps: [run], events }, parameters: { ...parameters, run, exact_visitors: EXACT } },
  ];
}

/**
 * The slices in which an hour is counted, for its queries; undefined where it is small enough to be counted at once. All sites
 * are in one of them, also those that have nothing in these files any more.
 * @param files those of the hour and the one before it
 */
export async function slicesOfHour(hour: Hour, run: Run, files: readonly EventFile[], { from, rows }: Slicing, lake: Lake): Promise<Required<Pick<Query, 'slices'>> | undefined> {
  if (files.reduce((sum, { bytes }) => sum + bytes, 0) < from) return undefined;
  const { partitions: events, parameters } = withHourBefore(hour);
  const reads = { events, files: { before: files.map(({ name }) => name), added: [] } };
  const starts = await startsOf({ statement: 'hour_slices', reads, parameters: { ...parameters, slice_rows: rows } }, run, lake);
  return starts.length < 2 ? undefined : { slices: starts.map((first, i) => ({ first: i === 0 ? '' : first, end: starts[i + 1] ?? '' })) };
}

async function summarize(run: Run, { lake }: RollupPorts): Promise<Summary> {
  const summary: Summary = { sites: 0, events: 0, bots: 0, rejected: 0, long_visit_events: 0 };
  for (const part of await lake.unload({ statement: 'summary', reads: { hours: [run] }, parameters: { run } }, `items/run=${run}`)) {
    for await (const row of lake.rows(part)) for (const name in summary) summary[name as keyof Summary] += Number(row[name]);
  }
  await lake.remove(`items/run=${run}`);
  return summary;
}

/** Local days an hour can have events of, or events whose following ones it has: UTC−12 to UTC+14, and an hour back. */
function daysOfHour(hour: Hour): { from: LocalDay; to: LocalDay } {
  return { from: partitionOf(hourAfter(hour, -13)).dt, to: partitionOf(hourAfter(hour, 14)).dt };
}

/** Behind every run's name. */
const LAST = '~';

/** A local day that has not taken up what a run changed. */
export interface Owed { day: LocalDay; run: Run }

/** What days have not taken up, of hours from one to another, both included. */
export async function readOwed(registry: Store, from: Hour, to: Hour): Promise<Owed[]> {
  const items = await registry.range('owed', daysOfHour(from).from, `${daysOfHour(to).to}#${LAST}`);
  return items
    .filter(({ hour }) => (hour as Hour) >= from && (hour as Hour) <= to)
    .map(({ sk, run }) => ({ day: sk.slice(0, sk.indexOf('#')), run: run as Run }));
}

async function owedRuns(registry: Store): Promise<Set<Run>> {
  return new Set((await registry.range('owed', '', LAST)).map(({ run }) => run as Run));
}

/** Queues the local days that have not taken up what runs of this hour changed; of a retry they may be queued twice. */
async function sendOwedDays(hour: Hour, recompute: boolean, { registry, tasks }: RollupPorts): Promise<void> {
  const days = [...new Set((await readOwed(registry, hour, hour)).map(({ day }) => day))];
  if (days.length > 0) await tasks.send(days.map((day) => ({ kind: 'day', day, recompute })));
}

async function rollUpDay(day: LocalDay, ports: RollupPorts): Promise<number> {
  const { lake, registry, load, sitesAtOnce, difference } = ports;
  const noted = await registry.range('owed', `${day}#`, `${day}#${LAST}`);
  if (noted.length === 0) return 0;
  const { from, to } = hoursOfLocalDay(day);
  const commits = await readCommits(registry, from, to);
  // What an hour notes before its commit is of no use before it either: the hour sends a task of its own then.
  const owed = noted.filter(({ run, hour }) => commits.get(hour as Hour)?.pending.includes(run as Run) !== true);
  if (owed.length === 0) return 0;
  const changed = owed.map((item) => item.run as Run);
  const runs = [...commits.values()].flatMap(({ run }) => (run === undefined ? [] : [run]));
  const run = await newRun(ports);
  const sparing = owed.some(({ whole }) => whole === true);
  const adding = owed.map((item) => ({ run: item.run as Run, ...(item.adds !== undefined && { adds: item.adds as Adds }) }));
  const events = [...commits.values()].reduce((sum, { summary }) => sum + (summary?.events ?? 0), 0);
  const values = difference && await addUpDay(day, run, adding, runs, events, ports);
  const starts = await startsOf({ statement: 'slices', reads: { changes: changed }, parameters: { day, changed_runs: changed, sites: sitesAtOnce } }, run, lake);
  let items = 0;
  // What one slice brings is loaded while the next one is asked for: half of the time of each is the other's.
  await overlapping(async (begin) => {
    for (const [i, first_site] of starts.entries()) {
      const parameters = { day, runs, changed_runs: changed, top: TOP_VALUES, first_site, end_site: starts[i + 1] ?? '' };
      const reads = { hours: runs, changes: changed };
      const parts = await lake.unload(values === undefined
        ? { statement: 'days', reads, parameters }
        : { statement: 'day_items', reads: { ...reads, day_values: [values] }, parameters: { ...parameters, run: values } }, `items/run=${run}/${i}`);
      await begin(async () => {
        const loaded = await load(parts.map((part) => ({ part, run, of: { day }, sparing })));
        items += loaded;
      });
    }
  });
  await lake.remove(`items/run=${run}`);
  // Not what a commit noted meanwhile: that has a task of its own.
  await registry.remove(owed);
  if (difference) await removeDifferences(changed, await owedRuns(registry), lake);
  return items;
}

/** The sites with which slices begin, which a query finds, in order. */
async function startsOf(query: Query, run: Run, lake: Lake): Promise<string[]> {
  const starts: string[] = [];
  for (const part of await lake.unload(query, `items/run=${run}`)) for await (const { site_id } of lake.rows(part)) starts.push(String(site_id));
  // In the order of code points, as both engines compare: site ids are ASCII.
  return starts.sort();
}

/** Names a run, and notes that its files may be removed one day: whatever becomes of it, they are not left behind. */
async function newRun(ports: RollupPorts, hour?: Hour): Promise<Run> {
  const run = `${compact(ports.clock())}-${randomBytes(3).toString('hex')}`;
  await noteRemovable([run], hour, ports);
  return run;
}

/** A moment (epoch ms) as the names of runs begin: those of runs begun earlier sort before it. */
export function compact(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:.]/g, '');
}

async function noteRemovable(runs: readonly Run[], hour: Hour | undefined, { registry, clock }: RollupPorts): Promise<void> {
  await registry.put(runs.map((run) => ({ pk: 'removable', sk: run, at: clock(), ...(hour !== undefined && { hour }) })));
}

/**
 * Removes the files of runs that were superseded, or have died, longer ago than `keptMs`: longer than any task takes,
 * so that none loses what it reads or writes.
 */
export async function removeOldRuns({ lake, registry, clock }: Pick<RollupPorts, 'registry' | 'clock'> & { lake: Pick<Lake, 'remove' | 'byFile'> }, keptMs: number): Promise<void> {
  const until = clock() - keptMs;
  const due = (await registry.range('removable', '', compact(until))).filter(({ at }) => Number(at) <= until);
  if (due.length === 0) return;
  const owed = await owedRuns(registry);
  const states = await registry.range('day_values', '', LAST);
  const past = states.filter(({ sk }) => sk < partitionOf(hourOf(clock() - DAY_VALUES_KEPT_MS)).dt);
  await registry.remove(past);
  const values = new Set(states.filter((one) => !past.includes(one)).map((one) => one.run));
  for (const item of due) {
    const run: Run = item.sk;
    const commit = item.hour === undefined ? undefined : await readCommit(registry, item.hour as Hour);
    // A retry, or a day, has yet to see which sites it changed; or a day adds to it.
    if (commit?.pending.includes(run) || owed.has(run) || values.has(run)) continue;
    // Of the committed run there will be another note when it is superseded.
    if (commit?.run !== run) await removeRun(run, lake);
    await registry.remove([item, ...(commit?.run === run ? [] : [{ pk: 'files', sk: run }])]);
  }
}

async function removeRun(run: Run, lake: Pick<Lake, 'remove' | 'byFile'>): Promise<void> {
  if (lake.byFile) await removeWays(run, lake);
  const written = ['steps', 'hours', 'changes', 'items', ...(lake.byFile ? ['differences', 'day_values'] : [])];
  await Promise.all(written.map((files) => lake.remove(`${files}/run=${run}`)));
}
