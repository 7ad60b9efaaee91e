// What clients get wrong, or try: thousands of requests by chance from a grammar, a table of mistakes that have a name,
// and bytes that are no HTTP. No answer is an error of ours, each refusal is a sentence, and the server goes on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent, request as send, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { dayItems, hourItem } from '../core/items.ts';
import { storeKey, type Key } from '../core/keys.ts';
import { DIMENSION_NAMES, METRIC_NAMES, SUM_NAMES } from '../core/metrics.ts';
import type { Lake, StoreItem } from '../core/ports.ts';
import { ROUTES, routeKey, type HandlerName, type Route } from '../core/routes.ts';
import { writeSite } from '../core/sites.ts';
import { adminHandler } from '../lambdas/admin.ts';
import type { Handler } from '../lambdas/http.ts';
import { ingestHandler } from '../lambdas/ingest.ts';
import { serveHandler } from '../lambdas/serve.ts';
import { httpServer } from '../local/http.ts';
import { pagesOf } from '../local/pages.ts';
import { chanceOf, type Chance } from './chance.ts';
import { MemoryStore, NO_TASKS, httpPorts, siteOf } from './memory.ts';
import { temporaryFolder } from './process.ts';

const SEED = Number(process.env.BAD_REQUESTS_SEED ?? 20261124);
/** Requests by chance, and how many of them go through the server. */
const REQUESTS = 12_500;
const THROUGH_SERVER = 2_500;
/** 2026-11-20T10:00Z. */
const NOW = Date.UTC(2026, 10, 20, 10);

// ---- What is asked

/** A store that refuses the keys that DynamoDB refuses, whose limits are the narrower ones. */
class StrictStore extends MemoryStore {
  private static check(pk: string, ...sks: string[]): void {
    if (pk === '' || Buffer.byteLength(pk) > 2048 || sks.some((sk) => Buffer.byteLength(sk) > 1024)) throw new Error(`key ${pk.slice(0, 80)}, ${sks.join().slice(0, 80)}: too long, or empty`);
  }
  override async get(pk: string, sk: string) { StrictStore.check(pk, sk); return super.get(pk, sk); }
  override async range(pk: string, from: string, to: string, limit?: number) { StrictStore.check(pk, from, to); return super.range(pk, from, to, limit); }
  override async put(items: readonly StoreItem[]) { for (const { pk, sk } of items) StrictStore.check(pk, sk); return super.put(items); }
}

const EMPTY_LAKE: Pick<Lake, 'sizeOf' | 'rawParts'> = { sizeOf: async () => 0, rawParts: async () => [] };
const KEYS = { read: `ff_read_${'R'.repeat(43)}`, write: `ff_write_${'W'.repeat(43)}`, admin: `ff_admin_${'A'.repeat(43)}` };
type KeyName = keyof typeof KEYS;
// So that whoever asks thousands of times gets an answer.
const SHOP = siteOf({ timezone: 'Europe/Berlin', origins: ['https://shop.example'], rate_limit: { per_second: 1000, burst: 10_000 } });

/** Three days of a shop; some of its values are hostile, too. */
function itemsOf(): StoreItem[] {
  const sums = SUM_NAMES.map((_, i) => i + 1);
  const line = (dimension: string, value: string) => [dimension, value, ...sums].join('\u001f');
  return ['2026-11-18', '2026-11-19', '2026-11-20'].flatMap((day) => [
    ...dayItems(day, 'run-1', { site_id: 'shop', sketch: [65, 262_209], sums: [line('', ''), ...DIMENSION_NAMES.flatMap((name) => ['/', '__proto__', '=1+1', 'a,"b"\r\nc', '(other)'].map((value) => line(name, value)))] }),
    hourItem(`${day}T09`, 'run-1', { site_id: 'shop', quarters: [[Date.parse(`${day}T09:00Z`) / 900_000, ...SUM_NAMES.map(() => 1)].join('\u001f')], sketches: [[65]] }),
  ]);
}

interface World {
  handlers: Record<HandlerName, Handler>;
  port: number;
  agent: Agent;
  errors: unknown[];
  ids: Record<KeyName, string>;
  /** Puts the shop's settings back, and lets a second pass. */
  settle: () => Promise<void>;
}

/** The functions over stores in memory, and a server in front of them. */
async function open(t: TestContext, pagesFolder?: string): Promise<World> {
  const [registry, metrics] = [new StrictStore(), new StrictStore()];
  const now = { ms: NOW };
  const clock = () => now.ms;
  await writeSite(registry, SHOP);
  await writeSite(registry, siteOf({ id: 'other' }));
  await metrics.put(itemsOf());
  const ids = {} as Record<KeyName, string>;
  for (const scope of ['read', 'write', 'admin'] as const) {
    const key: Key = await storeKey(registry, KEYS[scope], { scope, label: '', ...(scope !== 'admin' && { site: 'shop' }) }, '2026-01-01T00:00:00.000Z');
    ids[scope] = key.id;
  }
  const errors: unknown[] = [];
  const onError = (error: unknown) => { errors.push(error); };
  const stream = { put: async () => undefined };
  const shared = { ...httpPorts(registry, clock), registry, clock, onError };
  const handlers = {
    ingest: ingestHandler({ ...shared, stream }),
    admin: adminHandler({ ...shared, lake: EMPTY_LAKE, tasks: NO_TASKS, usdPerTerabyte: 5, rawKeptMs: 86_400_000 }),
    serve: serveHandler({ ...shared, metrics, health: async () => ({ oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: 0 }) }),
  };
  const server = httpServer({ stream, clock, onError, trustProxy: false, handlers, ...(pagesFolder !== undefined && { pages: pagesOf(pagesFolder) }) });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const settle = async () => {
    now.ms += 1000;
    await writeSite(registry, SHOP);
  };
  return { handlers, port: (server.address() as AddressInfo).port, agent, errors, ids, settle };
}

interface Ask { method: string; path: string; query: string; headers: Record<string, string>; body: Buffer }
interface Answer { status: number; headers: Record<string, string>; bytes: Buffer }

/** Path and query as a client of HTTP writes them on its line. */
function targetOf({ path, query }: Ask): string {
  return `${path}${query === '' ? '' : `?${query}`}`.replaceAll(/[^\x21-\x7e]/g, (character) => (character.isWellFormed() ? encodeURIComponent(character) : '%ED%A0%80'));
}

/** Through the server, as a client asks. */
async function overHttp({ port, agent }: World, ask: Ask): Promise<Answer> {
  const { method, headers, body } = ask;
  const lines = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replaceAll(/[^\x20-\x7e]/g, '?')]));
  const sent = send({ host: '127.0.0.1', port, agent, method, path: targetOf(ask), headers: { ...lines, 'content-length': body.length } });
  sent.end(body);
  const [response] = await once(sent, 'response') as [IncomingMessage];
  return { status: response.statusCode!, headers: response.headers as Record<string, string>, bytes: await buffer(response) };
}

/** By the function itself, as API Gateway calls it. @param pathParameters absent where the path is none of the route's */
async function asFunction({ handlers }: World, route: Route, { method, path, query, headers, body }: Ask, pathParameters?: Record<string, string>): Promise<Answer> {
  const isIts = pathParameters !== undefined && (method === route.method || method === 'HEAD' && route.method === 'GET');
  const name = isIts ? `${method} ${route.path}` : '$default';
  const event = {
    version: '2.0', routeKey: name, rawPath: path, rawQueryString: query, headers, isBase64Encoded: true, ...(body.length > 0 && { body: body.toString('base64') }),
    ...(isIts && { pathParameters }), requestContext: { requestId: 'request-1', http: { method, path } },
  } as unknown as APIGatewayProxyEventV2;
  const response = await handlers[isIts ? route.handler : 'serve'](event, {} as Context);
  const told = Object.fromEntries(Object.entries(response.headers ?? {}).map(([header, value]) => [header, String(value)]));
  return { status: response.statusCode!, headers: told, bytes: Buffer.from(response.body ?? '', response.isBase64Encoded ? 'base64' : 'utf8') };
}

// ---- What every answer has to be

interface Refusal { title: string; status: number; detail: string; errors?: { parameter: string; value: string; accepts: string }[] }

/** A page of text: whatever is wrong with a query of 8 KB or a body of a megabyte, nobody reads more. */
const MOST_DETAIL = 8192;
const STATUSES = [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 413, 422, 431];

function plain({ headers, bytes }: Answer): string {
  const encoding = headers['content-encoding'];
  return (encoding === 'br' ? brotliDecompressSync(bytes) : encoding === 'gzip' ? gunzipSync(bytes) : bytes).toString();
}

