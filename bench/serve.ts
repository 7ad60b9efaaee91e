// Serve: 30 days by day, read at random through the real HTTP server and handler, from a store as full as it gets.
// The server is this process, the reader a child; items are made by core/items.ts, as the rollup's are.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SEPARATOR, dayItems, dayKey, hourItem, hourKey } from '../core/items.ts';
import { newKey, storeKey } from '../core/keys.ts';
import { DIMENSION_NAMES, SUM_NAMES } from '../core/metrics.ts';
import type { ResultRow, Store, StoreItem } from '../core/ports.ts';
import { writeProgress } from '../core/progress.ts';
import { writeSite } from '../core/sites.ts';
import { EXACT, REGISTERS } from '../core/sketch.ts';
import { dayAfter, daysBetween } from '../core/zone.ts';
import { randomFrom, type Random } from '../local/demo-shop.ts';
import { httpServer } from '../local/http.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { serveHandler, type ServePorts } from '../lambdas/serve.ts';
import { percentile, type BenchOptions, type Measurement } from './report.ts';
import { readAll, type ReadTimes } from './reader.ts';

const READS = { full: 5000, quick: 500 };
const CONCURRENCY = 4;
const LAST_DAY = '2026-01-30';
const DAYS = daysBetween(dayAfter(LAST_DAY, -29), LAST_DAY);
const NOW = Date.parse(`${LAST_DAY}T23:30:00Z`);
const RUN = '20260130T233000000Z-000000';
const PUT_ITEMS = 5000;
/** Different contents of an item, of which each site's days have some. */
const TEMPLATES = 40;
const VALUES_OF_DIMENSION = 30;

/** Sites that are read, by how much happens on them. */
const KINDS = [
  { name: '100 visitors a day', prefix: 'ordinary', visitors: 100 },
  { name: '10 times the events', prefix: 'busy', visitors: 1000 },
  { name: '200 times the events', prefix: 'busiest', visitors: 20_000 },
] as const;
type Kind = (typeof KINDS)[number];

/** A day of so many visitors as the rollup's query would answer it. */
function dayRow(random: Random, visitors: number): ResultRow {
  const ranks = new Map<number, number>();
  for (let i = 0; i < visitors; i++) {
    const fingerprint = visitors <= EXACT ? 1 + Math.floor(random() * 4095) : 0;
    const seen = Math.floor(random() * REGISTERS) * 4096 + fingerprint;
    ranks.set(seen, Math.max(ranks.get(seen) ?? 0, 1 + Math.floor(-Math.log2(1 - random()))));
  }
  const sums = SUM_NAMES.map((_, i) => Math.floor((visitors * 5 * (1 + random())) / (i + 1)));
  const values = Math.min(VALUES_OF_DIMENSION, Math.ceil(visitors / 10));
  const rows = DIMENSION_NAMES.flatMap((dimension) => Array.from({ length: values }, (_, i) => ({ dimension, value: `/${dimension}/value-${i}` })));
  return {
    sketch: [...ranks].map(([seen, rank]) => seen * 64 + rank),
    sums: [
      ['', '', ...sums].join(SEPARATOR),
      ...rows.map(({ dimension, value }) => [dimension, value, ...SUM_NAMES.map(() => Math.floor(random() * visitors))].join(SEPARATOR)),
    ],
  };
}

type Template = Omit<StoreItem, 'pk' | 'sk'>;
interface Templates { days: Template[]; breakdowns: Template[]; hours: Template[] }

function templateOf(item: StoreItem): Template {
  return Object.fromEntries(Object.entries(item).filter(([name]) => name !== 'pk' && name !== 'sk'));
}

function templatesOf(random: Random, { visitors }: { visitors: number }): Templates {
  const made: Templates = { days: [], breakdowns: [], hours: [] };
  for (let i = 0; i < TEMPLATES; i++) {
    const [day, breakdown] = dayItems(LAST_DAY, RUN, dayRow(random, visitors));
    made.days.push(templateOf(day!));
    made.breakdowns.push(templateOf(breakdown!));
    const quarters = Array.from({ length: 4 }, () => dayRow(random, Math.ceil(visitors / 96)));
    const lists = Object.fromEntries([...SUM_NAMES, 'sketch'].map((name) => [name, quarters.map((quarter) => quarter[name])]));
    made.hours.push(templateOf(hourItem(`${LAST_DAY}T00`, RUN, { ...lists, quarter: quarters.map((_, quarter) => quarter) })));
  }
  return made;
}

