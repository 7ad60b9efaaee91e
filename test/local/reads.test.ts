// What counting an hour reads, by the engine's own account: the profile that DuckDB writes of the very statements that
// the lake gives it.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { ROW_COLUMNS } from '../../core/event.ts';
import { hourAfter, partitionOf, type Hour } from '../../core/hour.ts';
import { HOUR_COLUMNS, STEP_COLUMNS } from '../../core/metrics.ts';
import { hourQueries, runTask } from '../../core/rollup.ts';
import { openPipeline, type Pipeline } from '../pipeline.ts';

// The first hour of a day, so that the hour before is of another day, and of both there are hours of the other's name.
const HOUR = '2026-11-20T00';
const BEFORE = '2026-11-19T23';
const OTHERS = ['2026-11-19T00', '2026-11-19T22', '2026-11-20T01', '2026-11-20T23'];
// Files of an hour; the profile names no more than five files of a scan.
const DELIVERIES = 2;
const BOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';

/** Events of a shop in an hour, as a server knows them. */
function eventsOf(hour: Hour, delivery: number): object[] {
  return Array.from({ length: 100 }, (_, i) => ({
    id: `${hour}-${delivery}-${i}`, time: `${hour}:${String(i % 60).padStart(2, '0')}:00Z`, country: 'DE', user_agent: i % 10 === 0 ? BOT : BROWSER,
    ...(i % 5 > 0 && { visitor: `visitor-${i % 7}` }),
    url: `https://shop.example/product/${i % 20}?utm_source=news&utm_medium=email&utm_campaign=autumn`, referrer: 'https://www.google.com/',
    props: { theme: 'dark', experiment: `variant-${i % 3}`, scroll: i },
    ...(i % 4 === 0
      ? { name: 'purchase', transaction_id: `order-${hour}-${delivery}-${i}`, value: 19.99, currency: 'EUR', items: [{ id: `p${i % 20}`, price: 19.99 }] }
      : { name: 'page_view' }),
  }));
}

/** A lake with several files in each of six hours. */
async function openLake(t: TestContext): Promise<Pipeline> {
  const pipeline = await openPipeline(t, '2026-11-21T12:00:00Z');
  await pipeline.site('shop', 'Europe/Berlin');
  for (let delivery = 0; delivery < DELIVERIES; delivery++) {
    for (const hour of [HOUR, BEFORE, ...OTHERS]) await pipeline.sendBatch('shop', eventsOf(hour, delivery));
    await pipeline.deliver();
  }
  return pipeline;
}

const folderOf = (hour: Hour) => `dt=${partitionOf(hour).dt}/hr=${partitionOf(hour).hr}`;

/** The hours' files, as `dt=…/hr=…/name`. */
function filesOf({ lakeFolder }: Pipeline, hours: readonly Hour[]): string[] {
  return hours.flatMap((hour) => readdirSync(join(lakeFolder, 'events', folderOf(hour))).map((file) => `${folderOf(hour)}/${file}`)).sort();
}

/** One scan of `events` in a profile. */
interface Scan { files: string[]; columns: Set<string>; /** How many of the view's files were left: `2/4`. */ left: string | undefined; rows: number }
interface Operator { operator_type?: string; operator_cardinality?: number; extra_info?: Record<string, string | string[]>; children: Operator[] }

function scansIn(operator: Operator): Scan[] {
  const { Projections = [], Filters = [], 'Filename(s)': names = '', 'Scanning Files': left } = operator.extra_info ?? {};
  const files = [...String(names).matchAll(/events[\\/](dt=[^\\/]+)[\\/](hr=\d\d)[\\/]([^,]+)/g)].map(([, dt, hr, file]) => `${dt}/${hr}/${file}`);
  const below = operator.children.flatMap(scansIn);
  if (files.length === 0) return below;
  // A column that is only filtered by is read, too.
  const filtered = [Filters].flat().join().match(/\w+/g) ?? [];
  const columns = new Set([...[Projections].flat(), ...filtered.filter((word) => word in ROW_COLUMNS)]);
  return [{ files: files.sort(), columns, left: left === undefined ? undefined : String(left), rows: operator.operator_cardinality! }, ...below];
}

type Run = (this: DuckDBConnection, sql: string) => Promise<unknown>;

