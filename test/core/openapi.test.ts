// The API's document: whether it is one, whether it says what the routes' tables say, and whether each route answers each
// of its statuses as it says. That all other answers of the tests are as described, test/answers.ts sees to.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import fc from 'fast-check';
import { EVENT_FIELDS } from '../../core/event.ts';
import { isKey, newKey, storeKey, type Scope } from '../../core/keys.ts';
import { DIMENSION_NAMES, METRIC_NAMES } from '../../core/metrics.ts';
import { StreamUnavailable, type Lake } from '../../core/ports.ts';
import { writeProgress } from '../../core/progress.ts';
import { beginReprocess } from '../../core/reprocess.ts';
import { ROUTES, routeKey, type HandlerName, type Route } from '../../core/routes.ts';
import { checkSite, isSiteId, writeSite } from '../../core/sites.ts';
import { httpServer } from '../../local/http.ts';
import { adminHandler } from '../../lambdas/admin.ts';
import type { Handler } from '../../lambdas/http.ts';
import { ingestHandler } from '../../lambdas/ingest.ts';
import { serveHandler } from '../../lambdas/serve.ts';
import { answersOf, checkAnswer, escaped, referred, schemasOf, theDocument, type Document, type Operation, type Parameter, type Received } from '../answers.ts';
import { MemoryStore, NO_TASKS, httpPorts } from '../memory.ts';

const NOW = Date.parse('2026-11-20T10:00:00Z');
const CREATED = '2026-11-20T10:00:00.000Z';
const DOCUMENT = theDocument();
const OPERATIONS = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) => (
  Object.entries(methods).map(([method, operation]) => ({ path, operation, key: `${method.toUpperCase()} ${path}` }))
));
const OPERATION = new Map(OPERATIONS.map(({ key, operation }) => [key, operation]));
const DOORS = ['GET /p.gif', 'POST /e'];

/** All objects in a value, each with its place. */
function* objectsIn(value: unknown, place = ''): Iterable<[place: string, object: Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  yield [place, value as Record<string, unknown>];
  for (const [name, inner] of Object.entries(value)) yield* objectsIn(inner, `${place}/${escaped(name)}`);
}

const REFERENCES = [...objectsIn(DOCUMENT)].flatMap(([, { $ref }]) => (typeof $ref === 'string' ? [$ref] : []));
const parametersOf = ({ parameters = [] }: Operation) => parameters.map((one) => (one.$ref === undefined ? one : referred(DOCUMENT, one.$ref) as Parameter));

test('The document is plain JSON of OpenAPI 3.1, and the same at each call', () => {
  assert.equal(DOCUMENT.openapi, '3.1.0');
  assert.deepEqual(JSON.parse(JSON.stringify(DOCUMENT)), DOCUMENT);
  assert.equal(theDocument(), DOCUMENT);
  assert.ok(JSON.stringify(DOCUMENT).length < 100_000);
});

test('Every reference has its target, and everything that can be referred to is', () => {
  assert.ok(REFERENCES.length > 100);
  for (const $ref of REFERENCES) referred(DOCUMENT, $ref);
  const { schemas, parameters, headers, responses } = DOCUMENT.components;
  const all = Object.entries({ schemas, parameters, headers, responses }).flatMap(([kind, named]) => Object.keys(named!).map((name) => `#/components/${kind}/${name}`));
  assert.deepEqual(all.filter((place) => !REFERENCES.includes(place)), []);
});

test('Every schema is one, and has no word that means nothing', () => {
  const compiled = schemasOf(DOCUMENT);
  const places = [
    ...Object.keys(DOCUMENT.components.schemas).map((name) => `/components/schemas/${name}`),
    ...[...objectsIn(DOCUMENT)].flatMap(([place, { schema }]) => (schema === undefined ? [] : [`${place}/schema`])),
  ];
  assert.ok(places.length > 80);
  for (const place of places) assert.doesNotThrow(() => compiled(place, null), place);
});

