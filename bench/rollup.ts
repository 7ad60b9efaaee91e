// Rollup: the hour's queries, whole tasks of an hour and of a day, whether only what changed is written, and whether a day
// costs more where more happened. In this process, on lakes and stores in a temporary folder, with the engine's settings
// of local/start.ts.
import { copyFile, link, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rowLine } from '../core/deliver/row.ts';
import { ROW_COLUMNS, type Row } from '../core/event.ts';
import { hourAfter, partitionOf, startOf, type Partition } from '../core/hour.ts';
import { loaderOf } from '../core/load.ts';
import type { Store, Task } from '../core/ports.ts';
import { hourQueries, readCommits, runTask, type RollupPorts } from '../core/rollup.ts';
import type { LocalLake } from '../local/lake.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { SITES_AT_ONCE } from '../local/rollup.ts';
import { lmdbStore } from '../local/store.ts';
import { ENGINE, connected, lakeIn, sqlFiles, sqlPath } from './engine.ts';
import { HOUR, hourData, type HourSize } from './hour-data.ts';
import { count, median, secondsSince, type BenchOptions, type Measurement } from './report.ts';

const DAY = '2026-01-15';
const RUN = 'measured';
const SAMPLE_MS = 50;
const CHANGED_SITES = 10;
const EVENTS_OF_CHANGED_SITE = 20;
/** As often a day's task is timed for the comparison. */
const DAY_ROUNDS = 3;

export interface Phase { seconds: number; /** Of processor time, all threads together. */ processor: number; /** MiB, the most this process held meanwhile. */ memory: number; error?: string }

/** Times the work and watches this process's memory; what the work throws is an outcome too. */
export async function phase(work: () => Promise<unknown>): Promise<Phase> {
  let peak = 0;
  const sample = () => { peak = Math.max(peak, process.memoryUsage.rss()); };
  const timer = setInterval(sample, SAMPLE_MS);
  const used = process.cpuUsage();
  const began = performance.now();
  let error: string | undefined;
  try {
    await work();
  } catch (thrown) {
    error = (thrown as Error).message.split('\n')[0]!;
  }
  const seconds = secondsSince(began);
  const { user, system } = process.cpuUsage(used);
  clearInterval(timer);
  sample();
  return { seconds, processor: (user + system) / 1e6, memory: peak / 2 ** 20, ...(error !== undefined && { error }) };
}

/** A store that counts what is put into it, by the first letter of the sort key. */
function countingStore(store: Store): Store & { puts: Map<string, number> } {
  const puts = new Map<string, number>();
  return {
    ...store,
    puts,
    async put(items) {
      for (const { sk } of items) puts.set(sk[0]!, (puts.get(sk[0]!) ?? 0) + 1);
      await store.put(items);
    },
  };
}

export const PARTITIONS = [partitionOf(hourAfter(HOUR, -1)), partitionOf(HOUR)];
export const partitionPath = ({ dt, hr }: Partition) => join('events', `dt=${dt}`, `hr=${hr}`);

/** Puts the hours' files into a lake of this run's own: the cached ones stay as they are. */
export async function fillLake(from: string, lakeFolder: string): Promise<{ files: string[]; bytes: number }> {
  const files: string[] = [];
  let bytes = 0;
  for (const partition of PARTITIONS) {
    const folder = join(lakeFolder, partitionPath(partition));
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(join(from, partitionPath(partition)))) {
      const source = join(from, partitionPath(partition), name);
      const file = join(folder, name);
      await link(source, file).catch(() => copyFile(source, file)); // Some disks have no links.
      bytes += (await stat(file)).size;
      files.push(file);
    }
  }
  return { files, bytes };
}

