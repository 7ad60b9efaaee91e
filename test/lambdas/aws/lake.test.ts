import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { InternalServerException } from '@aws-sdk/client-athena';
import type { Lake, Query, ResultRow, Statement } from '../../../core/ports.ts';
import { athenaLake, s3Lake, type QueryDone, type QueryFailed } from '../../../lambdas/aws/lake.ts';
import { readStatements } from '../../../lambdas/aws/statements.ts';
import { ROOT } from '../../process.ts';
import { expired, fakeLake, throttled, type Faults } from './athena.ts';

const SQL_FOLDER = join(ROOT, 'sql');

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

/** A lake whose objects arrive in chunks of so many bytes. */
async function openS3(t: TestContext, faults: Partial<Faults> = {}) {
  const fake = await fakeLake(t);
  Object.assign(fake.faults, faults);
  return { ...fake, lake: s3Lake(fake.s3, fake.bucket) };
}

/** A lake that is asked by somebody with so much time left, which only pauses use up. */
async function openAthena(t: TestContext, { leftMs = 600_000, statements, ...faults }: Partial<Faults> & { leftMs?: number; statements?: [Statement, string][] } = {}) {
  const fake = await fakeLake(t);
  Object.assign(fake.faults, faults);
  const { s3, athena, bucket, workgroup, database } = fake;
  const pauses: number[] = [];
  const done: QueryDone[] = [];
  const onPause: { do: () => void } = { do: () => undefined };
  const lake = athenaLake({
    s3, athena, bucket, workgroup, database,
    statements: statements ? new Map(statements) : await readStatements(SQL_FOLDER),
    remainingMs: () => leftMs,
    pause: async (ms) => { pauses.push(ms); leftMs -= ms; onPause.do(); },
    onQuery: (query) => { done.push(query); },
  });
  return { ...fake, lake, pauses, done, onPause };
}

/** Ten numbers, whatever is asked. */
const TEN: [Statement, string][] = [['slices', 'select n from unnest(range(10)) as numbers(n)']];
const ten: Query = { statement: 'slices', reads: {}, parameters: {} };

async function rowsOf(lake: Lake, parts: readonly string[]): Promise<ResultRow[]> {
  return (await Promise.all(parts.map((part) => all(lake.rows(part))))).flat();
}

const sorted = (texts: readonly string[]) => [...texts].sort();
const NUMBERS = Array.from({ length: 10 }, (_, n) => ({ n }));
const byNumber = (rows: readonly ResultRow[]) => [...rows].sort((a, b) => Number(a.n) - Number(b.n));

// Characters of two, three and four bytes, and separators that are the end of a line to others.
const VALUES = ['ä', '€', '😀', '\u2028', '\u2029', '\u0085', 'a\tb', '"', '', 'ü'.repeat(40)];
const LINES = VALUES.map((value) => JSON.stringify({ value }));

for (const [packed, pack, name] of [
  ['lines', (text: string) => Buffer.from(text), 'part'],
  ['gzip', (text: string) => gzipSync(text), 'part.gz'],
  // Not compressed inside, so that a chunk of few bytes is unpacked to as few.
  ['gzip of a single chunk a byte', (text: string) => gzipSync(text, { level: 0 }), 'part.gz'],
  ['gzip that its name does not tell', (text: string) => gzipSync(text), 'part'],
] as const) {
  test(`Rows are read from ${packed}, wherever the borders of chunks are`, async (t) => {
    const { lake, put, faults } = await openS3(t);
    put(`items/${name}`, pack(`${LINES.join('\n')}\n`));
    for (faults.chunkBytes = 1; faults.chunkBytes <= 9; faults.chunkBytes++) {
      assert.deepEqual(await all(lake.rows(`items/${name}`)), VALUES.map((value) => ({ value })), `${faults.chunkBytes} bytes a chunk`);
    }
  });
}