test('Each operation has an id of its own, a summary, a known tag, its path\'s parameters, and answers with a description', () => {
  const { tags } = DOCUMENT as unknown as { tags: { name: string }[] };
  assert.equal(new Set(OPERATIONS.map(({ operation }) => operation.operationId)).size, OPERATIONS.length);
  for (const { path, key, operation } of OPERATIONS) {
    const { summary, tags: [tag], responses } = operation as Operation & { summary: string; tags: string[] };
    assert.match(operation.operationId, /^[a-z]\w+$/, key);
    assert.ok(summary.length > 0 && tags.some(({ name }) => name === tag), key);
    const parameters = parametersOf(operation);
    assert.deepEqual(parameters.filter((one) => one.in === 'path').map(({ name, required }) => [name, required]), [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, true]), key);
    assert.equal(new Set(parameters.map((one) => `${one.in} ${one.name}`)).size, parameters.length, key);
    for (const one of parameters) assert.ok(one.schema && (one as { description?: string }).description, `${key}: ${one.name}`);
    for (const [status, response] of Object.entries(responses)) {
      const { description } = (response.$ref === undefined ? response : referred(DOCUMENT, response.$ref)) as { description: string };
      assert.ok(/^[2-5]\d\d$/.test(status) && description.length > 0, `${key}: ${status}`);
    }
  }
});

test('Routes, their scopes and their parameters are those of the table', () => {
  assert.deepEqual(OPERATIONS.map(({ key }) => key).sort(), [...DOORS, ...ROUTES.map(routeKey)].sort());
  for (const route of ROUTES as readonly Route[]) {
    const operation = OPERATION.get(routeKey(route))!;
    assert.deepEqual(parametersOf(operation).filter((one) => one.in === 'query').map(({ name }) => name), [...route.parameters], routeKey(route));
    assert.deepEqual(operation.security, route.scopes.map((scope) => ({ key: [scope] })), routeKey(route));
    assert.equal(operation.requestBody !== undefined, route.bodyLimit > 0, routeKey(route));
  }
});

test('Metrics, dimensions and event fields are those of their tables, with what each accepts', () => {
  const { Metric, Dimension, Event, BrowserEvent } = DOCUMENT.components.schemas as Record<string, { enum: string[]; properties: Record<string, { description: string }> }>;
  assert.deepEqual([Metric!.enum, Dimension!.enum], [METRIC_NAMES, DIMENSION_NAMES]);
  assert.deepEqual(Object.keys(Event!.properties), Object.keys(EVENT_FIELDS));
  for (const [name, { accepts }] of Object.entries(EVENT_FIELDS)) assert.equal(Event!.properties[name]!.description, `Accepts ${accepts}.`);
  assert.deepEqual(Object.keys(Event!.properties).filter((name) => !(name in BrowserEvent!.properties)), ['time', 'ip', 'user_agent', 'country']);
});

interface Ask { key?: string | undefined; path?: Record<string, string>; query?: string | undefined; body?: string; headers?: Record<string, string> }

