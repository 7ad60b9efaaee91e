// The functions as API Gateway calls them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { newKey, storeKey, type Scope } from '../../core/keys.ts';
import { StreamUnavailable, type Stream } from '../../core/ports.ts';
import { writeProgress } from '../../core/progress.ts';
import { cachedSites, checkSite, writeSite } from '../../core/sites.ts';
import { adminHandler } from '../../lambdas/admin.ts';
import type { Handler } from '../../lambdas/http.ts';
import { ingestHandler } from '../../lambdas/ingest.ts';
import { serveHandler } from '../../lambdas/serve.ts';
import { NO_LAKE, NO_TASKS, MemoryStore } from '../memory.ts';

const NOW = Date.parse('2026-11-20T10:00:00Z');
const clock = () => NOW;

async function open(stream: Stream = { put: () => Promise.resolve() }) {
  const registry = new MemoryStore();
  const metrics = new MemoryStore();
  await writeSite(registry, checkSite('shop', { name: 'Shop', timezone: 'UTC', currency: 'EUR' }, undefined, new Date(NOW).toISOString()));
  const keys = {} as Record<Scope, string>;
  for (const scope of ['read', 'write', 'admin'] as const) {
    keys[scope] = newKey(scope);
    await storeKey(registry, keys[scope], { scope, label: '', ...(scope !== 'admin' && { site: 'shop' }) }, '');
  }
  const errors: unknown[] = [];
  const shared = { registry, clock, onError: (error: unknown) => { errors.push(error); } };
  return {
    registry, keys, errors,
    ingest: ingestHandler({ ...shared, stream, sites: cachedSites(registry, clock, 0) }),
    admin: adminHandler({ ...shared, lake: NO_LAKE, tasks: NO_TASKS, usdPerTerabyte: 0, rawKeptMs: 0 }),
    serve: serveHandler({ ...shared, metrics, health: () => Promise.resolve({ oldest_undelivered_seconds: 7, waiting_tasks: 1, parked_tasks: 0 }) }),
  };
}

interface Call { accept?: string; key?: string; path?: Record<string, string>; query?: string; body?: string; base64?: boolean }

async function call(handler: Handler, routeKey: string, { accept, key, path, query = '', body, base64 = false }: Call = {}) {
  const event = {
    version: '2.0', routeKey, rawPath: '/', rawQueryString: query, headers: { ...(key && { authorization: `Bearer ${key}` }), ...(accept && { accept }) },
    ...(path && { pathParameters: path }), ...(body !== undefined && { body }), isBase64Encoded: base64,
    requestContext: { requestId: 'request-1' },
  } as unknown as APIGatewayProxyEventV2;
  const { statusCode, headers, body: text } = await handler(event, {} as Context);
  const isJson = text !== undefined && /json/.test(String(headers?.['content-type']));
  return { status: statusCode, headers, text, body: isJson ? JSON.parse(text) as Record<string, unknown> : undefined };
}

const BATCH = JSON.stringify({ events: [{ name: 'page_view', url: 'https://shop.example/ü', time: '2026-11-20T09:00:00Z' }] });

test('A batch reaches the stream as envelopes of its site before it is accepted', async () => {
  const put: string[] = [];
  const { ingest, keys } = await open({ put: (records) => { put.push(...records); return Promise.resolve(); } });
  assert.deepEqual(await call(ingest, 'POST /v1/events', { key: keys.write, body: BATCH }).then(({ status, body }) => [status, body]), [202, { accepted: 1, rejected: [] }]);
  await call(ingest, 'POST /v1/events', { key: keys.write, body: Buffer.from(BATCH).toString('base64'), base64: true });
  assert.equal(put.length, 2);
  for (const record of put) {
    const envelope = JSON.parse(record) as { via: string; at: number; body: string };
    assert.deepEqual([envelope.via, envelope.at], ['api', NOW]);
    assert.deepEqual(JSON.parse(envelope.body), { site: 'shop', ...JSON.parse(BATCH) as object });
  }
});

test('A stream that takes nothing is a 503 with the time to wait, and never an accepted batch', async () => {
  const { ingest, keys, errors } = await open({ put: () => Promise.reject(new StreamUnavailable('full')) });
  const { status, headers, body } = await call(ingest, 'POST /v1/events', { key: keys.write, body: BATCH });
  assert.deepEqual([status, headers?.['retry-after'], body?.status], [503, '5', 503]);
  assert.deepEqual(errors, []);
});

test('An error of ours is a 500 that tells the caller nothing and the operator everything', async () => {
  const { ingest, keys, errors } = await open({ put: () => Promise.reject(new Error('password is swordfish')) });
  const { status, body } = await call(ingest, 'POST /v1/events', { key: keys.write, body: BATCH });
  assert.equal(status, 500);
  assert.doesNotMatch(JSON.stringify(body), /swordfish/);
  assert.match(String(errors[0]), /swordfish/);
});

const BODIES: [name: string, body: string, status: number][] = [
  ['no JSON', '{', 400],
  ['no list of events', '{"event":[]}', 422],
  ['501 events', JSON.stringify({ events: Array.from({ length: 501 }, () => ({})) }), 413],
];
for (const [name, body, status] of BODIES) {
  test(`A batch with ${name} is refused with ${status}`, async () => {
    const { ingest, keys } = await open();
    assert.equal((await call(ingest, 'POST /v1/events', { key: keys.write, body })).status, status);
  });
}

