// The functions as API Gateway calls them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { newKey, storeKey, type Scope } from '../../core/keys.ts';
import { StreamUnavailable, type Stream } from '../../core/ports.ts';
import { writeProgress } from '../../core/progress.ts';
import { checkSite, writeSite } from '../../core/sites.ts';
import { adminHandler } from '../../lambdas/admin.ts';
import type { Handler } from '../../lambdas/http.ts';
import { ingestHandler } from '../../lambdas/ingest.ts';
import { serveHandler } from '../../lambdas/serve.ts';
import { checked } from '../answers.ts';
import { NO_LAKE, NO_TASKS, MemoryStore, httpPorts } from '../memory.ts';

const NOW = Date.parse('2026-11-20T10:00:00Z');
const clock = () => NOW;

async function open(stream: Stream = { put: () => Promise.resolve() }) {
  const registry = new MemoryStore();
  const metrics = new MemoryStore();
  await writeSite(registry, checkSite('shop', { name: 'Shop', timezone: 'UTC', currency: 'EUR' }, undefined, new Date(NOW).toISOString()));
  const keys = {} as Record<Scope, string>;
  for (const scope of ['read', 'write', 'admin'] as const) {
    keys[scope] = newKey(scope);
    await storeKey(registry, keys[scope], { scope, label: '', ...(scope !== 'admin' && { site: 'shop' }) }, new Date(NOW).toISOString());
  }
  const errors: unknown[] = [];
  const shared = { registry, clock, ...httpPorts(registry, clock), onError: (error: unknown) => { errors.push(error); } };
  return {
    registry, keys, errors,
    ingest: checked('ingest', ingestHandler({ ...shared, stream })),
    admin: checked('admin', adminHandler({ ...shared, lake: NO_LAKE, tasks: NO_TASKS, usdPerTerabyte: 0, rawKeptMs: 0 })),
    serve: checked('serve', serveHandler({ ...shared, metrics, health: () => Promise.resolve({ oldest_undelivered_seconds: 7, waiting_tasks: 1, parked_tasks: 0 }) })),
  };
}

interface Call { accept?: string; headers?: Record<string, string>; rawPath?: string; key?: string; path?: Record<string, string>; query?: string; body?: string; base64?: boolean }