/** The functions over stores in memory, with a site, keys, a job, and hours that are counted, parked and unfinished. */
async function open(error?: Error) {
  const registry = new MemoryStore();
  const clock = () => NOW;
  await writeSite(registry, checkSite('shop', { name: 'Shop', timezone: 'Europe/Berlin', currency: 'EUR' }, undefined, CREATED));
  await writeProgress(registry, { completeThrough: NOW, parkedHours: ['2026-11-19T07'], parkedDays: [] });
  const run = '20261120T090000000Z-aaaaaa';
  await registry.put([
    { pk: 'hours', sk: '2026-11-20T08', run, committedAt: NOW, checkedAt: NOW, summary: { sites: 1, events: 2, bots: 0, rejected: 0, long_visit_events: 0 }, pending: [] },
    { pk: 'hours', sk: '2026-11-20T07', pending: [run] },
  ]);
  const keys = {} as Record<Scope, string>;
  const ids = {} as Record<Scope, string>;
  for (const scope of ['read', 'write', 'admin'] as const) {
    keys[scope] = newKey(scope);
    ids[scope] = (await storeKey(registry, keys[scope], { scope, label: '', ...(scope !== 'admin' && { site: 'shop' }) }, CREATED)).id;
  }
  const otherId = (await storeKey(registry, newKey('admin'), { scope: 'admin', label: 'other' }, CREATED)).id;
  const lake = { sizeOf: async () => 1000, rawParts: async () => [{ name: 'part', bytes: 500 }] } as unknown as Lake;
  const tasks = { ...NO_TASKS, parked: async () => [{ task: { kind: 'hour', hour: '2026-11-19T07' } as const, attempts: 5, error: 'damaged' }] };
  const rawKeptMs = 30 * 86_400_000;
  const job = await beginReprocess({ from: '2026-11-20T07', to: '2026-11-20T07', replay: false }, { registry, lake, clock, rawKeptMs });
  const stream = { put: async () => { if (error) throw error; } };
  const shared = { registry, clock, ...httpPorts(registry, clock), onError: () => undefined };
  const handlers: Record<HandlerName, Handler> = {
    ingest: ingestHandler({ ...shared, stream }),
    admin: adminHandler({ ...shared, lake, tasks, usdPerTerabyte: 5, rawKeptMs }),
    serve: serveHandler({ ...shared, metrics: new MemoryStore(), health: async () => ({ oldest_undelivered_seconds: 7, waiting_tasks: 1, parked_tasks: 0 }) }),
  };

  /** Asks a route, and checks the answer. */
  async function ask(route: Route, asked: Ask): Promise<Received> {
    const { key, path = {}, body, headers = {}, query } = { query: '', ...asked };
    const { method } = route;
    const event = {
      version: '2.0', routeKey: routeKey(route), rawPath: route.path, rawQueryString: query, pathParameters: { site: 'shop', ...path }, ...(body !== undefined && { body }),
      headers: { ...headers, ...(key !== undefined && { authorization: `Bearer ${key}` }) }, requestContext: { requestId: 'request-1', http: { method } },
    } as unknown as APIGatewayProxyEventV2;
    const { statusCode = 0, headers: sent, body: text = '' } = await handlers[route.handler](event, {} as Context);
    const received = { method, path: route.path, status: statusCode, headers: sent as Record<string, string>, body: Buffer.from(text) };
    checkAnswer(received);
    return received;
  }
  /** The key that a route takes. */
  const keyFor = ({ scopes }: Route) => (scopes.length === 0 ? undefined : keys[scopes[0]!]);
  return { keys, ids, otherId, jobId: job.id, ask, keyFor, server: httpServer({ stream, handlers, clock, trustProxy: false, onError: () => undefined }) };
}
type World = Awaited<ReturnType<typeof open>>;

const KNOWN = { 'if-none-match': '*' };
const CSV = { accept: 'text/csv' };
const HOURS = { from: '2026-11-20T07', to: '2026-11-20T08' };

/** What routes are asked so that all is well; the others, nothing special. */
const WELL: Partial<Record<string, (world: World) => Ask[]>> = {
  'POST /v1/events': () => [{ body: JSON.stringify({ events: [{ name: 'page_view' }, { name: 'Not a name' }] }) }],
  'GET /openapi.json': () => [{}, { headers: KNOWN }],
  'GET /v1/key': ({ keys }) => [{}, { key: keys.admin }],
  'GET /v1/sites/{site}/stats': () => [
    { query: 'compare=previous_year&filter=source==google' }, { query: 'time_zone=Asia/Tokyo' }, { headers: KNOWN }, { headers: CSV }, { headers: { ...CSV, ...KNOWN } },
  ],
  'GET /v1/sites/{site}/timeseries': () => [{ query: 'compare=previous_period&smooth=2' }, { query: 'range=today&interval=hour' }, { headers: KNOWN }],
  'GET /v1/sites/{site}/breakdown': () => [{ query: 'dimension=page' }, { query: 'dimension=page', headers: KNOWN }],
  'GET /v1/sites/{site}/funnel': () => [{}, { headers: KNOWN }],
  'PUT /v1/sites/{site}': () => [{ body: JSON.stringify({ name: 'Shop', timezone: 'UTC', currency: 'EUR' }) }],
  'POST /v1/sites/{site}/keys': () => [{ body: '{"scope":"read"}' }],
  'DELETE /v1/sites/{site}/keys/{key}': ({ ids }) => [{ path: { key: ids.write } }],
  'POST /v1/keys': () => [{ body: '{}' }],
  'DELETE /v1/keys/{key}': ({ otherId }) => [{ path: { key: otherId } }],
  'GET /v1/rollups': () => [{ query: 'from=2026-11-19T07&to=2026-11-20T09' }],
  'POST /v1/rollups': () => [{ body: JSON.stringify({ ...HOURS, dry_run: true }) }, { body: JSON.stringify(HOURS) }],
  'DELETE /v1/rollups/{job}': ({ jobId }) => [{ path: { job: jobId } }],
};

