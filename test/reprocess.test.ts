// Hours of the past are reprocessed by the real process: nothing changes that should not, live events go first, and a
// job survives `kill -9`. Then its routes on their own.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { hourAfter, hourOf } from '../core/hour.ts';
import { newKey, storeKey } from '../core/keys.ts';
import { writeSite } from '../core/sites.ts';
import { adminHandler } from '../lambdas/admin.ts';
import { advanceReprocess, type ShownJob } from '../core/reprocess.ts';
import type { ShownEstimate } from '../local/client.ts';
import { MemoryStore, NO_LAKE, NO_TASKS, PACE, httpPorts, siteOf } from './memory.ts';
import { ADMIN_KEY, BROWSER, api, beacon, countedUntilNow, eventsOf, makeSite, runToEnd, startProcess, temporaryFolder, until } from './process.ts';

const THIS_HOUR = hourOf(Date.now());
/** Hours of yesterday and before, some of them neighbours: visits go on from the one to the next. */
const HOURS = [-50, -49, -48, -30, -26, -25].map((n) => hourAfter(THIS_HOUR, n));
const RANGE = { from: HOURS[0]!, to: HOURS.at(-1)! };
const DAYS = `from=${RANGE.from.slice(0, 10)}&to=${RANGE.to.slice(0, 10)}`;

/** Events of the past for the server door: told apart by id, by transaction and by content, one of no named visitor. */
const PAST = HOURS.flatMap((hour, n) => [
  { name: 'page_view', id: `view-${n}`, time: `${hour}:05:00Z`, url: `https://shop.example/${n % 2}?utm_source=s${n % 3}`, visitor: 'ann' },
  { name: 'page_view', time: `${hour}:50:00Z`, url: 'https://shop.example/end', visitor: 'ann' },
  { name: 'page_view', time: `${hour}:10:00Z`, url: 'https://shop.example/', ip: '192.0.2.7', user_agent: BROWSER },
  { name: 'purchase', transaction_id: `t${n}`, time: `${hour}:55:00Z`, value: 10 + n, currency: 'EUR', visitor: 'ann', items: [{ id: 'sku', quantity: 2, price: 5 }] },
]);

/** Everything sent before now is counted, and no task waits: the days of hours that changed are written, too. */
async function allDone(url: string): Promise<void> {
  await countedUntilNow(url);
  await until(async () => ((await api<{ waiting_tasks: number }>(url, 'GET', '/v1/health')).waiting_tasks === 0 ? true : undefined), 'the tasks');
}

/** Answers over the days of the past events, as the merchant gets them. */
async function numbersOf(url: string): Promise<unknown[]> {
  return Promise.all([
    `stats?${DAYS}`, `timeseries?${DAYS}`, `timeseries?${DAYS}&interval=hour`,
    ...['page', 'source', 'event', 'product', 'exit_page'].map((dimension) => `breakdown?${DAYS}&dimension=${dimension}`),
  ].map(async (query) => (await api<{ results: unknown }>(url, 'GET', `/v1/sites/shop/${query}`)).results));
}

async function jobs(url: string): Promise<ShownJob[]> {
  return (await api<{ jobs: ShownJob[] }>(url, 'GET', '/v1/rollups')).jobs;
}

function jobWhen(url: string, id: string, is: (job: ShownJob) => boolean): Promise<ShownJob> {
  return until(async () => (await jobs(url)).find((job) => job.id === id && is(job)), 'the job');
}

/** Rows of events, those delivered again too, in the data folder's lake. */
async function rowsIn(data: string): Promise<number> {
  const connection = await (await DuckDBInstance.create()).connect();
  const files = join(data, 'lake/events/*/*/*.parquet').replaceAll('\\', '/');
  const read = await connection.runAndReadAll(`select count(*) from read_parquet('${files}') where product_id is null`);
  return Number(read.getRows()[0]![0]);
}

const isDone = ({ state }: ShownJob) => state === 'done';

