// Growth: what the count of an hour costs where ten times as much happens, where a billion events a day do, and where the
// same rows lie in more files. In this process, with the engine's settings of local/pipeline.ts.
// before: bench/hour-data.ts, which makes the hours; bench/rollup.ts measures one of them in all its parts
import { link, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { countByDifference } from '../core/difference.ts';
import { hourAfter, partitionOf } from '../core/hour.ts';
import type { Task } from '../core/ports.ts';
import { VISIT_GAP_MS, hourQueries, runTask, slicesOfHour } from '../core/rollup.ts';
import type { LocalLake } from '../local/lake.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { SLICING } from '../local/rollup.ts';
import { lmdbStore } from '../local/store.ts';
import { ENGINE, connected, lakeIn, sqlFiles, sqlPath } from './engine.ts';
import { HOUR, hourData, type HourSize } from './hour-data.ts';
import { count, median, rowsOf, secondsSince, type BenchOptions, type Measurement } from './report.ts';
import { PARTITIONS, fillLake, partitionPath, phase, portsOn, scan, timed, type Phase } from './rollup.ts';

/** The rows of this stage. */
export const ROWS = ['hour', 'full', 'files'] as const;
export type Row = (typeof ROWS)[number];
/** Without the full hour: its data are 3 GB, which take minutes to make, and so does the count. */
const USUAL: readonly Row[] = ['hour', 'files'];
/** Without the files: fewer would say nothing, and each takes a part of a millisecond each time it is opened. */
const USUAL_QUICK: readonly Row[] = ['hour'];

const TIMES = [1, 3, 10];
/** A billion events a day, in as many files as the delivery loop makes at that rate, one every five seconds. */
const FULL: HourSize = { events: 42_000_000, sites: 100_000, files: 720 };
/** The part of the hour that comes when the rest has been counted: a minute and a half of it. */
const ADDED = 1 / 40;
const RUN = 'measured';
const SPILL_SAMPLE_MS = 200;

/** Measures the rows that are asked for; where none is, those that take neither gigabytes nor, if it is to be quick, many files. */
export async function measure({ quick, rows }: BenchOptions): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const row of rowsOf(ROWS, rows, quick ? USUAL_QUICK : USUAL)) {
    const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-growth-'));
    try {
      measurements.push(...await (row === 'hour' ? measureTimes(quick, folder) : row === 'full' ? measureFull(folder) : measureFiles(quick, folder)));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return measurements;
}

/** Lends the lake of a folder. */
async function withLake<T>(folder: string, work: (lake: LocalLake) => Promise<T>): Promise<T> {
  const lake = await lakeIn(folder);
  try {
    return await work(lake);
  } finally {
    lake.close();
  }
}

/** The same phase of several rounds, each number the median of theirs; the memory is the most, and an error is of any. */
function medianOf(phases: readonly Phase[]): Phase {
  const of = (name: 'seconds' | 'processor') => median(phases.map((one) => one[name]));
  const error = phases.find((one) => one.error !== undefined)?.error;
  return { seconds: of('seconds'), processor: of('processor'), memory: Math.max(...phases.map(({ memory }) => memory)), ...(error !== undefined && { error }) };
}

/** A measurement of a phase's time, and one of its processor time. */
function timedTwice(what: string, of: Phase, more: Partial<Measurement> = {}): Measurement[] {
  const [seconds] = timed(what, of, more);
  return [seconds!, ...(of.error === undefined ? [{ what: `${what}: processor time`, value: of.processor, unit: 's' }] : [])];
}

// ---- Events and sites grow together

/** Measures the task of an hour with as large an hour before it, and of hours with more events and sites. */
async function measureTimes(quick: boolean, folder: string): Promise<Measurement[]> {
  const once = quick ? { events: 8_000, sites: 200 } : { events: 420_000, sites: 10_000 };
  const rounds = quick ? 1 : 3;
  const hours: { events: number; sites: number; folder: string; limit: number; phases: Phase[] }[] = [];
  for (const times of TIMES) {
    const size = { events: times * once.events, sites: times * once.sites };
    const { files } = await fillLake((await hourData(size)).folder, join(folder, String(times), 'lake'));
    hours.push({ ...size, folder: join(folder, String(times)), limit: (await scan(files)).seconds, phases: [] });
  }
  for (let round = 0; round < rounds; round++) { // In turns, so that a busy moment strikes all.
    for (const hour of hours) hour.phases.push(await hourTask(hour.folder));
  }
  const tasks = hours.map(({ phases }) => medianOf(phases));
  const perEvent = (i: number, name: 'seconds' | 'processor') => tasks[i]![name] / hours[i]!.events;
  return hours.flatMap(({ events, sites, limit }, i) => {
    const what = `hour's task, ${TIMES[i]} × the events and sites`;
    const measurements = timedTwice(what, tasks[i]!, {
      limit, note: `${count(events)} events and as many to look back on, ${count(sites)} sites, all of them new; median of ${rounds}, in turns`,
    });
    if (tasks[i]!.error !== undefined) return measurements;
    measurements.push({ what: `${what}: peak memory`, value: tasks[i]!.memory, unit: 'MiB' });
    if (i === 0) return measurements;
    return [
      ...measurements,
      {
        what: `${what}: time of an event ÷ of one at 1 ×`, value: perEvent(i, 'seconds') / perEvent(0, 'seconds'), unit: '×', target: { atMost: 1.2 },
        note: 'it must not grow faster than the events; a fifth for the noise of the machine',
      },
      { what: `${what}: processor time of an event ÷ of one at 1 ×`, value: perEvent(i, 'processor') / perEvent(0, 'processor'), unit: '×' },
    ];
  });
}

/** The hour's task in that lake, with a store in which nothing has been counted yet. */
async function hourTask(folder: string): Promise<Phase> {
  return withLake(folder, async (lake) => {
    const store = join(folder, 'store');
    const environment = openEnvironment(store);
    try {
      const due: Task[] = [];
      const ports = portsOn(lake, lmdbStore(environment, 'registry'), lmdbStore(environment, 'metrics'), due);
      return await phase(() => runTask({ kind: 'hour', hour: HOUR, recompute: false }, ports));
    } finally {
      await environment.close();
      await rm(store, { recursive: true, force: true });
      for (const written of ['hours', 'changes']) await lake.remove(written);
    }
  });
}

// ---- A billion events a day

/** Measures the two queries of an hour of 42 million events, with as many to look back on, in slices as the rollup has them: how long, how much memory, and what is spilled. */
async function measureFull(folder: string): Promise<Measurement[]> {
  const data = await hourData(FULL);
  const { files, bytes } = await fillLake(data.folder, join(folder, 'lake'));
  const limit = await scan(files);
  const about = `${count(FULL.events)} events and as many to look back on, over ${count(FULL.sites)} sites: ${count(limit.rows)} rows in ${count(files.length)} files, ` +
    `${(bytes / 2 ** 20).toFixed(0)} MiB, ${limit.columns} columns read; engine limited to ${ENGINE.memory} and ${ENGINE.threads} threads`;
  const each = await withLake(folder, async (lake) => {
    const phases: (Phase & { statement: string; spilled: number })[] = [];
    const filesOfLake = await lake.byFile!.files(PARTITIONS);
    let sliced: Awaited<ReturnType<typeof slicesOfHour>>;
    const only = { files: { before: filesOfLake.map(({ name }) => name), added: [] } };
    for (const { statement, work } of [
      { statement: 'hour_slices', work: async () => { sliced = await slicesOfHour(HOUR, RUN, filesOfLake, SLICING, lake); } },
      ...hourQueries(HOUR, RUN).map(({ reads, ...query }) => ({
        statement: query.statement, work: async () => { await lake.unload({ ...query, ...sliced, reads: { ...reads, ...only } }, `${query.statement}/run=${RUN}`); },
      })),
    ]) {
      const spilled = mostSpilled(join(folder, 'temporary'));
      const of = await phase(work);
      phases.push({ ...of, statement, spilled: await spilled() });
      // What the first could not do, the second cannot read.
      if (of.error !== undefined) break;
    }
    return phases;
  });
  const failed = each.find(({ error }) => error !== undefined);
  const sum = (name: 'seconds' | 'processor') => each.reduce((all, one) => all + one[name], 0);
  const whole: Phase = { seconds: sum('seconds'), processor: sum('processor'), memory: Math.max(...each.map(({ memory }) => memory)), ...(failed && { error: failed.error! }) };
  return [
    ...timedTwice("a full hour's queries", whole, { limit: limit.seconds, note: failed === undefined ? about : `${about}; ${failed.statement} failed after ${failed.seconds.toFixed(0)} s: ${failed.error}` }),
    ...(failed ? [] : [{ what: "a full hour's queries: processor time of an event", value: (1e6 * whole.processor) / FULL.events, unit: 'µs' }]),
    ...each.flatMap(({ statement, spilled, ...of }) => [
      ...timedTwice(`a full hour's queries: ${statement}`, of),
      { what: `a full hour's queries: ${statement}: peak memory`, value: of.memory, unit: 'MiB' },
      { what: `a full hour's queries: ${statement}: spilled to disk at most`, value: spilled, unit: 'MiB' },
    ]),
  ];
}

/** Watches what the engine spills into a folder; the result ends that, and resolves to the most it had there at a time, MiB. */
function mostSpilled(temporary: string): () => Promise<number> {
  let most = 0;
  const sample = async () => {
    const names = (await readdir(temporary).catch(() => [])).filter((name) => name.startsWith('duckdb_temp'));
    const sizes = await Promise.all(names.map((name) => stat(join(temporary, name)).then(({ size }) => size, () => 0)));
    most = Math.max(most, sizes.reduce((sum, size) => sum + size, 0));
  };
  const timer = setInterval(() => void sample(), SPILL_SAMPLE_MS);
  return async () => {
    clearInterval(timer);
    await sample();
    return most / 2 ** 20;
  };
}

// ---- The same rows in more files

/** A lake of the two hours in so many files each. */
interface Spread {
  files: number;
  folder: string;
  /** The files of the hour that are added when the others have been counted: where they wait, and where they go. */
  added: readonly { from: string; to: string }[];
  listing: number[];
  opening: number[];
  whole: Phase[];
  difference: Phase[];
}

/** Measures the counts of an hour whose rows, and those of the hour before, lie in fewer or more files; and what making one file of the hour before costs and saves. */
async function measureFiles(quick: boolean, folder: string): Promise<Measurement[]> {
  const size = quick ? { events: 20_000, sites: 400 } : { events: 1_000_000, sites: 25_000 };
  const rounds = quick ? 1 : 3;
  const spreads: { spread: Spread; compacted: Spread; compaction: Phase; bytes: number; compactedBytes: number; limit: number }[] = [];
  for (const files of quick ? [40, 200] : [40, 360, 2_000]) {
    const data = await hourData({ ...size, files });
    const [spread, compacted] = [await spreadOf(data.folder, files, join(folder, String(files))), await spreadOf(data.folder, files, join(folder, `${files}-compacted`))];
    const { partition, names } = await hourBefore(compacted);
    const bytes = await sizeOf(names);
    const compaction = await phase(() => compact(names, join(partition, 'compacted.parquet')));
    for (const name of names) await rm(name);
    const limit = await scan((await Promise.all(PARTITIONS.map((one) => pathsIn(join(spread.folder, 'lake', partitionPath(one)))))).flat());
    spreads.push({ spread, compacted, compaction, bytes, compactedBytes: await sizeOf((await hourBefore(compacted)).names), limit: limit.seconds });
  }
  for (let round = 0; round < rounds; round++) { // In turns, so that a busy moment strikes all.
    for (const { spread, compacted } of spreads) for (const one of [spread, compacted]) await countBoth(one);
  }
  return spreads.flatMap(({ spread, compacted, compaction, bytes, compactedBytes, limit }) => {
    const what = `${count(spread.files)} files an hour`;
    return [
      ...timedTwice(`${what}: counted whole`, medianOf(spread.whole), {
        limit, note: `${count(size.events)} events and as many to look back on, over ${count(size.sites)} sites, the same rows in each; median of ${rounds}, in turns`,
      }),
      ...timedTwice(`${what}: a fortieth more, by difference`, medianOf(spread.difference)),
      { what: `${what}: listing them`, value: 1000 * median(spread.listing), unit: 'ms' },
      { what: `${what}: opening them, no rows read`, value: 1000 * median(spread.opening), unit: 'ms' },
      ...timedTwice(`${what}: making one file of the hour before`, compaction, {
        note: `${(bytes / 2 ** 20).toFixed(1)} MiB, and ${(compactedBytes / 2 ** 20).toFixed(1)} in one file`,
      }),
      ...timedTwice(`${what}, the hour before in one: counted whole`, medianOf(compacted.whole)),
      ...timedTwice(`${what}, the hour before in one: a fortieth more, by difference`, medianOf(compacted.difference)),
    ];
  });
}

async function spreadOf(data: string, files: number, folder: string): Promise<Spread> {
  const { files: all } = await fillLake(data, join(folder, 'lake'));
  const hour = join(folder, 'lake', partitionPath(partitionOf(HOUR)));
  const later = join(folder, 'later');
  await mkdir(later);
  const ofHour = all.filter((path) => path.startsWith(hour)).sort();
  const added = ofHour.slice(-Math.round(files * ADDED)).map((to) => ({ from: join(later, basename(to)), to }));
  for (const { from, to } of added) await rename(to, from);
  return { files, folder, added, listing: [], opening: [], whole: [], difference: [] };
}

async function pathsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).map((name) => join(folder, name));
}