/** What makes a route refuse, by status; what its key and the rest are, is as where all is well. */
const BADLY: Record<string, (route: Route, world: World) => Ask> = {
  400: () => ({ query: 'nothing=1' }),
  401: () => ({ key: 'nobody' }),
  403: ({ scopes }, { keys }) => ({ key: keys[(['read', 'write', 'admin'] as const).find((scope) => !scopes.includes(scope))!] }),
  404: ({ bodyLimit }, { keys }) => ({ key: keys.admin, path: { site: 'nobody', key: 'nobody', job: 'nobody' }, ...(bodyLimit > 0 && { body: '{"scope":"read"}' }) }),
  409: (_, { ids }) => ({ path: { key: ids.admin } }),
  413: ({ bodyLimit }) => ({ body: 'x'.repeat(bodyLimit + 1) }),
  422: ({ path, bodyLimit }) => (bodyLimit > 0 ? { body: '{"nothing":1}' } : { query: `metrics=exits${path.endsWith('/breakdown') ? '&dimension=source' : ''}` }),
  // A query that is none, as API Gateway has none.
  500: () => ({ query: undefined }),
  503: () => ({ body: '{"events":[{"name":"page_view"}]}' }),
};

async function answersWell(route: Route): Promise<Received[]> {
  const world = await open();
  const answers: Received[] = [];
  for (const asked of WELL[routeKey(route)]?.(world) ?? [{}]) answers.push(await world.ask(route, { key: world.keyFor(route), ...asked }));
  return answers;
}

const statusesOf = (key: string) => Object.keys(OPERATION.get(key)!.responses).map(Number).sort();

for (const route of ROUTES as readonly Route[]) {
  const key = routeKey(route);
  const statuses = statusesOf(key);
  test(`${key} answers as described with ${statuses.join(', ')}`, async () => {
    const seen = new Set((await answersWell(route)).map(({ status }) => status));
    assert.deepEqual([...seen].sort(), statuses.filter((status) => status < 400));
    for (const status of statuses.filter((one) => one >= 400)) {
      const world = await open(status === 503 ? new StreamUnavailable('full') : undefined);
      const asked = { key: world.keyFor(route), ...BADLY[status]?.(route, world) };
      // A burst first, where it is the pace that is refused.
      for (let i = 0; i < (status === 429 ? 50 : 0); i++) await world.ask(route, { ...asked, query: 'nothing=1' });
      assert.equal((await world.ask(route, asked)).status, status);
    }
  });
}

const LONG = 'x'.repeat(65_537);
const AT_DOORS: [request: string, init: RequestInit, error: Error | undefined, status: number][] = [
  ['/p.gif?site=shop', {}, undefined, 200],
  [`/p.gif?site=shop&name=${LONG}`, {}, undefined, 431],
  ['/p.gif?site=shop', {}, new Error('broken'), 500],
  ['/p.gif?site=shop', {}, new StreamUnavailable('full'), 503],
  ['/e', { method: 'POST', body: '{}' }, undefined, 204],
  ['/e', { method: 'POST', body: LONG }, undefined, 413],
  ['/e', { method: 'POST', body: '{}' }, new Error('broken'), 500],
  ['/e', { method: 'POST', body: '{}' }, new StreamUnavailable('full'), 503],
];