function checkRefusal(text: string, { status, headers }: Answer): Refusal {
  assert.equal(headers['content-type'], 'application/problem+json');
  const refusal = JSON.parse(text) as Refusal;
  assert.equal(refusal.status, status);
  assert.ok(typeof refusal.title === 'string' && refusal.title !== '' && refusal.title !== 'Error', `title ${refusal.title}`);
  assert.ok(typeof refusal.detail === 'string' && refusal.detail.length >= 20, `detail ${refusal.detail}`);
  assert.ok(refusal.detail.length <= MOST_DETAIL, `a detail of ${refusal.detail.length} characters`);
  for (const { parameter, value, accepts } of refusal.errors ?? []) {
    assert.ok(parameter.length <= 82 && value.length <= 82, `parameter ${parameter.slice(0, 200)}, value ${value.slice(0, 200)}`);
    assert.ok(accepts.length > 0 && accepts.length <= 1000, `accepts ${accepts}`);
  }
  // Long values are made of one character; of them no more than a shortened value comes back.
  assert.doesNotMatch(text, /([a-zA-Z0-9])\1{99}/);
  return refusal;
}

/** The fields of each line of a CSV. */
function linesOf(csv: string): string[][] {
  const lines: string[][] = [[]];
  for (const [, quoted, bare, end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    lines.at(-1)!.push(quoted?.replaceAll('""', '"') ?? bare ?? '');
    if (end === '\r\n') lines.push([]);
  }
  return lines.slice(0, -1);
}

type Json = Record<string, unknown>;
const READS = ['stats', 'timeseries', 'breakdown', 'funnel'];

function checkRead(read: string, text: string, isCsv: boolean): void {
  if (isCsv) {
    const [names, ...lines] = linesOf(text.replace(/^\ufeff/, ''));
    assert.ok(text.startsWith('\ufeff') && names!.length > 0, text.slice(0, 80));
    for (const line of lines) assert.equal(line.length, names!.length, line.join(' | '));
    return;
  }
  const { query, results, warnings, complete_through, ...rest } = JSON.parse(text) as { query: Json; results: Json[]; warnings: Json[]; complete_through: unknown };
  assert.deepEqual([query.site, complete_through, rest], ['shop', null, {}]);
  assert.match(`${String(query.from)} ${String(query.to)}`, /^\d{4}-\d\d-\d\d \d{4}-\d\d-\d\d$/);
  assert.ok(Array.isArray(warnings));
  const names = query.metrics as string[] | undefined;
  if (read !== 'funnel') assert.ok(names!.length > 0 && names!.every((name) => (METRIC_NAMES as string[]).includes(name)), String(names));
  assert.ok(read === 'breakdown' ? results.length <= 101 : read === 'funnel' ? results.length === 4 : read === 'stats' ? results.length === 1 : results.length >= 1 && results.length <= 31 * 25);
  for (const result of results) {
    if (read === 'funnel') assert.equal(typeof result.events, 'number');
    else assert.deepEqual(Object.keys(result.metrics as Json), names);
    for (const value of Object.values((result.metrics ?? {}) as Json)) assert.ok(value === null || typeof value === 'number' && Number.isFinite(value), String(value));
  }
}

/** Everything that can be said of an answer without knowing what exactly was asked. */
function check(answer: Answer, { method, path, headers: asked }: Pick<Ask, 'method' | 'path' | 'headers'>): Refusal | undefined {
  const { status, headers, bytes } = answer;
  assert.ok(STATUSES.includes(status), `status ${status}: ${bytes.toString().slice(0, 500)}`);
  // Latin-1 would do, but what we say in headers is plain.
  for (const [name, value] of Object.entries(headers)) assert.match(value, /^[\x20-\x7e]*$/, name);
  if (headers['content-encoding'] !== undefined) assert.match(asked['accept-encoding'] ?? '', /br|gzip|\*/i);
  if (method === 'HEAD' || status === 204 || status === 304) {
    assert.equal(bytes.length, 0, 'no body');
    return undefined;
  }
  const text = plain(answer);
  if (status >= 400) return checkRefusal(text, answer);
  const read = path.slice(path.lastIndexOf('/') + 1);
  const isCsv = headers['content-type'] === 'text/csv; charset=utf-8';
  assert.ok(isCsv || headers['content-type'] === 'application/json', headers['content-type']);
  if (READS.includes(read)) checkRead(read, text, isCsv);
  else if (status === 201) assert.match((JSON.parse(text) as { key: string }).key, /^ff_(read|write|admin)_[0-9A-Za-z]{43}$/);
  else if (path === '/v1/events') checkReceipt(JSON.parse(text) as Json);
  else assert.ok(typeof JSON.parse(text) === 'object' && text.startsWith('{'));
  return undefined;
}

function checkReceipt({ accepted, rejected }: Json): void {
  assert.equal(typeof accepted, 'number');
  for (const { index, reason, message } of rejected as Json[]) {
    assert.ok(Number.isInteger(index) && typeof reason === 'string' && typeof message === 'string');
    assert.ok(message.length <= 1000 && !/([a-zA-Z0-9])\1{99}/.test(message), message.slice(0, 200));
  }
}

// ---- The grammar

/** What every object has, and what some parsers do something about. */
const NAMES_OF_OBJECTS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype', 'length', '__defineGetter__'];
const LONG = ['x'.repeat(300), 'x'.repeat(5000), '7'.repeat(1000), 'é'.repeat(3000)];
const NUMBERS = ['0', '1', '2', '-1', '1e3', '0x10', '+5', '007', '1.5', '99', '100', '101', '1000000000000000000000', 'NaN', 'Infinity', '٣', ' 5', '5 ', '1_000', '-0', '1e400'];
const STRANGE = ['', ' ', '\0', 'a\0b', '\r\n', '\u202e', '🦊', '\ud800', '\udfff\ud800', '\ufeff', 'ÿ', '%', '%25', '../..', '..%2f..', "' or 1=1 --", '<script>', '${7*7}', '{{7*7}}', '[]', '{}', '[object Object]', 'null', 'undefined', 'true', '$default', '*', '~', '\u001f', '\\', '"', ';', '|', '=', '==', '&', '#', '?', ','];
const DATES = [
  '2026-11-18', '2026-11-19', '2026-11-20', '2026-10-25', '2026-03-29', '2024-02-29', '1970-01-01', '2025-11-20', '2017-01-01', '2026-02-30', '2025-02-29', '2026-13-01', '2026-00-10', '2026-11-00', '1969-12-31',
  '0000-01-01', '0001-01-01', '9997-12-31', '9999-12-30', '9999-12-31', '+010000-01-01', '-000001-01-01', '275760-09-13', '2026-11-20T10:00:00Z', '2026-1-1', '20261120', '2026-11-20 ', '２０２６-11-20', 'today', '1700000000000',
];
const HOURS = ['2026-11-20T09', '2026-11-19T00', '2026-11-20T10', '2026-11-20T11', '2026-02-30T00', '2026-11-20T24', '2010-01-01T00', '2009-12-31T23', '0000-01-01T00', '9999-12-31T23', '2026-11-20', '2026-11-20T9'];
const ZONES = ['Europe/Berlin', 'UTC', 'Asia/Kolkata', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Monrovia', 'Pacific/Kiritimati', 'europe/berlin', 'EUROPE/BERLIN', 'Mars/Phobos', '+05:30', 'UTC+1', 'GMT', 'Etc/GMT+12', 'EST5EDT', '../../etc/passwd', 'Europe/Berlin\0', 'Europe'];
/** What each parameter may be asked with: what is right, and what is nearly. */
const VALUES: Record<string, readonly string[]> = {
  range: ['today', 'yesterday', '7d', '28d', '30d', '90d', 'month', 'year', '8d', 'TODAY', '7D', '-7d'],
  from: DATES, to: DATES, time_zone: ZONES,
  metrics: ['visitors', 'visits', 'pageviews', 'events', 'pageviews,events', 'visits,revenue', 'revenue', METRIC_NAMES.join(','), 'visitors,visitors', 'items', 'exits', 'visitors,', ',', 'Visitors', 'visitors, visits', 'visitors;visits', Array.from({ length: 500 }, () => 'visits').join(',')],
  interval: ['hour', 'day', 'month', 'minute', 'Day', 'week'],
  compare: ['previous_period', 'previous_year', 'previous', 'true'],
  smooth: ['2', '3', '7', '14', '28', '90', '91', '1', ...NUMBERS.slice(0, 8)],
  filter: ['page==/', 'source==google', 'page==__proto__', 'currency==EUR', 'page=/', 'page==', '==x', 'page==(other)', 'page====', '__proto__==x', 'constructor==x', 'page==/&source==x', 'page!=/', `page==${'x'.repeat(2000)}`],
  dimension: [...DIMENSION_NAMES, 'Page', 'page,source', 'visitors'],
  order_by: ['pageviews', 'visits', 'events', 'revenue', 'items', '-pageviews', 'page'],
  limit: ['1', '5', '10', '20', '50', '100', ...NUMBERS],
  after: ['a', 'shop', 'A', '~', '!'],
};
const PARAMETERS = Object.keys(VALUES);

/** Mostly a value that was meant for it; sometimes one of another, or of nothing. */
function valueFor(chance: Chance, name: string): string {
  if (chance.happens(0.8) && Object.hasOwn(VALUES, name)) return chance.of(VALUES[name]!);
  return chance.of([...NAMES_OF_OBJECTS, ...NUMBERS, ...STRANGE, ...LONG, ...chance.of(Object.values(VALUES))]);
}

/** Text for a query, encoded as it should be, or not. */
function encoded(chance: Chance, text: string): string {
  if (chance.happens(0.1)) return text;
  const safe = encodeURIComponent(text.toWellFormed());
  if (chance.happens(0.95)) return safe;
  return chance.of([`${safe}%`, `%${safe}`, `${safe}%zz`, `${safe}%ff`, `${safe}%ED%A0%80`, `${safe}%C0%80`, safe.replaceAll('%', '%25'), `${safe}%00`, safe.toLowerCase(), `+${safe}`]);
}

function queryOf(chance: Chance, route: Route): string {
  if (chance.happens(0.01)) return chance.of(['&'.repeat(3000), '='.repeat(3000), `range=${'7'.repeat(100_000)}`, 'range=7d&'.repeat(1000), Array.from({ length: 900 }, (_, i) => `p${i}=1`).join('&'), '%'.repeat(100)]);
  if (route.parameters.length === 0 && chance.happens(0.9)) return '';
  const known = route.parameters.length > 0 && chance.happens(0.93) ? route.parameters : [...PARAMETERS, ...NAMES_OF_OBJECTS, ...STRANGE, 'metrics[]', 'range[0]', 'Range', 'x'.repeat(4000)];
  const names = Array.from({ length: chance.of([0, 1, 1, 1, 2, 2, 3, 5]) }, () => chance.of(known));
  if (chance.happens(0.85) && route.path.endsWith('breakdown')) names.push('dimension');
  const isAdmin = route.handler === 'admin';
  // A parameter that comes twice is refused, so that most should not.
  const pairs = (chance.happens(0.95) ? [...new Set(names)] : names).map((name) => `${encoded(chance, name)}=${encoded(chance, isAdmin && chance.happens(0.8) ? chance.of(HOURS) : valueFor(chance, name))}`);
  return pairs.join(chance.happens(0.99) ? '&' : chance.of([';', '&&', '?', '#']));
}

const nested = (depth: number, [opening, closing]: readonly [string, string]) => opening.repeat(depth) + closing.repeat(depth);
const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`field_${i}`, i]));
const EVENT = { name: 'purchase', url: 'https://shop.example/', time: '2026-11-20T09:00:00Z', transaction_id: 'o1', value: 1.5, currency: 'EUR', items: [{ id: 'p1', quantity: 2, price: 1 }], props: { a: 'b' } };
const GOOD: Record<string, unknown> = {
  'POST /v1/events': { events: [EVENT, { name: 'page_view' }] },
  'PUT /v1/sites/{site}': { name: 'Shop', timezone: 'Europe/Berlin', currency: 'EUR', hosts: ['shop.example'], origins: ['https://shop.example'], rate_limit: { per_second: 5, burst: 9 } },
  'POST /v1/sites/{site}/keys': { scope: 'read', label: 'page' },
  'POST /v1/keys': { label: 'second' },
  'POST /v1/rollups': { from: '2026-11-19T00', to: '2026-11-19T05', replay: false, dry_run: true },
};
const HOSTILE_JSON: readonly string[] = [
  'null', 'true', '0', '-0', '1e400', '-1e400', '5e-324', '123456789012345678901234567890', '""', '"text"', '[]', '{}', '[null]', '[[]]', '{"":""}', '"\\u0000"', '"\\ud800"', `"${'x'.repeat(5000)}"`,
  '{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"toString":1}', '{"length":5}', nested(50, ['[', ']']), nested(5000, ['[', ']']), `${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`,
  `[${Array.from({ length: 200 }, () => 'null').join()}]`, JSON.stringify(fields(400)), JSON.stringify({ ['x'.repeat(20_000)]: 1 }), '"2026-02-30T00"', '"2026-11-19T05"', '"Mars/Phobos"', '"admin"',
];