async function call(handler: Handler, routeKey: string, { accept, headers: more, rawPath = '/', key, path, query = '', body, base64 = false }: Call = {}, method = routeKey.split(' ')[0]!) {
  const event = {
    version: '2.0', routeKey, rawPath, rawQueryString: query, headers: { ...more, ...(key && { authorization: `Bearer ${key}` }), ...(accept && { accept }) },
    ...(path && { pathParameters: path }), ...(body !== undefined && { body }), isBase64Encoded: base64,
    requestContext: { requestId: 'request-1', http: { method } },
  } as unknown as APIGatewayProxyEventV2;
  const { statusCode, headers, body: sent, isBase64Encoded } = await handler(event, {} as Context);
  const bytes = sent === undefined ? undefined : Buffer.from(sent, isBase64Encoded ? 'base64' : 'utf8');
  const encoding = headers?.['content-encoding'];
  const text = (bytes && (encoding === 'br' ? brotliDecompressSync(bytes) : encoding === 'gzip' ? gunzipSync(bytes) : bytes))?.toString();
  const isJson = text !== undefined && /json/.test(String(headers?.['content-type']));
  return { status: statusCode, headers: headers as Record<string, string>, bytes, text, body: isJson ? JSON.parse(text) as Record<string, unknown> : undefined };
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

test('An answer warns of what could not be counted where smoothing looks back, too', async () => {
  const { registry, serve, keys } = await open();
  await writeProgress(registry, { completeThrough: NOW, parkedHours: ['2026-11-12T05'], parkedDays: [] });
  const warned = async (query: string) => (await call(serve, 'GET /v1/sites/{site}/timeseries', { key: keys.read, path: { site: 'shop' }, query })).body!.warnings as unknown[];
  const days = 'from=2026-11-18&to=2026-11-19';
  assert.equal((await warned(`${days}&smooth=7`)).length, 1);
  assert.equal((await warned(`${days}&smooth=6`)).length, 0);
  assert.equal((await warned(`${days}&smooth=5&compare=previous_period`)).length, 1);
});

const ACCEPTS: [accept: string | undefined, csv: boolean][] = [
  ['text/csv', true], ['Text/CSV; charset=utf-8', true], ['text/csv, */*;q=0.1', true], ['application/json, text/csv;q=0.5', false], ['application/json;q=0.5, text/csv', true],
  ['text/csv;q=0', false], ['text/csv;q=0.0', false], ['*/*', false], ['text/*', true], ['text/html, */*;q=0.8', false], ['text/csv2', false], ['application/xml', false], [undefined, false],
];
for (const [accept, csv] of ACCEPTS) {
  test(`With Accept: ${accept} the answer is ${csv ? 'CSV' : 'JSON'}`, async () => {
    const { serve, keys } = await open();
    const { status, headers } = await call(serve, 'GET /v1/sites/{site}/stats', { key: keys.read, path: { site: 'shop' }, ...(accept !== undefined && { accept }) });
    assert.deepEqual([status, headers?.['content-type'], headers?.vary], [200, csv ? 'text/csv; charset=utf-8' : 'application/json', 'accept, authorization, origin, accept-encoding']);
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

const STATS = 'GET /v1/sites/{site}/stats';
const SHOP = { site: 'shop' };

const UNKNOWN: [query: string, named: [parameter: string, value: string, accepts: RegExp][]][] = [
  ['colour=red', [['colour', '"red"', /^nothing: the parameters are range, from, to, time_zone, metrics/]]],
  ['interval=day', [['interval', '"day"', /^nothing: the parameters are/]]],
  ['Range=7d', [['Range', '"7d"', /^nothing/]]],
  ['__proto__=x', [['__proto__', '"x"', /^nothing/]]],
  ['=x', [['', '"x"', /^nothing/]]],
  ['range=7d&range=30d', [['range', '"7d and 30d"', /^one value$/]]],
  ['range=7d&colour=red&%72ange=7d', [['range', '"7d and 7d"', /^one value$/], ['colour', '"red"', /^nothing/]]],
];
for (const [query, named] of UNKNOWN) {
  test(`A read with ?${query} is refused and each of its mistakes named`, async () => {
    const { serve, keys } = await open();
    const { status, body } = await call(serve, STATS, { key: keys.read, path: SHOP, query });
    const errors = body!.errors as { parameter: string; value: string; accepts: string }[];
    assert.equal(status, 400);
    assert.deepEqual(errors.map(({ parameter, value }) => [parameter, value]), named.map(([parameter, value]) => [parameter, value]));
    for (const [i, [, , accepts]] of named.entries()) assert.match(errors[i]!.accepts, accepts);
  });
}

test('Open routes and those of the administrator refuse parameters they do not have, too', async () => {
  const { serve, admin, keys } = await open();
  assert.deepEqual((await call(serve, 'GET /v1/health', { query: 'x=1' })).body!.errors, [{ parameter: 'x', value: '"1"', accepts: 'nothing: there are no parameters' }]);
  assert.equal((await call(admin, 'GET /v1/sites', { key: keys.admin, query: 'before=a' })).status, 400);
  assert.equal((await call(admin, 'GET /v1/rollups', { key: keys.admin, query: 'from=2026-11-20T01&from=2026-11-20T02' })).status, 400);
});

test('A query that is too long, or no UTF-8, is refused with a sentence', async () => {
  const { serve, keys } = await open();
  const detail = async (query: string) => (await call(serve, STATS, { key: keys.read, path: SHOP, query })).body!.detail as string;
  assert.equal(await detail(`x=${'a'.repeat(8191)}`), 'the query, 8193 characters: accepts at most 8192');
  assert.match(await detail('range=%zz'), /^query "range=%zz": accepts percent-encoded UTF-8$/);
});

test('Nobody but the administrator sees the admin keys, and the one that asks cannot revoke itself', async () => {
  const { admin, registry, keys } = await open();
  for (const key of [keys.read, keys.write]) assert.equal((await call(admin, 'GET /v1/keys', { key })).status, 403);
  const made = await call(admin, 'POST /v1/keys', { key: keys.admin, body: '{"label":"next"}' });
  assert.deepEqual([made.status, made.body!.scope, made.body!.label, made.body!.prefix], [201, 'admin', 'next', (made.body!.key as string).slice(0, 13)]);
  const list = async (key: string) => (await call(admin, 'GET /v1/keys', { key })).body!.keys as { id: string; label: string }[];
  const old = (await list(keys.admin)).find(({ label }) => label === '')!;
  const remove = (key: string, id: string) => call(admin, 'DELETE /v1/keys/{key}', { key, path: { key: id } });
  assert.equal((await remove(keys.admin, old.id)).status, 409);
  assert.equal((await remove(made.body!.key as string, old.id)).status, 204);
  assert.equal((await remove(made.body!.key as string, old.id)).status, 404);
  assert.equal((await call(admin, 'GET /v1/keys', { key: keys.admin })).status, 401);
  assert.deepEqual((await list(made.body!.key as string)).map(({ label }) => label), ['next']);
  assert.doesNotMatch(JSON.stringify(registry.all()), new RegExp((made.body!.key as string).slice(13)));
});

test('A key says whose it is, and an admin key that it is nobody\'s', async () => {
  const { serve, keys } = await open();
  const { body } = await call(serve, 'GET /v1/key', { key: keys.read });
  assert.deepEqual([body!.scope, body!.prefix, body!.site], ['read', keys.read.slice(0, 12), { id: 'shop', name: 'Shop', timezone: 'UTC', currency: 'EUR' }]);
  assert.deepEqual((await call(serve, 'GET /v1/key', { key: keys.admin })).body!.site, null);
  assert.equal((await call(serve, 'GET /v1/key', { key: keys.write })).status, 200);
  assert.equal((await call(serve, 'GET /v1/key')).status, 401);
});

test('What has no route is a problem with a sentence, and a wrong method says which there are', async () => {
  const { serve } = await open();
  const missing = await call(serve, '$default', { rawPath: '/v1/nothing' }, 'GET');
  assert.deepEqual([missing.status, missing.headers['content-type'], missing.body!.detail], [404, 'application/problem+json', '"/v1/nothing": there is nothing here; the routes stand in /openapi.json']);
  const wrong = await call(serve, '$default', { rawPath: '/v1/sites/shop/stats' }, 'POST');
  assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'GET, HEAD, OPTIONS']);
  assert.match(wrong.body!.detail as string, /^"POST" "\/v1\/sites\/shop\/stats": accepts GET, HEAD, OPTIONS$/);
});

test('A preflight is answered alike for every site and origin, and only where a read key may ask', async () => {
  const { serve, registry } = await open();
  const before = registry.reads;
  const preflight = async (rawPath: string) => call(serve, '$default', { rawPath, headers: { origin: 'https://evil.example', 'access-control-request-method': 'GET' } }, 'OPTIONS');
  const shop = await preflight('/v1/sites/shop/stats');
  assert.deepEqual([shop.status, shop.headers['access-control-allow-origin'], shop.headers['access-control-allow-headers']], [204, '*', 'authorization']);
  assert.deepEqual({ ...await preflight('/v1/sites/none/stats') }, { ...shop });
  assert.equal((await preflight('/v1/sites/shop')).headers['access-control-allow-origin'], undefined);
  assert.equal(registry.reads, before);
});

test('Pages of the site\'s origins may read with its read key, also why they were refused, and no other page', async () => {
  const { serve, registry, keys } = await open();
  await writeSite(registry, checkSite('shop', { name: 'Shop', timezone: 'UTC', currency: 'EUR', origins: ['https://shop.example'] }, undefined, ''));
  const allowed = async (origin: string, key: string, query = '') => {
    const { status, headers } = await call(serve, STATS, { key, path: SHOP, query, headers: { origin } });
    assert.match(headers.vary ?? '', /\borigin\b/);
    return [status, headers['access-control-allow-origin']];
  };
  assert.deepEqual(await allowed('https://shop.example', keys.read), [200, 'https://shop.example']);
  assert.deepEqual(await allowed('https://shop.example', keys.read, 'range=8d'), [400, 'https://shop.example']);
  for (const origin of ['https://evil.example', 'http://shop.example', 'https://shop.example.evil.example', 'null']) assert.deepEqual(await allowed(origin, keys.read), [200, undefined]);
  assert.deepEqual(await allowed('https://shop.example', keys.admin), [200, undefined]);
});

test('A read key has 50 requests at once, its headers say how many are left, and then how long to wait', async () => {
  const { serve, keys } = await open();
  const ask = (key: string) => call(serve, STATS, { key, path: SHOP });
  const limits = ({ status, headers }: Awaited<ReturnType<typeof ask>>) => [status, ...['limit', 'remaining', 'reset', 'policy'].map((name) => headers[`ratelimit-${name}`])];
  assert.deepEqual(limits(await ask(keys.read)), [200, '50', '49', '1', '50;w=5']);
  for (let i = 0; i < 49; i++) assert.equal((await ask(keys.read)).status, 200);
  const refused = await ask(keys.read);
  assert.deepEqual(limits(refused), [429, '50', '0', '5', '50;w=5']);
  assert.deepEqual([refused.headers['retry-after'], refused.body!.detail], ['1', 'the key: accepts 10 requests a second, and 50 at once']);
  assert.deepEqual(limits(await ask(keys.admin)), [200, undefined, undefined, undefined, undefined]);
});

const FINISHED = 'from=2026-11-19&to=2026-11-19';

test('Dates that are over and counted may be kept for minutes, all else only as long as it is the same', async () => {
  const { serve, registry, keys } = await open();
  const kept = async (query: string) => (await call(serve, STATS, { key: keys.read, path: SHOP, query })).headers['cache-control'];
  assert.equal(await kept(FINISHED), 'private, no-cache');
  await writeProgress(registry, { completeThrough: NOW, parkedHours: [], parkedDays: [] });
  assert.equal(await kept(FINISHED), 'private, max-age=300');
  // Tomorrow's yesterday is another day.
  assert.equal(await kept('range=yesterday'), 'private, no-cache');
  assert.equal(await kept('from=2026-11-19&to=2026-11-20'), 'private, no-cache');
  await writeProgress(registry, { completeThrough: NOW, parkedHours: ['2026-11-19T01'], parkedDays: [] });
  assert.equal(await kept(FINISHED), 'private, no-cache');
});

test('A client that has the answer already gets 304 without it, and one that has another gets it', async () => {
  const { serve, registry, keys } = await open();
  await writeProgress(registry, { completeThrough: NOW, parkedHours: [], parkedDays: [] });
  const ask = (query: string, headers: Record<string, string> = {}) => call(serve, STATS, { key: keys.read, path: SHOP, query, headers });
  const first = await ask(FINISHED);
  assert.match(first.headers.etag!, /^W\/"[\w-]{22}"$/);
  for (const tags of [first.headers.etag!, `"other", ${first.headers.etag!}`, first.headers.etag!.slice(2), '*']) {
    const again = await ask(FINISHED, { 'if-none-match': tags });
    assert.deepEqual([again.status, again.text, again.headers.etag, again.headers['content-type']], [304, undefined, first.headers.etag, undefined], tags);
  }
  assert.equal((await ask(FINISHED, { 'if-none-match': '"other"' })).status, 200);
  const running = (await ask('range=7d')).headers.etag!;
  // An hour later the finished day is the same answer, and the week that goes on is not: it is complete further.
  await writeProgress(registry, { completeThrough: NOW + 3_600_000, parkedHours: [], parkedDays: [] });
  assert.equal((await ask(FINISHED, { 'if-none-match': first.headers.etag! })).status, 304);
  assert.equal((await ask('range=7d', { 'if-none-match': running })).status, 200);
});

test('HEAD has the headers of GET and no body', async () => {
  const { serve, keys } = await open();
  const options = { key: keys.admin, path: SHOP, query: FINISHED };
  const [get, head] = [await call(serve, STATS, options), await call(serve, STATS.replace('GET', 'HEAD'), options)];
  assert.deepEqual([head.status, head.text, head.headers], [200, undefined, get.headers]);
});

const ENCODINGS: [accepts: string | undefined, encoding: string | undefined][] = [
  ['gzip, deflate, br, zstd', 'br'], ['gzip', 'gzip'], ['br;q=0, gzip;q=0.5', 'gzip'], ['*', 'br'], ['deflate', undefined], ['identity', undefined], ['', undefined], [undefined, undefined],
];
for (const [accepts, encoding] of ENCODINGS) {
  test(`With Accept-Encoding: ${accepts} a long answer is ${encoding ?? 'not'} compressed, and a short one never`, async () => {
    const { serve, keys } = await open();
    const headers = accepts === undefined ? undefined : { 'accept-encoding': accepts };
    const ask = (query: string) => call(serve, 'GET /v1/sites/{site}/timeseries', { key: keys.read, path: SHOP, query, ...(headers && { headers }) });
    const [plain, long] = [await call(serve, 'GET /v1/sites/{site}/timeseries', { key: keys.read, path: SHOP, query: 'range=90d' }), await ask('range=90d')];
    assert.equal(long.headers['content-encoding'], encoding);
    assert.deepEqual(long.body, plain.body);
    assert.equal(long.bytes!.length < plain.bytes!.length / 4, encoding !== undefined);
    assert.equal((await ask('range=today')).headers['content-encoding'], undefined);
  });
}

test('Each answer names its request, a refusal in its body, too', async () => {
  const { serve, keys } = await open();
  assert.equal((await call(serve, STATS, { key: keys.read, path: SHOP })).headers['x-request-id'], 'request-1');
  const { headers, body } = await call(serve, STATS, { path: SHOP });
  assert.deepEqual([headers['x-request-id'], body!.request_id], ['request-1', 'request-1']);
});