/** The scans of `events` in all statements that the lake is given during the work. */
async function scansDuring(t: TestContext, { folder }: Pipeline, work: () => Promise<unknown>): Promise<Scan[]> {
  const { run } = DuckDBConnection.prototype as { run: Run };
  const profiles: string[] = [];
  const { mock } = t.mock.method(DuckDBConnection.prototype, 'run', async function (this: DuckDBConnection, sql: string) {
    if (sql.startsWith('copy')) {
      const profile = join(folder, `profile-${profiles.length}.json`);
      profiles.push(profile);
      await run.call(this, "pragma enable_profiling = 'json'");
      await run.call(this, `set profiling_output = '${profile}'`);
    }
    return run.call(this, sql);
  });
  try {
    await work();
  } finally {
    mock.restore();
  }
  return profiles.flatMap((profile) => scansIn(JSON.parse(readFileSync(profile, 'utf8')) as Operator));
}

const all = <T>(sets: Iterable<T>[]) => [...new Set(sets.flatMap((set) => [...set]))].sort();

/** Counts the hour with a view of these hours' partitions. */
async function count({ lake }: Pipeline, hours: readonly Hour[]): Promise<void> {
  for (const query of hourQueries(HOUR, 'test')) {
    await lake.unload({ ...query, reads: { ...query.reads, events: hours.map(partitionOf) } }, `${query.statement}/run=test`);
  }
}

test('An hour is counted from its own files and those of the hour before; all others may be unreadable', async (t) => {
  const pipeline = await openLake(t);
  const spoil = (hour: Hour) => { for (const file of filesOf(pipeline, [hour])) writeFileSync(join(pipeline.lakeFolder, 'events', file), 'no Parquet'); };
  OTHERS.forEach(spoil);
  const scans = await scansDuring(t, pipeline, () => runTask({ kind: 'hour', hour: HOUR }, pipeline));
  const [both, before, own] = [filesOf(pipeline, [BEFORE, HOUR]), filesOf(pipeline, [BEFORE]), filesOf(pipeline, [HOUR])];
  assert.equal(both.length, 2 * DELIVERIES);
  assert.deepEqual(all(scans.map(({ files }) => files)), both);
  for (const { files } of scans) assert.deepEqual(files, files.length === both.length ? both : files[0] === own[0] ? own : before);
  // Of 100 events in a delivery 10 are of bots.
  await runTask({ kind: 'day', day: '2026-11-20' }, pipeline);
  const day = { from: '2026-11-20', to: '2026-11-20' };
  assert.deepEqual(await pipeline.stats('shop', { ...day, metrics: 'events,bots' }), { events: 90 * DELIVERIES, bots: 10 * DELIVERIES });

  // That these files are read is seen when they are spoiled as well.
  spoil(BEFORE);
  await assert.rejects(runTask({ kind: 'hour', hour: HOUR }, pipeline), /dt=2026-11-19.*hr=23/);
});

test('Where the table has all hours, the bounds in the statement leave the files of two', async (t) => {
  const pipeline = await openLake(t);
  const every = [HOUR, BEFORE, ...OTHERS];
  const scans = await scansDuring(t, pipeline, () => count(pipeline, every));
  const [both, before, own] = [filesOf(pipeline, [BEFORE, HOUR]), filesOf(pipeline, [BEFORE]), filesOf(pipeline, [HOUR])];
  assert.deepEqual(all(scans.map(({ files }) => files)), both);
  const total = filesOf(pipeline, every).length;
  assert.equal(total, 6 * DELIVERIES);
  for (const { files, left } of scans) {
    assert.deepEqual(files, files.length === both.length ? both : files[0] === own[0] ? own : before);
    // The optimizer leaves files out once, or twice: then the second time all that are there are left.
    assert.ok(left === `${files.length}/${total}` || left === `${files.length}/${files.length}`, left);
  }
});

test('What the two queries of an hour write has the columns that are declared for it, of just those types', async (t) => {
  const pipeline = await openLake(t);
  await pipeline.sendBatch('shop', eventsOf(HOUR, 0));
  pipeline.at(`${HOUR}:30:00Z`);
  const url = 'https://shop.example/';
  await pipeline.send('shop', [{ name: 'page_view', visitor: 'new', url }, { name: 'sign_up', visitor: 'new', url }, { name: 'No name' }]);
  await pipeline.deliver();
  await count(pipeline, [HOUR, BEFORE]);
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const types = { string: 'VARCHAR', int: 'INTEGER', bigint: 'BIGINT', hash: 'BIGINT', boolean: 'BOOLEAN', ints: 'INTEGER[]' };
  for (const [files, columns] of Object.entries({ steps: STEP_COLUMNS, hours: HOUR_COLUMNS })) {
    const written = join(pipeline.lakeFolder, files, 'run=test', '*.parquet');
    const described = await connection.runAndReadAll(`select column_name, column_type from (describe from read_parquet('${written}', hive_partitioning = false))`);
    const declared = Object.entries(columns).map(([name, type]) => [name, types[type]]);
    assert.deepEqual(described.getRows().sort(), declared.sort(), files);
    // There is something in each of them, so that the type is no accident.
    const [counts] = (await connection.runAndReadAll(`select count(columns(*)) from read_parquet('${written}', hive_partitioning = false)`)).getRows();
    assert.deepEqual(counts!.filter((values) => values === 0n), [], files);
  }
  connection.closeSync();
  instance.closeSync();
});

