// The rollup: announced hours become tasks, tasks become serving items. An hour is rolled up whole and again whenever
// its rows change; there is no other mechanism, so late events, re-deliveries and replays all end up right.
// before: the lake (core/deliver.ts); next: the metrics store (core/serve.ts)
import { randomBytes } from 'node:crypto';
import { hourAfter, hoursOfLocalDay, partitionOf, type Hour } from './hour.ts';
import { dayItems, hourItem } from './items.ts';
import type { Clock, Lake, ResultRow, Store, StoreItem, Task, Tasks } from './ports.ts';
import type { LocalDay } from './zone.ts';

/** A visit ends when the visitor sends nothing for longer than this. */
export const VISIT_GAP_MS = 30 * 60_000;
/** Values kept of a dimension for a local day; the rest is added up under `(other)`. */
export const TOP_VALUES = 100;

export interface RollupPorts {
  lake: Lake;
  registry: Store;
  metrics: Store;
  tasks: Tasks;
  clock: Clock;
}

/** A rollup's name: it begins with its time, so that names sort by time. */
export type Run = string;

function newRun(now: number): Run {
  return `${new Date(now).toISOString().replaceAll(/[-:.]/g, '')}-${randomBytes(3).toString('hex')}`;
}

/** The commit record of an hour. Registry: `hours` / hour. */
interface Commit {
  /** The run whose rows count; absent before the first commit. */
  run?: Run;
  committedAt?: number;
  /** Runs that may have written items but did not get to their commit. */
  pending: Run[];
  /** Local days that changed with the last commit and have not been queued yet. */
  days: LocalDay[];
}

async function readCommit(registry: Store, hour: Hour): Promise<Commit> {
  const item = await registry.get('hours', hour);
  return item ? commitOf(item) : { pending: [], days: [] };
}

function commitOf({ run, committedAt, pending, days }: StoreItem): Commit {
  return {
    pending: pending as Run[],
    days: days as LocalDay[],
    ...(run !== undefined && { run: run as Run, committedAt: committedAt as number }),
  };
}

async function writeCommit(registry: Store, hour: Hour, commit: Commit): Promise<void> {
  await registry.put([{ pk: 'hours', sk: hour, ...commit }]);
}

/**
 * The tasks for announced hours. A changed hour is looked back on by the hour after it, which so becomes due as well
 * if it has been rolled up before.
 */
export async function tasksFor(hours: readonly Hour[], registry: Store): Promise<Task[]> {
  const due = new Set(hours);
  await Promise.all(hours.map(async (hour) => {
    const next = hourAfter(hour);
    if (!due.has(next) && (await readCommit(registry, next)).run !== undefined) due.add(next);
  }));
  return [...due].sort().map((hour) => ({ kind: 'hour', hour }));
}

/**
 * Carries out a task; resolves to the number of items written, which is 0 where nothing differs.
 * Rejects when it could not; the task may then be tried again, as often as it takes.
 */
export function runTask(task: Task, ports: RollupPorts): Promise<number> {
  return task.kind === 'hour' ? rollUpHour(task.hour, ports) : rollUpDay(task.day, task.runs, ports);
}

/** Items in flight to the store at once while loading. */
const LOAD_BATCH = 500;

/** Writes the items of every row of the parts; resolves to how many there were. */
async function load(parts: readonly string[], itemsOf: (row: ResultRow) => StoreItem[], { lake, metrics }: RollupPorts): Promise<number> {
  let written = 0;
  let batch: StoreItem[] = [];
  const flush = async () => {
    await metrics.put(batch);
    written += batch.length;
    batch = [];
  };
  for (const part of parts) {
    for await (const row of lake.rows(part)) {
      batch.push(...itemsOf(row));
      if (batch.length >= LOAD_BATCH) await flush();
    }
  }
  if (batch.length > 0) await flush();
  return written;
}