/** Puts items in batches; durably, as everything in the store is. */
async function putAll(store: Store, items: Iterable<StoreItem>): Promise<number> {
  let count = 0;
  let batch: StoreItem[] = [];
  for (const item of items) {
    count++;
    if (batch.push(item) < PUT_ITEMS) continue;
    await store.put(batch);
    batch = [];
  }
  await store.put(batch);
  return count;
}

/** All a site has of the 30 days: days, their breakdowns, and the hours of the last two days. */
function* itemsOf(pk: string, number: number, { days, breakdowns, hours }: Templates): Iterable<StoreItem> {
  for (const [i, day] of DAYS.entries()) {
    const template = (number + i) % TEMPLATES;
    yield { ...days[template], pk, sk: dayKey(day) };
    yield { ...breakdowns[template], pk, sk: `B#${day}` };
    if (i < DAYS.length - 2) continue;
    for (let hour = 0; hour < 24; hour++) yield { ...hours[(number + hour) % TEMPLATES], pk, sk: hourKey(`${day}T${String(hour).padStart(2, '0')}`) };
  }
}

function siteId(prefix: string, number: number): string {
  return `${prefix}-${String(number).padStart(7, '0')}`;
}

interface Filling { kind: Kind; sites: string[] }

/** Fills the sites of each kind, which are the ones that are read. */
async function fillKinds(metrics: Store, registry: Store, sitesOfKind: number): Promise<{ filled: Filling[]; items: number }> {
  const random = randomFrom(3);
  const filled: Filling[] = [];
  let items = 0;
  for (const kind of KINDS) {
    const templates = templatesOf(random, kind);
    const sites = Array.from({ length: sitesOfKind }, (_, i) => siteId(kind.prefix, i));
    items += await putAll(metrics, (function* () {
      for (const [i, site] of sites.entries()) yield* itemsOf(site, i, templates);
    })());
    const now = new Date(NOW).toISOString();
    for (const id of sites) await writeSite(registry, { id, name: id, timezone: 'Europe/Berlin', currency: 'EUR', hosts: [], origins: [], created_at: now, updated_at: now });
    filled.push({ kind, sites });
  }
  return { filled, items };
}

/** A store that counts what is asked of it. */
function countingStore(store: Store): Store & { asked: number } {
  const counting = {
    ...store,
    asked: 0,
    get: async (pk: string, sk: string) => {
      counting.asked++;
      return store.get(pk, sk);
    },
    range: async (pk: string, from: string, to: string, limit?: number) => {
      counting.asked++;
      return store.range(pk, from, to, limit);
    },
  };
  return counting;
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}

interface Read extends ReadTimes { limit: ReadTimes; metricsAsked: number; registryAsked: number }

/** Reads 30 days of sites at random, first by the API and then bare. */
async function measureReads(sites: readonly string[], reads: number, ports: ServePorts, key: string): Promise<Read> {
  const random = randomFrom(11);
  const chosen = Array.from({ length: reads }, () => sites[Math.floor(random() * sites.length)]!);
  const metrics = countingStore(ports.metrics);
  const registry = countingStore(ports.registry);
  const onError = (error: unknown) => { throw error; };
  const notHere = async () => { throw new Error('only reads are measured here'); };
  const server = httpServer({
    stream: { put: notHere }, clock: ports.clock, trustProxy: false, onError,
    handlers: { ingest: notHere, admin: notHere, serve: serveHandler({ ...ports, metrics, registry, onError }) },
  });
  let api: ReadTimes;
  try {
    const query = 'timeseries?range=30d&interval=day&metrics=visitors,pageviews,revenue';
    api = await readAll({ url: await listening(server), key, paths: chosen.map((site) => `/v1/sites/${site}/${query}`), concurrency: CONCURRENCY });
  } finally {
    await closed(server);
  }
  const [metricsAsked, registryAsked] = [metrics.asked / api.count, registry.asked / api.count];
  const times: number[] = [];
  for (const site of chosen) {
    const began = performance.now();
    const items = await ports.metrics.range(site, dayKey(DAYS[0]!), dayKey(LAST_DAY));
    times.push(performance.now() - began);
    if (items.length !== DAYS.length) throw new Error(`${site} has ${items.length} days`);
  }
  return { ...api, limit: { p50: percentile(times, 0.5), p99: percentile(times, 0.99), perSecond: NaN, count: reads }, metricsAsked, registryAsked };
}