test('A row larger than many chunks is read whole', async (t) => {
  const { lake, put } = await openS3(t, { chunkBytes: 1000 });
  // 300,000 bytes in characters of three, so that of any three borders of chunks two are inside a character.
  const value = '€'.repeat(100_000);
  put('items/large.gz', gzipSync(`{"value":"${value}"}\n{"value":"next"}\n`));
  assert.deepEqual(await all(lake.rows('items/large.gz')), [{ value }, { value: 'next' }]);
});

test('The last line needs no end, and an empty line is no row', async (t) => {
  const { lake, put } = await openS3(t, { chunkBytes: 3 });
  put('items/a', '{"n":1}\n\n{"n":2}');
  put('items/none', '');
  put('items/newline', '\n');
  put('items/none.gz', gzipSync(''));
  assert.deepEqual(await all(lake.rows('items/a')), [{ n: 1 }, { n: 2 }]);
  for (const part of ['items/none', 'items/newline', 'items/none.gz']) assert.deepEqual(await all(lake.rows(part)), [], part);
});

test('Gzip files written one behind the other are read to the end of the last', async (t) => {
  const { lake, put } = await openS3(t);
  put('raw/a.gz', Buffer.concat([gzipSync('first\n'), gzipSync('second\n')]));
  assert.deepEqual(await all(lake.records('raw/a.gz')), ['first', 'second']);
});

test('Records come in their order, with whatever they hold', async (t) => {
  const { lake, put } = await openS3(t);
  const records = Array.from({ length: 5000 }, (_, i) => JSON.stringify({ id: i, body: VALUES[i % VALUES.length] }));
  put('raw/dt=2026-11-20/hr=05/a.gz', gzipSync(records.map((record) => `${record}\n`).join('')));
  assert.deepEqual(await all(lake.records('raw/dt=2026-11-20/hr=05/a.gz')), records);
});

test('What cannot be read is an error that names the object, not an end', async (t) => {
  const { lake, put } = await openS3(t);
  const whole = gzipSync(`${LINES.join('\n')}\n`.repeat(100));
  put('items/short.gz', whole.subarray(0, whole.length - 10));
  put('items/not.gz', 'plain text');
  put('items/torn', '{"n":1}\n{"n":');
  await assert.rejects(all(lake.rows('items/short.gz')), /^Error: items\/short\.gz cannot be read: unexpected end of file$/);
  await assert.rejects(all(lake.rows('items/not.gz')), /^Error: items\/not\.gz cannot be read: incorrect header check$/);
  await assert.rejects(all(lake.rows('items/missing')), /^Error: items\/missing cannot be read: The specified key does not exist\.$/);
  await assert.rejects(all(lake.rows('items/torn')), /^Error: items\/torn line 2 "\{\\"n\\":": accepts one row in JSON$/);
});

test('Whoever stops reading leaves nothing open', async (t) => {
  const { lake, put, calls } = await openS3(t, { chunkBytes: 10 });
  for (const [key, content] of [['items/a', LINES.join('\n')], ['items/b.gz', gzipSync(LINES.join('\n'), { level: 0 })]] as const) {
    put(key, content);
    for await (const { value } of lake.rows(key)) {
      assert.equal(value, VALUES[0]);
      break;
    }
  }
  // A stream tells that it has closed a moment later; many moments are enough, or it never does.
  for (let i = 0; i < 1000 && calls.closed.length < 2; i++) await new Promise(setImmediate);
  assert.deepEqual(sorted(calls.closed), ['items/a', 'items/b.gz']);
});

test('A run is removed to its last object, and no other', async (t) => {
  const { lake, put, keys, calls } = await openS3(t);
  for (let i = 0; i < 2500; i++) put(`hours/run=a/${i}`, '');
  const others = ['changes/run=a/1', 'hours/run=', 'hours/run=a-2/1', 'hours/run=ab/1'];
  for (const key of others) put(key, '');
  await lake.remove('hours/run=a');
  assert.deepEqual(calls.removals, [1000, 1000, 500]);
  assert.deepEqual(keys(''), others);
  await lake.remove('hours/run=a');
  assert.equal(calls.removals.length, 3);
});