const LARGE: [name: string, bytes: number, base64: boolean, status: number][] = [
  ['of 1 MB', 1_048_576, false, 202], ['of a byte more', 1_048_577, false, 413], ['of a byte more, in base64', 1_048_577, true, 413],
];
for (const [name, bytes, base64, status] of LARGE) {
  test(`A batch ${name} is answered with ${status}`, async () => {
    const { ingest, keys } = await open();
    const start = '{"events":[{"name":"x"}],"note":"';
    const body = `${start}${'é'.repeat((bytes - start.length - 2) / 2)}${' '.repeat((bytes - start.length) % 2)}"}`;
    assert.equal(Buffer.byteLength(body), bytes);
    assert.equal((await call(ingest, 'POST /v1/events', { key: keys.write, body: base64 ? Buffer.from(body).toString('base64') : body, base64 })).status, status);
  });
}

test('Each function answers its own routes only', async () => {
  const { serve, admin, keys } = await open();
  assert.equal((await call(serve, 'GET /v1/sites', { key: keys.admin })).status, 404);
  assert.equal((await call(admin, 'GET /v1/health')).status, 404);
});

test('An answer warns of the hours and days of its range that could not be counted, and of no others', async () => {
  const { registry, serve, keys } = await open();
  const hours = ['01', '02', '03', '04', '05'].map((hour) => `2026-11-19T${hour}`);
  await writeProgress(registry, { completeThrough: NOW, parkedHours: [...hours, '2026-11-15T00'], parkedDays: ['2026-11-19'] });
  const warnings = async (day: string) => (await call(serve, 'GET /v1/sites/{site}/stats', { key: keys.read, path: { site: 'shop' }, query: `from=${day}&to=${day}` })).body!.warnings;
  assert.deepEqual(await warnings('2026-11-19'), [{ code: 'not_counted', message: `Not all events of ${hours.join(', ')} and 1 more could be counted yet (hours of UTC, and days).` }]);
  assert.deepEqual(await warnings('2026-11-18'), []);
});

const ACCEPTS: [accept: string | undefined, csv: boolean][] = [
  ['text/csv', true], ['Text/CSV; charset=utf-8', true], ['application/json, text/csv;q=0.5', true], ['text/csv;q=0', false], ['text/csv;q=0.0', false],
  ['*/*', false], ['text/*', false], ['text/csv2', false], ['application/xml', false], [undefined, false],
];
for (const [accept, csv] of ACCEPTS) {
  test(`With Accept: ${accept} the answer is ${csv ? 'CSV' : 'JSON'}`, async () => {
    const { serve, keys } = await open();
    const { status, headers } = await call(serve, 'GET /v1/sites/{site}/stats', { key: keys.read, path: { site: 'shop' }, ...(accept !== undefined && { accept }) });
    assert.deepEqual([status, headers?.['content-type'], headers?.vary], [200, csv ? 'text/csv; charset=utf-8' : 'application/json', 'accept']);
  });
}

test('A series as CSV has a line a day, a name for the file, and in its headers what an answer says beside its results', async () => {
  const { registry, serve, keys } = await open();
  await writeProgress(registry, { completeThrough: NOW, parkedHours: ['2026-11-19T01'], parkedDays: [] });
  const { text, headers } = await call(serve, 'GET /v1/sites/{site}/timeseries', {
    key: keys.read, path: { site: 'shop' }, accept: 'text/csv', query: 'from=2026-11-19&to=2026-11-20&metrics=pageviews,bounce_rate&compare=previous_period',
  });
  assert.deepEqual(text!.split('\r\n'), [
    '\ufefftime,comparison_time,pageviews,pageviews_comparison,pageviews_change,bounce_rate,bounce_rate_comparison,bounce_rate_change,partial',
    '2026-11-19,2026-11-17,0,0,,,,,',
    '2026-11-20,2026-11-18,0,0,,,,,true',
    '',
  ]);
  assert.deepEqual([headers?.['content-disposition'], headers?.['x-complete-through'], headers?.['x-warnings']], [
    'attachment; filename="shop-timeseries-2026-11-19-2026-11-20.csv"', '2026-11-20T10:00:00.000Z', 'not_counted',
  ]);
});

test('Health is open and says how old the oldest undelivered event is', async () => {
  const { serve } = await open();
  const { status, body } = await call(serve, 'GET /v1/health');
  assert.deepEqual([status, body], [200, { status: 'ok', oldest_undelivered_seconds: 7, waiting_tasks: 1, parked_tasks: 0, complete_through: null }]);
});

test('A site is made by a PUT, changed by the next, and keeps when it was made', async () => {
  const { admin, keys } = await open();
  const put = (settings: object) => call(admin, 'PUT /v1/sites/{site}', { key: keys.admin, path: { site: 'new' }, body: JSON.stringify(settings) });
  const made = await put({ name: 'New', timezone: 'Asia/Kolkata', currency: 'INR' });
  const changed = await put({ name: 'Newer', timezone: 'Asia/Kolkata', currency: 'INR', hosts: ['new.example'] });
  assert.deepEqual([made.status, made.body?.name, changed.status, changed.body?.name, changed.body?.hosts], [200, 'New', 200, 'Newer', ['new.example']]);
  assert.equal(changed.body?.created_at, made.body?.created_at);
});

test('A key revoked by its id opens nothing any more', async () => {
  const { admin, serve, keys } = await open();
  const path = { site: 'shop' };
  const { body } = await call(admin, 'POST /v1/sites/{site}/keys', { key: keys.admin, path, body: '{"scope":"read","label":"page"}' });
  const read = () => call(serve, 'GET /v1/sites/{site}/stats', { key: body!.key as string, path });
  assert.equal((await read()).status, 200);
  assert.equal((await call(admin, 'DELETE /v1/sites/{site}/keys/{key}', { key: keys.admin, path: { ...path, key: body!.id as string } })).status, 204);
  assert.equal((await read()).status, 401);
});