// What counting needs of an event.
const COUNTED = [
  'site_id', 'event_key', 'name', 'ts', 'place', 'quarter', 'local_day', 'visitor', 'sketch_bucket', 'sketch_rank', 'path',
  'referrer_host', 'source', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term', 'country', 'device',
  'browser', 'os', 'language', 'value_micros', 'currency', 'revenue_micros', 'product_id', 'quantity', 'bot', 'rejected',
];
// What tells which copy of an event sent again counts.
const OF_COPIES = ['via', 'received_at', 'processed_at'];
const NEVER = ['host', 'transaction_id', 'props', 'v'];
// These are in the files' paths, not in the files.
const OF_PATH = ['dt', 'hr'];

/** Compressed bytes of each column in the files. */
async function bytesByColumn({ lakeFolder }: Pipeline, files: readonly string[]): Promise<Map<string, number>> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const paths = files.map((file) => `'${join(lakeFolder, 'events', file)}'`).join(', ');
  const result = await connection.runAndReadAll(`select path_in_schema, sum(total_compressed_size) from parquet_metadata([${paths}]) group by all`);
  const bytes = new Map(result.getRows().map(([column, size]) => [String(column), Number(size)]));
  connection.closeSync();
  instance.closeSync();
  return bytes;
}

test('Of the columns of an event those are read that counting needs, and no others', async (t) => {
  const pipeline = await openLake(t);
  await pipeline.sendBatch('shop', eventsOf(HOUR, 0));
  await pipeline.deliver();
  const scans = await scansDuring(t, pipeline, () => count(pipeline, [HOUR, BEFORE]));
  assert.deepEqual(all(scans.map(({ columns }) => columns)), [...COUNTED, ...OF_COPIES, ...OF_PATH].sort());
  assert.deepEqual([...COUNTED, ...OF_COPIES, ...NEVER].sort(), Object.keys(ROW_COLUMNS).sort());

  const bytes = await bytesByColumn(pipeline, filesOf(pipeline, [HOUR, BEFORE]));
  const sum = (columns: Iterable<string>) => [...columns].reduce((total, column) => total + (bytes.get(column) ?? 0), 0);
  const total = sum(bytes.keys());
  for (const [what, columns] of Object.entries({ 'to count': COUNTED, 'of copies': OF_COPIES, never: NEVER })) {
    t.diagnostic(`read ${what}: ${sum(columns)} of ${total} bytes (${(100 * sum(columns) / total).toFixed(1)} %) in ${columns.length} of ${bytes.size} columns`);
  }
  for (const { columns, files } of scans) t.diagnostic(`a scan of ${files.length} files: ${sum(columns)} bytes, ${[...columns].join(' ')}`);
});

test('What tells copies apart is read of copies: where nothing was sent again, that scan ends as it begins', async (t) => {
  const pipeline = await openLake(t);
  const ofCopies = async () => {
    const scans = await scansDuring(t, pipeline, () => count(pipeline, [HOUR, BEFORE]));
    return scans.filter(({ columns }) => OF_COPIES.some((column) => columns.has(column)));
  };
  // 100 events in a delivery, and an item of each of 25 purchases.
  const rows = 2 * DELIVERIES * 125;
  const [once, ...noOther] = await ofCopies();
  assert.deepEqual(noOther, []);
  // Each of the engine's two threads may have taken up one of the four files before it saw that there is nothing to find.
  assert.ok(once!.rows <= rows / DELIVERIES, `${once!.rows} of ${rows} rows`);

  await pipeline.sendBatch('shop', eventsOf(hourAfter(BEFORE), 0).slice(0, 1));
  await pipeline.deliver();
  const [again] = await ofCopies();
  assert.equal(again!.files.length, 2 * DELIVERIES + 1);
  t.diagnostic(`rows that leave the scan: ${once!.rows} where nothing was sent again, ${again!.rows} where one event of ${rows} rows was`);
});