test('Hours of the past are reprocessed by the real process', async (t) => {
  const data = temporaryFolder();
  const { url, end } = await startProcess(t, data);
  const key = await makeSite(url, 'shop');
  const liveKey = await makeSite(url, 'live');
  assert.deepEqual(await api(url, 'POST', '/v1/events', { events: PAST }, key), { accepted: PAST.length, rejected: [] });
  await allDone(url);
  const before = await numbersOf(url);

  await t.test('A dry run says how many hours there are, and begins nothing', async () => {
    const would = await api<ShownEstimate>(url, 'POST', '/v1/rollups', { ...RANGE, replay: true, dry_run: true });
    assert.equal(would.hours, HOURS.length);
    assert.ok(would.bytes > 0 && would.raw_bytes > 0, JSON.stringify(would));
    assert.deepEqual(await jobs(url), []);
  });

  await t.test('The command sees every hour rolled up again; no number changes, and events sent meanwhile are counted', async (t) => {
    const command = runToEnd(t, 'local/reprocess.ts', ['--from', RANGE.from, '--to', RANGE.to, '--url', url], { ...process.env, FOOTFALL_KEY: ADMIN_KEY });
    const { id } = await until(async () => (await jobs(url))[0], 'the job to begin');
    assert.equal((await beacon(url, 'live', [{ name: 'page_view' }])).status, 204);
    await api(url, 'POST', '/v1/events', { events: [{ name: 'page_view', time: `${HOURS[1]}:30:00Z` }] }, liveKey);
    const { code, stdout, stderr } = await command;
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^hours done: ${HOURS.length}\nhours failed: 0\n`));

    const job = (await jobs(url)).find((one) => one.id === id);
    assert.deepEqual([job?.state, job?.hours, job?.hours_done, job?.hours_failed], ['done', HOURS.length, HOURS.length, []]);
    await allDone(url);
    assert.deepEqual(await numbersOf(url), before);
    assert.deepEqual([await eventsOf(url, 'live', DAYS), await eventsOf(url, 'live', `from=${THIS_HOUR.slice(0, 10)}&to=${hourOf(Date.now()).slice(0, 10)}`)], [1, 1]);
  });

  await t.test('A replay goes on by itself after a kill -9 and a restart, and counts nothing twice', async (t) => {
    const { id } = await api<ShownJob>(url, 'POST', '/v1/rollups', { ...RANGE, replay: true });
    // Its records are in the log, and perhaps delivered; no hour is known to be rolled up.
    const halfWay = await jobWhen(url, id, ({ records_replayed }) => records_replayed > 0);
    await end('SIGKILL');
    assert.equal(halfWay.state, 'replaying');

    const again = await startProcess(t, data);
    const job = await jobWhen(again.url, id, isDone);
    assert.deepEqual([job.hours_done, job.hours_failed, job.records_skipped], [HOURS.length, [], 0]);
    await allDone(again.url);
    assert.deepEqual(await numbersOf(again.url), before);
    await again.end();
    const rows = await rowsIn(data);
    assert.ok(rows >= 2 * PAST.length, `${rows} rows of ${PAST.length} events: they were not delivered again`);
  });
});

// ---- The routes

const CLOCK = Date.parse('2026-11-20T10:30:00Z');

interface Answer { detail?: string; errors?: { parameter: string }[]; id?: string; jobs?: ShownJob[] }

/** Asks the two routes of a server without events. */
async function asking() {
  let now = CLOCK;
  const registry = new MemoryStore();
  const keys = { read: newKey('read'), write: newKey('write'), admin: newKey('admin') };
  await writeSite(registry, siteOf());
  for (const scope of ['read', 'write', 'admin'] as const) await storeKey(registry, keys[scope], { scope, label: '', ...(scope !== 'admin' && { site: 'shop' }) }, '');
  const handler = adminHandler({ registry, lake: { ...NO_LAKE, sizeOf: async () => 0 }, tasks: NO_TASKS, clock: () => now++, usdPerTerabyte: 0, rawKeptMs: 0, ...httpPorts(registry, () => now) });
  const ask = async (method: 'GET' | 'POST' | 'DELETE', key: string | undefined, given: { query?: string; body?: string; job?: string } = {}) => {
    const event = {
      version: '2.0', routeKey: `${method} /v1/rollups${given.job === undefined ? '' : '/{job}'}`, pathParameters: { job: given.job }, rawPath: '/v1/rollups', rawQueryString: given.query ?? '', isBase64Encoded: false,
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` }, requestContext: { requestId: 'request-1', http: { method } }, body: given.body,
    } as unknown as APIGatewayProxyEventV2;
    const { statusCode, body } = await handler(event, {} as Context);
    return { status: statusCode, answer: JSON.parse(body ?? '{}') as Answer };
  };
  return { keys, ask, registry };
}

test('Reprocessing takes an admin key: other keys get 403 on both routes, and none 401', async () => {
  const { keys, ask, registry } = await asking();
  const body = JSON.stringify({ from: '2026-11-20T00', to: '2026-11-20T01' });
  for (const method of ['GET', 'POST'] as const) {
    const statuses = await Promise.all([keys.read, keys.write, newKey('admin'), undefined].map(async (key) => (await ask(method, key, { body })).status));
    assert.deepEqual(statuses, [403, 403, 401, 401], method);
  }
  assert.deepEqual(await registry.range('reprocess', '', '~'), []);
});

