// Who learns what: every route, asked with every kind of key for every kind of site; and what becomes of keys that are
// made, revoked and used too often. Two servers answer, one of which knows nothing of the other site: a key of the first
// site has to get the same answers from both, after the same reads of the store. That is the argument about time, too.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request as send, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { dayItems, hourItem } from '../core/items.ts';
import { cachedKeys, storeKey, type Key, type Scope } from '../core/keys.ts';
import { DIMENSION_NAMES, SUM_NAMES, type Sums } from '../core/metrics.ts';
import type { Lake, StoreItem } from '../core/ports.ts';
import { writeProgress } from '../core/progress.ts';
import { ROUTES, routeKey } from '../core/routes.ts';
import { writeSite, type Site } from '../core/sites.ts';
import { adminHandler } from '../lambdas/admin.ts';
import { ingestHandler } from '../lambdas/ingest.ts';
import { serveHandler } from '../lambdas/serve.ts';
import { httpServer } from '../local/http.ts';
import { chanceOf } from './chance.ts';
import { MemoryStore, NO_TASKS, httpPorts, siteOf } from './memory.ts';

const SEED = Number(process.env.TENANCY_SEED ?? 20261124);
/** 2026-11-20T10:00Z. */
const NOW = Date.UTC(2026, 10, 20, 10);

// ---- What there is: two shops, whose every number and value tells whose it is

const ALPHA = 'alpha-shop';
const BETA = 'beta9-shop';
/** A site that does not exist; as long as the others, so that answers are equal to the last byte. */
const NONE = 'none9-shop';
const DAYS = ['2026-11-18', '2026-11-19', '2026-11-20'];
const RATE = { per_second: 1000, burst: 10_000 };
const SITES: Record<string, Site> = {
  [ALPHA]: siteOf({ id: ALPHA, name: 'Alpha', timezone: 'Pacific/Auckland', origins: ['https://alpha.example'], rate_limit: RATE }),
  [BETA]: siteOf({ id: BETA, name: 'Beta Secret', timezone: 'Asia/Kolkata', currency: 'MVR', origins: ['https://beta.example'], rate_limit: RATE }),
};
/** What only a site's own items and settings hold. Beta's numbers are so large that whatever is added up of them has ten digits. */
const MARKS: Record<string, RegExp> = { [ALPHA]: /alpha-value|Alpha|alpha\.example|Auckland/, [BETA]: /beta-value|Beta Secret|beta\.example|Kolkata|MVR|\d{10}/ };
const VALUE: Record<string, string> = { [ALPHA]: 'alpha-value', [BETA]: 'beta-value' };

/** Sums of a day or quarter: alpha's n-th sum is n, beta's 2,000,000,000 + n; revenue and time on site are that much in their unit. */
function sumsOf(site: string): Sums {
  const unit: Partial<Record<string, number>> = { visit_ms: 1000, revenue_micros: 1_000_000 };
  return Object.fromEntries(SUM_NAMES.map((name, i) => [name, (i + 1 + (site === BETA ? 2_000_000_000 : 0)) * (unit[name] ?? 1)]));
}

function itemsOf(site: string): StoreItem[] {
  const sums = sumsOf(site);
  const registers = Array.from({ length: site === ALPHA ? 3 : 40 }, (_, i) => i * 262_144 + 65);
  const line = (dimension: string, value: string) => [dimension, value, ...SUM_NAMES.map((name) => sums[name])].join('\u001f');
  return DAYS.flatMap((day) => [
    ...dayItems(day, `run-${site}`, { site_id: site, sketch: registers, sums: [line('', ''), ...DIMENSION_NAMES.map((name) => line(name, VALUE[site]!))] }),
    ...['09', '10'].map((hour) => hourItem(`${day}T${hour}`, `run-${site}`, {
      site_id: site, quarters: [[Date.parse(`${day}T${hour}:00Z`) / 900_000, ...SUM_NAMES.map((name) => sums[name])].join('\u001f')], sketches: [registers],
    })),
  ]);
}

/** Who asks: a name for the test, what it sends, and what it is while it works. */
interface Caller { name: string; authorization?: string; scope?: Scope; site?: string }

const digest = (text: string) => createHash('sha256').update(text).digest('hex');