/** JSON with one of its values, at any depth, made another; as text, since not everything can be held. */
function mutated(chance: Chance, value: unknown): string {
  if (typeof value !== 'object' || value === null || chance.happens(0.15)) return chance.of(HOSTILE_JSON);
  const entries = Object.entries(value);
  const at = chance.upTo(entries.length - 1);
  const texts = entries.map(([key, its], i) => [key, i === at ? mutated(chance, its) : JSON.stringify(its)] as const).filter((_, i) => i !== at || chance.happens(0.9));
  if (Array.isArray(value)) return `[${texts.map(([, text]) => text).join()}]`;
  const more = chance.happens(0.2) ? [[chance.of([...NAMES_OF_OBJECTS, ...STRANGE, 'x'.repeat(3000), 'site', 'id']), chance.of(HOSTILE_JSON)] as const] : [];
  return `{${[...texts, ...more].map(([key, text]) => `${JSON.stringify(key)}:${text}`).join()}}`;
}

function bodyFor(chance: Chance, route: Route): Buffer {
  const good = GOOD[routeKey(route)];
  if (good === undefined) return Buffer.from(chance.happens(0.97) ? '' : chance.of(HOSTILE_JSON));
  if (chance.happens(0.15)) return Buffer.from(JSON.stringify(good));
  let bytes = Buffer.from(mutated(chance, good));
  if (chance.happens(0.1)) bytes = bytes.subarray(0, chance.upTo(bytes.length));
  if (chance.happens(0.05)) bytes = Buffer.concat([bytes.subarray(0, bytes.length >> 1), Buffer.from(chance.of([[0xff, 0xfe], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0], [0xef, 0xbb, 0xbf]])), bytes.subarray(bytes.length >> 1)]);
  if (chance.happens(0.02)) bytes = Buffer.from(chance.of(['', 'events=1&site=shop', '<xml/>', `{"events":[${'{},'.repeat(600)}{}]}`, ' '.repeat(70_000), nested(100_000, ['[', ']'])]));
  return bytes;
}

function headersFor(chance: Chance, route: Route): Record<string, string> {
  const fits = route.handler === 'ingest' ? 'write' : route.handler === 'admin' ? 'admin' : 'read';
  const hostile = () => chance.of([...STRANGE, ...NAMES_OF_OBJECTS, 'x'.repeat(3000), ',,,,', ';q=', '*/*;q=1e400', 'a/b;'.repeat(200), ' , '.repeat(300), 'W/"', '"']);
  const headers: Record<string, string> = {};
  const authorization = chance.happens(0.9) ? `Bearer ${KEYS[fits]}` : chance.of([`Bearer ${chance.of(Object.values(KEYS))}`, `bearer  ${KEYS[fits]} `, `Bearer ${'x'.repeat(5000)}`, `Basic ${KEYS[fits]}`, `Bearer ${KEYS[fits]},${KEYS[fits]}`, `Bearer ff_read_${'ä'.repeat(43)}`, 'Bearer', hostile(), undefined]);
  if (authorization !== undefined) headers.authorization = authorization;
  if (chance.happens(0.4)) headers.accept = chance.happens(0.7) ? chance.of(['text/csv', 'application/json', '*/*', 'text/*', 'text/csv;q=0.5, application/json;q=0.4', 'text/csv;q=0']) : hostile();
  if (chance.happens(0.4)) headers['accept-encoding'] = chance.happens(0.7) ? chance.of(['gzip', 'br', 'gzip, br', '*', 'identity', 'br;q=0, gzip', 'identity;q=0', '*;q=0']) : hostile();
  if (chance.happens(0.2)) headers['if-none-match'] = chance.happens(0.5) ? chance.of(['*', 'W/"x"', '"x", W/"y"']) : hostile();
  if (chance.happens(0.3)) headers.origin = chance.happens(0.5) ? chance.of(['https://shop.example', 'null', 'https://evil.example']) : hostile();
  return headers;
}

const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH'];
const SITES = ['other', 'none', ...NAMES_OF_OBJECTS, ...STRANGE.filter((text) => text.isWellFormed()), 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(3000), 'é'.repeat(800)];

/** A request to a route, or nearly. */
function askOf(chance: Chance, route: Route, ids: Record<KeyName, string>): { ask: Ask; pathParameters: Record<string, string> | undefined } {
  const pathParameters: Record<string, string> = {};
  let path: string = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = name === 'site' && chance.happens(0.85) ? 'shop' : name === 'key' && chance.happens(0.3) ? ids.admin : chance.of(SITES.filter((text) => text !== ''));
    pathParameters[name] = value;
    return encodeURIComponent(value);
  });
  const isOther = chance.happens(0.02);
  if (isOther) path = chance.of([`${path}/`, `/${path}`, path.toUpperCase(), `${path}%00`, `${path}%ff`, path.replace('v1', 'v2'), '/', '//', '/..', `${path}/..`, `${path};a=b`, '/.well-known/x', '/p.gif%00', '/e/', `/${'a/'.repeat(2000)}`]);
  const method = chance.happens(0.9) ? (route.method === 'GET' && chance.happens(0.1) ? 'HEAD' : route.method) : chance.of(METHODS);
  const body = method === route.method ? bodyFor(chance, route) : Buffer.from('');
  return { ask: { method, path, query: queryOf(chance, route), headers: headersFor(chance, route), body }, pathParameters: isOther ? undefined : pathParameters };
}