for (const [name, body, fields] of [
  ['nothing', {}, ['from', 'to']],
  ['null', null, ['from', 'to']],
  ['a list', [], ['from', 'to']],
  ['no to', { from: '2026-11-20T00' }, ['to']],
  ['a day', { from: '2026-11-20', to: '2026-11-20T01' }, ['from']],
  ['an hour that does not exist', { from: '2026-11-20T00', to: '2026-11-20T24' }, ['to']],
  ['an hour to come', { from: '2026-11-20T00', to: '2026-11-20T11' }, ['from', 'to']],
  ['an hour before 2010', { from: '2009-12-31T23', to: '2026-11-20T00' }, ['from', 'to']],
  ['hours the wrong way round', { from: '2026-11-20T01', to: '2026-11-20T00' }, ['from', 'to']],
  ['more than ten years', { from: '2010-01-01T00', to: '2026-11-20T00' }, ['from']],
  ['words for switches', { from: '2026-11-20T00', to: '2026-11-20T01', replay: 'yes', dry_run: 1 }, ['replay', 'dry_run']],
  ['a field of another name', { from: '2026-11-20T00', to: '2026-11-20T01', dryRun: true }, ['dryRun']],
] as const) {
  test(`A job of ${name} is refused with 422, naming ${fields.join(' and ')}`, async () => {
    const { keys, ask, registry } = await asking();
    const { status, answer } = await ask('POST', keys.admin, { body: JSON.stringify(body) });
    assert.equal(status, 422);
    assert.deepEqual(answer.errors?.map(({ parameter }) => parameter), fields);
    assert.deepEqual(await registry.range('reprocess', '', '~'), []);
  });
}

test('A job is begun once, as long as it is not done; one that differs is another, and the newest is shown first', async () => {
  const { keys, ask } = await asking();
  const range = { from: '2026-11-20T00', to: '2026-11-20T01' };
  const ids: (string | undefined)[] = [];
  for (const body of [range, { ...range, replay: false }, { ...range, replay: true }, range, { ...range, to: '2026-11-20T02' }]) {
    const { status, answer } = await ask('POST', keys.admin, { body: JSON.stringify(body) });
    assert.equal(status, 202);
    ids.push(answer.id);
  }
  assert.deepEqual([ids[1], ids[3]], [ids[0], ids[0]]);
  assert.deepEqual((await ask('GET', keys.admin)).answer.jobs?.map(({ id }) => id), [ids[4], ids[2], ids[0]]);
});

test('A job is cancelled by its id; one that is over, or that never was, is not there', async () => {
  const { keys, ask, registry } = await asking();
  const { answer } = await ask('POST', keys.admin, { body: JSON.stringify({ from: '2026-11-20T00', to: '2026-11-20T01' }) });
  const { id: job = '' } = answer;
  assert.equal((await ask('DELETE', keys.read, { job })).status, 403);
  assert.equal((await ask('DELETE', keys.admin, { job: 'another' })).status, 404);
  assert.equal((await ask('DELETE', keys.admin, { job })).status, 202);
  await advanceReprocess({ registry, lake: NO_LAKE, stream: { put: async () => undefined }, tasks: NO_TASKS, clock: () => CLOCK, deliveredThrough: () => CLOCK, rawKeptMs: 0, pace: PACE });
  assert.equal((await ask('GET', keys.admin)).answer.jobs?.[0]?.state, 'cancelled');
  assert.equal((await ask('DELETE', keys.admin, { job })).status, 404);
});

test('A body that is no JSON is refused with 400', async () => {
  const { keys, ask } = await asking();
  assert.equal((await ask('POST', keys.admin, { body: '{' })).status, 400);
});

for (const [query, says] of [
  ['since=2026-11-20T00', /^since "2026-11-20T00": accepts nothing: the parameters are from, to$/],
  ['from=2026-11-20', /^from "2026-11-20", to "2026-11-20T10": each accepts an hour of UTC/],
  ['to=tomorrow', /^from "tomorrow", to "tomorrow": each accepts an hour of UTC/],
  ['from=2026-11-20T02&to=2026-11-20T01', /from is not after to$/],
  ['to=2026-11-20T11', /not in the future/],
  ['from=2026-11-20T00&from=2026-11-20T01', /^from "2026-11-20T00 and 2026-11-20T01": accepts one value$/],
  ['from=2026-10-01T00&to=2026-11-20T00', /^from "2026-10-01T00": accepts at most 744 hours up to 2026-11-20T00$/],
] as const) {
  test(`The state of ${query} is refused with 400`, async () => {
    const { keys, ask } = await asking();
    const { status, answer } = await ask('GET', keys.admin, { query });
    assert.equal(status, 400);
    assert.match(answer.detail ?? '', says);
  });
}