/** A registry with both sites and keys of every kind, the callers that have them, and what of it is a secret. */
async function found(seed: number) {
  const chance = chanceOf(seed);
  const registry = new MemoryStore();
  const callers: Caller[] = [{ name: 'nobody' }];
  const secrets: string[] = [];
  const spare: Record<string, Key> = {};
  const textOfKey = (scope: Scope) => `ff_${scope}_${Array.from({ length: 43 }, () => chance.of([...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'])).join('')}`;
  const made = async (scope: Scope, site?: string) => {
    const text = textOfKey(scope);
    // A prefix shows four digits of a key; whatever 13 follow are a secret.
    for (let at = `ff_${scope}_`.length + 4; at + 13 <= text.length; at += 13) secrets.push(text.slice(at, at + 13));
    secrets.push(digest(text));
    return { text, key: await storeKey(registry, text, { scope, label: `${site ?? 'admin'} label`, ...(site !== undefined && { site }) }, '2026-01-01T00:00:00.000Z') };
  };
  for (const site of [ALPHA, BETA]) await writeSite(registry, SITES[site]!);
  await writeProgress(registry, { completeThrough: NOW, parkedHours: [], parkedDays: [] });
  for (const [scope, site] of [['read', ALPHA], ['write', ALPHA], ['read', BETA], ['write', BETA], ['admin', undefined]] as const) {
    const { text } = await made(scope, site);
    const revoked = await made(scope, site);
    await registry.remove(registry.all().filter(({ pk, sk }) => pk === `key#${digest(revoked.text)}` || sk === `key#${revoked.key.id}`));
    spare[site ?? 'admin'] = (await made(scope, site)).key;
    const whose = `${scope} key${site === undefined ? '' : ` of ${site}`}`;
    callers.push({ name: whose, authorization: `Bearer ${text}`, scope, ...(site !== undefined && { site }) }, { name: `revoked ${whose}`, authorization: `Bearer ${revoked.text}` });
    if (scope !== 'read' || site !== ALPHA) continue;
    for (const [name, authorization] of [
      ['a key that never was', `Bearer ${textOfKey('read')}`], ['the digest of a key', `Bearer ${digest(text)}`], ['a read key as an admin key', `Bearer ${text.replace('read', 'admin')}`],
      ['a key without its last digit', `Bearer ${text.slice(0, -1)}`], ['two keys', `Bearer ${text} ${text}`], ['another scheme', `Basic ${text}`], ['what every object has', 'Bearer __proto__'],
    ] as const) callers.push({ name, authorization });
  }
  return { items: registry.all(), callers, secrets, spare };
}

// ---- Servers

/** A store that writes down what is asked of it. */
class WatchedStore extends MemoryStore {
  constructor(private readonly name: string, private readonly accesses: string[]) { super(); }
  private note(...what: unknown[]): void { this.accesses.push([this.name, ...what].join(' ')); }
  override async get(pk: string, sk: string) { this.note('get', pk, sk); return super.get(pk, sk); }
  override async range(pk: string, from: string, to: string, limit?: number) { this.note('range', pk, from, to, limit); return super.range(pk, from, to, limit); }
  override async put(items: readonly StoreItem[]) { for (const { pk, sk } of items) this.note('put', pk, sk); return super.put(items); }
  override async remove(keys: readonly { pk: string; sk: string }[]) { for (const { pk, sk } of keys) this.note('remove', pk, sk); return super.remove(keys); }
}

const EMPTY_LAKE: Pick<Lake, 'sizeOf' | 'rawParts'> = { sizeOf: async () => 0, rawParts: async () => [] };

interface Ask { method?: string; path: string; authorization?: string | undefined; headers?: Record<string, string>; body?: string }
interface Answer { status: number; headers: IncomingHttpHeaders; text: string; body: Record<string, unknown>; accesses: string[] }

