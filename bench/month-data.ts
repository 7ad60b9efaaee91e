// The data folder of a process that has run for a month: its hours committed, their files in the lake, its store full.
// Each file is that of one hour, copied; what is in it does not matter to who only starts.
// before: bench/items.ts and bench/hour-data.ts; next: bench/startup.ts
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { HOUR_MS, hourOf, hoursBetween, partitionOf, partitionPath, startOf, type Hour } from '../core/hour.ts';
import { compact, type Run } from '../core/rollup.ts';
import { HOUR_COLUMNS, SUM_NAMES } from '../core/metrics.ts';
import { writeProgress } from '../core/progress.ts';
import { dayAfter, daysBetween } from '../core/zone.ts';
import { randomFrom } from '../local/demo-shop.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { connected, sqlPath } from './engine.ts';
import { HOUR, hourData } from './hour-data.ts';
import { itemsOf, putAll, settingsOf, templatesOf } from './items.ts';
import { siteId } from './traffic.ts';

const DAYS = 30;
const TIME_ZONE = 'Europe/Berlin';
const VISITORS = 100;
const HOUR_SIZE = { events: 1000, sites: 100 };
/** Records of a file as they came. */
const RECORDS = 20;

export interface MonthSize {
  /** Sites of the registry. */
  sites: number;
  /** Those of them that have items, of each hour and day of the month. */
  active: number;
}

export interface Month { hours: number; items: number; files: number }

/** Fills a data folder that a process has made, and left; the month ends with the last whole hour. */
export async function fillMonth(data: string, { sites, active }: MonthSize): Promise<Month> {
  const last = hourOf(Date.now() - HOUR_MS);
  const hours = hoursBetween(hourOf(startOf(last) - (DAYS * 24 - 1) * HOUR_MS), last);
  const runs = hours.map((hour): [Hour, Run] => [hour, `${compact(startOf(hour) + HOUR_MS + 10_000)}-000000`]);
  const items = await fillStore(join(data, 'store'), runs, { sites, active });
  return { hours: hours.length, items, files: await fillLake(join(data, 'lake'), runs) };
}

async function fillStore(folder: string, runs: readonly [Hour, Run][], { sites, active }: MonthSize): Promise<number> {
  const environment = openEnvironment(folder);
  try {
    const registry = lmdbStore(environment, 'registry');
    await putAll(registry, settingsOf(Array.from({ length: sites }, (_, number) => siteId(number)), TIME_ZONE, registry));
    await registry.put(runs.map(([hour, run]) => ({
      pk: 'hours', sk: hour, run, pending: [], committedAt: startOf(hour) + HOUR_MS, checkedAt: startOf(hour) + HOUR_MS,
      summary: { sites: active, events: HOUR_SIZE.events, bots: 0, rejected: 0, long_visit_events: 0 },
    })));
    await writeProgress(registry, { completeThrough: startOf(runs.at(-1)![0]) + HOUR_MS, parkedHours: [], parkedDays: [] });
    const hours = runs.map(([hour]) => hour);
    const today = hours.at(-1)!.slice(0, 10);
    const templates = templatesOf(randomFrom(9), VISITORS);
    return await putAll(lmdbStore(environment, 'metrics'), (function* () {
      for (let site = 0; site < active; site++) yield* itemsOf(siteId(site), site, daysBetween(dayAfter(today, -(DAYS - 1)), today), hours, templates);
    })());
  } finally {
    await environment.close();
  }
}

async function fillLake(lake: string, runs: readonly [Hour, Run][]): Promise<number> {
  const { dt, hr } = partitionOf(HOUR);
  const events = join((await hourData(HOUR_SIZE)).folder, 'events', `dt=${dt}`, `hr=${hr}`);
  const [ofHour, raw] = [join(lake, 'hour.parquet'), join(lake, 'raw.ndjson.gz')];
  await mkdir(lake, { recursive: true });
  await connected((connection) => connection.run(`copy (${hourRows()}) to ${sqlPath(ofHour)} (format parquet, compression zstd)`));
  await writeFile(raw, await promisify(gzip)(`${JSON.stringify({ v: 1, via: 'beacon', id: 'made-up', at: 0, body: '' })}\n`.repeat(RECORDS)));
  const sources = (await readdir(events)).map((name) => join(events, name));
  for (const [hour, run] of runs) {
    const partition = partitionPath(partitionOf(hour));
    for (const folder of ['events', 'raw']) await mkdir(join(lake, folder, partition), { recursive: true });
    await mkdir(join(lake, 'hours', `run=${run}`), { recursive: true });
    await Promise.all([
      ...sources.map((source, i) => copyFile(source, join(lake, 'events', partition, `${i}.parquet`))),
      copyFile(raw, join(lake, 'raw', partition, '0.ndjson.gz')),
      copyFile(ofHour, join(lake, 'hours', `run=${run}`, 'part-0.parquet')),
    ]);
  }
  return runs.length * (sources.length + 2);
}

/** Sums of some sites, as `sql/hours.sql` writes them. */
function hourRows(): string {
  const columns: Record<string, string> = {
    site_id: `'shop-' || lpad(cast(site as varchar), 5, '0')`, local_day: `'2026-01-15'`, quarter: 'cast(quarter as integer)', dimension: `''`, value: `''`,
    ...Object.fromEntries(SUM_NAMES.map((name) => [name, 'cast(5 as bigint)'])), sketch: '[4160]::integer[]',
  };
  return `select ${Object.keys(HOUR_COLUMNS).map((name) => `${columns[name]} as ${name}`).join(', ')} from range(${HOUR_SIZE.sites}) as sites (site), range(4) as quarters (quarter)`;
}
