// What the lake gives of its rows: lists of texts come from the engine as one text each, and are lists again.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { rowLine } from '../../core/deliver/row.ts';
import { ROW_COLUMNS, type Row } from '../../core/event.ts';
import { partitionOf, type Hour } from '../../core/hour.ts';
import type { Query, ResultRow } from '../../core/ports.ts';
import { hourQueries, slicesOfHour } from '../../core/rollup.ts';
import { duckdbLake } from '../../local/lake.ts';
import { openPipeline } from '../pipeline.ts';
import { BROWSER, temporaryFolder } from '../process.ts';

async function all(rows: AsyncIterable<ResultRow>): Promise<ResultRow[]> {
  const found: ResultRow[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

/** A lake, and what writes parts into it. */
async function openLake(t: TestContext) {
  const folder = temporaryFolder();
  const lake = await duckdbLake(folder, { enginePath: join(folder, 'engine.duckdb'), temporary: join(folder, 'temporary'), memory: '1GB', threads: 1 });
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  t.after(() => {
    connection.closeSync();
    instance.closeSync();
    lake.close();
  });
  const write = async (part: string, select: string) => { await connection.run(`copy (${select}) to '${join(folder, part).replaceAll("'", "''")}' (format parquet)`); };
  return { folder, lake, write };
}

const HOUR: Hour = '2026-03-10T12';

/** A lake in which sites have so many refused events in an hour, in a file each; and that hour's queries. */
async function openHour(t: TestContext, sizes: Record<string, number>) {
  const { folder, lake } = await openLake(t);
  let event_key = 0n;
  for (const [i, [site_id, size]] of Object.entries(sizes).entries()) {
    const lines = Array.from({ length: size }, () => `${rowLine({
      site_id, event_key: event_key++, name: 'page_view', ts: Date.parse(`${HOUR}:00:00Z`), quarter: 0, local_day: '2026-03-10', quantity: 1,
      bot: false, rejected: 'bad_value', via: 'beacon', received_at: 0, processed_at: 0, v: 1,
    })}\n`);
    const file = join(folder, 'lines');
    writeFileSync(file, lines.join(''));
    await lake.addEvents(file, partitionOf(HOUR), `file-${i}`);
  }
  const files = await lake.byFile!.files([partitionOf(HOUR)]);
  const [steps, hours] = hourQueries(HOUR, 'run').map((query): Query => ({ ...query, reads: { ...query.reads, files: { before: files.map(({ name }) => name), added: [] } } })) as [Query, Query];
  return { lake, files, steps, hours };
}

// In the order of code points: a hyphen, digits, capitals, _, small letters.
const SIZES = { '-': 1, '0': 2, 'A': 1, 'B': 3, '_unknown': 1, 'a': 9, 'a-b': 1, 'aB': 1, 'a_b': 1, 'ab': 1, 'b': 2, 'b-': 5, 'z': 1 };

test('An hour is cut where sites reach a multiple of the rows; one that is small, or of few rows, is not', async (t) => {
  const { lake, files } = await openHour(t, SIZES);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const slices = async (from: number, rows: number) => (await slicesOfHour(HOUR, 'run', files, { from, rows }, lake))?.slices.map(({ first, end }) => `${first}…${end}`);
  // Rows before each: 0, 1, 3, 4, 7, 8, 17, 18, 19, 20, 21, 23, 28; 29 in all.
  assert.deepEqual(await slices(0, 4), ['…B', 'B…a', 'a…a-b', 'a-b…ab', 'ab…z', 'z…']);
  assert.deepEqual(await slices(0, 10), ['…a-b', 'a-b…ab', 'ab…']);
  assert.deepEqual(await slices(bytes, 28), ['…z', 'z…']);
  assert.equal(await slices(0, 29), undefined);
  assert.equal(await slices(bytes + 1, 4), undefined);
});

test('What is run in slices makes a part of each, of its sites alone, which are compared by code points and read whole', async (t) => {
  const { lake, steps, hours } = await openHour(t, SIZES);
  const slices = [{ first: '', end: 'B' }, { first: 'B', end: 'a' }, { first: 'a', end: 'a-b' }, { first: 'a-b', end: 'b' }, { first: 'b', end: 'c' }, { first: 'c', end: 'y' }, { first: 'y', end: '' }];
  await lake.unload({ ...steps, slices }, 'steps/run=run');
  const parts = await lake.unload({ ...hours, slices }, 'hours/run=run');
  assert.deepEqual(parts, slices.map((_, i) => `hours/run=run/part-${i}.parquet`));
  const rejected = async (part: string) => Object.fromEntries((await all(lake.rows(part))).filter(({ dimension }) => dimension === '').map((row): [string, number] => [String(row.site_id), Number(row.rejected)]));
  assert.deepEqual(await Promise.all(parts.map(rejected)), [{ '-': 1, '0': 2, 'A': 1 }, { B: 3, _unknown: 1 }, { a: 9 }, { 'a-b': 1, 'aB': 1, 'a_b': 1, 'ab': 1 }, { 'b': 2, 'b-': 5 }, {}, { z: 1 }]);
  const [part] = await lake.unload({ statement: 'summary', reads: { hours: ['run'] }, parameters: { run: 'run' } }, 'items/run=run');
  assert.deepEqual((await all(lake.rows(part!))).map(({ sites, rejected }) => [Number(sites), Number(rejected)]), [[13, 29]]);
  // At once again, in place of all parts.
  assert.deepEqual(await lake.unload(hours, 'hours/run=run'), ['hours/run=run/part-0.parquet']);
  assert.deepEqual(await rejected('hours/run=run/part-0.parquet'), SIZES);
  await assert.rejects(all(lake.rows('hours/run=run/part-1.parquet')));
});

test('What dies in its second slice leaves what was there before', async (t) => {
  const { lake, steps } = await openHour(t, SIZES);
  const [part] = await lake.unload(steps, 'steps/run=run');
  const dying = { get first(): string { throw new Error('died'); }, end: '' };
  await assert.rejects(lake.unload({ ...steps, slices: [{ first: '', end: 'a' }, dying] }, 'steps/run=run'), /^Error: died$/);
  assert.equal((await all(lake.rows(part!))).length, 29);
  await assert.rejects(all(lake.rows('steps/run=run/part-1.parquet')));
});

test('A row has its values when it is read again, whatever its texts are, and nulls where it has none', async (t) => {
  const { folder, lake } = await openLake(t);
  const texts = ['a', ' a ', '"', '"a', 'a"b"', "'", '\\', '\\n', 'a,b;c|d', '#a', 'null', 'NULL', '\ufeffa', '\u0085', '\u2028', 'ä€😀', '{"k":"\\"v\\u001f"}', 'x'.repeat(100_000)];
  const named = (i: number): Row => Object.fromEntries(Object.entries(ROW_COLUMNS).map(([name, type], at) => [name,
    // Each text in each column, and the greatest and least numbers.
    type === 'string' ? texts[(i + at) % texts.length] : type === 'boolean' ? i % 2 === 0 : type === 'hash' ? (i % 2 === 0 ? 2n ** 63n - 1n : -(2n ** 63n))
      : type === 'int' ? (i % 2 === 0 ? 2 ** 31 - 1 : -(2 ** 31)) : (i % 2 === 0 ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER)]));
  const rows: Row[] = [...texts.map((_, i) => named(i)), { site_id: 'bare' }];
  const file = join(folder, 'lines');
  writeFileSync(file, rows.map((row) => `${rowLine(row)}\n`).join(''));
  await lake.addEvents(file, partitionOf(HOUR), 'file');
  const instance = await DuckDBInstance.create();
  t.after(() => { instance.closeSync(); });
  const connection = await instance.connect();
  const parquet = join(folder, 'events/dt=2026-03-10/hr=12/file.parquet').replaceAll("'", "''");
  // With something before them: a text's first mark of its byte order is lost on its way from the engine.
  const read = (await connection.runAndReadAll(`select '=' || columns(*)::varchar from read_parquet('${parquet}', hive_partitioning = false)`)).getRowObjects();
  connection.closeSync();
  assert.equal(read.length, rows.length);
  for (const [i, row] of rows.entries()) {
    for (const name of Object.keys(ROW_COLUMNS) as (keyof Row)[]) assert.equal(read[i]![name], row[name] === undefined ? null : `=${String(row[name])}`, `row ${i}, ${name}`);
  }
});

test('A list of texts has all of its texts, whatever they are: empty ones too, in an empty list none, and no list is null', async (t) => {
  const { lake, write } = await openLake(t);
  const lists: [sql: string, list: string[] | null][] = [
    ["['a', 'b']", ['a', 'b']], ["['a']", ['a']], ['[]', []], ["['']", ['']], ["['', '']", ['', '']], ["['a', '', 'b', '']", ['a', '', 'b', '']],
    ["['0']", ['0']], ["['-1', '2']", ['-1', '2']], ['null', null],
    ["['a' || chr(31) || 'b', 'ä€😀', chr(8232) || chr(10), '''\"\\,]']", ['a\u001fb', 'ä€😀', '\u2028\n', '\'"\\,]']],
    ["list_transform(range(3000), n -> 'text ' || n)", Array.from({ length: 3000 }, (_, n) => `text ${n}`)],
  ];
  await write('lists', lists.map(([sql], n) => `select ${n} as n, cast(${sql} as varchar[]) as texts, cast(${sql} as varchar[]) as more, 'plain' as plain, [1, null] as numbers`).join(' union all '));
  const rows = (await all(lake.rows('lists'))).sort((a, b) => Number(a.n) - Number(b.n));
  assert.deepEqual(rows, lists.map(([, list], n) => ({ n, texts: list, more: list, plain: 'plain', numbers: [1, null] })));
});

for (const [what, sql] of [
  ['holds the separator', "['a' || chr(30) || 'b']"], ['is the separator', "['a', chr(30)]"], ['is null', "['a', null]"], ['is null, alone', '[null]'],
] as const) {
  test(`A list of which a text ${what} is no list of other texts: to read it fails`, async (t) => {
    const { lake, write } = await openLake(t);
    await write('lists', `select cast(${sql} as varchar[]) as texts`);
    await assert.rejects(all(lake.rows('lists')), /^Error: lists texts: accepts lists of texts without U\+001E, of which none is null$/);
  });
}

test('Whatever a client says, no text that is stored holds a separator of texts, or any other control character', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:00:00Z');
  await pipeline.site('shop');
  const said = 'a\0\t\n\u001b\u001e\u001f\u007f\u0085\u009fb';
  const encoded = encodeURIComponent(said);
  const campaign = ['source', 'medium', 'campaign', 'content', 'term'].map((name) => `utm_${name}=${encoded}`).join('&');
  const more = (url: string) => ({ url, referrer: url.replace('shop', 'news'), transaction_id: said, visitor: said, props: { [said]: said }, items: [{ id: said, quantity: 1, price: 1 }], value: 1, currency: 'EUR' });
  // In an address as it is, and encoded.
  const events = [`https://shop.example/${said}?utm_source=${said}&utm_term=${said}`, `https://shop.example/${encoded}?${campaign}`].map(more)
    .flatMap((fields) => ['purchase', 'view_item'].map((name) => ({ name, ...fields })));
  await pipeline.send('shop', [...events, { name: said }, { name: 'page_view', [said]: said }], `${BROWSER} ${said}`);
  await pipeline.sendBatch('shop', events.map((event) => ({ ...event, user_agent: `${BROWSER} ${said}` })));
  await pipeline.sendBatch('shop', [{ name: 'sign_up', user_agent: `${said}Nobody${said}/1.0` }]);
  await pipeline.deliver();
  const partition = 'events/dt=2026-03-10/hr=12';
  const rows = (await Promise.all(readdirSync(join(pipeline.lakeFolder, partition)).map((file) => all(pipeline.lake.rows(`${partition}/${file}`))))).flat();
  const texts = (name: string) => new Set(rows.map((row) => row[name]).filter((value) => value !== null));
  for (const name of ['path', 'referrer_host', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term', 'browser', 'product_id', 'transaction_id', 'props', 'rejected']) assert.ok(texts(name).size > 0, name);
  for (const row of rows) for (const [name, value] of Object.entries(row)) if (typeof value === 'string') assert.doesNotMatch(value, /\p{Cc}/u, name);
  // So the day's lists hold them as they are: a view of either address, by both doors.
  await pipeline.rollup();
  assert.deepEqual(await pipeline.breakdown('shop', { from: '2026-03-10', to: '2026-03-10', dimension: 'product', metrics: 'view_items' }), { 'a b': { view_items: 4 } });
});
