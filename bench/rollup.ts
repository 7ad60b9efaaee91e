// Rollup: the hour's query, whole tasks of an hour and of a day, and whether only what changed is written. In this
// process, on a lake and stores in a temporary folder, with the engine's settings of local/start.ts.
import { copyFile, link, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { rowJson } from '../core/deliver/row.ts';
import { ROW_COLUMNS, type Row } from '../core/event.ts';
import { hourAfter, partitionOf, startOf, type Partition } from '../core/hour.ts';
import type { Store, Task } from '../core/ports.ts';
import { hourParameters, runTask, type RollupPorts } from '../core/rollup.ts';
import { duckdbLake, type LocalLake } from '../local/lake.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { HOUR, hourData, type HourSize } from './hour-data.ts';
import { secondsSince, type BenchOptions, type Measurement } from './report.ts';

const ENGINE = { memory: '3GiB', threads: 2 };
const DAY = '2026-01-15';
const SAMPLE_MS = 50;
const CHANGED_SITES = 10;
const EVENTS_OF_CHANGED_SITE = 20;

interface Phase { seconds: number; /** MiB, the most this process held meanwhile. */ memory: number; error?: string }

/** Times the work and watches this process's memory; what the work throws is an outcome too. */
async function phase(work: () => Promise<unknown>): Promise<Phase> {
  let peak = 0;
  const sample = () => { peak = Math.max(peak, process.memoryUsage.rss()); };
  const timer = setInterval(sample, SAMPLE_MS);
  const began = performance.now();
  let error: string | undefined;
  try {
    await work();
  } catch (thrown) {
    error = (thrown as Error).message.split('\n')[0]!;
  }
  const seconds = secondsSince(began);
  clearInterval(timer);
  sample();
  return { seconds, memory: peak / 2 ** 20, ...(error !== undefined && { error }) };
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

const PARTITIONS = [partitionOf(hourAfter(HOUR, -1)), partitionOf(HOUR)];
const partitionPath = ({ dt, hr }: Partition) => join('events', `dt=${dt}`, `hr=${hr}`);

/** Puts the hours' files into a lake of this run's own: the cached ones stay as they are. */
async function fillLake(from: string, lakeFolder: string): Promise<{ files: string[]; bytes: number }> {
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

/** The limit: seconds that DuckDB takes to read the columns that `sql/hours.sql` names, with nothing done to them. */
async function scan(files: readonly string[]): Promise<{ seconds: number; columns: number; rows: number }> {
  const sql = (await readFile(join(import.meta.dirname, '..', 'sql', 'hours.sql'), 'utf8')).replace(/--.*$/gm, '');
  const columns = Object.keys(ROW_COLUMNS).filter((name) => new RegExp(`\\b${name}\\b`).test(sql));
  const list = files.map((file) => `'${file.replaceAll("'", "''")}'`).join(', ');
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(ENGINE.threads), memory_limit: ENGINE.memory, autoinstall_known_extensions: 'false', autoload_known_extensions: 'false',
  });
  try {
    const connection = await instance.connect();
    const query = `select count(*), ${columns.map((name) => `max(${name})`).join(', ')} from read_parquet([${list}], union_by_name = true)`;
    await connection.run(query); // Brings the files into the page cache.
    const began = performance.now();
    const rows = Number((await connection.runAndReadAll(query)).getRows()[0]![0]);
    return { seconds: secondsSince(began), columns: columns.length, rows };
  } finally {
    instance.closeSync();
  }
}

/** One more file of the hour, with events of some sites: late ones, as a delivery would add them. */
async function addLateEvents(lake: LocalLake, folder: string): Promise<void> {
  const start = startOf(HOUR);
  const { dt, hr } = partitionOf(HOUR);
  const lines = Array.from({ length: CHANGED_SITES * EVENTS_OF_CHANGED_SITE }, (_, i) => {
    const ts = start + i * 1000;
    const row: Row = {
      site_id: `site-${i % CHANGED_SITES}`, event_key: BigInt(i), name: 'page_view', ts, quarter: Math.floor(ts / 900_000), local_day: DAY,
      visitor: BigInt(i % 50), sketch_bucket: i % 50, sketch_rank: 1, host: 'shop.example', path: '/late', source: '(direct)', channel: 'Direct',
      country: 'DE', device: 'mobile', browser: 'Chrome', os: 'Android', language: 'de-DE',
      bot: false, via: 'beacon', received_at: ts, processed_at: ts + 3_600_000, v: 1,
    };
    return `${rowJson(row).slice(0, -1)},"dt":"${dt}","hr":"${hr}"}\n`;
  });
  const file = join(folder, 'late.ndjson');
  await writeFile(file, lines.join(''));
  await lake.addEvents(file, 'late');
}

/** A measurement of a phase; where it failed, the reason instead of the number. */
function timed(what: string, { seconds, memory, error }: Phase, more: Partial<Measurement> = {}): Measurement[] {
  if (error !== undefined) return [{ what, unit: 's', ...more, value: null, note: `failed after ${seconds.toFixed(0)} s: ${error}` }];
  return [{ what, value: seconds, unit: 's', ...more }, { what: `${what}: peak memory`, value: memory, unit: 'MiB' }];
}

/** Measures the rollup of one hour with as large an hour before it, of the tasks it leads to, and of it again after a change. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const size: HourSize = quick ? { events: 500_000, sites: 10_000 } : { events: 5_000_000, sites: 100_000 };
  const data = await hourData(size);
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-rollup-'));
  try {
    const { files, bytes } = await fillLake(data.folder, join(folder, 'lake'));
    const limit = await scan(files);
    const lake = await duckdbLake(join(folder, 'lake'), { enginePath: join(folder, 'engine.duckdb'), temporary: join(folder, 'temporary'), ...ENGINE });
    try {
      const measurements = await measureOn(lake, folder, limit.seconds, quick);
      const [query] = measurements;
      const about = `${size.events / 1e6} million events and as many to look back on, over ${size.sites} sites: ${(limit.rows / 1e6).toFixed(1)} million rows in ` +
        `${files.length} files, ${(bytes / 2 ** 20).toFixed(0)} MiB, ${limit.columns} columns read; engine limited to ${ENGINE.memory} and ${ENGINE.threads} threads`;
      return [{ ...query!, note: query!.note === undefined ? about : `${about}; ${query!.note}` }, ...measurements.slice(1)];
    } finally {
      lake.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureOn(lake: LocalLake, folder: string, limit: number, quick: boolean): Promise<Measurement[]> {
  const [lookBack, counted] = PARTITIONS as [Partition, Partition];
  const query = await phase(() => lake.unload({
    statement: 'hours',
    reads: { events: [counted, lookBack] },
    parameters: hourParameters(HOUR),
  }, 'hours/run=measured'));
  // The target is for the large hour.
  const measurements = timed("the hour's query", query, { limit, ...(!quick && { target: { atMost: 20 } }) });
  // What the query could not do, its task cannot do either.
  if (query.error !== undefined) return measurements;

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
    const ports: RollupPorts = {
      lake, registry, metrics, clock: Date.now,
      tasks: { announce: async () => undefined, send: async (tasks) => { due.push(...tasks); }, parked: async () => [] },
    };
    return { ...await phase(() => runTask(task, ports)), written: (kind) => metrics.puts.get(kind) ?? 0 };
  };
  const dayDue = () => due.splice(0).find((task) => task.kind === 'day' && task.day === DAY);

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
    const day = await carryOut(dayDue()!);
    measurements.push(...timed(`day's task, ${name}`, day));
    if (day.error === undefined) measurements.push({ what: `day's task, ${name}: sites written`, value: day.written('D'), unit: 'sites', ...(sites && { target: sites }) });
  }
  return measurements;
}