async function hourBefore({ folder }: Spread): Promise<{ partition: string; names: string[] }> {
  const partition = join(folder, 'lake', partitionPath(partitionOf(hourAfter(HOUR, -1))));
  return { partition, names: await pathsIn(partition) };
}

async function sizeOf(names: readonly string[]): Promise<number> {
  return (await Promise.all(names.map((name) => stat(name)))).reduce((sum, { size }) => sum + size, 0);
}

/** Makes one file of many, written as the lake writes its rows (local/lake.ts). */
async function compact(names: readonly string[], to: string): Promise<void> {
  await connected((connection) => connection.run(
    `copy (select * from ${sqlFiles(names, 'hive_partitioning = false')}) to ${sqlPath(to)} (format parquet, compression zstd, compression_level 1)`,
  ));
}

/** Counts the hour whole, and by difference when the rest of it has come. */
async function countBoth(spread: Spread): Promise<void> {
  await withLake(spread.folder, async (lake) => {
    const names = async () => {
      const began = performance.now();
      const files = await lake.byFile!.files(PARTITIONS);
      spread.listing.push(secondsSince(began));
      return files.map(({ name }) => name);
    };
    const before = await names();
    spread.opening.push(await opening(before.map((name) => join(spread.folder, 'lake', name))));
    spread.whole.push(await phase(async () => {
      for (const { reads, ...query } of hourQueries(HOUR, RUN)) await lake.unload({ ...query, reads: { ...reads, files: { before, added: [] } } }, `${query.statement}/run=${RUN}`);
    }));
    for (const { from, to } of spread.added) await link(from, to);
    const known = new Set(before);
    const added = (await names()).filter((name) => !known.has(name));
    spread.difference.push(await phase(async () => {
      const changes = await countByDifference({
        hour: HOUR, run: `${RUN}-more`, committed: RUN, pending: [], growth: { before, added }, queries: (name) => hourQueries(HOUR, name), visitGapMs: VISIT_GAP_MS,
      }, lake);
      if (changes === undefined) throw new Error('it had to be counted whole');
    }));
    for (const { to } of spread.added) await rm(to);
    for (const written of ['steps', 'hours', 'copies', 'touched', 'items', 'affected', 'differences', 'changes']) await lake.remove(written);
  });
}

/** Seconds that DuckDB takes to find out what columns the files have, which every reading of them begins with. */
async function opening(files: readonly string[]): Promise<number> {
  return connected(async (connection) => {
    const began = performance.now();
    await connection.run(`select * from ${sqlFiles(files)} limit 0`);
    return secondsSince(began);
  });
}