/** Round trips of the same reader to a server that answers a fixed text: what HTTP alone takes. */
async function measureBareHttp(reads: number, key: string): Promise<ReadTimes> {
  const server = createServer((_, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end('{}'); });
  try {
    return await readAll({ url: await listening(server), key, paths: Array.from({ length: reads }, () => '/'), concurrency: CONCURRENCY });
  } finally {
    await closed(server);
  }
}

/** What is in the store, and how often it is read. */
interface Fill { sites: number; text: string; reads: number }

async function measureStore(fill: Fill, read: readonly Filling[], ports: ServePorts, key: string): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const { kind, sites } of read) {
    const of = `${fill.sites.toLocaleString('en-US')} sites, ${kind.name}`;
    const { p50, p99, perSecond, limit, metricsAsked, registryAsked } = await measureReads(sites, fill.reads, ports, key);
    measurements.push(
      { what: `${of}: p50`, value: p50, unit: 'ms', limit: limit.p50, note: `${fill.text}; ${fill.reads} reads of ${sites.length} sites at random, ${CONCURRENCY} at once, ${perSecond.toFixed(0)} a second` },
      { what: `${of}: p99`, value: p99, unit: 'ms', limit: limit.p99, target: { atMost: 10 } },
    );
    if (kind === KINDS[0]) {
      measurements.push(
        { what: `${of}: queries of the metrics store a read`, value: metricsAsked, unit: 'queries', target: { atMost: 2 } },
        { what: `${of}: look-ups in the registry a read`, value: registryAsked, unit: 'look-ups', note: 'the key, the site, and how far the numbers are complete' },
      );
    }
  }
  return measurements;
}

/** Measures 30 days by day over HTTP, from a store of a thousand sites and then (not quickly) of a million. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-serve-'));
  const environment = openEnvironment(folder);
  try {
    const registry = lmdbStore(environment, 'registry');
    const metrics = lmdbStore(environment, 'metrics');
    const ports: ServePorts = {
      registry, metrics, clock: () => NOW, onError: () => undefined,
      health: async () => ({ oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: 0 }),
    };
    const key = newKey('admin');
    await storeKey(registry, key, { scope: 'admin', label: 'bench' }, new Date(NOW).toISOString());
    await writeProgress(registry, { completeThrough: NOW, parkedHours: [], parkedDays: [] });
    const reads = quick ? READS.quick : READS.full;
    const bare = await measureBareHttp(reads, key);
    const sitesOfKind = quick ? 200 : 1000;
    const { filled, items } = await fillKinds(metrics, registry, sitesOfKind);
    const sites = sitesOfKind * KINDS.length;
    const full = `${items.toLocaleString('en-US')} items: ${sites} sites with 30 days, their breakdowns, and the hours of two days`;
    const measurements = await measureStore({ sites, text: full, reads }, filled, ports, key);
    measurements.push({ what: 'HTTP alone: p99', value: bare.p99, unit: 'ms', note: 'the same reader, a server that answers a fixed text' });
    if (!quick) measurements.push(...await measureMillion(metrics, filled, { sites, text: full, reads }, ports, key));
    return measurements;
  } finally {
    await environment.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const MILLION = 1_000_000;
/** Days each of the many has: enough for millions of items, few enough to be put in minutes. */
const DAYS_OF_MANY = 3;

async function measureMillion(metrics: Store, filled: readonly Filling[], { sites, text: full, reads }: Fill, ports: ServePorts, key: string): Promise<Measurement[]> {
  const { days } = templatesOf(randomFrom(5), { visitors: 20 });
  const items = await putAll(metrics, (function* () {
    for (let i = 0; i < MILLION - sites; i++) {
      // Their names sort among, before and after those of the sites that are read.
      const pk = siteId(i % 2 === 0 ? 'ordinary' : 'small', sites + i);
      for (let day = 0; day < DAYS_OF_MANY; day++) yield { ...days[(i + day) % TEMPLATES], pk, sk: dayKey(DAYS.at(-1 - day)!) };
    }
  })());
  const text = `${full}, and ${items.toLocaleString('en-US')} items of other sites: ${DAYS_OF_MANY} days each, 20 visitors a day`;
  return measureStore({ sites: MILLION, text, reads }, filled, ports, key);
}