test(`Of ${REQUESTS} requests by chance none is an error of ours, and each refusal is a sentence (seed ${SEED})`, async (t) => {
  t.diagnostic(`BAD_REQUESTS_SEED=${SEED}`);
  const chance = chanceOf(SEED);
  const world = await open(t);
  const counts = new Map<number, number>();
  const found = new Map<string, string>();
  let slowest = { ms: 0, what: '' };
  for (let i = 0; i < REQUESTS; i++) {
    const route: Route = chance.of([...ROUTES, ...ROUTES.slice(4, 8), ...ROUTES.slice(4, 8)]);
    const { ask, pathParameters } = askOf(chance, route, world.ids);
    const what = `${ask.method} ${ask.path.slice(0, 200)}?${ask.query.slice(0, 300)} ${JSON.stringify(ask.headers).slice(0, 300)} ${ask.body.toString().slice(0, 300)}`;
    await world.settle();
    const began = performance.now();
    let answer: Answer | undefined;
    try {
      // A line that is too long is refused before its method is known, and so with a body where HEAD has none.
      const throughServer = i % (REQUESTS / THROUGH_SERVER) === 0 && !(ask.method === 'HEAD' && targetOf(ask).length + JSON.stringify(ask.headers).length > 12_000);
      answer = throughServer ? await overHttp(world, ask) : await asFunction(world, route, ask, pathParameters);
      check(answer, ask);
      assert.deepEqual(world.errors, []);
    } catch (error) {
      // One of a kind is enough to mend it.
      const { message } = world.errors[0] as Error | undefined ?? error as Error;
      const kind = `${routeKey(route)}: ${message.replaceAll(/\d+/g, 'n').slice(0, 60)}`;
      if (!found.has(kind)) found.set(kind, `${what}\n    ${message.slice(0, 300)}`);
      world.errors.length = 0;
    }
    const ms = performance.now() - began;
    if (ms > slowest.ms) slowest = { ms, what };
    if (answer) counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
  }
  t.diagnostic(`statuses: ${[...counts].sort().map(([status, count]) => `${status} × ${count}`).join(', ')}`);
  t.diagnostic(`slowest: ${Math.round(slowest.ms)} ms, ${slowest.what.slice(0, 200)}`);
  assert.deepEqual([...found.values()], [], `seed ${SEED}`);
  // The grammar reaches what is right as well as what is wrong.
  for (const status of [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 413, 422]) assert.ok((counts.get(status) ?? 0) >= 10, `${status} was answered ${counts.get(status) ?? 0} times`);
  assert.equal(({} as Json).polluted, undefined);
  assert.deepEqual(Object.keys(Object.prototype), []);
  assert.equal((await overHttp(world, { method: 'GET', path: '/v1/health', query: '', headers: {}, body: Buffer.from('') })).status, 200);
});

// ---- Mistakes that have a name

interface Mistake { key?: KeyName | null; method?: string; headers?: Record<string, string>; body?: string | Buffer }
const S = '/v1/sites/shop';
const json = (value: unknown) => JSON.stringify(value);
const site = (more: object) => json({ name: 'Shop', timezone: 'UTC', currency: 'EUR', ...more });
const PUT_SITE = (more: object): Mistake => ({ key: 'admin', method: 'PUT', body: site(more) });
const POST = (key: KeyName, body: string | Buffer): Mistake => ({ key, method: 'POST', body });
const BY_ADMIN: Mistake = { key: 'admin' };