test('The browser doors answer as described with all their statuses', async (t) => {
  const seen: [door: string, status: number][] = [];
  for (const [request, init, error, expected] of AT_DOORS) {
    const { server } = await open(error);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => { server.close().closeAllConnections(); });
    // Checked on its way (test/answers.ts).
    const { status } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${request}`, init);
    assert.equal(status, expected, request.slice(0, 40));
    seen.push([`${init.method ?? 'GET'} ${request.split('?')[0]}`, status]);
  }
  for (const door of DOORS) assert.deepEqual(seen.flatMap(([at, status]) => (at === door ? [status] : [])), statusesOf(door), door);
});

test('What a server accepts of a parameter is what the document says', async () => {
  const world = await open();
  let asked = 0;
  for (const route of (ROUTES as readonly Route[]).filter(({ path }) => path.startsWith('/v1/sites/{site}/') && !path.includes('keys'))) {
    const accepts = async (name: string, value: unknown) => {
      const query = new URLSearchParams({ ...(route.path.endsWith('/breakdown') && { dimension: 'source' }), [name]: String(value) });
      const { status } = await world.ask(route, { key: world.keys.admin, query: String(query) });
      asked++;
      return status === 200;
    };
    for (const { name, schema } of parametersOf(OPERATION.get(routeKey(route))!)) {
      const { $ref } = schema as { $ref?: string };
      const { enum: values, minimum, maximum } = ($ref === undefined ? schema : referred(DOCUMENT, $ref)) as { enum?: string[]; minimum?: number; maximum?: number };
      if (name === 'order_by') continue; // It depends on the metrics.
      for (const value of values ?? []) assert.ok(await accepts(name!, value), `${route.path}: ${name} ${value}`);
      if (values) assert.equal(await accepts(name!, 'nothing'), false, name);
      if (minimum === undefined || maximum === undefined) continue;
      assert.deepEqual([await accepts(name!, minimum - 1), await accepts(name!, minimum), await accepts(name!, maximum), await accepts(name!, maximum + 1)], [false, true, true, false], name);
    }
  }
  assert.ok(asked > 70, String(asked));
});

const SETTINGS = { name: 'Shop', timezone: 'UTC', currency: 'EUR' };
const BODIES: Record<string, object[]> = {
  'PUT /v1/sites/{site}': [
    SETTINGS, {}, { name: 'Shop' }, { ...SETTINGS, more: 1 }, { ...SETTINGS, name: '' }, { ...SETTINGS, name: 'x'.repeat(100) }, { ...SETTINGS, name: 'x'.repeat(101) },
    { ...SETTINGS, currency: 'eur' }, { ...SETTINGS, hosts: Array(100).fill('a.example') }, { ...SETTINGS, hosts: Array(101).fill('a.example') },
    { ...SETTINGS, origins: Array(100).fill('https://a.example') }, { ...SETTINGS, origins: Array(101).fill('https://a.example') }, { ...SETTINGS, origins: 'https://a.example' },
    ...[[1, 1], [0, 1], [1, 0], [1000, 10_000], [1001, 1], [1, 10_001], [1.5, 1]].map(([per_second, burst]) => ({ ...SETTINGS, rate_limit: { per_second, burst } })),
    { ...SETTINGS, rate_limit: { per_second: 1 } }, { ...SETTINGS, rate_limit: { per_second: 1, burst: 1, more: 1 } },
  ],
  'POST /v1/sites/{site}/keys': [
    {}, { scope: 'read' }, { scope: 'write', label: 'x'.repeat(100) }, { scope: 'read', label: 'x'.repeat(101) }, { scope: 'admin' }, { scope: 'read', more: 1 },
  ],
  'POST /v1/keys': [{}, { scope: 'admin' }, { scope: 'read' }, { label: 'x' }, { label: 1 }],
  'POST /v1/rollups': [HOURS, { ...HOURS, replay: true, dry_run: true }, { from: HOURS.from }, { ...HOURS, from: '2026-11-20' }, { ...HOURS, dry_run: 1 }, { ...HOURS, more: 1 }],
  'POST /v1/events': [
    { events: [] }, { events: [{ name: 'page_view', time: NOW }] }, { event: [] }, { events: Array(500).fill({ name: 'x' }) }, { events: Array(501).fill({ name: 'x' }) },
  ],
};

test('What a server accepts of a body is what the document says', async () => {
  const wrong = schemasOf(DOCUMENT);
  const routes = (ROUTES as readonly Route[]).filter(({ bodyLimit }) => bodyLimit > 0);
  assert.deepEqual(routes.map(routeKey).sort(), Object.keys(BODIES).sort());
  for (const route of routes) {
    const place = `/paths/${escaped(route.path)}/${route.method.toLowerCase()}/requestBody/content/${escaped('application/json')}/schema`;
    for (const body of BODIES[routeKey(route)]!) {
      const world = await open();
      const { status } = await world.ask(route, { key: world.keyFor(route), body: JSON.stringify(body) });
      assert.equal(status < 300, wrong(place, body) === undefined, `${routeKey(route)} ${JSON.stringify(body).slice(0, 100)}: ${status}, ${wrong(place, body)}`);
    }
  }
});

test('Ids and keys have the form that the document says', () => {
  const wrong = schemasOf(DOCUMENT);
  const letters = fc.constantFrom('a', 'z', '0', '-', 'A', '_', '\n', 'é');
  fc.assert(fc.property(fc.oneof(fc.string({ unit: letters, maxLength: 6 }), fc.string({ unit: fc.constantFrom('a', '-'), minLength: 60, maxLength: 66 })), (id) => {
    assert.equal(wrong('/components/schemas/Site/properties/id', id) === undefined, isSiteId(id));
  }), { seed: 20_261_124 });
  for (const text of [newKey('read'), newKey('admin'), newKey('write').slice(1), `${newKey('write')}x`, newKey('read').replace('read', 'all')]) {
    assert.equal(wrong('/components/schemas/NewKey/properties/key', text) === undefined, isKey(text), text);
  }
});

test('An answer is refused where a field of it is not described, or one that is described is missing', async () => {
  const answers = (await Promise.all((ROUTES as readonly Route[]).map(answersWell))).flat().filter(({ status, headers }) => status < 300 && headers['content-type'] === 'application/json');
  const all = answersOf(DOCUMENT);
  for (const answer of answers) all(answer);
  const refused = (document: Document) => { const check = answersOf(document); return answers.some((answer) => { try { check(answer); return false; } catch { return true; } }); };
  // What only a request or a refusal has, or what describes more than an object's fields.
  const others = ['Metric', 'Dimension', 'Event', 'BrowserEvent', 'SiteSettings', 'Problem', 'Values', 'Changes'];
  for (const name of Object.keys(DOCUMENT.components.schemas).filter((one) => !others.includes(one))) {
    const changed = (change: (schema: { properties: Record<string, object>; required: string[] }) => void) => {
      const document = structuredClone(DOCUMENT);
      change(document.components.schemas[name] as { properties: Record<string, object>; required: string[] });
      return document;
    };
    assert.ok(refused(changed(({ properties, required }) => { delete properties[required.at(-1)!]; required.pop(); })), `${name} without a field`);
    assert.ok(refused(changed(({ properties, required }) => { properties.more = {}; required.push('more'); })), `${name} with one more`);
  }
});

const MISSING: [what: string, received: Partial<Received>, message: RegExp][] = [
  ['a status that is not described', { status: 418 }, /GET \/v1\/health: the answer 418 .* the statuses are 200, /],
  ['a path that is not described', { path: '/v1/nothing' }, /there is no such path/],
  ['a method that is not described', { method: 'PUT' }, /\/v1\/health has no PUT, so that the status is 405/],
  ['a header that is not described', { headers: { 'content-type': 'application/json', 'x-more': '1' } }, /header x-more is not described/],
  ['another type', { headers: { 'content-type': 'text/html' } }, /Content-Type text\/html: accepts application\/json/],
  ['another body', { body: Buffer.from('{"status":"bad"}') }, /\/status must be equal to constant/],
  ['a body to HEAD', { method: 'HEAD' }, /a body of \d+ bytes/],
  ['a missing header', { path: '/v1/sites/shop/stats', status: 200 }, /header etag is missing/],
];
for (const [what, received, message] of MISSING) {
  test(`An answer with ${what} is refused, with what the document says`, () => {
    const health = { status: 'ok', oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: 0, complete_through: null };
    const good: Received = { method: 'GET', path: '/v1/health', status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(health)) };
    checkAnswer(good);
    assert.throws(() => { checkAnswer({ ...good, ...received }); }, message);
  });
}