async function rollUpHour(hour: Hour, ports: RollupPorts): Promise<number> {
  const { lake, registry, clock } = ports;
  const before = await readCommit(registry, hour);
  // A run that committed and died before it had queued its days left them here.
  await queueDays(hour, before, ports);

  const run = newRun(clock());
  const [counted, lookBack] = [partitionOf(hour), partitionOf(hourAfter(hour, -1))];
  await lake.unload({
    statement: 'hours',
    reads: { events: [counted, lookBack] },
    parameters: { dt: counted.dt, hr: counted.hr, dt_before: lookBack.dt, hr_before: lookBack.hr, visit_gap_ms: VISIT_GAP_MS },
  }, `hours/run=${run}`);
  const committed = before.run === undefined ? [] : [before.run];
  const changes = await lake.unload({
    statement: 'changes',
    reads: { hours: [run, ...committed], changes: before.pending },
    parameters: { run, committed, pending: before.pending },
  }, `changes/run=${run}`);
  const days = new Set<LocalDay>();
  for (const part of changes) for await (const { local_day } of lake.rows(part)) days.add(String(local_day));

  if (days.size === 0) {
    // Nothing differs: what is committed stays, and what this run wrote is not needed.
    await removeRun(run, lake);
    return 0;
  }
  await writeCommit(registry, hour, { ...before, days: [], pending: [...before.pending, run] });
  const parts = await lake.unload({ statement: 'hour_items', reads: { hours: [run], changes: [run] }, parameters: { run } }, `items/run=${run}`);
  const items = await load(parts, (row) => [hourItem(hour, run, row)], ports);
  await lake.remove(`items/run=${run}`);

  const commit: Commit = { run, committedAt: clock(), pending: [], days: [...days].sort() };
  await writeCommit(registry, hour, commit);
  await supersede([...before.pending, ...committed], ports);
  await queueDays(hour, commit, ports);
  return items;
}

/** Queues the local days a commit changed, and then forgets them. */
async function queueDays(hour: Hour, { days, ...commit }: Commit, { registry, tasks }: RollupPorts): Promise<void> {
  const { run } = commit;
  if (run === undefined || days.length === 0) return;
  await tasks.send(days.map((day) => ({ kind: 'day', day, runs: [run] })));
  await writeCommit(registry, hour, { ...commit, days: [] });
}

async function rollUpDay(day: LocalDay, changedRuns: readonly Run[], ports: RollupPorts): Promise<number> {
  const { lake, registry, clock } = ports;
  const { from, to } = hoursOfLocalDay(day);
  const commits = (await registry.range('hours', from, to)).map(commitOf);
  const runs = commits.flatMap(({ run }) => (run === undefined ? [] : [run]));
  const run = newRun(clock());
  const parts = await lake.unload(
    {
      statement: 'days',
      reads: { hours: runs, changes: changedRuns },
      parameters: { day, runs, changed_runs: changedRuns, top: TOP_VALUES },
    },
    `items/run=${run}`,
  );
  const items = await load(parts, (row) => dayItems(day, run, row), ports);
  await lake.remove(`items/run=${run}`);
  return items;
}

/** Notes runs that no commit names any more, for `removeSuperseded`. */
async function supersede(runs: readonly Run[], { registry, clock }: RollupPorts): Promise<void> {
  const at = new Date(clock()).toISOString();
  await registry.put(runs.map((run) => ({ pk: 'superseded', sk: `${at}#${run}`, run })));
}

/**
 * Removes the files of runs that were superseded longer ago than `keptMs`: by then no query of a day that began
 * before the new commit reads them any more.
 */
export async function removeSuperseded({ lake, registry, clock }: Pick<RollupPorts, 'lake' | 'registry' | 'clock'>, keptMs: number): Promise<void> {
  const until = new Date(clock() - keptMs).toISOString();
  for (const item of await registry.range('superseded', '', until)) {
    const run = item.run as Run;
    await removeRun(run, lake);
    await registry.remove([item]);
  }
}

async function removeRun(run: Run, lake: Lake): Promise<void> {
  await Promise.all([lake.remove(`hours/run=${run}`), lake.remove(`changes/run=${run}`)]);
}