/** The limit: seconds that DuckDB takes to read the columns of events that the hour's queries name, with nothing done to them. */
export async function scan(files: readonly string[]): Promise<{ seconds: number; columns: number; rows: number }> {
  const statements = hourQueries(HOUR, RUN).map(({ statement }) => readFile(join(import.meta.dirname, '..', 'sql', `${statement}.sql`), 'utf8'));
  const sql = (await Promise.all(statements)).join('\n').replace(/--.*$/gm, '');
  const columns = Object.keys(ROW_COLUMNS).filter((name) => new RegExp(`\\b${name}\\b`).test(sql));
  const query = `select count(*), ${columns.map((name) => `max(${name})`).join(', ')} from ${sqlFiles(files)}`;
  return connected(async (connection) => {
    await connection.run(query); // Brings the files into the page cache.
    const began = performance.now();
    const rows = Number((await connection.runAndReadAll(query)).getRows()[0]![0]);
    return { seconds: secondsSince(began), columns: columns.length, rows };
  });
}

/** One more file of the hour, with events of some sites: late ones, as a delivery would add them. */
async function addLateEvents(lake: LocalLake, folder: string): Promise<void> {
  const start = startOf(HOUR);
  const lines = Array.from({ length: CHANGED_SITES * EVENTS_OF_CHANGED_SITE }, (_, i) => {
    const ts = start + i * 1000;
    const row: Row = {
      site_id: `site-${i % CHANGED_SITES}`, event_key: BigInt(i), name: 'page_view', ts, quarter: Math.floor(ts / 900_000), local_day: DAY,
      visitor: BigInt(i % 50), sketch_bucket: i % 50, sketch_rank: 1, host: 'shop.example', path: '/late', source: '(direct)', channel: 'Direct',
      country: 'DE', device: 'mobile', browser: 'Chrome', os: 'Android', language: 'de-DE',
      bot: false, via: 'beacon', received_at: ts, processed_at: ts + 3_600_000, v: 1,
    };
    return `${rowLine(row)}\n`;
  });
  const file = join(folder, 'late.lines');
  await writeFile(file, lines.join(''));
  await lake.addEvents(file, partitionOf(HOUR), 'late');
}

/** A measurement of a phase; where it failed, the reason instead of the number. */
export function timed(what: string, { seconds, memory, error }: Phase, more: Partial<Measurement> = {}): Measurement[] {
  if (error !== undefined) return [{ what, unit: 's', ...more, value: null, note: `failed after ${seconds.toFixed(0)} s: ${error}` }];
  return [{ what, value: seconds, unit: 's', ...more }, { what: `${what}: peak memory`, value: memory, unit: 'MiB' }];
}

/** The rollup's ports on one machine; what is sent goes to `due`. */
export function portsOn(lake: LocalLake, registry: Store, metrics: Store, due: Task[]): RollupPorts {
  return {
    lake, registry, load: loaderOf({ lake, metrics }), sitesAtOnce: SITES_AT_ONCE, clock: Date.now,
    tasks: { send: async (tasks) => { due.push(...tasks); }, parked: async () => [] },
  };
}

const dayDue = (due: Task[]) => due.splice(0).find((task) => task.kind === 'day' && task.day === DAY);