/** Path and query as they are written, the status, and what the sentence has to name: the parameter, the value, what is accepted. */
const MISTAKES: [name: string, target: string, status: number, says: RegExp, mistake?: Mistake][] = [
  ['a date that does not exist', `${S}/stats?from=2026-02-30&to=2026-03-01`, 400, /^from "2026-02-30": accepts a date that exists, YYYY-MM-DD/],
  ['February 29th of another year', `${S}/stats?from=2026-11-01&to=2025-02-29`, 400, /^to "2025-02-29": accepts a date that exists/],
  ['a month 13', `${S}/funnel?from=2026-13-01&to=2026-11-20`, 400, /^from "2026-13-01": accepts a date that exists/],
  ['a date without zeros', `${S}/stats?from=2026-1-1&to=2026-11-20`, 400, /^from "2026-1-1": accepts a date that exists, YYYY-MM-DD/],
  ['a moment for a date', `${S}/stats?from=2026-11-20T00:00:00Z&to=2026-11-20`, 400, /^from "2026-11-20T00:00:00Z": accepts a date that exists, YYYY-MM-DD/],
  ['from without to', `${S}/stats?from=2026-11-20`, 400, /^to null: accepts a date .* from and to go together/],
  ['to without from', `${S}/stats?to=2026-11-20`, 400, /^from null: accepts a date .* from and to go together/],
  ['dates in the other order', `${S}/stats?from=2026-11-20&to=2026-11-19`, 400, /^from "2026-11-20": accepts a date not after to, 2026-11-19$/],
  ['733 days', `${S}/stats?from=2024-11-18&to=2026-11-20`, 400, /^from "2024-11-18": accepts a range of at most 732 days, up to 2026-11-20$/],
  ['367 days of a dimension', `${S}/breakdown?dimension=page&from=2025-11-19&to=2026-11-20`, 400, /^from "2025-11-19": accepts a range of at most 366 days/],
  ['32 days by the hour', `${S}/timeseries?interval=hour&from=2026-10-20&to=2026-11-20`, 400, /^from "2026-10-20": accepts a range of at most 31 days/],
  ['121 months', `${S}/timeseries?interval=month&from=2016-11-30&to=2026-11-01`, 400, /^from "2016-11-30": accepts at most 120 months up to 2026-11-01$/],
  ['all dates there are', `${S}/stats?from=0000-01-01&to=9999-12-31`, 400, /^from "0000-01-01": accepts a date that exists, YYYY-MM-DD, from 1970-01-01/],
  ['all dates there are, beside those before', `${S}/stats?from=1970-01-01&to=9999-12-30&compare=previous_period`, 400, /^(from "1970-01-01"|to "9999-12-30"): accepts /],
  ['the last day there is', `${S}/timeseries?from=9999-12-31&to=9999-12-31`, 400, /9999-12-31"?: accepts a date that exists, YYYY-MM-DD, from 1970-01-01 to \d{4}-12-31/],
  ['the last day there is, beside the one before', `${S}/stats?from=9999-12-31&to=9999-12-31&compare=previous_period`, 400, /9999-12-31"?: accepts a date that exists, YYYY-MM-DD, from 1970-01-01 to \d{4}-12-31/],
  ['the day before all', `${S}/stats?from=1969-12-31&to=1970-01-01`, 400, /^from "1969-12-31": accepts a date that exists, YYYY-MM-DD, from 1970-01-01/],
  ['a range beside dates', `${S}/stats?range=7d&from=2026-11-19&to=2026-11-20`, 400, /^range "7d": accepts nothing beside from and to$/],
  ['a range nobody knows', `${S}/stats?range=8d`, 400, /^range "8d": accepts one of today, yesterday, 7d, .*, year, or from and to instead$/],
  ['the range __proto__', `${S}/stats?range=__proto__`, 400, /^range "__proto__": accepts one of today/],
  ['the range constructor', `${S}/stats?range=constructor`, 400, /^range "constructor": accepts one of today/],
  ['no range', `${S}/stats?range=`, 400, /^range "": accepts one of today/],
  ['metrics twice in one', `${S}/stats?metrics=visits,visits`, 400, /^metrics "visits": accepts each once, with commas between, of visitors, visits/],
  ['metrics in two parameters', `${S}/stats?metrics=visits&metrics=visitors`, 400, /^metrics "visits and visitors": accepts one value$/],
  ['no metrics', `${S}/stats?metrics=`, 400, /^metrics "": accepts each once/],
  ['a comma at the end', `${S}/stats?metrics=visits,`, 400, /^metrics "": accepts each once/],
  ['a blank after the comma', `${S}/stats?metrics=visits,%20visitors`, 400, /^metrics " visitors": accepts each once/],
  ['the metric __proto__', `${S}/stats?metrics=__proto__`, 400, /^metrics "__proto__": accepts each once/],
  ['the metric toString', `${S}/breakdown?dimension=page&metrics=toString`, 400, /^metrics "toString": accepts each once/],
  ['a metric with a null byte', `${S}/stats?metrics=visits%00`, 400, /^metrics "visits.{0,8}": accepts each once/],
  ['a metric that is kept of products only', `${S}/stats?metrics=items`, 422, /^metrics "items": accepts what is kept of a whole site: visitors, /],
  ['visitors of a page', `${S}/breakdown?dimension=page&metrics=visitors`, 422, /^metrics "visitors": accepts what is kept by page: pageviews, events$/],
  ['no dimension', `${S}/breakdown`, 400, /^dimension null: accepts one of page, entry_page, /],
  ['the dimension constructor', `${S}/breakdown?dimension=constructor`, 400, /^dimension "constructor": accepts one of page, /],
  ['an order by what was not asked for', `${S}/breakdown?dimension=page&metrics=events&order_by=pageviews`, 400, /^order_by "pageviews": accepts one of events$/],
  ['an order by __proto__', `${S}/breakdown?dimension=page&order_by=__proto__`, 400, /^order_by "__proto__": accepts one of pageviews, events$/],
  ...['0', '101', '-1', '1e1', '0x10', '+5', '%2B5', '5.5', '%205', '', 'ten', '%D9%A3', '9999999999999999999999', '0010', 'NaN'].map((limit): [string, string, number, RegExp] =>
    [`the limit ${limit}`, `${S}/breakdown?dimension=page&limit=${limit}`, 400, /^limit ".*": accepts a whole number from 1 to 100$/]),
  ...['0', '1', '91', '7.0', '1e1', 'true', '-7'].map((smooth): [string, string, number, RegExp] =>
    [`smoothing over ${smooth}`, `${S}/timeseries?smooth=${smooth}`, 400, /^smooth ".*": accepts a whole number of buckets from 2 to 90$/]),
  ['an interval nobody knows', `${S}/timeseries?interval=minute`, 400, /^interval "minute": accepts one of hour, day, month$/],
  ['the interval valueOf', `${S}/timeseries?interval=valueOf`, 400, /^interval "valueOf": accepts one of hour, day, month$/],
  ['a comparison nobody knows', `${S}/stats?compare=yesterday`, 400, /^compare "yesterday": accepts one of previous_period, previous_year$/],
  ['a comparison with nothing', `${S}/stats?compare=`, 400, /^compare "": accepts one of previous_period, previous_year$/],
  ...['source', 'source=google', 'source==', '==google', 'source==(other)', '__proto__==x', 'constructor==x', ''].map((filter): [string, string, number, RegExp] =>
    [`the filter ${filter}`, `${S}/stats?filter=${filter}`, 400, /^filter ".*": accepts a dimension, == and one of its values \(not \(other\)\), such as source==google; the dimensions are page, /]),
  ['a filter by the hour', `${S}/timeseries?filter=page==/&interval=hour&metrics=pageviews`, 422, /^interval "hour": accepts day or month beside a filter/],
  ['a filter with a metric that page does not have', `${S}/stats?filter=page==/&metrics=visitors`, 422, /^metrics "visitors": accepts what is kept by page: /],
  ...['Mars/Phobos', '%2B05:30', '../../etc/passwd', '', '__proto__', 'Europe/Berlin%00', 'x'.repeat(500)].map((zone): [string, string, number, RegExp] =>
    [`the zone ${zone.slice(0, 20)}`, `${S}/stats?time_zone=${zone}`, 400, /^time_zone ".{0,80}: accepts an IANA time zone such as Europe\/Berlin$/]),
  ['a page in another zone', `${S}/breakdown?dimension=page&time_zone=UTC`, 422, /^time_zone "UTC": accepts Europe\/Berlin, the site's, or nothing: breakdowns are kept by the site's days$/],
  ['a filter in another zone', `${S}/stats?filter=page==/&time_zone=UTC`, 422, /^time_zone "UTC": accepts Europe\/Berlin, the site's, or nothing: the values of a dimension are kept/],
  ['90 days in another zone', `${S}/stats?range=90d&time_zone=UTC`, 400, /^range "90d": accepts a range of at most 31 days in a zone that is not the site's, Europe\/Berlin$/],
  ['a parameter nobody knows', `${S}/stats?colour=red`, 400, /^"?colour"? "red": accepts nothing: the parameters are range, from, to, time_zone, metrics, compare, filter$/],
  ['a parameter of another read', `${S}/stats?interval=day`, 400, /^"?interval"? "day": accepts nothing: the parameters are/],
  ['a parameter as a list', `${S}/stats?metrics[]=visits`, 400, /^"?metrics\[\]"? "visits": accepts nothing/],
  ['the parameter __proto__', `${S}/stats?__proto__=1`, 400, /^"?__proto__"? "1": accepts nothing: the parameters are/],
  ['the parameter constructor, twice', `${S}/stats?constructor=1&constructor=2`, 400, /^"?constructor"? "1": accepts nothing/],
  ['a parameter in capitals', `${S}/stats?Range=7d`, 400, /^"?Range"? "7d": accepts nothing/],
  ['a parameter without a name', `${S}/stats?=7d`, 400, /^("")? ?"7d": accepts nothing/],
  ['a parameter where there are none', '/v1/key?x=1', 400, /^"?x"? "1": accepts nothing: there are no parameters$/],
  ['a semicolon between parameters', `${S}/stats?range=7d;metrics=visits`, 400, /^range "7d;metrics=visits": accepts one of/],
  ['a percent sign alone', `${S}/stats?range=%`, 400, /^query "range=%": accepts percent-encoded UTF-8$/],
  ['no hexadecimal digits', `${S}/stats?range=%zz`, 400, /^query "range=%zz": accepts percent-encoded UTF-8$/],
  ['a byte that is no UTF-8', `${S}/stats?range=%ff`, 400, /^query "range=%ff": accepts percent-encoded UTF-8$/],
  ['half a surrogate pair', `${S}/stats?range=%ED%A0%80`, 400, /^query "range=%ED%A0%80": accepts percent-encoded UTF-8$/],
  ['a query of 9,000 characters', `${S}/stats?range=${'7'.repeat(9000)}`, 400, /^the query, 9006 characters: accepts at most 8192$/],
  ['a query of 100 KB', `${S}/stats?range=${'7'.repeat(100_000)}`, 431, /^the address and headers: accept at most 16384 bytes$/],
  ['everything wrong at once', `${S}/timeseries?range=x&metrics=y&interval=z&smooth=0&compare=w`, 400, /^(?=.*range "x")(?=.*metrics "y")(?=.*interval "z")(?=.*smooth "0")(?=.*compare "w")/],
  ['what is unknown beside what is not kept', `${S}/stats?metrics=items&range=x`, 400, /^range "x": .*; metrics "items": /],

  ['no key', `${S}/stats`, 401, /^Authorization: accepts Bearer and a key/, { key: null }],
  ['a key without Bearer', `${S}/stats`, 401, /^Authorization: accepts Bearer and a key/, { key: null, headers: { authorization: KEYS.read } }],
  ['a password', `${S}/stats`, 401, /^Authorization: accepts Bearer and a key/, { key: null, headers: { authorization: 'Basic YTpi' } }],
  ['a key in the query', `${S}/stats?key=${KEYS.read}`, 401, /^Authorization: accepts Bearer and a key/, { key: null }],
  ['a key of 43 letters that are none', `${S}/stats`, 401, /^Authorization: accepts/, { key: null, headers: { authorization: `Bearer ff_read_${'-'.repeat(43)}` } }],
  ['a write key that reads', `${S}/stats`, 403, /^a write key: this route accepts read and admin keys$/, { key: 'write' }],
  ['a read key that administrates', `${S}/keys`, 403, /^a read key: this route accepts admin keys$/],
  ['another site', '/v1/sites/other/stats', 404, /^site "other": there is no such site for this key$/],
  ['the site __proto__', '/v1/sites/__proto__/stats', 404, /^site "__proto__": there is no such site for this key$/, BY_ADMIN],
  ['a site with a slash in it', '/v1/sites/shop%2F..%2Fother/stats', 404, /^site "shop\/\.\.\/other": there is no such site/],
  ['a site with a null byte', '/v1/sites/shop%00/stats', 404, /^site "shop.{0,8}": there is no such site/],
  ['a site of 3,000 characters', `/v1/sites/${'x'.repeat(3000)}/stats`, 404, /^site "x{70,80}.{0,2}: there is no such site/, BY_ADMIN],
  ['a path that is not UTF-8', '/v1/sites/%ff/stats', 400, /^path "\/v1\/sites\/%ff\/stats": accepts percent-encoded UTF-8$/],
  ['a path with a percent sign alone', '/v1/sites/%/stats', 400, /^path "\/v1\/sites\/%\/stats": accepts percent-encoded UTF-8$/],
  ['a path nobody knows', '/v1/nothing', 404, /^"\/v1\/nothing": there is nothing here; the routes stand in \/openapi\.json$/],
  ['a path with a slash too much', '/v1/health/', 404, /^"\/v1\/health\/": there is nothing here/],
  ['a path in capitals', '/V1/HEALTH', 404, /^"\/V1\/HEALTH": there is nothing here/],
  ['a path of 5,000 characters', `/${'x'.repeat(5000)}`, 404, /^"\/x{70,80}.{0,2}: there is nothing here/],
  ['a method that is not for it', '/v1/health', 405, /^"DELETE" "\/v1\/health": accepts GET, HEAD, OPTIONS$/, { method: 'DELETE' }],
  ['a method nobody knows here', `${S}/keys`, 405, /^"PATCH" "\/v1\/sites\/shop\/keys": accepts (?=.*GET)(?=.*POST)(?=.*OPTIONS)/, { ...BY_ADMIN, method: 'PATCH' }],
  ['a body to read with', `${S}/stats`, 413, /^the body: accepts at most 0 bytes$/, { body: '{}' }],
  ['another method at the pixel', '/p.gif', 405, /^DELETE "\/p\.gif": accepts GET$/, { method: 'DELETE' }],
  ['a beacon of a byte too much', '/e', 413, /^the body: accepts at most 65536 bytes$/, POST('write', 'x'.repeat(65_537))],

  ['a batch without a body', '/v1/events', 400, /^the body is not JSON/, POST('write', '')],
  ['a batch that is cut off', '/v1/events', 400, /^the body is not JSON/, POST('write', '{"events":[{"name":"page_v')],
  ['a batch with a comma too much', '/v1/events', 400, /^the body is not JSON/, POST('write', '{"events":[],}')],
  ['a batch in capitals of Python', '/v1/events', 400, /^the body is not JSON/, POST('write', '{"events":None}')],
  ['a batch with NaN', '/v1/events', 400, /^the body is not JSON/, POST('write', '{"events":[{"name":"x","value":NaN}]}')],
  ['a batch with a mark in front', '/v1/events', 400, /^the body is not JSON/, POST('write', '\ufeff{"events":[]}')],
  ['a batch that is a list', '/v1/events', 422, /^events undefined: accepts a list of at most 500 events$/, POST('write', '[]')],
  ['a batch whose events are an object', '/v1/events', 422, /^events \{"length":1\}: accepts a list of at most 500 events$/, POST('write', '{"events":{"length":1}}')],
  ['a batch that is nested 100,000 deep', '/v1/events', 422, /^events \S+: accepts a list of at most 500 events$/, POST('write', nested(100_000, ['[', ']']))],
  ['events that are nested 100,000 deep', '/v1/events', 422, /^events \S+: accepts a list of at most 500 events$/, POST('write', `{"events":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`)],
  ['501 events', '/v1/events', 413, /^501 events: accepts at most 500 in a request$/, POST('write', json({ events: Array.from({ length: 501 }, () => ({})) }))],
  ['a byte more than a megabyte', '/v1/events', 413, /^the body: accepts at most 1048576 bytes$/, POST('write', ' '.repeat(1_048_577))],

  ['a site that may not be called so', '/v1/sites/My_Shop', 422, /^site "My_Shop": accepts 1 to 63 of a-z, 0-9 and -, not beginning with -$/, PUT_SITE({})],
  ['a site of 64 letters', `/v1/sites/${'x'.repeat(64)}`, 422, /^site "x{64}": accepts 1 to 63/, PUT_SITE({})],
  ['settings that are a list', S, 422, /^the body \[\]: accepts an object with name, timezone, currency, hosts, origins, rate_limit$/, { ...PUT_SITE({}), body: '[]' }],
  ['settings that are null', S, 422, /^the body null: accepts an object/, { ...PUT_SITE({}), body: 'null' }],
  ['settings that are nothing', S, 400, /^the body is not JSON/, { ...PUT_SITE({}), body: '' }],
  ['settings without anything', S, 422, /^name null: .*; timezone null: .*; currency null: /, { ...PUT_SITE({}), body: '{}' }],
  ['a name of blanks', S, 422, /^name "   ": accepts text of 1 to 100 characters$/, PUT_SITE({ name: '   ' })],
  ['a name that is a number', S, 422, /^name 5: accepts text of 1 to 100 characters$/, PUT_SITE({ name: 5 })],
  ['a zone that is a list', S, 422, /^timezone \["UTC"\]: accepts an IANA time zone/, PUT_SITE({ timezone: ['UTC'] })],
  ['a currency that does not exist', S, 422, /^currency "EURO": accepts an ISO 4217 code in capitals, such as EUR$/, PUT_SITE({ currency: 'EURO' })],
  ['the currency constructor', S, 422, /^currency "constructor": accepts an ISO 4217 code/, PUT_SITE({ currency: 'constructor' })],
  ['hosts that are a text', S, 422, /^hosts "shop\.example": accepts at most 100 lower-case host names/, PUT_SITE({ hosts: 'shop.example' })],
  ['a host with a path', S, 422, /^hosts \["shop\.example\/x"\]: accepts/, PUT_SITE({ hosts: ['shop.example/x'] })],
  ['101 hosts', S, 422, /^hosts \[.{0,80}: accepts at most 100/, PUT_SITE({ hosts: Array.from({ length: 101 }, (_, i) => `h${i}.example`) })],
  ['any origin', S, 422, /^origins \["\*"\]: accepts at most 100 origins such as https:\/\/shop\.example$/, PUT_SITE({ origins: ['*'] })],
  ['an origin with a slash', S, 422, /^origins \["https:\/\/shop\.example\/"\]: accepts/, PUT_SITE({ origins: ['https://shop.example/'] })],
  ['no origin', S, 422, /^origins \["null"\]: accepts/, PUT_SITE({ origins: ['null'] })],
  ...[{ per_second: 0, burst: 1 }, { per_second: 1.5, burst: 1 }, { per_second: 1001, burst: 1 }, { per_second: 1, burst: 10_001 }, { per_second: '1', burst: 1 }, { per_second: 1 }, { per_second: 1, burst: 1, x: 1 }, [1, 1], null, 5].map((rate_limit): [string, string, number, RegExp, Mistake] =>
    [`the limit ${json(rate_limit)}`, S, 422, /^rate_limit .*: accepts \{"per_second": 1 to 1000, "burst": 1 to 10000\}, whole numbers$/, PUT_SITE({ rate_limit })]),
  ['a field nobody knows', S, 422, /^"?colour"? "red": accepts nothing: the fields are name, /, PUT_SITE({ colour: 'red' })],
  ['the field __proto__', S, 422, /^"?__proto__"? \{"name":"x"\}: accepts nothing: the fields are name/, { ...PUT_SITE({}), body: '{"__proto__":{"name":"x"},"name":"Shop","timezone":"UTC","currency":"EUR"}' }],
  ['3,000 fields nobody knows', S, 422, /^"?field_0"? 0: accepts nothing: the fields are name/, PUT_SITE(fields(3000))],
  ['a field whose name is 60,000 letters', S, 422, /^"?x{70,80}.{0,2} 1: accepts nothing: the fields are name/, PUT_SITE({ ['x'.repeat(60_000)]: 1 })],
  ['more than 64 KB of settings', S, 413, /^the body: accepts at most 65536 bytes$/, PUT_SITE({ name: 'x'.repeat(65_536) })],

  ['a key of no scope', `${S}/keys`, 422, /^scope null: accepts read or write$/, POST('admin', '{}')],
  ['an admin key of a site', `${S}/keys`, 422, /^scope "admin": accepts read or write$/, POST('admin', '{"scope":"admin"}')],
  ['scopes in a list', `${S}/keys`, 422, /^scope \["read"\]: accepts read or write$/, POST('admin', '{"scope":["read"]}')],
  ['a label that is a number', `${S}/keys`, 422, /^label 5: accepts text of at most 100 characters$/, POST('admin', '{"scope":"read","label":5}')],
  ['a label of 101 letters', `${S}/keys`, 422, /^label "x{70,80}…: accepts text of at most 100 characters$/, POST('admin', json({ scope: 'read', label: 'x'.repeat(101) }))],
  ['3,000 fields of a key', `${S}/keys`, 422, /^"?field_0"? 0: accepts nothing: the fields are scope and label/, POST('admin', json({ scope: 'read', ...fields(3000) }))],
  ['a field of a key whose name is 60,000 letters', `${S}/keys`, 422, /^"?x{70,80}.{0,2} 1: accepts nothing/, POST('admin', json({ scope: 'read', ['x'.repeat(60_000)]: 1 }))],
  ['a read key among the admin keys', '/v1/keys', 422, /^scope "read": accepts admin$/, POST('admin', '{"scope":"read"}')],
  // What has no fields says nothing of a key, and must not make one that may do everything.
  ...['5', 'null', '[]', '"admin"', 'true'].map((body): [string, string, number, RegExp, Mistake] => [`an admin key made of ${body}`, '/v1/keys', 422, /accepts an object/, POST('admin', body)]),
  ['an admin key made of nothing', '/v1/keys', 400, /^the body is not JSON/, POST('admin', '')],
  ['a key that is none', `${S}/keys/constructor`, 404, /^key "constructor": the site has no such key$/, { ...BY_ADMIN, method: 'DELETE' }],
  ['an admin key that is none', `/v1/keys/${'x'.repeat(3000)}`, 404, /^key "x{70,80}.{0,2}: there is no such admin key$/, { ...BY_ADMIN, method: 'DELETE' }],

  ['a job that is none', '/v1/rollups/constructor', 404, /^job "constructor": there is no such job that is not over$/, { ...BY_ADMIN, method: 'DELETE' }],
  ['a job of 3,000 letters', `/v1/rollups/${'x'.repeat(3000)}`, 404, /^job "x{70,80}.{0,2}: there is no such job/, { ...BY_ADMIN, method: 'DELETE' }],
  ['a day for an hour', '/v1/rollups', 422, /^from "2026-11-19": accepts an hour of UTC, YYYY-MM-DDTHH/, POST('admin', '{"from":"2026-11-19","to":"2026-11-20T00"}')],
  ['an hour that does not exist', '/v1/rollups', 422, /^to "2026-02-30T00": accepts an hour of UTC/, POST('admin', '{"from":"2026-02-01T00","to":"2026-02-30T00"}')],
  ['hours in the other order', '/v1/rollups', 422, /^from "2026-11-20T00": accepts an hour of UTC.* from is not after to/, POST('admin', '{"from":"2026-11-20T00","to":"2026-11-19T00"}')],
  ['an hour to come', '/v1/rollups', 422, /to "2026-12-01T00": accepts an hour of UTC, .* not in the future/, POST('admin', '{"from":"2026-11-20T00","to":"2026-12-01T00"}')],
  ['more than ten years', '/v1/rollups', 422, /^from "2010-01-01T00": accepts at most 87840 hours up to 2026-11-20T00$/, POST('admin', '{"from":"2010-01-01T00","to":"2026-11-20T00"}')],
  ['a yes for a true', '/v1/rollups', 422, /^replay "yes": accepts true or false$/, POST('admin', '{"from":"2026-11-19T00","to":"2026-11-19T00","replay":"yes"}')],
  ['a job of nothing', '/v1/rollups', 422, /^from null: .*; to null: accepts an hour/, POST('admin', 'null')],
  ['3,000 fields of a job', '/v1/rollups', 422, /^"?field_0"? 0: accepts nothing: the fields are from, to, replay and dry_run/, POST('admin', json({ from: '2026-11-19T00', to: '2026-11-19T00', ...fields(3000) }))],
  ['hours that do not exist', '/v1/rollups?from=2026-02-30T00&to=2026-03-01T00', 400, /^from "2026-02-30T00", to "2026-03-01T00": each accepts an hour of UTC/, BY_ADMIN],
  ['745 hours', '/v1/rollups?from=2026-10-20T00&to=2026-11-20T00', 400, /^from "2026-10-20T00": accepts at most 744 hours up to 2026-11-20T00$/, BY_ADMIN],
  ['sites after what is none', '/v1/sites?after=~', 400, /^after "~": accepts the id of a site$/, BY_ADMIN],
];

for (const [name, target, status, says, { key = 'read', method = 'GET', headers = {}, body = '' } = {}] of MISTAKES) {
  test(`${name} (${method} ${target.length > 100 ? `${target.slice(0, 100)}…` : target}): ${status}, and why`, async (t) => {
    const world = await open(t);
    const [path = '', ...query] = target.split('?');
    const ask: Ask = { method, path, query: query.join('?'), headers: { ...(key !== null && { authorization: `Bearer ${KEYS[key]}` }), ...headers }, body: Buffer.from(body) };
    const answer = await overHttp(world, ask);
    assert.equal(answer.status, status, answer.bytes.toString().slice(0, 500));
    assert.match(check(answer, ask)!.detail, says);
    if (status === 405) assert.ok(answer.headers.allow !== undefined);
    if (status === 401) assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.deepEqual(world.errors, []);
  });
}

/** What looks like a mistake and is none. */
const NO_MISTAKES: [name: string, target: string, mistake?: Mistake][] = [
  ['732 days', `${S}/stats?from=2024-11-19&to=2026-11-20`],
  ['31 days by the hour', `${S}/timeseries?interval=hour&from=2026-10-21&to=2026-11-20`],
  ['120 months', `${S}/timeseries?interval=month&from=2016-12-31&to=2026-11-01`],
  ['February 29th, and what was a year before', `${S}/stats?from=2024-02-29&to=2024-02-29&compare=previous_year`],
  ['the first day there is, and the one before', `${S}/timeseries?from=1970-01-01&to=1970-01-01&compare=previous_period`],
  ['the longest smoothing of the longest range', `${S}/timeseries?interval=month&from=2016-12-31&to=2026-11-01&smooth=90`],
  ['days to come', `${S}/stats?from=2027-01-01&to=2027-12-31`],
  ['a value that every object has', `${S}/stats?filter=page==__proto__&metrics=pageviews`],
  ['a value with two equals signs', `${S}/stats?filter=page==a==b&metrics=pageviews`],
  ['a limit with a zero in front', `${S}/breakdown?dimension=page&limit=07`],
  ['an ampersand too much', `${S}/stats?&range=7d&&`],
  ['a zone in small letters', `${S}/stats?time_zone=asia/kolkata`],
  ['a percent-encoded site', '/v1/sites/%73hop/stats'],
  ['headers that every parser has trouble with', `${S}/stats`, { headers: { accept: ';;,,/;q=,*', 'accept-encoding': 'gzip;q=x,,;', 'if-none-match': '"', origin: '\\' } }],
];
for (const [name, target, { headers = {} } = {}] of NO_MISTAKES) {
  test(`${name} (GET ${target}): 200`, async (t) => {
    const world = await open(t);
    const [path = '', query = ''] = target.split(/\?(.*)/);
    const ask: Ask = { method: 'GET', path, query, headers: { authorization: `Bearer ${KEYS.read}`, ...headers }, body: Buffer.from('') };
    const answer = await overHttp(world, ask);
    assert.equal(answer.status, 200, answer.bytes.toString().slice(0, 500));
    check(answer, ask.path.includes('%73') ? { ...ask, path: `${S}/stats` } : ask);
    assert.deepEqual(world.errors, []);
  });
}

/** Events that are none, and why each is not taken; the one beside them is. */
const NO_EVENTS: [event: string, reason: string][] = [
  ['null', 'bad_event'], ['5', 'bad_event'], ['"page_view"', 'bad_event'], ['[]', 'bad_event'], [nested(20_000, ['[', ']']), 'bad_event'], [`{"name":"x","props":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`, 'bad_event'],
  [`{"name":"x","url":"https://shop.example/${'x'.repeat(70_000)}"}`, 'bad_event'], ['{}', 'bad_name'], ['{"name":"__proto__"}', 'bad_name'], ['{"name":["page_view"]}', 'bad_name'], [`{"name":"${'x'.repeat(5000)}"}`, 'bad_name'],
  ['{"__proto__":{"name":"page_view"}}', 'bad_name'], ['{"name":"purchase","value":1e400}', 'bad_value'], ['{"name":"purchase","value":"0x10"}', 'bad_value'], ['{"name":"purchase","value":1000000001}', 'bad_value'], ['{"name":"purchase","currency":"constructor"}', 'bad_currency'],
  ['{"name":"page_view","url":"javascript:alert(1)"}', 'bad_url'], ['{"name":"page_view","url":"https://"}', 'bad_url'], ['{"name":"page_view","time":"2026-02-30T00:00:00Z"}', 'bad_time'], ['{"name":"page_view","time":1e400}', 'bad_time'], ['{"name":"page_view","time":-1}', 'bad_time'],
  ['{"name":"x","items":{"length":1}}', 'bad_items'], ['{"name":"x","items":[null]}', 'bad_items'], ['{"name":"x","props":[]}', 'bad_props'], ['{"name":"x","props":{"a":{}}}', 'bad_props'],
];
test('Of a batch what is an event is taken, and each of the others is named with its reason', async (t) => {
  const world = await open(t);
  const headers = { authorization: `Bearer ${KEYS.write}` };
  for (const [event, reason] of NO_EVENTS) {
    const body = Buffer.from(`{"events":[{"name":"page_view"},${event}]}`);
    const ask: Ask = { method: 'POST', path: '/v1/events', query: '', headers, body };
    const answer = await overHttp(world, ask);
    const what = event.slice(0, 100);
    assert.equal(answer.status, 202, what);
    check(answer, ask);
    const { accepted, rejected } = JSON.parse(answer.bytes.toString()) as { accepted: number; rejected: { index: number; reason: string }[] };
    assert.deepEqual([accepted, rejected.map((its) => [its.index, its.reason])], [1, [[1, reason]]], what);
  }
  assert.deepEqual(world.errors, []);
});

test('Bytes that are no UTF-8 are taken as the sign for that, and spoil nothing beside them', async (t) => {
  const world = await open(t);
  const body = Buffer.concat([Buffer.from('{"events":[{"name":"page_view","id":"'), Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]), Buffer.from('"},{"name":"page_view"}]}')]);
  const answer = await overHttp(world, { method: 'POST', path: '/v1/events', query: '', headers: { authorization: `Bearer ${KEYS.write}` }, body });
  assert.deepEqual([answer.status, JSON.parse(answer.bytes.toString())], [202, { accepted: 2, rejected: [] }]);
});

// ---- Bytes on the line

/** Sends the bytes, says that there are no more, and gives back all that comes until the server closes. */
async function onTheLine(port: number, bytes: string | Buffer, { reset = false } = {}): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => undefined); // A reset is an answer, too.
  await once(socket, 'connect');
  if (reset) {
    await new Promise((written) => socket.write(bytes, written));
    socket.resetAndDestroy();
  } else socket.end(bytes);
  if (!socket.destroyed || !socket.closed) await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
}

/** The responses in what came back: their statuses and bodies. */
function responsesIn(text: string): { status: number; body: string }[] {
  const responses: { status: number; body: string }[] = [];
  for (let rest = text; rest !== '';) {
    const [, status = '', headers = ''] = /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n/.exec(rest) ?? [];
    assert.notEqual(status, '', `no response: ${rest.slice(0, 200)}`);
    const head = rest.indexOf('\r\n\r\n') + 4;
    // Node's own refusals come in chunks, of which there are none.
    const length = /^transfer-encoding: chunked\r$/im.test(headers) ? '0\r\n\r\n'.length : Number(/^content-length: (\d+)\r$/im.exec(headers)?.[1] ?? 0);
    responses.push({ status: Number(status), body: rest.slice(head, head + length) });
    rest = rest.slice(head + length);
  }
  return responses;
}

const HOST = 'Host: 127.0.0.1\r\n';
const GET = (target: string, more = '') => `GET ${target} HTTP/1.1\r\n${HOST}${more}\r\n`;
const HEALTH = GET('/v1/health');
const NO_HTTP = /the request: accepts HTTP\/1\.1/;
const TOO_LONG = /the address and headers: accept at most 16384 bytes/;
const NOTHING_HERE = /there is nothing here; the routes stand in/;
/** A request in the body of another: a proxy in front and the server must not disagree about where it begins. */
const SMUGGLED = `GET /v1/smuggled HTTP/1.1\r\n${HOST}\r\n`;
const post = (headers: string, body: string) => `POST /e HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;

/** A page, and beside its folder what nobody may have. */
const PAGES = join(temporaryFolder(), 'pages');
mkdirSync(PAGES);
writeFileSync(join(PAGES, 'index.html'), 'the page');
writeFileSync(join(PAGES, '..', 'secret.txt'), 'the secret');

const LINES: [name: string, bytes: string | Buffer, statuses: number[], says?: RegExp][] = [
  ['a word', 'hello\r\n\r\n', [400], NO_HTTP],
  ['a greeting of TLS', Buffer.from('16030100a5010000a10303', 'hex'), [400], NO_HTTP],
  ['null bytes', Buffer.alloc(100), [400], NO_HTTP],
  ['a method nobody knows', `JUMP / HTTP/1.1\r\n${HOST}\r\n`, [400], NO_HTTP],
  ['another protocol', `GET / FTP/1.1\r\n${HOST}\r\n`, [400], NO_HTTP],
  ['HTTP/9.9', `GET /v1/health HTTP/9.9\r\n${HOST}\r\n`, [400], NO_HTTP],
  ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400], NO_HTTP],
  ['blanks in the address', GET('/v1/health /etc/passwd'), [400], NO_HTTP],
  ['a null byte in the address', GET('/v1/health\0'), [400], NO_HTTP],
  ['a null byte in a header', GET('/v1/health', 'X-A: a\0b\r\n'), [400], NO_HTTP],
  ['a header without a colon', GET('/v1/health', 'nonsense\r\n'), [400], NO_HTTP],
  ['a header that is folded', GET('/v1/health', 'X-A: a\r\n b\r\n'), [400], NO_HTTP],
  // Node's own answer; it has no sentence.
  ['no host', 'GET /v1/health HTTP/1.1\r\n\r\n', [400]],
  ['a header of 20 KB', GET('/v1/health', `X-A: ${'x'.repeat(20_000)}\r\n`), [431], TOO_LONG],
  ['2,000 headers', GET('/v1/health', Array.from({ length: 2000 }, (_, i) => `X-${i}: value\r\n`).join('')), [431], TOO_LONG],
  ['an address of 20 KB', GET(`/${'x'.repeat(20_000)}`), [431], TOO_LONG],
  ['an address of the size of a beacon', GET(`/p.gif?site=shop&url=${'x'.repeat(65_536)}`), [431], TOO_LONG],
  ['an address with a host', GET('http://127.0.0.1/v1/health'), [404], NOTHING_HERE],
  ['an address with another host', GET('http://169.254.169.254/latest/meta-data/'), [404], NOTHING_HERE],
  ['the address *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, [404], NOTHING_HERE],
  ['no address', `GET HTTP/1.1\r\n${HOST}\r\n`, [400], NO_HTTP],
  ['a page', GET('/'), [200], /^the page$/],
  ...['/../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/..\\secret.txt', '/assets/../../secret.txt', '//secret.txt', '/./index.html', '/index.html%00', '/__proto__', '/../../../../../../etc/passwd'].map((path): [string, string, number[], RegExp] =>
    [`a way to other files, ${path},`, GET(path), [404], NOTHING_HERE]),
  ['a way out of a site', GET('/v1/sites/../../etc/passwd', `Authorization: Bearer ${KEYS.admin}\r\n`), [404], NOTHING_HERE],
  ['a site that is a way out', GET('/v1/sites/..%2f..%2fother', `Authorization: Bearer ${KEYS.admin}\r\n`), [404], /site \\"\.\.\/\.\.\/other\\": there is no such site/],
  ['two keys', GET('/v1/key', `Authorization: Bearer ${KEYS.read}\r\nAuthorization: Bearer ${KEYS.admin}\r\n`), [200], /"scope":"read"/],
  ['a length and chunks', post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `0\r\n\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['two lengths', post(`Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n`, SMUGGLED), [400], NO_HTTP],
  ['two lengths in one', post('Content-Length: 0, 5\r\n', SMUGGLED), [400], NO_HTTP],
  ['a length with a sign', post('Content-Length: +5\r\n', `hello${SMUGGLED}`), [400], NO_HTTP],
  ['a length below zero', post('Content-Length: -1\r\n', SMUGGLED), [400], NO_HTTP],
  ['a length beyond all numbers', post(`Content-Length: ${'9'.repeat(30)}\r\n`, SMUGGLED), [400], NO_HTTP],
  ['a blank before the colon', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['an encoding after chunks', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['a chunk whose size is no number', post('Transfer-Encoding: chunked\r\n', `zz\r\nhello\r\n0\r\n\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['a chunk larger than all numbers', post('Transfer-Encoding: chunked\r\n', `fffffffffffffffff\r\nhello\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['a chunk that is longer than it says', post('Transfer-Encoding: chunked\r\n', `3\r\nhello\r\n0\r\n\r\n${SMUGGLED}`), [400], NO_HTTP],
  ['a request in the body of another', post(`Content-Length: ${SMUGGLED.length}\r\n`, SMUGGLED), [204]],
  ['a request in the body of one that is not read', `POST /v1/nothing HTTP/1.1\r\n${HOST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${HEALTH}`, [404, 200]],
  ['three requests at once', HEALTH + GET('/v1/nothing') + HEALTH, [200, 404, 200]],
  ['a question about how to go on', post('Expect: magic\r\nContent-Length: 0\r\n', ''), [417]],
  ['another protocol to go on with', GET('/v1/health', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'), [200]],
  ['a way through', 'CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n', []],
  ['half of a line', 'GET /v1/hea', [400], NO_HTTP],
  ['half of the headers', `GET /v1/health HTTP/1.1\r\n${HOST}`, [400], NO_HTTP],
  ['half of a body', post('Content-Length: 100\r\n', 'half'), [400], NO_HTTP],
  ['half of a batch', `POST /v1/events HTTP/1.1\r\n${HOST}Authorization: Bearer ${KEYS.write}\r\nContent-Length: 100\r\n\r\n{"events":`, [400], NO_HTTP],
  ['nothing', '', []],
];

for (const [name, bytes, statuses, says] of LINES) {
  test(`On the line: ${name} is answered with ${statuses.join(', ') || 'nothing'}, and the server goes on`, async (t) => {
    const { port, errors } = await open(t, PAGES);
    const responses = responsesIn(await onTheLine(port, bytes));
    assert.deepEqual(responses.map(({ status }) => status), statuses, JSON.stringify(responses));
    for (const { status, body } of responses) if (status >= 400 && says) assert.equal((JSON.parse(body) as Refusal).status, status);
    if (says) assert.match(responses.at(-1)!.body, says);
    assert.deepEqual(responsesIn(await onTheLine(port, HEALTH)).map(({ status }) => status), [200]);
    assert.deepEqual(errors, []);
  });
}

test('Clients that go away at any byte of a request leave no error, and the server goes on', async (t) => {
  const { port, errors } = await open(t);
  const request = `POST /v1/events HTTP/1.1\r\n${HOST}Authorization: Bearer ${KEYS.write}\r\nContent-Length: 40\r\n\r\n{"events":[{"name":"page_view"}]}       `;
  for (let length = 1; length <= request.length; length += 7) {
    await onTheLine(port, request.slice(0, length), { reset: true });
    await onTheLine(port, request.slice(0, length));
  }
  assert.deepEqual(responsesIn(await onTheLine(port, HEALTH)).map(({ status }) => status), [200]);
  assert.deepEqual(errors, []);
});