test('An object that cannot be removed is told', async (t) => {
  const { lake, put, keys } = await openS3(t, { locked: new Set(['hours/run=a/2', 'hours/run=a/3']) });
  for (let i = 1; i <= 3; i++) put(`hours/run=a/${i}`, '');
  await assert.rejects(lake.remove('hours/run=a'), /^Error: hours\/run=a\/2 cannot be removed: AccessDenied Access Denied$/);
  assert.deepEqual(keys(''), ['hours/run=a/2', 'hours/run=a/3']);
});

for (const prefix of ['', '/', 'hours', 'hours/', 'hours/run=', 'hours/run=a/', 'hours/run=a/b', 'hours/run=..', 'hours/run=a\n', "hours/run=a'", 'events/dt=2026-11-20/hr=05', 'raw/run=a', 'athena/run=a', ' hours/run=a', `hours/run=${'a'.repeat(101)}`]) {
  test(`Nothing is removed or written under ${JSON.stringify(prefix.slice(0, 40))}, which no run is called`, async (t) => {
    const { lake, put, keys, queries } = await openAthena(t, { statements: TEN });
    put('events/dt=2026-11-20/hr=05/a', 'row');
    put('hours/run=a/b', 'row');
    await assert.rejects(lake.remove(prefix), /^Error: prefix ".*: accepts /);
    await assert.rejects(lake.unload(ten, prefix), /^Error: prefix ".*: accepts /);
    assert.deepEqual(keys(''), ['events/dt=2026-11-20/hr=05/a', 'hours/run=a/b']);
    assert.deepEqual(queries, []);
  });
}

test('The size of a partition is that of all its objects, and of no others', async (t) => {
  const { lake, put, calls } = await openS3(t);
  for (let i = 0; i < 2500; i++) put(`events/dt=2026-11-20/hr=05/${i}`, i === 7 ? '12345' : '1');
  put('events/dt=2026-11-20/hr=06/a', 'another hour');
  put('events/dt=2026-11-20/hr=050/a', 'no hour');
  put('raw/dt=2026-11-20/hr=05/a', 'no rows');
  assert.equal(await lake.sizeOf({ dt: '2026-11-20', hr: '05' }), 2504);
  assert.equal(calls.lists, 3);
  assert.equal(await lake.sizeOf({ dt: '2026-11-20', hr: '07' }), 0);
});

test('The raw parts of an hour come in the order of their names, with their bytes', async (t) => {
  const { lake, put } = await openS3(t);
  const names = Array.from({ length: 1001 }, (_, i) => `raw/dt=2026-11-20/hr=05/footfall-1-2026-11-20-05-${String(i).padStart(4, '0')}.gz`);
  for (const name of names.toReversed()) put(name, 'x'.repeat(names.indexOf(name) % 5));
  put('raw/dt=2026-11-20/hr=06/a.gz', 'x');
  assert.deepEqual(await lake.rawParts('2026-11-20T05'), names.map((name, i) => ({ name, bytes: i % 5 })));
  assert.deepEqual(await lake.rawParts('2026-11-20T07'), []);
});

test('A query is begun in its workgroup and database, never with an old result, and each with a token of its own', async (t) => {
  const { lake, queries, workgroup, database, bucket } = await openAthena(t, { statements: TEN });
  await lake.unload(ten, 'items/run=20261120T050000000Z-abc123');
  await lake.unload(ten, 'items/run=20261120T050000000Z-abc123');
  await lake.unload(ten, 'hours/run=20261120T050000000Z-abc123');
  const tokens = queries.map(({ input }) => input.ClientRequestToken!);
  assert.equal(new Set(tokens).size, 3);
  for (const token of tokens) assert.match(token, /^[0-9a-f-]{36}$/);
  const input = (folder: string, format: string) => ({
    QueryString: `UNLOAD (${TEN[0]![1]}) TO 's3://${bucket}/${folder}/run=20261120T050000000Z-abc123/' WITH (${format})`,
    WorkGroup: workgroup, QueryExecutionContext: { Database: database },
    ResultReuseConfiguration: { ResultReuseByAgeConfiguration: { Enabled: false } },
  });
  const json = input('items', "format = 'JSON'");
  assert.deepEqual(queries.map((query) => ({ ...query.input, ClientRequestToken: '' })), [json, json, input('hours', "format = 'PARQUET', compression = 'ZSTD'")].map((one) => ({ ...one, ClientRequestToken: '' })));
});

test('A result is its files in the order of their keys, once the query has succeeded', async (t) => {
  const { lake, keys, pauses, done, onPause } = await openAthena(t, { statements: TEN });
  const whileRunning: number[] = [];
  onPause.do = () => whileRunning.push(keys('items/').length);
  const parts = await lake.unload(ten, 'items/run=a');
  assert.deepEqual(parts, ['items/run=a/1_query-1.gz', 'items/run=a/2_query-1.gz', 'items/run=a/3_query-1.gz']);
  assert.deepEqual(byNumber(await rowsOf(lake, parts)), NUMBERS);
  // It was queued, wrote two of its files, went back into the queue, and ended.
  assert.deepEqual(whileRunning, [0, 0, 2, 2]);
  assert.deepEqual(pauses, [250, 375, 562.5, 843.75]);
  assert.deepEqual(done, [{ statement: 'slices', id: 'query-1', bytesScanned: 4000, ms: 400 }]);
});

test('A result without rows is one without parts', async (t) => {
  const { lake, done } = await openAthena(t, { statements: [['slices', 'select 1 as n where 1 = 0']] });
  assert.deepEqual(await lake.unload(ten, 'changes/run=a'), []);
  assert.equal(done.length, 1);
});

test('A file without a byte is no part', async (t) => {
  const { lake, put, onPause } = await openAthena(t, { statements: TEN });
  onPause.do = () => put('items/run=a/0_empty', '');
  const parts = await lake.unload(ten, 'items/run=a');
  assert.deepEqual(parts.map((part) => part.slice('items/run=a/'.length)), ['1_query-1.gz', '2_query-1.gz', '3_query-1.gz']);
});

test('What a run that died has left is replaced', async (t) => {
  const { lake, put, keys } = await openAthena(t, { statements: TEN });
  put('items/run=a/left.gz', gzipSync('{"n":77}\n'));
  put('items/run=ab/other.gz', gzipSync('{"n":78}\n'));
  assert.deepEqual(byNumber(await rowsOf(lake, await lake.unload(ten, 'items/run=a'))), NUMBERS);
  assert.deepEqual(keys('items/run=a'), ['items/run=a/1_query-1.gz', 'items/run=a/2_query-1.gz', 'items/run=a/3_query-1.gz', 'items/run=ab/other.gz']);
});

test('No query is begun where what was left cannot be removed, since it would fail', async (t) => {
  const { lake, put, queries } = await openAthena(t, { statements: TEN, locked: new Set(['items/run=a/left.gz']) });
  put('items/run=a/left.gz', '');
  await assert.rejects(lake.unload(ten, 'items/run=a'), /items\/run=a\/left\.gz cannot be removed/);
  assert.deepEqual(queries, []);
});

for (const [what, ending, message, retryable] of [
  ['failed', { state: 'FAILED', reason: 'GENERIC_INTERNAL_ERROR: x', error: { Retryable: false } }, 'FAILED: GENERIC_INTERNAL_ERROR: x', false],
  ['failed for want of resources', { state: 'FAILED', reason: 'Query exhausted resources', error: { Retryable: true } }, 'FAILED: Query exhausted resources', true],
  ['was cancelled', { state: 'CANCELLED', reason: 'Bytes scanned limit was exceeded' }, 'CANCELLED: Bytes scanned limit was exceeded', true],
  ['failed without a word', { state: 'FAILED' }, 'FAILED: no reason given', true],
] as const) {
  test(`A query that ${what} has no result, and leaves nothing of what it had written`, async (t) => {
    const { lake, keys, done, queries, onPause, put } = await openAthena(t, { statements: TEN, endings: [ending] });
    put('items/run=ab/other', '');
    let most = 0;
    onPause.do = () => { most = Math.max(most, keys('items/run=a/').length); };
    await assert.rejects(lake.unload(ten, 'items/run=a'), (error: QueryFailed) => {
      assert.deepEqual([error.name, error.message, error.retryable], ['QueryFailed', `sql/slices.sql, query query-1, ${message}`, retryable]);
      return true;
    });
    assert.equal(most, 2);
    assert.deepEqual(keys(''), ['items/run=ab/other']);
    assert.deepEqual(done, [{ statement: 'slices', id: 'query-1', bytesScanned: 4000, ms: 400 }]);
    assert.equal(queries[0]!.status.State, ending.state);
    // The next attempt finds an empty place.
    assert.deepEqual(byNumber(await rowsOf(lake, await lake.unload(ten, 'items/run=a'))), NUMBERS);
  });
}

test('That a query failed is told even where what it wrote cannot be removed', async (t) => {
  const { lake } = await openAthena(t, { statements: TEN, endings: [{ state: 'FAILED', reason: 'x' }], locked: new Set(['items/run=a/3_query-1.gz']) });
  await assert.rejects(lake.unload(ten, 'items/run=a'), /query query-1, FAILED: x/);
});

test('A query is looked at less and less often, and every five seconds at last', async (t) => {
  const { lake, pauses } = await openAthena(t, { statements: TEN, endings: ['never'], leftMs: 60_000 });
  await assert.rejects(lake.unload(ten, 'items/run=a'));
  assert.deepEqual(pauses, [250, 375, 562.5, 843.75, 1265.625, 1898.4375, 2847.65625, 4271.484375, 5000, 5000, 5000, 5000, 5000, 5000]);
});

test('A query that does not end in time is stopped, twenty seconds before the caller would be', async (t) => {
  const { lake, pauses, queries, keys, done } = await openAthena(t, { statements: TEN, endings: ['never'], leftMs: 30_000 });
  await assert.rejects(lake.unload(ten, 'items/run=a'), (error: QueryFailed) => {
    assert.match(error.message, /^sql\/slices\.sql, query query-1, was stopped: 17685\.\d+ ms are left to the function, and 20000 are kept$/);
    return error.retryable;
  });
  // 30,000 − 8,042.97 are enough after seven pauses; − 4,271.48 are too few after eight.
  assert.deepEqual(pauses, [250, 375, 562.5, 843.75, 1265.625, 1898.4375, 2847.65625, 4271.484375]);
  assert.deepEqual(queries[0]!.status, { State: 'CANCELLED', StateChangeReason: 'Query was cancelled by user' });
  assert.deepEqual(keys(''), []);
  assert.deepEqual(done, [{ statement: 'slices', id: 'query-1', bytesScanned: 8000, ms: 800 }]);
});

test('A query that was stopped is told of as it was last seen', async (t) => {
  const { lake, pauses, done } = await openAthena(t, { statements: TEN, endings: ['never'], polls: [undefined, throttled(), throttled()], leftMs: 21_000 });
  await assert.rejects(lake.unload(ten, 'items/run=a'), /was stopped/);
  assert.deepEqual(pauses, [250, 375, 562.5]);
  assert.deepEqual(done, [{ statement: 'slices', id: 'query-1', bytesScanned: 1000, ms: 100 }]);
});

test('A query that has ended by the last look is not stopped', async (t) => {
  // After the third look there is just enough time for a fourth, with which it ends.
  const { lake, queries } = await openAthena(t, { statements: TEN, leftMs: 20_000 + 250 + 375 + 562.5 });
  assert.equal((await lake.unload(ten, 'items/run=a')).length, 3);
  assert.equal(queries[0]!.status.State, 'SUCCEEDED');
});

test('No query is begun that there is no time for', async (t) => {
  const { lake, queries, done } = await openAthena(t, { statements: TEN, leftMs: 19_999 });
  await assert.rejects(lake.unload(ten, 'items/run=a'), /^QueryFailed: sql\/slices\.sql was not begun: 19999 ms are left to the function, and 20000 are kept$/);
  assert.deepEqual([queries, done], [[], []]);
});

test('Where Athena has too many queries to begin another, it is asked again, with the same token', async (t) => {
  const { lake, pauses, queries } = await openAthena(t, { statements: TEN, starts: [throttled(), throttled()] });
  assert.equal((await lake.unload(ten, 'items/run=a')).length, 3);
  assert.deepEqual(pauses, [250, 375, 250, 375, 562.5, 843.75]);
  assert.equal(queries.length, 1);
});

test('It is not asked for ever', async (t) => {
  const { lake, pauses, queries } = await openAthena(t, { statements: TEN, starts: Array.from({ length: 100 }, throttled), leftMs: 21_000 });
  await assert.rejects(lake.unload(ten, 'items/run=a'), /was not begun/);
  assert.deepEqual(pauses, [250, 375, 562.5]);
  assert.deepEqual(queries, []);
});

for (const [what, error] of [
  ['too much to do', throttled],
  ['trouble of its own', () => new InternalServerException({ message: 'x', $metadata: {} })],
] as const) {
  test(`A look at a query is repeated while Athena has ${what}`, async (t) => {
    const { lake, pauses, faults } = await openAthena(t, { statements: TEN, polls: Array.from({ length: 6 }, error) });
    assert.equal((await lake.unload(ten, 'items/run=a')).length, 3);
    assert.deepEqual(pauses, [250, 375, 562.5, 843.75, 1265.625, 1898.4375, 2847.65625]);
    assert.deepEqual(faults.polls, []);
  });

  test(`A query that cannot be looked at, since Athena has ${what}, is stopped when time runs out`, async (t) => {
    const { lake, queries, done, keys } = await openAthena(t, { statements: TEN, endings: ['never'], polls: Array.from({ length: 100 }, error), leftMs: 21_000 });
    await assert.rejects(lake.unload(ten, 'items/run=a'), /query query-1, was stopped/);
    assert.equal(queries[0]!.status.State, 'CANCELLED');
    assert.deepEqual(done, [{ statement: 'slices', id: 'query-1', bytesScanned: 0, ms: 0 }]);
    assert.deepEqual(keys(''), []);
  });
}

for (const name of ['ExpiredToken', 'ExpiredTokenException'] as const) {
  test(`Where the credentials have expired (${name}), the query is stopped if it can be, and the error is told as it is`, async (t) => {
    const error = expired(name);
    const { lake, queries, keys, done, faults } = await openAthena(t, { statements: TEN, polls: [error] });
    await assert.rejects(lake.unload(ten, 'items/run=a'), (thrown) => thrown === error);
    assert.equal(queries[0]!.status.State, 'CANCELLED');
    assert.deepEqual(keys(''), []);
    assert.equal(done.length, 1);

    faults.polls.push(error);
    faults.stops.push(expired(name));
    await assert.rejects(lake.unload(ten, 'items/run=a'), (thrown) => thrown === error);
    assert.deepEqual(faults.stops, []);
  });
}

test('An error in beginning a query that is none of Athena\'s load is told at once', async (t) => {
  const error = expired('ExpiredTokenException');
  const { lake, pauses } = await openAthena(t, { statements: TEN, starts: [error] });
  await assert.rejects(lake.unload(ten, 'items/run=a'), (thrown) => thrown === error);
  assert.deepEqual(pauses, []);
});

test('A statement that there is not is told with those that there are', async (t) => {
  const { lake } = await openAthena(t, { statements: TEN });
  await assert.rejects(lake.unload({ ...ten, statement: 'days' }, 'items/run=a'), /^Error: statement "days": accepts slices$/);
});

test('A value that is no name or date does not get into a statement', async (t) => {
  const { lake, queries } = await openAthena(t);
  await assert.rejects(lake.unload({ statement: 'summary', reads: {}, parameters: { run: "a' or 'a' = 'a" } }, 'items/run=a'), /^Error: parameter run /);
  assert.deepEqual(queries, []);
});

/** A row under `hours/`. */
function hourRow(site_id: string, quarter: number, sums: Record<string, number>, more: Record<string, unknown> = {}): string {
  const none = { pageviews: 0, visits: 0, engaged_visits: 0, visit_ms: 0, view_items: 0, add_to_carts: 0, checkouts: 0, purchases: 0, refunds: 0, revenue_micros: 0, items: 0, exits: 0, bots: 0, rejected: 0, long_visit_events: 0 };
  return JSON.stringify({ site_id, local_day: '2026-11-20', quarter, dimension: '', value: '', ...none, ...sums, sketch: [1, 2], ...more });
}

test('The statement of what a run holds adds up the rows of that run, of however many files', async (t) => {
  const { lake, putRows } = await openAthena(t);
  await putRows('hours/run=a/1', [hourRow('shop-1', 100, { events: 5, bots: 1, long_visit_events: 2 }), hourRow('shop-1', 101, { events: 7 })]);
  await putRows('hours/run=a/2', [hourRow('shop-2', 100, { events: 3, rejected: 4 }), hourRow('shop-1', 100, { events: 50 }, { dimension: 'page', value: '/' })]);
  await putRows('hours/run=b/1', [hourRow('shop-3', 100, { events: 1000 })]);
  const parts = await lake.unload({ statement: 'summary', reads: { hours: ['a'] }, parameters: { run: 'a' } }, 'items/run=a');
  assert.deepEqual(await rowsOf(lake, parts), [{ sites: 2, events: 15, bots: 1, rejected: 4, long_visit_events: 2 }]);
});

test('A run that a query wrote is read by the next', async (t) => {
  const statements = await readStatements(SQL_FOLDER);
  const { lake, putRows, keys } = await openAthena(t, { statements: [['hours', 'select * exclude (run) from hours where run = :run'], ['summary', statements.get('summary')!]] });
  await putRows('hours/run=a/1', Array.from({ length: 7 }, (_, i) => hourRow(`shop-${i}`, 100, { events: i })));
  await lake.unload({ statement: 'hours', reads: {}, parameters: { run: 'a' } }, 'hours/run=b');
  assert.equal(keys('hours/run=b/').length, 3);
  const parts = await lake.unload({ statement: 'summary', reads: { hours: ['b'] }, parameters: { run: 'b' } }, 'items/run=b');
  assert.deepEqual(await rowsOf(lake, parts), [{ sites: 7, events: 21, bots: 0, rejected: 0, long_visit_events: 0 }]);
});

test('The statement of what differs finds what is new, what is otherwise, what has vanished and what is pending', async (t) => {
  const { lake, putRows, put } = await openAthena(t);
  const same = [hourRow('same', 100, { events: 5 }), hourRow('same', 101, { events: 5 }, { sketch: [3] })];
  await putRows('hours/run=old/1', [...same, hourRow('more', 100, { events: 3 }), hourRow('vanished', 100, { events: 1 }), hourRow('sketch', 100, { events: 1 })]);
  await putRows('hours/run=new/1', [hourRow('more', 100, { events: 4 }), hourRow('new', 100, { events: 1 }), ...same.toReversed(), hourRow('sketch', 100, { events: 1 }, { sketch: [1, 3] })]);
  put('changes/run=died/1.gz', gzipSync('{"site_id":"pending","local_day":"2026-11-19"}\n'));
  put('changes/run=other/1.gz', gzipSync('{"site_id":"other","local_day":"2026-11-19"}\n'));
  const parts = await lake.unload({
    statement: 'changes', reads: { hours: ['new', 'old'], changes: ['died'] }, parameters: { run: 'new', committed: ['old'], pending: ['died'], whole: [] },
  }, 'changes/run=new');
  assert.equal(parts.length, 3);
  assert.deepEqual(sorted((await rowsOf(lake, parts)).map(({ site_id, local_day }) => `${String(site_id)} ${String(local_day)}`)), [
    'more 2026-11-20', 'new 2026-11-20', 'pending 2026-11-19', 'sketch 2026-11-20', 'vanished 2026-11-20',
  ]);
});