/** A listening server on a registry and metrics of its own, which `reset` puts back as they were. */
async function serverOf(t: TestContext, items: readonly StoreItem[], metricsItems: readonly StoreItem[], { keysRememberedMs = 0 } = {}) {
  const now = { ms: NOW };
  const clock = () => now.ms;
  const accesses: string[] = [];
  const errors: unknown[] = [];
  const onError = (error: unknown) => { errors.push(error); };
  const streamed: string[] = [];
  const stream = { put: async (records: readonly string[]) => { streamed.push(...records); } };
  const make = () => {
    const [registry, metrics] = [new WatchedStore('registry', accesses), new WatchedStore('metrics', accesses)];
    void registry.put(items);
    void metrics.put(metricsItems);
    accesses.length = 0;
    const shared = { ...httpPorts(registry, clock), registry, clock, onError, keys: cachedKeys(registry, clock, keysRememberedMs, onError) };
    return {
      ingest: ingestHandler({ ...shared, stream }),
      admin: adminHandler({ ...shared, lake: EMPTY_LAKE, tasks: NO_TASKS, usdPerTerabyte: 0, rawKeptMs: 0 }),
      serve: serveHandler({ ...shared, metrics, health: async () => ({ oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: 0 }) }),
    };
  };
  let handlers = make();
  const server = httpServer({
    stream, clock, onError, trustProxy: false,
    handlers: { ingest: (...call) => handlers.ingest(...call), admin: (...call) => handlers.admin(...call), serve: (...call) => handlers.serve(...call) },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const ask = async ({ method = 'GET', path, authorization, headers = {}, body = '' }: Ask): Promise<Answer> => {
    accesses.length = 0;
    const sent = send({ host: '127.0.0.1', port, agent, method, path, headers: { ...headers, ...(authorization !== undefined && { authorization }), 'content-length': Buffer.byteLength(body) } });
    sent.end(body);
    const [response] = await once(sent, 'response') as [IncomingMessage];
    const id = String(response.headers['x-request-id'] ?? 'none');
    const text = (await buffer(response)).toString().replaceAll(id, '<request>');
    const told = Object.fromEntries(Object.entries(response.headers).filter(([name]) => !['x-request-id', 'date', 'connection', 'keep-alive'].includes(name)));
    return { status: response.statusCode!, headers: told, text, body: /json/.test(String(told['content-type'])) && text !== '' ? JSON.parse(text) as Record<string, unknown> : {}, accesses: [...accesses] };
  };
  return { ask, errors, streamed, now, reset: () => { handlers = make(); } };
}

type Asks = Awaited<ReturnType<typeof serverOf>>['ask'];

// ---- Every route × key × site × method

type Who = 'read' | 'write' | 'admin';
const READERS: Who[] = ['read', 'admin'];
const ADMIN: Who[] = ['admin'];
/** Who may call what, and what it is answered with. The test's own word, beside that of the code. */
const RULES: [method: string, path: string, who: Who[] | 'anyone', status: number][] = [
  ['POST', '/v1/events', ['write'], 202],
  ['GET', '/openapi.json', 'anyone', 200],
  ['GET', '/v1/health', 'anyone', 200],
  ['GET', '/v1/key', ['read', 'write', 'admin'], 200],
  ['GET', '/v1/sites/{site}/stats', READERS, 200],
  ['GET', '/v1/sites/{site}/timeseries', READERS, 200],
  ['GET', '/v1/sites/{site}/breakdown', READERS, 200],
  ['GET', '/v1/sites/{site}/funnel', READERS, 200],
  ['GET', '/v1/sites', ADMIN, 200],
  ['GET', '/v1/sites/{site}', ADMIN, 200],
  ['PUT', '/v1/sites/{site}', ADMIN, 200],
  ['GET', '/v1/sites/{site}/keys', ADMIN, 200],
  ['POST', '/v1/sites/{site}/keys', ADMIN, 201],
  ['DELETE', '/v1/sites/{site}/keys/{key}', ADMIN, 204],
  ['GET', '/v1/keys', ADMIN, 200],
  ['POST', '/v1/keys', ADMIN, 201],
  ['DELETE', '/v1/keys/{key}', ADMIN, 204],
  ['GET', '/v1/rollups', ADMIN, 200],
  ['POST', '/v1/rollups', ADMIN, 202],
  ['DELETE', '/v1/rollups/{job}', ADMIN, 202],
];
const OPEN = RULES.filter(([, , who]) => who === 'anyone').map(([, path]) => path);
const JOB = '2026-11-18T00_2026-11-18T01';
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH'];
const HOSTILE = ['_unknown', '__proto__', '..', 'ALPHA-SHOP', 'alpha-shop ', ' alpha-shop', 'alpha-shop\0', 'alpha-shop/../beta9-shop', 'settings', 'site#alpha-shop', '%', '🦊', 'x'.repeat(64), "' or 1=1 --"];
/** Of ids without a site those that a PUT may make one of. */
const MAY_BE_MADE = [NONE, 'settings'];

const BODIES: Record<string, string> = {
  'POST /v1/events': JSON.stringify({ events: [{ name: 'page_view', url: 'https://alpha.example/', time: '2026-11-20T09:00:00Z' }] }),
  'PUT /v1/sites/{site}': JSON.stringify({ name: 'Put', timezone: 'UTC', currency: 'EUR' }),
  'POST /v1/sites/{site}/keys': '{"scope":"read","label":"new"}',
  'POST /v1/keys': '{"label":"new"}',
  'POST /v1/rollups': '{"from":"2026-11-19T00","to":"2026-11-19T03"}',
};
const RANGES = ['from=2026-11-18&to=2026-11-19', 'from=2026-11-18&to=2026-11-20', 'range=today', 'range=7d'];
const QUERIES: Record<string, string[]> = {
  stats: ['', 'metrics=pageviews,visitors,revenue', 'compare=previous_period', 'filter=page==alpha-value', 'filter=page==beta-value', 'time_zone=America/New_York'],
  timeseries: ['', 'interval=hour', 'interval=month&smooth=3', 'metrics=visitors,revenue&compare=previous_period', 'time_zone=Asia/Tokyo'],
  breakdown: DIMENSION_NAMES.map((name) => `dimension=${name}`),
  funnel: [''],
};

function expected(method: string, path: string, { scope, site: own }: Caller, site: string): number {
  if (method === 'OPTIONS') return 204;
  const rule = RULES.find(([verb, its]) => its === path && verb === (method === 'HEAD' ? 'GET' : method));
  if (!rule) return 405;
  const [, , who, status] = rule;
  if (who === 'anyone') return status;
  if (scope === undefined) return 401;
  const namesSite = path.includes('{site}');
  if (namesSite && own !== undefined && own !== site) return 404;
  if (!who.includes(scope)) return 403;
  if (!namesSite || Object.hasOwn(SITES, site)) return status;
  return method !== 'PUT' ? 404 : MAY_BE_MADE.includes(site) ? 200 : 422;
}

test('The table of who may what has every route there is', () => {
  assert.deepEqual(RULES.map(([method, path]) => `${method} ${path}`).sort(), ROUTES.map(routeKey).sort());
});

test(`Every route, key, site and method: what the table says, and nothing of another's site (seed ${SEED})`, async (t) => {
  t.diagnostic(`TENANCY_SEED=${SEED}`);
  const chance = chanceOf(SEED);
  const { items: before, callers, secrets, spare } = await found(SEED);
  const metrics = [ALPHA, BETA].flatMap(itemsOf);
  // Something to be cancelled.
  const job = { pk: 'reprocess', sk: JOB, job: { id: JOB, state: 'rolling', from: '2026-11-18T00', to: '2026-11-18T01', replay: false, created_at: '', finished_at: null, hours: 0, hours_done: 0, hours_failed: [], days_failed: [], records_replayed: 0, records_skipped: 0, files_failed: [], arrived: '2026-11-18T00', part: '', sent_at: 0, next: '2026-11-18T01', running: [], owed: null } };
  const items = [...before, job];
  const isOfBeta = ({ pk, sk, site }: StoreItem) => site === BETA || pk === BETA || pk.endsWith(`#${BETA}`) || sk === BETA;
  const both = await serverOf(t, items, metrics);
  const alone = await serverOf(t, items.filter((item) => !isOfBeta(item)), metrics.filter((item) => !isOfBeta(item)));
  const idOf = (site: string) => spare[site]?.id ?? spare[ALPHA]!.id;
  const seen = new Map<string, number>();

  /** Asks, and checks all that can be said of one answer. */
  const exchange = async (ask: Ask, site: string, method: string, path: string, caller: Caller) => {
    const where = `${method} ${ask.path} by ${caller.name} (seed ${SEED})`;
    both.reset();
    const answer = await both.ask(ask);
    const { status, headers, text, accesses } = answer;
    assert.equal(status, expected(method, path, caller, site), `${where}: ${text}`);
    seen.set(`${path} ${status}`, (seen.get(`${path} ${status}`) ?? 0) + 1);
    if (method === 'HEAD') assert.equal(text, '', where);
    const all = text + JSON.stringify(headers);
    for (const secret of secrets) assert.ok(!all.includes(secret), `${where}: shows a part of a key, or its digest`);
    if (status === 201) assert.ok(!all.includes(digest(answer.body.key as string)), where);
    if (caller.scope === 'admin') return answer;
    for (const other of [ALPHA, BETA].filter((each) => each !== caller.site)) {
      // A filter's value comes back as it was asked for.
      const foreign = ask.path.includes(VALUE[other]!) ? all.replaceAll(VALUE[other]!, '') : all;
      if (!OPEN.includes(path)) assert.doesNotMatch(foreign, MARKS[other]!, `${where}: ${all}`);
      assert.deepEqual(accesses.filter((access) => access.includes(other)), [], `${where}: touches what is ${other}'s`);
    }
    if (caller.site === BETA) return answer;
    alone.reset();
    assert.deepEqual(await alone.ask(ask), answer, `${where}: another answer, or other reads, where ${BETA} does not exist`);
    return answer;
  };

  for (const [verb, path] of RULES) {
    const sites = path.includes('{site}') ? [ALPHA, BETA, NONE, chance.of(HOSTILE), chance.of(HOSTILE)] : [ALPHA];
    for (const caller of callers) {
      const others = METHODS.filter((method) => method !== verb && method !== 'OPTIONS' && !RULES.some(([its, where]) => where === path && (its === method || method === 'HEAD' && its === 'GET')));
      for (const method of [verb, ...(verb === 'GET' ? ['HEAD'] : []), 'OPTIONS', chance.of(others)]) {
        const read = path.slice(path.lastIndexOf('/') + 1);
        const query = method === 'OPTIONS' || !(read in QUERIES) ? '' : `?${[chance.of(RANGES), chance.of(QUERIES[read]!)].filter((part) => part !== '').join('&')}`;
        const headers: Record<string, string> = { ...chance.of([{}, { accept: 'text/csv' }, { accept: 'application/json' }]), ...chance.of([{}, { origin: 'https://alpha.example' }, { origin: 'https://beta.example' }]) };
        const body = method === verb ? BODIES[`${method} ${path}`] : undefined;
        const answers: Record<string, Answer> = {};
        for (const site of sites) {
          const key = path.startsWith('/v1/keys') ? spare.admin!.id : idOf(site);
          const at = path.replace('{site}', encodeURIComponent(site)).replace('{key}', key).replace('{job}', JOB) + query;
          answers[site] = await exchange({ method, path: at, authorization: caller.authorization, headers, ...(body !== undefined && { body }) }, site, method, path, caller);
        }
        if (!path.includes('{site}') || caller.scope === 'admin') continue;
        // A site that is another's, and one that does not exist: the same but for the id and the key that were asked for.
        const plain = (site: string) => {
          const { status, headers: told, text, accesses } = answers[site]!;
          return { status, told, accesses, text: text.replaceAll(idOf(site), '<key>').replaceAll(site, '<site>') };
        };
        for (const other of [ALPHA, BETA]) if (other !== caller.site) assert.deepEqual(plain(other), plain(NONE), `${method} ${path} by ${caller.name} (seed ${SEED})`);
      }
    }
  }

  for (const [, path, who, status] of RULES) {
    assert.ok(seen.has(`${path} ${status}`) && seen.has(`${path} 204`) && seen.has(`${path} 405`), `${path} was not answered with all there is`);
    if (who !== 'anyone') assert.ok(seen.has(`${path} 401`), path);
    if (who !== 'anyone' && who.length < 3) assert.ok(seen.has(`${path} 403`), path);
  }
  assert.deepEqual([...both.errors, ...alone.errors], []);
});

/** Both sites' data behind a server, and the callers by name. */
async function open(t: TestContext, more: { keysRememberedMs?: number; sites?: Record<string, Site> } = {}) {
  const { items, callers, secrets, spare } = await found(SEED);
  const settings = Object.values(more.sites ?? {}).map((site) => ({ pk: `site#${site.id}`, sk: 'settings', ...site }));
  const server = await serverOf(t, [...items, ...settings], [ALPHA, BETA].flatMap(itemsOf), more);
  const by = (name: string) => callers.find((caller) => caller.name === name)!.authorization!;
  return { ...server, by, secrets, spare, reader: by(`read key of ${ALPHA}`), writer: by(`write key of ${ALPHA}`), admin: by('admin key') };
}

const STATS = `/v1/sites/${ALPHA}/stats?from=2026-11-18&to=2026-11-19`;

test('A read key gets the numbers and values of its own site, in JSON and in CSV', async (t) => {
  const { ask, reader, errors } = await open(t);
  // pageviews is the second sum, so 2 on each of the two days; visits the third.
  assert.deepEqual((await ask({ path: `${STATS}&metrics=pageviews,visits,visitors`, authorization: reader })).body.results, [{ metrics: { pageviews: 4, visits: 6, visitors: 3 } }]);
  const { text } = await ask({ path: `/v1/sites/${ALPHA}/breakdown?from=2026-11-18&to=2026-11-19&dimension=page`, authorization: reader, headers: { accept: 'text/csv' } });
  assert.equal(text, '\ufeffvalue,pageviews,events\r\nalpha-value,4,2\r\n');
  assert.deepEqual(errors, []);
});

test('A batch goes to the site of its key, whatever the batch says', async (t) => {
  const { ask, streamed, writer } = await open(t);
  const { status } = await ask({ method: 'POST', path: '/v1/events', authorization: writer, body: JSON.stringify({ site: BETA, events: [{ name: 'page_view', site: BETA, site_id: BETA }] }) });
  assert.equal(status, 202);
  assert.deepEqual(streamed.map((record) => (JSON.parse((JSON.parse(record) as { body: string }).body) as { site: string }).site), [ALPHA]);
});

// ---- Keys

interface Listed { id: string; scope: string; label: string; last_used_on: string | null }
const listed = async (ask: Asks, authorization: string, path: string) => (await ask({ path, authorization })).body.keys as Listed[];
const KEYS = `/v1/sites/${ALPHA}/keys`;

async function makeKey(ask: Asks, authorization: string, path: string, body: object) {
  const made = (await ask({ method: 'POST', path, authorization, body: JSON.stringify(body) })).body as { id: string; key: string };
  return { id: made.id, authorization: `Bearer ${made.key}` };
}

test('A new key works at once, also where it was refused a moment before, and a revoked one does not work once more', async (t) => {
  const { ask, admin } = await open(t);
  const { id, authorization } = await makeKey(ask, admin, KEYS, { scope: 'read', label: 'page' });
  assert.equal((await ask({ path: STATS, authorization })).status, 200);
  assert.equal((await ask({ method: 'DELETE', path: `${KEYS}/${id}`, authorization: admin })).status, 204);
  assert.equal((await ask({ path: STATS, authorization })).status, 401);
  assert.equal((await ask({ path: '/v1/key', authorization })).status, 401);
});

test('Where keys are remembered for 30 s, a revoked one works no longer than that, however often it is used', async (t) => {
  const { ask, now, admin } = await open(t, { keysRememberedMs: 30_000 });
  const { id, authorization } = await makeKey(ask, admin, KEYS, { scope: 'read', label: 'page' });
  assert.equal((await ask({ path: STATS, authorization })).status, 200);
  assert.equal((await ask({ method: 'DELETE', path: `${KEYS}/${id}`, authorization: admin })).status, 204);
  for (let s = 1; s < 30; s++) {
    now.ms = NOW + s * 1000;
    await ask({ path: STATS, authorization });
  }
  now.ms = NOW + 30_000;
  assert.equal((await ask({ path: STATS, authorization })).status, 401);
});

test('A key is changed without a pause: the old one and the new one work until the old one is revoked', async (t) => {
  const { ask, admin } = await open(t);
  const [old, next] = [await makeKey(ask, admin, KEYS, { scope: 'write', label: 'old' }), await makeKey(ask, admin, KEYS, { scope: 'write', label: 'new' })];
  const write = async ({ authorization }: { authorization: string }) => (await ask({ method: 'POST', path: '/v1/events', authorization, body: BODIES['POST /v1/events']! })).status;
  assert.deepEqual([await write(old), await write(next)], [202, 202]);
  await ask({ method: 'DELETE', path: `${KEYS}/${old.id}`, authorization: admin });
  assert.deepEqual([await write(old), await write(next)], [401, 202]);
});

test('Admin keys are listed, made and revoked; one cannot revoke itself, but another can', async (t) => {
  const { ask, admin, spare } = await open(t);
  const next = await makeKey(ask, admin, '/v1/keys', { label: 'next' });
  const own = (await ask({ path: '/v1/key', authorization: admin })).body.id as string;
  const ids = async (authorization: string) => (await listed(ask, authorization, '/v1/keys')).map(({ id }) => id);
  assert.deepEqual((await ids(next.authorization)).sort(), [own, next.id, spare.admin!.id].sort());
  const itself = await ask({ method: 'DELETE', path: `/v1/keys/${own}`, authorization: admin });
  assert.deepEqual([itself.status, (await ids(admin)).includes(own)], [409, true]);
  assert.match(String(itself.body.detail), new RegExp(`^key "${own}": `));
  assert.equal((await ask({ method: 'DELETE', path: `/v1/keys/${own}`, authorization: next.authorization })).status, 204);
  assert.equal((await ask({ path: '/v1/keys', authorization: admin })).status, 401);
  assert.deepEqual((await ids(next.authorization)).sort(), [next.id, spare.admin!.id].sort());
});

test('A key is revoked on the site it belongs to, and nowhere else', async (t) => {
  const { ask, admin, reader } = await open(t);
  const id = (await ask({ path: '/v1/key', authorization: reader })).body.id as string;
  const adminId = (await ask({ path: '/v1/key', authorization: admin })).body.id as string;
  for (const path of [`/v1/sites/${BETA}/keys/${id}`, `/v1/keys/${id}`, `${KEYS}/${adminId}`, `${KEYS}/${encodeURIComponent(`${id}\n`)}`, `${KEYS}/~`]) {
    assert.equal((await ask({ method: 'DELETE', path, authorization: admin })).status, 404, path);
  }
  assert.deepEqual([(await ask({ path: STATS, authorization: reader })).status, (await ask({ path: '/v1/keys', authorization: admin })).status], [200, 200]);
});

test('A key was last used on a day of UTC, the one on which it was last used; never is null', async (t) => {
  const { ask, now, admin, reader } = await open(t);
  const id = (await ask({ path: '/v1/key', authorization: reader })).body.id as string;
  const days = async () => new Map((await listed(ask, admin, KEYS)).map((key) => [key.id, key.last_used_on]));
  const others = async () => [...await days()].filter(([its]) => its !== id).map(([, day]) => day);
  assert.deepEqual([(await days()).get(id), await others()], ['2026-11-20', [null, null, null]]);
  // Of two moments around midnight; in Auckland, the site's zone, both are on the 21st.
  for (const [at, day] of [['2026-11-20T23:59:59.999Z', '2026-11-20'], ['2026-11-21T00:00:00.000Z', '2026-11-21']] as const) {
    now.ms = Date.parse(at);
    await ask({ path: STATS, authorization: reader });
    assert.equal((await days()).get(id), day);
  }
  now.ms = Date.parse('2026-12-01T00:00:00Z');
  assert.equal((await days()).get(id), '2026-11-21');
  assert.equal((await listed(ask, admin, '/v1/keys')).find(({ label, last_used_on }) => label === 'admin label' && last_used_on !== null)?.last_used_on, '2026-12-01');
});

test('A list of keys shows of each what tells it apart, and neither its text nor its digest', async (t) => {
  const { ask, admin, secrets } = await open(t);
  for (const [path, count] of [[KEYS, 4], ['/v1/keys', 2]] as const) {
    const { text, body } = await ask({ path, authorization: admin });
    const keys = body.keys as Listed[];
    assert.equal(keys.length, count);
    for (const key of keys) assert.deepEqual(Object.keys(key).sort(), ['created_at', 'id', 'label', 'last_used_on', 'prefix', 'scope', ...(path === KEYS ? ['site'] : [])]);
    for (const secret of secrets) assert.ok(!text.includes(secret));
  }
});

// ---- Pages of other origins

const PAGE = 'https://alpha.example';
/** Asked with alpha's read key; the status it has. */
const STATUSES: [status: number, path: string, more?: { method?: string; headers?: Record<string, string>; body?: string }][] = [
  [200, STATS],
  [200, STATS, { method: 'HEAD' }],
  [304, STATS, { headers: { 'if-none-match': '*' } }],
  [200, '/v1/key'],
  [400, `${STATS}&colour=red`],
  [403, KEYS],
  [404, `/v1/sites/${BETA}/stats`],
  [404, `/v1/sites/${NONE}/stats`],
  [422, `/v1/sites/${ALPHA}/breakdown?dimension=page&metrics=visitors`],
  [429, STATS],
];
const NOT_THE_PAGE = ['https://beta.example', 'null', 'http://alpha.example', 'https://alpha.example/', 'https://alpha.example:443', 'https://ALPHA.example', 'https://alpha.example.evil.example', 'https://evil-alpha.example', 'https://x.alpha.example', '*', ''];

for (const [status, path, { method = 'GET', headers = {}, body = '' } = {}] of STATUSES) {
  test(`${method} ${path} is answered with ${status}, which only pages of the site's origins may read`, async (t) => {
    const { ask, reader, admin, writer } = await open(t, status === 429 ? { sites: { [ALPHA]: { ...SITES[ALPHA]!, rate_limit: { per_second: 1, burst: 1 } } } } : {});
    if (status === 429) await ask({ path, authorization: reader });
    const allowed = async (origin: string, authorization = reader) => {
      const answer = await ask({ method, path, authorization, headers: { ...headers, origin }, body });
      if (authorization === reader) assert.equal(answer.status, status);
      // Browsers and proxies must not give one origin's answer to another.
      assert.match(String(answer.headers.vary), /(^|, )origin(,|$)/i);
      assert.equal(answer.headers['access-control-allow-credentials'], undefined);
      return answer.headers['access-control-allow-origin'];
    };
    assert.equal(await allowed(PAGE), PAGE);
    for (const origin of NOT_THE_PAGE) assert.equal(await allowed(origin), undefined, origin);
    // Keys that do more than read have no place in a page.
    for (const authorization of [admin, writer]) assert.equal(await allowed(PAGE, authorization), undefined);
  });
}

test('What a browser asks before it reads is answered alike for every site, origin and key, without a look at the store', async (t) => {
  const { ask, reader, admin } = await open(t);
  const answers = [];
  for (const site of [ALPHA, BETA, NONE, '__proto__']) {
    for (const origin of [PAGE, 'https://beta.example', 'https://evil.example']) {
      for (const authorization of [undefined, reader, admin]) {
        answers.push(await ask({ method: 'OPTIONS', path: `/v1/sites/${site}/stats`, authorization, headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' } }));
      }
    }
  }
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  const { status, headers, accesses } = answers[0]!;
  assert.deepEqual([status, headers['access-control-allow-origin'], headers['access-control-allow-methods'], headers['access-control-allow-headers'], accesses], [204, '*', 'GET, HEAD', 'authorization', []]);
  for (const path of [KEYS, '/v1/sites', '/v1/keys', '/v1/events', '/v1/rollups', `/v1/sites/${ALPHA}`]) {
    const refused = await ask({ method: 'OPTIONS', path, headers: { origin: PAGE, 'access-control-request-method': 'GET' } });
    assert.deepEqual([refused.status, refused.headers['access-control-allow-origin'], refused.accesses], [204, undefined, []], path);
  }
});

// ---- How often a key may ask

/** What is left of a bucket, in thousandths of a request: whole numbers, since a millisecond fills `per_second` of them. */
class Bucket {
  private left: number;
  private at = NOW;
  constructor(private readonly perSecond: number, private readonly burst: number) { this.left = burst * 1000; }

  take(now: number) {
    this.left = Math.min(this.burst * 1000, this.left + (now - this.at) * this.perSecond);
    this.at = now;
    const allowed = this.left >= 1000;
    if (allowed) this.left -= 1000;
    const seconds = (thousandths: number) => String(Math.ceil(thousandths / (this.perSecond * 1000)));
    return {
      allowed,
      limit: String(this.burst), remaining: String(Math.floor(this.left / 1000)), reset: seconds(this.burst * 1000 - this.left),
      policy: `${this.burst};w=${Math.ceil(this.burst / this.perSecond)}`, retryAfter: allowed ? undefined : seconds(1000 - this.left),
    };
  }
}

const said = ({ status, headers }: Answer) => ({
  allowed: status !== 429, limit: headers['ratelimit-limit'], remaining: headers['ratelimit-remaining'], reset: headers['ratelimit-reset'],
  policy: headers['ratelimit-policy'], retryAfter: headers['retry-after'],
});

const LIMITED: Record<string, Site> = {
  [ALPHA]: { ...SITES[ALPHA]!, rate_limit: { per_second: 10, burst: 50 } },
  [BETA]: { ...SITES[BETA]!, rate_limit: { per_second: 3, burst: 7 } },
};

test('Of 60 requests at once 50 are answered; the others may come again after Retry-After, and then are', async (t) => {
  const { ask, now, reader } = await open(t, { sites: LIMITED });
  const statuses = [];
  for (let i = 0; i < 60; i++) statuses.push((await ask({ path: STATS, authorization: reader })).status);
  assert.deepEqual(statuses, [...Array.from({ length: 50 }, () => 200), ...Array.from({ length: 10 }, () => 429)]);
  const refused = await ask({ path: STATS, authorization: reader });
  assert.deepEqual(said(refused), { allowed: false, limit: '50', remaining: '0', reset: '5', policy: '50;w=5', retryAfter: '1' });
  assert.match(String(refused.body.detail), /10 requests a second, and 50 at once/);
  now.ms += 1000;
  assert.equal((await ask({ path: STATS, authorization: reader })).status, 200);
});

test('Who asks as often as it may be answered in the long run is answered ten times a second', async (t) => {
  const { ask, now, reader } = await open(t, { sites: LIMITED });
  let answered = 0;
  // 20 s of a request each 20 ms: 50 at once, and 10 in each second.
  for (let i = 0; i < 1000; i++) {
    if ((await ask({ path: '/v1/key', authorization: reader })).status === 200) answered++;
    now.ms += 20;
  }
  assert.equal(answered, 50 + 10 * 20 - 1);
});

test(`Each read key has a bucket of its own, of its site's size, and every answer says what is in it (seed ${SEED})`, async (t) => {
  t.diagnostic(`TENANCY_SEED=${SEED}`);
  const chance = chanceOf(SEED);
  const { ask, now, by, admin } = await open(t, { sites: LIMITED });
  const second = await makeKey(ask, admin, KEYS, { scope: 'read', label: 'second' });
  const keys = [
    { authorization: by(`read key of ${ALPHA}`), site: ALPHA, bucket: new Bucket(10, 50) },
    { authorization: second.authorization, site: ALPHA, bucket: new Bucket(10, 50) },
    { authorization: by(`read key of ${BETA}`), site: BETA, bucket: new Bucket(3, 7) },
  ];
  let refused = 0;
  for (let i = 0; i < 1500; i++) {
    const { authorization, site, bucket } = chance.of(keys);
    const path = chance.of(['/v1/key', `/v1/sites/${site}/funnel`, `/v1/sites/${site}/stats?metrics=nonsense`]);
    const answer = await ask({ path, authorization, method: chance.of(['GET', 'HEAD']) });
    const model = bucket.take(now.ms);
    assert.deepEqual(said(answer), model, `request ${i}, ${path} (seed ${SEED})`);
    if (!model.allowed) refused++;
    now.ms += chance.of([0, 0, 0, 1, 7, 10, 33, 100, chance.upTo(500)]);
  }
  assert.ok(refused > 100, `${refused} were refused`);
});

test('A clock that is set back fills no bucket, and empties none', async (t) => {
  const { ask, now, reader } = await open(t, { sites: { [ALPHA]: { ...SITES[ALPHA]!, rate_limit: { per_second: 1, burst: 2 } } } });
  const status = async () => (await ask({ path: '/v1/key', authorization: reader })).status;
  assert.deepEqual([await status(), await status(), await status()], [200, 200, 429]);
  now.ms -= 3_600_000;
  assert.equal(await status(), 429);
  now.ms += 1000;
  assert.equal(await status(), 200);
});

test('Admin keys, write keys and what is open to anyone are not limited, and say nothing of limits', async (t) => {
  const { ask, admin, writer } = await open(t, { sites: { [ALPHA]: { ...SITES[ALPHA]!, rate_limit: { per_second: 1, burst: 1 } } } });
  for (let i = 0; i < 60; i++) {
    for (const request of [
      { path: STATS, authorization: admin }, { path: '/v1/health' }, { path: '/v1/key', authorization: writer },
      { method: 'POST', path: '/v1/events', authorization: writer, body: BODIES['POST /v1/events']! },
    ]) {
      const { status, headers } = await ask(request);
      assert.deepEqual([status < 300, headers['ratelimit-limit']], [true, undefined], request.path);
    }
  }
});

test('A site\'s new limit holds at once, for what is asked next', async (t) => {
  const { ask, admin, reader } = await open(t, { sites: LIMITED });
  const put = (rate_limit: object) => ask({ method: 'PUT', path: `/v1/sites/${ALPHA}`, authorization: admin, body: JSON.stringify({ name: 'Alpha', timezone: 'UTC', currency: 'EUR', rate_limit }) });
  assert.equal((await ask({ path: '/v1/key', authorization: reader })).headers['ratelimit-remaining'], '49');
  assert.equal((await put({ per_second: 2, burst: 3 })).status, 200);
  const { headers } = await ask({ path: '/v1/key', authorization: reader });
  assert.deepEqual([headers['ratelimit-limit'], headers['ratelimit-remaining'], headers['ratelimit-policy']], ['3', '2', '3;w=2']);
});