/** Measures the rollup of hours, of the tasks they lead to, and of one again after a change. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  return [...await measureHour(quick), ...await measureGrowth(quick)];
}

/** Measures one hour with as large an hour before it. */
async function measureHour(quick: boolean): Promise<Measurement[]> {
  const size: HourSize = quick ? { events: 150_000, sites: 3_000 } : { events: 5_000_000, sites: 100_000 };
  const data = await hourData(size);
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-rollup-'));
  try {
    const { files, bytes } = await fillLake(data.folder, join(folder, 'lake'));
    const limit = await scan(files);
    const lake = await lakeIn(folder);
    try {
      const measurements = await measureOn(lake, folder, limit.seconds, quick);
      const [queries] = measurements;
      const about = `${size.events / 1e6} million events and as many to look back on, over ${size.sites} sites: ${(limit.rows / 1e6).toFixed(1)} million rows in ` +
        `${files.length} files, ${(bytes / 2 ** 20).toFixed(0)} MiB, ${limit.columns} columns read; engine limited to ${ENGINE.memory} and ${ENGINE.threads} threads`;
      return [{ ...queries!, note: queries!.note === undefined ? about : `${about}; ${queries!.note}` }, ...measurements.slice(1)];
    } finally {
      lake.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureOn(lake: LocalLake, folder: string, limit: number, quick: boolean): Promise<Measurement[]> {
  const each: Measurement[] = [];
  const queries = await phase(async () => {
    for (const query of hourQueries(HOUR, RUN)) {
      const began = performance.now();
      await lake.unload(query, `${query.statement}/run=${RUN}`);
      each.push({ what: `the hour's queries: ${query.statement}`, value: secondsSince(began), unit: 's' });
    }
  });
  // The target is for the large hour.
  const measurements = [...timed("the hour's queries", queries, { limit, ...(!quick && { target: { atMost: 20 } }) }), ...each];
  // What the queries could not do, their task cannot do either.
  if (queries.error !== undefined) return measurements;

  const environment = openEnvironment(join(folder, 'store'));
  try {
    return [...measurements, ...await measureTasks(lake, folder, lmdbStore(environment, 'registry'), lmdbStore(environment, 'metrics'))];
  } finally {
    await environment.close();
  }
}

async function measureTasks(lake: LocalLake, folder: string, registry: Store, store: Store): Promise<Measurement[]> {
  const due: Task[] = [];
  /** Carries out the task, and tells how many items of which kind it wrote. */
  const carryOut = async (task: Task): Promise<Phase & { written: (kind: 'H' | 'D') => number }> => {
    const metrics = countingStore(store);
    return { ...await phase(() => runTask(task, portsOn(lake, registry, metrics, due))), written: (kind) => metrics.puts.get(kind) ?? 0 };
  };

  const measurements: Measurement[] = [];
  for (const { name, change, sites } of [
    { name: 'all sites new', change: async () => undefined, sites: undefined },
    { name: `events of ${CHANGED_SITES} sites added`, change: () => addLateEvents(lake, folder), sites: { atMost: CHANGED_SITES } },
  ]) {
    await change();
    const hour = await carryOut({ kind: 'hour', hour: HOUR, recompute: false });
    measurements.push(...timed(`hour's task, ${name}`, hour));
    if (hour.error !== undefined) return measurements;
    measurements.push({ what: `hour's task, ${name}: sites written`, value: hour.written('H'), unit: 'sites', ...(sites && { target: sites }) });
    const day = await carryOut(dayDue(due)!);
    measurements.push(...timed(`day's task, ${name}`, day));
    if (day.error === undefined) measurements.push({ what: `day's task, ${name}: sites written`, value: day.written('D'), unit: 'sites', ...(sites && { target: sites }) });
  }
  return measurements;
}

/** A lake whose hour is rolled up, and whose day is due. */
interface DueDay {
  events: number;
  /** Sites of the day, rows of the hour's file, and entries of the sketches in them. */
  sites: number;
  rows: number;
  entries: number;
  /** Carries out the day's task, as if it had not been before; resolves to the seconds it took. */
  day: () => Promise<number>;
  close: () => Promise<void>;
}

/** Has everything happen so many times: the same, but for the events' keys. */
async function repeatEvents(times: number, lakeFolder: string): Promise<void> {
  await connected(async (connection) => {
    for (const partition of PARTITIONS) {
      const folder = join(lakeFolder, partitionPath(partition));
      const files = (await readdir(folder)).map((name) => join(folder, name));
      await connection.run(
        `copy (select e.* replace (xor(event_key, copy) as event_key)
               from ${sqlFiles(files, 'hive_partitioning = false')} e cross join range(1, ${times}) as copies (copy))
         to ${sqlPath(join(folder, 'copies.parquet'))} (format parquet)`,
      );
    }
  });
}

/** @param times how many times everything happens */
async function dueDay(size: HourSize, times: number, folder: string): Promise<DueDay> {
  const data = await hourData(size);
  await fillLake(data.folder, join(folder, 'lake'));
  if (times > 1) await repeatEvents(times, join(folder, 'lake'));
  const lake = await lakeIn(folder);
  const environment = openEnvironment(join(folder, 'store'));
  const close = async () => {
    lake.close();
    await environment.close();
  };
  try {
    const registry = lmdbStore(environment, 'registry');
    const metrics = countingStore(lmdbStore(environment, 'metrics'));
    const due: Task[] = [];
    const ports = portsOn(lake, registry, metrics, due);
    await runTask({ kind: 'hour', hour: HOUR, recompute: false }, ports);
    const task = dayDue(due)!;
    const owed = await registry.range('owed', DAY, `${DAY}~`);
    const day = async () => {
      await registry.put(owed);
      metrics.puts.clear();
      const began = performance.now();
      await runTask(task, ports);
      return secondsSince(began);
    };
    await day(); // To warm up.
    const run = (await readCommits(registry, HOUR, HOUR)).get(HOUR)!.run!;
    return { ...await countsOf(join(folder, 'lake', 'hours', `run=${run}`)), events: times * size.events, sites: metrics.puts.get('D') ?? 0, day, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function countsOf(folder: string): Promise<{ rows: number; entries: number }> {
  return connected(async (connection) => {
    const [counts] = (await connection.runAndReadAll(`select count(*), sum(len(sketch)) from read_parquet(${sqlPath(join(folder, '*.parquet'))})`)).getRows();
    return { rows: Number(counts![0]), entries: Number(counts![1]) };
  });
}

/**
 * Measures a day's task where ten times as much happened on as many sites: the same ten times over, which must not cost
 * more; and as more visitors would do it, who bring values not seen before.
 */
async function measureGrowth(quick: boolean): Promise<Measurement[]> {
  const { events, sites } = quick ? { events: 20_000, sites: 400 } : { events: 500_000, sites: 10_000 };
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-growth-'));
  const days: DueDay[] = [];
  try {
    days.push(await dueDay({ events, sites }, 1, join(folder, 'once')));
    days.push(await dueDay({ events, sites }, 10, join(folder, 'same')));
    days.push(await dueDay({ events: 10 * events, sites }, 1, join(folder, 'more')));
    const seconds: number[][] = days.map(() => []);
    for (let round = 0; round < DAY_ROUNDS; round++) { // In turns, so that a busy moment strikes all.
      for (const [i, { day }] of days.entries()) seconds[i]!.push(await day());
    }
    return growth(days as [DueDay, DueDay, DueDay], seconds.map(median) as [number, number, number]);
  } catch (error) {
    return [{ what: "day's task, 10 times the events", value: null, unit: '×', note: `failed: ${(error as Error).message.split('\n')[0]}` }];
  } finally {
    for (const { close } of days) await close();
    await rm(folder, { recursive: true, force: true });
  }
}

function growth([once, same, more]: [DueDay, DueDay, DueDay], [onceTook, sameTook, moreTook]: [number, number, number]): Measurement[] {
  const ratio = (name: 'rows' | 'entries') => more[name] / once[name];
  const about = ({ events, sites, rows, entries }: DueDay) =>
    `an hour of ${count(events)} events, ${count(sites)} sites of the day: ${count(rows)} rows in the hour's file, ${count(entries)} entries of sketches`;
  return [
    { what: "day's task, all sites, 1 × the events", value: onceTook, unit: 's', note: `${about(once)}; median of ${DAY_ROUNDS}, in turns with the next` },
    { what: "day's task, everything 10 times over", value: sameTook, unit: 's', note: about(same) },
    { what: "day's task, everything 10 times over ÷ once", value: sameTook / onceTook, unit: '×', target: { atMost: 1.2 }, note: 'a day is made of the rows of its hours, never of events; a fifth for the noise of the machine' },
    { what: "day's task, 10 times the visitors", value: moreTook, unit: 's', note: `${about(more)}; the same names of pages, sources, products, …` },
    { what: "day's task, 10 times the visitors ÷ once", value: moreTook / onceTook, unit: '×', target: { atMost: ratio('rows') }, note: "it may grow as the rows of the hour's file do, which is the target" },
    {
      what: "rows of the hour's file, 10 times the visitors ÷ once", value: ratio('rows'), unit: '×',
      note: `distinct site, local day, dimension and value (of the day itself: quarter): more than 1 where more events bring values not seen before, as the long tails of pages and products here; entries of sketches: ${ratio('entries').toFixed(1)} ×, at most 4,096 a quarter of a site`,
    },
  ];
}
